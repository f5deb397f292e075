/** Loading on both kernels: pins, slots, failures, what stays. */

import { existsSync, mkdtempSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { PinMismatchError, type SkepError, SyscallError } from '../../src/errors.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { load } from '../../src/loader/load.ts';
import type { ObjectFile } from '../../src/loader/object-file.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { sizeOfType } from '../../src/obj/btf/layout.ts';
import { encodeForKernel } from '../../src/obj/btf-for-kernel.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { fixturePath, openFixture } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { describeKernels } from '../support/kernels.ts';
import { PARTS } from '../support/older-kernel.ts';
import { hasProgram, output } from '../support/programs.ts';

const u32 = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer);
const asU32 = (bytes: Uint8Array | undefined) =>
  bytes === undefined ? undefined : new Uint32Array(bytes.slice().buffer)[0];

describeKernels('pins', (place) => {
  it('outlive the handles and are found again, with their contents', () => {
    const { kernel } = place;
    const first = load(openFixture('demo'), {
      kernel,
      pinDirectory: place.directory,
      pinAll: true,
    });
    first.maps.get('flows')!.set(new Uint8Array(16).fill(7), new Uint8Array(32).fill(9));
    const id = first.maps.get('flows')!.info().id;
    first.close();
    const second = load(openFixture('demo'), {
      kernel,
      pinDirectory: place.directory,
      pinAll: true,
    });
    const flows = second.maps.get('flows')!;
    expect(flows.info().id).toBe(id);
    expect(flows.get(new Uint8Array(16).fill(7))).toEqual(new Uint8Array(32).fill(9));
    second.close();
  });

  it('are made in directories that did not exist', () => {
    const { kernel } = place;
    const path = `${place.directory}/a/b/c`;
    load(openFixture('demo'), { kernel, pinDirectory: path, pinAll: true }).close();
    expect(place.namesIn(path)).toEqual([
      'events',
      'flows',
      'tenant_one',
      'tenant_zero',
      'tenants',
    ]);
  });

  it('are opened by path, and removed', () => {
    const { kernel } = place;
    load(openFixture('demo'), { kernel, pinDirectory: place.directory, pinAll: true }).close();
    const path = `${place.directory}/flows`;
    const map = RawMap.openPinned(path, { kernel });
    expect(map.info()).toMatchObject({
      typeName: 'hash',
      keySize: 16,
      valueSize: 32,
      name: 'flows',
    });
    expect(map.pinPath).toBe(path);
    expect(map.unpin()).toBe(true);
    expect(map.unpin()).toBe(false);
    expect(place.namesIn(place.directory)).not.toContain('flows');
    map.close();
  });

  it('refuse what is no map, saying what it is', () => {
    const { kernel } = place;
    expect(() => RawMap.openPinned(`${place.directory}/none`, { kernel })).toThrow(
      /ENOENT.*nothing is pinned there/,
    );
    place.makeDirectory(`${place.directory}/directory`);
    expect(() => RawMap.openPinned(`${place.directory}/directory`, { kernel })).toThrow(/EACCES/);
    expect(() => RawMap.openPinned('/sys/fs/bpf/a.b', { kernel })).toThrow(/dot in "a.b"/);
  });

  it('refuse paths outside a BPF file system, and leave no directory there', () => {
    const { kernel } = place;
    const outside = join(tmpdir(), `skep-outside-${process.pid}`);
    expect(() =>
      load(openFixture('demo'), { kernel, pinDirectory: outside, pinAll: true }),
    ).toThrow(/does not lie on a BPF file system.*mount -t bpf/);
    expect(existsSync(outside)).toBe(false);
  });

  it('never remove files that are no pins', () => {
    const { kernel } = place;
    const file = join(tmpdir(), `skep-file-${process.pid}`);
    writeFileSync(file, '');
    const app = load(openFixture('maps/pinned'), { kernel, pinDirectory: place.directory });
    const map = [...app.maps.values()][0]!;
    expect(() => map.unpin(file)).toThrow(/not on a BPF file system/);
    expect(existsSync(file)).toBe(true);
    app.close();
  });
});

