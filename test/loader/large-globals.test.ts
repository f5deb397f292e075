/** Globals that there is no room for: in a section of gigabytes, or in an arena with too few pages. */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { load, plan } from '../../src/loader/load.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import { ObjectFile } from '../../src/obj/object.ts';
import { MemoryKernel } from '../../src/testing.ts';
import { Image } from '../fuzz/image.ts';
import { fixtureBytes } from '../support/fixtures.ts';
import { refusal } from '../support/refusal.ts';

describe('a global of a .bss', () => {
  /** An object whose `.bss`, which has no contents in the file, claims so many bytes. */
  function withBss(size: number): ObjectFile {
    const image = new Image(Uint8Array.from(fixtureBytes('run/globals.bpf.o')));
    image.named('.bss')!.claimedSize = BigInt(size);
    return ObjectFile.parse(image.write());
  }

  afterEach(() => {
    vi.unstubAllGlobals();
  });

  it.each([2 ** 31, 2 ** 32 - 1])('of %d bytes cannot be set: no map has such values', (size) => {
    const kernel = new MemoryKernel();
    const error = refusal(() => load(withBss(size), { kernel, globals: { mode: 1 } }));
    expect(error).toMatchObject({
      code: 'ERR_SKEP_LOAD',
      message: `globals in section ".bss" cannot be set: all its ${size} bytes are written at once, and a map takes 2147483647; leave them out of option globals, or make the section smaller`,
    });
    expect(kernel.mapIds()).toEqual([]);
  });

  it('that this process has no memory for cannot be set', () => {
    const size = 2 ** 31 - 8;
    const object = withBss(size);
    const Short = new Proxy(Uint8Array, {
      construct(target, args) {
        if (args[0] === size) {
          throw new RangeError('Array buffer allocation failed');
        }
        return Reflect.construct(target, args);
      },
    });
    vi.stubGlobal('Uint8Array', Short);
    const kernel = new MemoryKernel({ mapMemoryBytes: Number.POSITIVE_INFINITY });
    const error = refusal(() => load(object, { kernel, globals: { mode: 1 } }));
    expect([kernel.openDescriptors(), kernel.mapIds()]).toEqual([[], []]);
    expect(error).toMatchObject({
      code: 'ERR_SKEP_LOAD',
      message: expect.stringContaining('are written at once, and there is too little memory;'),
      cause: expect.any(RangeError),
    });
  });

  it('takes no memory of this process before the map is there', () => {
    const kernel = new MemoryKernel();
    const object = withBss(2 ** 31 - 8);
    const before = process.memoryUsage().arrayBuffers;
    expect(plan(object, { kernel, globals: { mode: 1 } }).steps).not.toEqual([]);
    const error = refusal(() => load(object, { kernel, globals: { mode: 1 } }));
    expect(error).toMatchObject({ errnoName: 'ENOMEM', message: expect.stringContaining('.bss') });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 24);
  });

  it('can be set where there is room', () => {
    const kernel = new MemoryKernel();
    using app = load(withBss(1 << 20), { kernel, globals: { mode: 7 } });
    using plain = load(withBss(1 << 20), { kernel });
    expect([app.globals.mode, plain.globals.mode]).toEqual(['MODE_BUSY', 'MODE_IDLE']);
  });
});

describe('an arena with globals', () => {
  /** Two pages are declared. */
  function planOf(globalBytes: number, options: LoadOptions): () => unknown {
    const image = new Image(Uint8Array.from(fixtureBytes('run/arena.bpf.o')));
    image.named('.addr_space.1')!.data = new Uint8Array(globalBytes);
    const object = ObjectFile.parse(image.write());
    return () => plan(object, { kernel: new MemoryKernel(), ...options }).steps;
  }

  it('is refused with fewer pages than they need, as it is declared', () => {
    expect(refusal(planOf(8193, {}))).toMatchObject({
      code: 'ERR_SKEP_LOAD',
      message:
        'map "arena" has 2 pages (8192 bytes), too few for the globals of the arena (8193 bytes): it needs 3 (max_entries, or option maxEntries of the map)',
    });
    expect(planOf(8192, {})).not.toThrow();
  });

  it('is refused with fewer pages than they need, as an option makes it', () => {
    const one = { maps: { arena: { maxEntries: 1 } } };
    expect(refusal(planOf(4097, one)).message).toContain('has 1 pages (4096 bytes), too few');
    expect(planOf(4096, one)).not.toThrow();
    expect(planOf(8193, { maps: { arena: { maxEntries: 3 } } })).not.toThrow();
  });

  it('is not asked for pages if it is left out', () => {
    const without = { maps: { arena: { create: false } }, programs: false } as const;
    expect(planOf(8193, without)).not.toThrow();
  });
});
