/** Hashes and arrays with one value per CPU, on both kernels. */

import { readFileSync } from 'node:fs';
import { beforeEach, expect, expectTypeOf, it } from 'vitest';
import { struct } from '../../src/codec/by-hand.ts';
import { u8, u32, u64 } from '../../src/codec/numbers.ts';
import { PerCpuValues } from '../../src/codec/per-cpu-values.ts';
import { load } from '../../src/loader/load.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { PerCpuArray } from '../../src/maps/per-cpu-array.ts';
import { PerCpuHashMap } from '../../src/maps/per-cpu-hash-map.ts';
import { openFixture } from '../support/fixtures.ts';
import { describeKernel } from '../support/kernel.ts';
import { describeKernels, type Place } from '../support/kernels.ts';
import { output } from '../support/programs.ts';

/** How many CPUs the kernel of the running test says are possible. */
let cpus = 0;

function countCpus(place: Place): void {
  beforeEach(() => {
    cpus = place.kernel.possibleCpus();
  });
}

/** One value for each CPU. */
function each<V>(make: (cpu: number) => V): V[] {
  return Array.from({ length: cpus }, (_, cpu) => make(cpu));
}

/** What bpftool shows of a pinned per-CPU map: little-endian numbers of each CPU by key. */
function dumpedByBpftool(path: string): [key: string[], values: string[][]][] {
  const entries = JSON.parse(output('bpftool', '-j', 'map', 'dump', 'pinned', path)) as {
    key: string[];
    values: { cpu: number; value: string[] }[];
  }[];
  return entries.map(({ key, values }) => [key, values.map(({ value }) => value)]);
}

describeKernel('the number of values per CPU', () => {
  it('is the number of possible CPUs', () => {
    const list = readFileSync('/sys/devices/system/cpu/possible', 'latin1').trim();
    const last = Number(/(\d+)$/.exec(list)![1]);
    using map = PerCpuHashMap.create({ key: u32, value: u64, maxEntries: 4 });
    expect(map.fill(1, 5n).get(1)).toHaveLength(last + 1);
  });
});