describeKernel('pins', () => {
  it('may have dots in the place where the BPF file system is mounted, and not below', () => {
    const mounted = mkdtempSync(join(tmpdir(), 'skep.mount.'));
    output('mount', '-t', 'bpf', 'bpf', mounted);
    try {
      load(openFixture('demo'), { pinDirectory: `${mounted}/app`, pinAll: true }).close();
      const map = RawMap.openPinned(`${mounted}/app/../app/flows`);
      expect(map.pinPath).toBe(`${mounted}/app/flows`);
      map.close();
      const dotted = () =>
        load(openFixture('demo'), { pinDirectory: `${mounted}/a.b`, pinAll: true });
      expect(dotted).toThrow(/dot in "a.b"/);
    } finally {
      output('umount', mounted);
      rmdirSync(mounted);
    }
  });
});

describe('pins (memory)', () => {
  it('may have dots in the place where the BPF file system is mounted, and not below', () => {
    const kernel = new MemoryKernel({ bpfFileSystem: '/run/skep.mount' });
    const path = '/run/skep.mount/app';
    load(openFixture('demo'), { kernel, pinDirectory: path, pinAll: true }).close();
    using map = RawMap.openPinned(`${path}/../app/flows`, { kernel });
    expect(map.pinPath).toBe(`${path}/flows`);
    const dotted = () =>
      load(openFixture('demo'), { kernel, pinDirectory: '/run/skep.mount/a.b', pinAll: true });
    expect(dotted).toThrow(/dot in "a.b"/);
    const usual = () =>
      load(openFixture('demo'), { kernel, pinDirectory: '/sys/fs/bpf', pinAll: true });
    expect(usual).toThrow(/does not lie on a BPF file system/);
  });
});

describeKernels('reuse', (place) => {
  it('names each field in which a pinned map differs', () => {
    const { kernel } = place;
    const options = { pinDirectory: place.directory, pinAll: true };
    load(openFixture('demo'), {
      kernel,
      ...options,
      maps: { flows: { maxEntries: 5, flags: 1 } },
    }).close();
    const before = place.namesIn(place.directory);
    const error = caught(() => load(openFixture('demo'), { ...options, kernel }));
    expect(error).toBeInstanceOf(PinMismatchError);
    expect((error as PinMismatchError).differences).toEqual([
      { field: 'maxEntries', wanted: '10240', found: '5' },
      { field: 'flags', wanted: 'none', found: 'NO_PREALLOC' },
    ]);
    expect(place.namesIn(place.directory)).toEqual(before);
  });

  it('compares the inner maps of a map of maps with the template', () => {
    const { kernel } = place;
    const options = { pinDirectory: place.directory, pinAll: true };
    load(openFixture('nested/hash-of-maps'), { ...options, kernel }).close();
    const path = place.namesIn(place.directory).find((name) => /outer/.test(name));
    expect(path).toBeDefined();
    // The same object again fits its own pins.
    load(openFixture('nested/hash-of-maps'), { ...options, kernel }).close();
  });

  it('knows the flags that the kernel adds or does not keep', () => {
    const { kernel } = place;
    const options = { pinDirectory: place.directory, pinAll: true };
    const devices = place.hasMapType(BPF_MAP_TYPE.DEVMAP);
    for (const name of ['maps/flags', ...(devices ? ['types/devmap', 'types/devmap_hash'] : [])]) {
      const first = load(openFixture(name), { ...options, kernel });
      const ids = [...first.maps.values()].map((map) => map.info().id);
      first.close();
      const second = load(openFixture(name), { ...options, kernel });
      expect(
        [...second.maps.values()].map((map) => map.info().id),
        name,
      ).toEqual(ids);
      second.close();
    }
  });
});

