/** Arrays in memory, on both kernels; on the running one beside a program that writes them. */

import { readFileSync } from 'node:fs';
import { expect, expectTypeOf, it } from 'vitest';
import { array, bytes } from '../../src/codec/aggregates.ts';
import { struct } from '../../src/codec/by-hand.ts';
import { bool, f32, f64, i16, i64, u8, u32, u64 } from '../../src/codec/numbers.ts';
import type { SkepError } from '../../src/errors.ts';
import { load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { ArrayMap } from '../../src/maps/array-map.ts';
import { ArrayOfMaps } from '../../src/maps/array-of-maps.ts';
import { MappedArray } from '../../src/maps/mapped-array.ts';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { describeKernels } from '../support/kernels.ts';
import { loadProgram } from '../support/program.ts';
import { output } from '../support/programs.ts';

interface Config {
  readonly level: number;
  readonly tag: string;
}

describeKernels('an array in memory', (place) => {
  it('reads and writes as ArrayMap does', () => {
    const { kernel } = place;
    using map = MappedArray.create({ kernel, value: u64, maxEntries: 3 });
    expectTypeOf(map).toEqualTypeOf<MappedArray<bigint>>();
    expect(map.length).toBe(3);
    expect(map.set(2, 7n)).toBe(map);
    expect([map.get(2), map.get(3)]).toEqual([7n, undefined]);
    expect([map.has(2), map.has(3)]).toEqual([true, false]);
    for (const index of [-1, 0.5, 2 ** 32, '1' as never]) {
      const said = `map "": key: expected u32, an integer from 0 to 4294967295, got ${JSON.stringify(index)}`;
      expect(() => map.get(index)).toThrow(said);
      expect(() => map.has(index)).toThrow(said);
      expect(() => map.set(index, 1n)).toThrow(said);
    }
    expect([...map]).toEqual([
      [0, 0n],
      [1, 0n],
      [2, 7n],
    ]);
    expect(map.snapshot()).toEqual([...map.entries()]);
    expect([...map.keys()]).toEqual([0, 1, 2]);
    expect([...map.values()]).toEqual([0n, 0n, 7n]);
    expect(() => map.set(3, 1n)).toThrow(/has entries 0 to 2, not 3/);
    expect(() => map.set(0, -1n)).toThrow(/^map "": value: expected u64/);
    expect(map.count()).toBe(3);
    map.close();
    expect(() => map.count()).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
  });

  it('is the same memory as the map that system calls see', () => {
    const { kernel } = place;
    const value = struct({ a: u8, b: u32, c: array(u8, 3) });
    using map = MappedArray.create({ kernel, value, maxEntries: 300 });
    map.pin(`${place.directory}/array`);
    using called = ArrayMap.openPinned(`${place.directory}/array`, { value }, { kernel });
    for (let index = 0; index < 300; index += 1) {
      map.set(index, { a: index % 256, b: index * 1000, c: [1, 2, index % 256] });
    }
    expect(called.snapshot()).toEqual(map.snapshot());
    called.set(299, { a: 1, b: 2, c: [3, 4, 5] });
    expect(map.get(299)).toEqual({ a: 1, b: 2, c: [3, 4, 5] });
  });

  it('is a typed array where values are plain numbers, with the gaps that the kernel leaves', () => {
    const { kernel } = place;
    using wide = MappedArray.create({ kernel, value: u64, maxEntries: 5 });
    wide.numbers.set([10n, 11n, 12n, 13n, 14n]);
    expect([wide.step, wide.numbers.length]).toEqual([1, 5]);
    expect([...wide.values()]).toEqual([10n, 11n, 12n, 13n, 14n]);

    using narrow = MappedArray.create({ kernel, value: u32, maxEntries: 3 });
    const numbers = narrow.numbers;
    expect(numbers).toBeInstanceOf(Uint32Array);
    expect([narrow.step, numbers.length]).toEqual([2, 6]);
    numbers[1 * narrow.step] = 5;
    numbers[2 * narrow.step] = 6;
    expect([...narrow.values()]).toEqual([0, 5, 6]);
    expect(narrow.numbers).toBe(numbers);

    using rows = MappedArray.create({ kernel, value: array(array(i16, 3), 2), maxEntries: 2 });
    rows.set(1, [
      [1, 2, 3],
      [-4, -5, -6],
    ]);
    expect(rows.step).toBe(8);
    expect(rows.numbers.subarray(8, 14)).toEqual(Int16Array.of(1, 2, 3, -4, -5, -6));
    expectTypeOf(rows.numbers[0]).toEqualTypeOf<number | undefined>();

    for (const [value, kind] of [
      [f64, Float64Array],
      [i64, BigInt64Array],
      [f32, Float32Array],
      [bytes(16), Uint8Array],
    ] as const) {
      using map = MappedArray.create<unknown>({ kernel, value, maxEntries: 1 });
      expect(map.numbers).toBeInstanceOf(kind);
    }
  });

  it('says so where values are no plain numbers', () => {
    const { kernel } = place;
    using map = MappedArray.create({
      kernel,
      value: struct({ a: u32 }, { name: 'struct one' }),
      maxEntries: 1,
    });
    expectTypeOf<(typeof map)['numbers']>().toBeNever();
    expect(code(() => map.numbers)).toBe('ERR_SKEP_MAP_KIND');
    expect(() => map.step).toThrow(/values are struct one, which no typed array can stand for/);
    using truth = MappedArray.create({ kernel, value: bool, maxEntries: 1 });
    expect(code(() => truth.copyNumbers())).toBe('ERR_SKEP_MAP_KIND');
  });

  it('is counted up by others and by Atomics without losing any', () => {
    const { kernel } = place;
    using map = MappedArray.create({ kernel, value: u64, maxEntries: 1 });
    const numbers = map.numbers as BigUint64Array;
    expect(Atomics.add(numbers, 0, 5n)).toBe(0n);
    expect(map.get(0)).toBe(5n);
  });

  it('refuses arrays without that memory, and other maps', () => {
    const { kernel } = place;
    using app = load(ObjectFile.open(fixturePath('run/globals.bpf.o')), { kernel });
    expect(() => app.map('unmapped', MappedArray)).toThrow(
      /"unmapped" was created without BPF_F_MMAPABLE.*use ArrayMap/,
    );
    using plain = ArrayMap.create({ kernel, value: u64, maxEntries: 1 });
    plain.pin(`${place.directory}/plain`);
    const open = (value: typeof u32 | typeof u64) => () =>
      MappedArray.openPinned<unknown>(`${place.directory}/plain`, { value }, { kernel });
    expect(code(open(u64))).toBe('ERR_SKEP_MAP_KIND');
    expect(open(u32)).toThrow(/values have 8 bytes, but u32 has 4/);
  });

  it('can be an inner map', () => {
    const { kernel } = place;
    const inner = { kind: MappedArray, value: u64, maxEntries: 4 };
    using outer = ArrayOfMaps.create({ kernel, maxEntries: 1, inner });
    using first = MappedArray.create({ kernel, value: u64, maxEntries: 4 });
    outer.set(0, first);
    using found = outer.get(0)!;
    expectTypeOf(found).toEqualTypeOf<MappedArray<bigint>>();
    first.numbers[3] = 8n;
    expect(found.numbers[3]).toBe(8n);
    using plain = ArrayMap.create({ kernel, value: u64, maxEntries: 4 });
    expect(() => outer.set(0, plain as never)).toThrow(/flags: wanted MMAPABLE, found none/);
  });
});

describeKernel('an array in memory beside programs', () => {
  const directory = pinDirectory();

  it('shows at once what a program writes, by the types of its object', () => {
    using app = load(ObjectFile.open(fixturePath('run/globals.bpf.o')));
    const pins: Record<string, string> = {};
    for (const name of ['counts', 'narrow', 'configs']) {
      pins[name] = `${directory.path}/${name}`;
      app.maps.get(name)!.pin(pins[name]);
    }
    const counts = app.map('counts', MappedArray<bigint>);
    const narrow = app.map('narrow', MappedArray<number>);
    const configs = app.map('configs', MappedArray<Config>);
    using program = loadProgram('globals', directory.path, pins);
    const run = (index: number, amount: number) =>
      program.run({ context: new Uint8Array(Uint32Array.of(index, amount).buffer) });
    const { numbers } = counts;
    numbers[4] = 1n << 32n;
    run(4, 5);
    run(4, 6);
    run(999, 1);
    expect([numbers[4], numbers[999], counts.get(3)]).toEqual([(1n << 32n) + 11n, 1n, 0n]);
    expect([...narrow.values()]).toEqual([0, 0, 0, 0, 11]);
    run(2, 3);
    expect(configs.get(2)).toMatchObject({ level: 16, tag: 'start', limit: 1n << 40n });
    const { id } = counts.info();
    const dump = JSON.parse(output('bpftool', '-j', 'map', 'dump', 'id', String(id)));
    expect(dump.map((entry: { formatted: { value: number } }) => entry.formatted.value)).toEqual(
      [...counts.values()].map(Number),
    );
  });
});

describeKernels('a read-only array in memory', (place) => {
  it('gives copies only, once it is frozen', () => {
    const { kernel } = place;
    using map = MappedArray.create({ kernel, value: u64, maxEntries: 4 });
    const before = map.numbers;
    before[1] = 5n;
    expect(map.writable).toBe(true);
    map.freeze();
    expect([before.length, map.writable]).toEqual([0, false]);
    expect(map.get(1)).toBe(5n);
    expect(code(() => map.numbers)).toBe('ERR_SKEP_MAP_KIND');
    expect(() => map.set(1, 6n)).toThrow(/is read-only \(frozen/);
    const copy = map.copyNumbers();
    expect(copy).toEqual(BigUint64Array.of(0n, 5n, 0n, 0n));
    copy[1] = 9n;
    expect([...map.values()]).toEqual([0n, 5n, 0n, 0n]);
  });

  it('is not frozen while another handle may write it, and works on', () => {
    const { kernel } = place;
    using map = MappedArray.create({ kernel, value: u64, maxEntries: 4 });
    map.pin(`${place.directory}/array`);
    using other = MappedArray.openPinned(`${place.directory}/array`, { value: u64 }, { kernel });
    expect(() => map.freeze()).toThrow(/EBUSY/);
    map.numbers[0] = 1n;
    expect(other.get(0)).toBe(1n);
  });

  it('is one that is read-only for programs', () => {
    const { kernel } = place;
    using map = MappedArray.create({ kernel, value: u64, maxEntries: 4, flags: 1 << 7 });
    expect([map.writable, map.get(0)]).toEqual([false, 0n]);
    expect(code(() => map.set(0, 4n))).toBe('ERR_SKEP_MAP_KIND');
  });

  it('is not what a handle for reading or for writing alone has: the kernel shares no memory then', () => {
    const { kernel } = place;
    using map = MappedArray.create({ kernel, value: u64, maxEntries: 4 });
    const path = `${place.directory}/array`;
    map.pin(path);
    const open = (access: 'read-only' | 'write-only') => () =>
      MappedArray.openPinned(path, { value: u64 }, { kernel, access });
    const hint = /only a handle that can both read and write has memory; open it with ArrayMap/;
    expect(open('read-only')).toThrow(hint);
    expect(open('read-only')).toThrow(/EINVAL/);
    expect(open('write-only')).toThrow(hint);
    expect(open('write-only')).toThrow(/EACCES/);
  });
});

describeKernels('the memory of an array', (place) => {
  it('ends with close, and every use says so', () => {
    const { kernel } = place;
    const map = MappedArray.create({ kernel, value: u64, maxEntries: 4 });
    const { numbers } = map;
    const walk = map.values();
    expect(walk.next().value).toBe(0n);
    map.close();
    map.close();
    expect(numbers.length).toBe(0);
    const uses: Record<string, () => unknown> = {
      get: () => map.get(0),
      'get outside': () => map.get(9),
      set: () => map.set(0, 1n),
      has: () => map.has(0),
      numbers: () => map.numbers,
      copyNumbers: () => map.copyNumbers(),
      writable: () => map.writable,
      entries: () => map.entries().next(),
      keys: () => map.keys().next(),
      'values begun': () => walk.next(),
      snapshot: () => map.snapshot(),
      freeze: () => map.freeze(),
      info: () => map.info(),
    };
    for (const [name, use] of Object.entries(uses)) {
      expect(code(use), name).toBe('ERR_SKEP_CLOSED');
    }
  });

  it('ends with the object that the handle is of', () => {
    const { kernel } = place;
    const app = load(ObjectFile.open(fixturePath('run/globals.bpf.o')), { kernel });
    const counts = app.map('counts', MappedArray<bigint>);
    const { numbers } = counts;
    app.close();
    expect([counts.closed, numbers.length]).toEqual([true, 0]);
  });
});

describeKernel('the mappings of an array', () => {
  const directory = pinDirectory();

  it('end with close', async () => {
    await nextTurn();
    const before = mappings();
    const map = MappedArray.create({ value: u64, maxEntries: 4 });
    expect([map.get(0), mappings().length]).toEqual([0n, before.length + 1]);
    map.close();
    await nextTurn();
    expect(mappings()).toEqual(before);
  });

  it('are writable where the array is, and only there', async () => {
    await nextTurn();
    const before = permissions();
    using map = MappedArray.create({ value: u64, maxEntries: 4 });
    expect(permissions()).toEqual([...before, 'rw-s'].sort());
    map.freeze();
    await nextTurn();
    expect(permissions()).toEqual([...before, 'r--s'].sort());
  });

  it('are not left behind when opening fails', async () => {
    const path = `${directory.path}/array`;
    const map = MappedArray.create({ value: u64, maxEntries: 1 });
    map.pin(path);
    map.close();
    await nextTurn();
    const before = mappings();
    expect(() => MappedArray.openPinned(path, { value: u32 })).toThrow(/u32 has 4/);
    expect(mappings()).toEqual(before);
  });
});

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

function mappings(): string[] {
  return readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .filter((line) => line.includes('anon_inode:bpf-map'));
}

/** How the mappings may be accessed. */
function permissions(): string[] {
  return mappings()
    .map((line) => line.split(' ')[1]!)
    .sort();
}

function code(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    return (error as SkepError).code;
  }
  return undefined;
}