describeKernels('a hash with values per CPU', (place) => {
  countCpus(place);

  it.each([false, true])('keeps a value for each CPU (lru: %s)', (lru) => {
    const { kernel } = place;
    using map = PerCpuHashMap.create({ kernel, key: u32, value: u64, maxEntries: 16, lru });
    expectTypeOf(map).toEqualTypeOf<PerCpuHashMap<number, bigint>>();
    expectTypeOf(map.get).returns.toEqualTypeOf<PerCpuValues<bigint> | undefined>();
    const values = each((cpu) => BigInt(cpu + 1) * 100n);
    expect(map.set(1, values)).toBe(map);
    const read = map.get(1)!;
    expect(read).toEqual(new PerCpuValues(values));
    expect(read.sum()).toBe(values.reduce((total, value) => total + value));
    expect(map.get(2)).toBeUndefined();
    // What was read can be written back.
    map.set(2, read).set(
      3,
      read.map((value) => value + 1n),
    );
    expect(map.get(3)!.sum() - map.get(2)!.sum()).toBe(BigInt(cpus));
    expect([map.has(2), map.has(9)]).toEqual([true, false]);
    expect(new Set(map.keys())).toEqual(new Set([1, 2, 3]));
    expect([map.delete(3), map.delete(3)]).toEqual([true, false]);
    expect(map.lookupAndDelete(2)).toEqual(read);
    expect(map.lookupAndDelete(2)).toBeUndefined();
    expect(map.snapshot()).toEqual([[1, read]]);
    expect(map.clear()).toBe(1);
  });

  it('is filled with one value for all CPUs', () => {
    const { kernel } = place;
    using map = PerCpuHashMap.create({ kernel, key: u32, value: u8, maxEntries: 4 });
    map.fill(1, 7);
    expect([...map.get(1)!]).toEqual(each(() => 7));
    expect(() => map.fill(1, 8, { mode: 'noexist' })).toThrow(/EEXIST/);
    expect(() => map.fill(2, 8, { mode: 'exist' })).toThrow(/ENOENT/);
    expect(() => map.fill(1, 256)).toThrow(/^map "": value\[0\]: expected u8/);
    expect([...map.get(1)!]).toEqual(each(() => 7));
  });

  it('takes exactly one value for each CPU, and writes nothing otherwise', () => {
    const { kernel } = place;
    using map = PerCpuHashMap.create({ kernel, key: u32, value: u64, maxEntries: 4 });
    const values = each(() => 1n);
    expect(() => map.set(1, values.slice(1))).toThrow(/expected one value for each of \d+ CPUs/);
    expect(() => map.set(1, [...values, 1n])).toThrow(/expected one value for each of \d+ CPUs/);
    expect(() => map.set(1, 1n as never)).toThrow(/expected an array of one value/);
    expect(map.count()).toBe(0);
  });

  it('has values that are no multiple of 8 bytes where bpftool sees them', () => {
    const { kernel } = place;
    const sample = struct({ a: u8, b: u32, c: u32 });
    using map = PerCpuHashMap.create({
      kernel,
      key: u32,
      value: sample,
      maxEntries: 4,
      name: 'samples',
    });
    map.set(
      0x01020304,
      each((cpu) => ({ a: cpu + 1, b: 0x11121314, c: 0x21222300 + cpu })),
    );
    const path = `${place.directory}/samples`;
    map.pin(path);
    if (place.hasBpftool) {
      const hex = (byte: number) => `0x${byte.toString(16).padStart(2, '0')}`;
      expect(dumpedByBpftool(path)).toEqual([
        [
          ['0x04', '0x03', '0x02', '0x01'],
          each((cpu) => [cpu + 1, 0, 0, 0, 0x14, 0x13, 0x12, 0x11, cpu, 0x23, 0x22, 0x21].map(hex)),
        ],
      ]);
    }
    using again = PerCpuHashMap.openPinned(path, { key: u32, value: sample }, { kernel });
    expect(again.get(0x01020304)!.sum((value) => value.a)).toBe((cpus * (cpus + 1)) / 2);
  });

  it.each([false, true])('walks over many entries, each once (lru: %s)', (lru) => {
    const { kernel } = place;
    using map = PerCpuHashMap.create({ kernel, key: u32, value: u32, maxEntries: 20_000, lru });
    for (let key = 0; key < 3000; key += 1) {
      map.set(
        key,
        each((cpu) => key * 2 + cpu),
      );
    }
    const seen = new Map(map.entries());
    expect(seen.size).toBe(3000);
    for (const [key, values] of seen) {
      expect([...values]).toEqual(each((cpu) => key * 2 + cpu));
    }
    expect([...map.values()]).toHaveLength(3000);
    expect(map.count()).toBe(3000);
    expect(map.clear()).toBe(3000);
    expect(map.count()).toBe(0);
  });

  it.each(['percpu_hash', 'lru_percpu_hash'])('has the values of its object: %s', (name) => {
    const { kernel } = place;
    using app = load(openFixture(`types/${name}`), { kernel });
    const map = app.map(`${name}_map`, PerCpuHashMap<number, bigint>);
    expectTypeOf(map.get).returns.toEqualTypeOf<PerCpuValues<bigint> | undefined>();
    expectTypeOf(app.map(`${name}_map`, PerCpuHashMap)).toEqualTypeOf<
      PerCpuHashMap<unknown, unknown>
    >();
    map.set(
      5,
      each((cpu) => BigInt(cpu)),
    );
    expect([...map.get(5)!]).toEqual(each((cpu) => BigInt(cpu)));
  });

  it('is refused for another kind of map, or for types of another size', () => {
    const { kernel } = place;
    using app = load(openFixture('types/hash'), { kernel });
    expect(() => app.map('hash_map', PerCpuHashMap)).toThrow(
      /is a hash; PerCpuHashMap is for percpu_hash or lru_percpu_hash/,
    );
    using map = PerCpuHashMap.create({ kernel, key: u32, value: u64, maxEntries: 1 });
    const path = `${place.directory}/map`;
    map.pin(path);
    expect(() => HashMap.openPinned(path, { key: u32, value: u64 }, { kernel })).toThrow(
      /is a percpu_hash; HashMap is for/,
    );
    expect(() =>
      PerCpuHashMap.openPinned(path, { key: u32, value: struct({ a: u64, b: u64 }) }, { kernel }),
    ).toThrow(/values have \d+ bytes, but struct for each of \d+ CPUs has \d+/);
    expect(() => PerCpuHashMap.openPinned(path, { key: u64, value: u64 }, { kernel })).toThrow(
      /keys have 4/,
    );
  });

  it('refuses every call after close', () => {
    const { kernel } = place;
    const map = PerCpuHashMap.create({ kernel, key: u32, value: u64, maxEntries: 4 });
    map.fill(1, 1n);
    const walk = map.entries();
    map.close();
    const calls: Readonly<Record<string, () => unknown>> = {
      get: () => map.get(1),
      set: () =>
        map.set(
          1,
          each(() => 1n),
        ),
      fill: () => map.fill(1, 1n),
      has: () => map.has(1),
      delete: () => map.delete(1),
      lookupAndDelete: () => map.lookupAndDelete(1),
      clear: () => map.clear(),
      count: () => map.count(),
      snapshot: () => map.snapshot(),
      keys: () => map.keys().next(),
      values: () => map.values().next(),
      'entries begun': () => walk.next(),
    };
    for (const [name, call] of Object.entries(calls)) {
      expect(call, name).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    }
  });
});