describeKernels('maps of maps', (place) => {
  it('hold the ids of their static inner maps', () => {
    const { kernel } = place;
    const app = load(openFixture('nested/slots-64'), { kernel });
    const object = openFixture('nested/slots-64');
    for (const definition of object.maps.values()) {
      if (definition.inner === null) continue;
      const outer = app.maps.get(definition.name)!;
      expect(definition.slots.length).toBe(64);
      for (const slot of definition.slots) {
        expect(asU32(outer.get(u32(slot.index)))).toBe(app.maps.get(slot.name)!.info().id);
      }
    }
    app.close();
  });

  it('are filled whichever is declared first, and by linked objects', () => {
    const { kernel } = place;
    for (const name of ['nested/declared-later', 'nested/linked', 'nested/outer-first']) {
      const object = openFixture(name);
      const app = load(object, { kernel });
      for (const definition of object.maps.values()) {
        for (const slot of definition.slots) {
          const found = asU32(app.maps.get(definition.name)!.get(u32(slot.index)));
          expect(found, `${name} ${definition.name}[${slot.index}]`).toBe(
            app.maps.get(slot.name)!.info().id,
          );
        }
      }
      app.close();
    }
  });

  it('take the descriptor of an inner map and give back its id', () => {
    const { kernel } = place;
    const app = load(openFixture('demo'), { kernel, maps: everythingUnpinned('demo') });
    const outer = app.maps.get('tenants')!;
    const inner = app.maps.get('tenant_one')!;
    outer.set(u32(5), u32(inner.fd));
    expect(asU32(outer.get(u32(5)))).toBe(inner.info().id);
    expect(outer.delete(u32(5))).toBe(true);
    expect(outer.get(u32(5))).toBeUndefined();
    app.close();
  });
});

describeKernels('BTF for older kernels', (place) => {
  it('has the same ids and sizes, and is taken by this one too', () => {
    const { kernel } = place;
    for (const name of [
      'demo',
      'maps/flavour-values',
      'maps/flavour-keys',
      'maps/decl-tags',
      'data/ksyms',
    ]) {
      const object = openFixture(name);
      const fd = kernel.loadBtf(encodeForKernel(object, object.btf!, new Set(PARTS)));
      const blob = Btf.parse(encodeForKernel(object, object.btf!, new Set(PARTS)));
      for (const map of object.maps.values()) {
        for (const typeId of [map.keyTypeId, map.valueTypeId]) {
          if (typeId !== 0) {
            expect(sizeOfType(blob, typeId), `${name} ${map.name}`).toBe(
              sizeOfType(object.btf!, typeId),
            );
          }
        }
      }
      for (const kind of ['float', 'decl_tag', 'type_tag', 'enum64'] as const) {
        expect(blob.idsOfKind(kind)).toEqual([]);
      }
      kernel.close(fd);
    }
  });

  it('is not the reason to give a map up: values that may not have a type go without', () => {
    const { kernel } = place;
    // A spin lock in the value of an LRU hash: the kernel refuses the types, and takes the map.
    const object = openFixture('nested/spin-lock');
    const name = [...object.maps.keys()][0]!;
    const definition = object.maps.get(name)!;
    const reasons: (string | undefined)[] = [];
    const changed = Object.assign(Object.create(object), {
      maps: new Map([
        [name, { ...definition, typeNumber: 9, type: 'lru_hash', flags: 0, maxEntries: 8 }],
      ]),
    }) as ObjectFile;
    const app = load(changed, { kernel, onStep: ({ reason }) => reasons.push(reason) });
    expect(app.maps.get(name)!.info().btfId).toBe(0);
    expect(reasons.find((reason) => reason !== undefined)).toMatch(/made without its types/);
    app.close();
  });
});

describeKernels('data sections', (place) => {
  it('are created with their contents, and frozen if they are read-only', () => {
    const { kernel } = place;
    const object = openFixture('data/sections');
    const app = load(object, { kernel });
    for (const section of object.data.values()) {
      const map = app.maps.get(section.name)!;
      expect(map.get(u32(0)), section.name).toEqual(
        Uint8Array.from(section.contents ?? new Uint8Array(section.size)),
      );
      expect(map.usage().frozen, section.name).toBe(section.readOnly);
      const write = () => map.set(u32(0), new Uint8Array(section.size));
      if (section.readOnly) {
        expect(write).toThrow(/EPERM/);
      } else {
        expect(write).not.toThrow();
      }
    }
    app.close();
  });
});

describeKernels('a load that fails', (place) => {
  it('leaves no descriptor, no pin and no directory', () => {
    const { kernel } = place;
    const before = place.openDescriptors();
    const options = {
      pinDirectory: `${place.directory}/new`,
      pinAll: true,
      maps: { flows: { maxEntries: 0 } },
    };
    const error = caught(() => load(openFixture('demo'), { ...options, kernel }));
    expect(error).toBeInstanceOf(SyscallError);
    expect(error).toMatchObject({
      code: 'ERR_SKEP_SYSCALL',
      command: 'BPF_MAP_CREATE',
      errnoName: 'EINVAL',
    });
    expect((error as SkepError).message).toContain('map "flows"');
    expect(place.openDescriptors()).toEqual(before);
    expect(place.namesIn(place.directory)).toEqual([]);
  });

  it('leaves nothing after each step of it', () => {
    const { kernel } = place;
    const steps = load(openFixture('demo'), { kernel, maps: everythingUnpinned('demo') });
    steps.close();
    let count = 0;
    load(openFixture('demo'), {
      kernel,
      pinDirectory: place.directory,
      pinAll: true,
      onStep: () => (count += 1),
    }).close();
    for (const name of place.namesIn(place.directory)) {
      RawMap.openPinned(`${place.directory}/${name}`, { kernel })[Symbol.dispose]();
    }
    expect(count).toBeGreaterThan(15);
    for (let failing = 0; failing < count; failing += 1) {
      const round = `round_${failing}`;
      let at = 0;
      const onStep = () => {
        if (at === failing) throw new Error('enough');
        at += 1;
      };
      expect(() =>
        load(openFixture('demo'), {
          kernel,
          pinDirectory: `${place.directory}/${round}`,
          pinAll: true,
          onStep,
        }),
      ).toThrow('enough');
      expect(place.namesIn(place.directory), `after step ${failing}`).not.toContain(round);
    }
  });
});

describeKernel('the calls of a load', () => {
  const directory = pinDirectory();
  const hasStrace = hasProgram('strace');
  const script = [
    "import { ObjectFile, load } from 'skep';",
    'const [file, pinDirectory] = process.argv.slice(1);',
    'load(ObjectFile.open(file), { pinDirectory, pinAll: true }).close();',
  ].join('\n');

  it.skipIf(!hasStrace)(
    'create nothing for maps that are pinned already, templates included',
    () => {
      expect(created(trace('nested/pinned'))).toEqual([
        'plain_inner',
        'pinned_inner',
        'pinned_array.in',
        'pinned_array',
        'pinned_hash.inn',
        'pinned_hash',
      ]);
      expect(created(trace('nested/pinned'))).toEqual([]);
    },
  );

  it.skipIf(!hasStrace)('fill 64 slots with one batch', () => {
    const calls = trace('nested/slots-64');
    expect(calls.filter((call) => call.includes('BPF_MAP_UPDATE_BATCH')).length).toBe(1);
    expect(
      calls.some((call) => call.includes('BPF_MAP_UPDATE_ELEM') && !call.includes('EXIT')),
    ).toBe(false);
  });

  function trace(name: string): string[] {
    const log = join(tmpdir(), `skep-strace-${process.pid}`);
    output(
      'strace',
      '-f',
      // Stops at the calls that are traced alone; at all of them it takes minutes on an emulated CPU.
      '--seccomp-bpf',
      '-s',
      '64',
      '-e',
      'trace=bpf',
      '-o',
      log,
      process.execPath,
      '--input-type=module',
      '-e',
      script,
      fixturePath(`objects/${name}.bpf.o`),
      directory.path,
    );
    return output('cat', log)
      .split('\n')
      .filter((line) => line.includes('bpf('));
  }

  function created(calls: readonly string[]): string[] {
    return calls.flatMap((call) => /BPF_MAP_CREATE, \{.*map_name="([^"]*)"/.exec(call)?.[1] ?? []);
  }
});

/** Options that keep every map of a fixture unpinned. */
function everythingUnpinned(name: string): Record<string, { readonly pin: false }> {
  return Object.fromEntries([...openFixture(name).maps.keys()].map((map) => [map, { pin: false }]));
}

function caught(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error('it did not throw');
}