describeKernels('an array with values per CPU', (place) => {
  countCpus(place);

  it('has all its entries from the start', () => {
    const { kernel } = place;
    using map = PerCpuArray.create({ kernel, value: u64, maxEntries: 3 });
    expectTypeOf(map).toEqualTypeOf<PerCpuArray<bigint>>();
    expect(map.length).toBe(3);
    expect(map.get(2)?.sum()).toBe(0n);
    expect(map.get(3)).toBeUndefined();
    map.set(
      2,
      each((cpu) => BigInt(cpu + 1)),
    );
    map.fill(0, 9n);
    expect(map.snapshot().map(([index, values]) => [index, ...values])).toEqual([
      [0, ...each(() => 9n)],
      [1, ...each(() => 0n)],
      [2, ...each((cpu) => BigInt(cpu + 1))],
    ]);
    expect(() => map.fill(3, 1n)).toThrow(/E2BIG/);
    expect(() => map.set(0, [])).toThrow(/one value for each of/);
  });

  it('walks over many entries in order', () => {
    const { kernel } = place;
    using map = PerCpuArray.create({ kernel, value: u32, maxEntries: 1500 });
    for (let index = 0; index < 1500; index += 1) {
      map.fill(index, index);
    }
    expect([...map.keys()]).toEqual(Array.from({ length: 1500 }, (_, index) => index));
    expect(Array.from(map.values(), (values) => values.sum() / cpus)).toEqual([...map.keys()]);
  });

  it('has the values of its object, 12 bytes of 16 each', () => {
    const { kernel } = place;
    using app = load(openFixture('types/percpu_array'), { kernel });
    interface Sample {
      readonly packets: number;
      readonly bytes: number;
      readonly drops: number;
    }
    const map = app.map('percpu_array_map', PerCpuArray<Sample>);
    map.set(
      1,
      each((cpu) => ({ packets: cpu + 1, bytes: 100, drops: 0xffffffff })),
    );
    const values = map.get(1)!;
    expect(values.sum((value) => value.packets)).toBe((cpus * (cpus + 1)) / 2);
    expect(values[0]).toEqual({ packets: 1, bytes: 100, drops: 0xffffffff });
    expect(() => values.sum()).toThrow(/sum\(\(value\) => value.packets\), or use reduce/);
    const path = `${place.directory}/samples`;
    map.pin(path);
    if (place.hasBpftool) {
      const [, second] = JSON.parse(output('bpftool', '-j', 'map', 'dump', 'pinned', path));
      // bpftool decodes by the BTF that the map was created with.
      expect(second.formatted.values).toEqual(Array.from(values, (value, cpu) => ({ cpu, value })));
    }
  });

  it('is refused for another kind of map, and opened from its pin', () => {
    const { kernel } = place;
    using app = load(openFixture('types/array'), { kernel });
    expect(() => app.map('array_map', PerCpuArray)).toThrow(
      /is a array; PerCpuArray is for percpu_array/,
    );
    using map = PerCpuArray.create({ kernel, value: u64, maxEntries: 2, name: 'counts' });
    const path = `${place.directory}/counts`;
    map.fill(1, 3n).pin(path);
    using again = PerCpuArray.openPinned(path, { value: u64 }, { kernel });
    expect([again.name, again.get(1)?.sum()]).toEqual(['counts', 3n * BigInt(cpus)]);
    expect(() =>
      PerCpuArray.openPinned(path, { value: struct({ a: u64, b: u8 }) }, { kernel }),
    ).toThrow(/values have \d+ bytes, but struct/);
  });

  it('refuses every call after close', () => {
    const { kernel } = place;
    const map = PerCpuArray.create({ kernel, value: u64, maxEntries: 4 });
    const walk = map.entries();
    map.info();
    map.close();
    const calls: Readonly<Record<string, () => unknown>> = {
      length: () => map.length,
      get: () => map.get(1),
      set: () =>
        map.set(
          1,
          each(() => 1n),
        ),
      fill: () => map.fill(1, 1n),
      has: () => map.has(1),
      count: () => map.count(),
      snapshot: () => map.snapshot(),
      keys: () => map.keys().next(),
      values: () => map.values().next(),
      'entries begun': () => walk.next(),
    };
    for (const [name, call] of Object.entries(calls)) {
      expect(call, name).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    }
  });
});
