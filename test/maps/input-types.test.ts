/** What handles give and what they take, in types: checked by the compiler, as all tests are. */

import { describe, expect, expectTypeOf, it } from 'vitest';
import { array, bytes, enumeration, text } from '../../src/codec/aggregates.ts';
import { struct, union } from '../../src/codec/by-hand.ts';
import { u16, u32, u64 } from '../../src/codec/numbers.ts';
import type { LoadedObject } from '../../src/loader/load.ts';
import { ArrayMap } from '../../src/maps/array-map.ts';
import { BloomFilter } from '../../src/maps/bloom-filter.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import { lpmKey } from '../../src/maps/lpm-key-codec.ts';
import { LpmTrie } from '../../src/maps/lpm-trie.ts';
import { MappedArray } from '../../src/maps/mapped-array.ts';
import { PerCpuHashMap } from '../../src/maps/per-cpu-hash-map.ts';
import { Queue } from '../../src/maps/queue.ts';
import { MemoryKernel } from '../../src/testing.ts';

const kernel = new MemoryKernel();

interface Stats {
  readonly packets: bigint;
  readonly label: string;
  readonly perPort: readonly bigint[];
}

describe('what a handle takes', () => {
  it('is one member of a union', () => {
    const value = union({ v4: bytes(4), whole: u64 });
    using map = HashMap.create({ key: u32, value, maxEntries: 2, kernel });
    map.set(1, { whole: 1n }).set(2, { v4: [1, 2, 3, 4] });
    expectTypeOf(map.get(1)).toEqualTypeOf<{ v4: Uint8Array; whole: bigint } | undefined>();
    expect([map.get(1)?.v4, map.get(2)?.whole]).toEqual([new Uint8Array([1, 0, 0, 0]), 0x4030201n]);
  });

  it('is a number for 64 bits, in keys, values and members', () => {
    const value = struct({ n: u64, text: text(4), raw: bytes(2), list: array(u64, 1) });
    using map = HashMap.create({ key: u64, value, maxEntries: 2, kernel });
    map.set(5, { n: 1, text: new Uint8Array([97]), raw: [1, 2], list: [3] });
    expect(map.get(5)).toEqual({ n: 1n, text: 'a', raw: new Uint8Array([1, 2]), list: [3n] });
    expect([map.has(5n), map.delete(5)]).toEqual([true, true]);
    // @ts-expect-error a member is missing
    expect(() => map.set(5, { n: 1 })).toThrow(/text: missing/);
  });

  it('is a name or a number for an enumeration', () => {
    const value = enumeration(u32, { RED: 1, BLUE: 2 });
    using map = HashMap.create({ key: u32, value, maxEntries: 2, kernel });
    map.set(1, 'RED').set(2, 2);
    expectTypeOf(map.get(1)).toEqualTypeOf<'RED' | 'BLUE' | number | undefined>();
    // @ts-expect-error no such name
    expect(() => map.set(1, 'GREEN')).toThrow(/one of RED, BLUE/);
    expect([...map.values()].sort()).toEqual(['BLUE', 'RED']);
  });

  it('holds for every kind', () => {
    using per = PerCpuHashMap.create({ key: u64, value: u64, maxEntries: 1, kernel });
    per.set(1, new Array<number>(kernel.possibleCpus()).fill(2)).fill(1, 3);
    using list = ArrayMap.create({ value: u64, maxEntries: 1, kernel });
    list.set(0, 1);
    using memory = MappedArray.create({ value: u64, maxEntries: 1, kernel });
    memory.set(0, 1);
    using queue = Queue.create({ value: u64, maxEntries: 1, kernel });
    queue.push(1);
    using filter = BloomFilter.create({ value: u64, maxEntries: 1, kernel });
    using trie = LpmTrie.create({ key: lpmKey(4), value: u64, maxEntries: 1, kernel });
    trie.set('10.0.0.0/8', 1);
    const inner = { kind: HashMap, key: u16, value: u64, maxEntries: 1 };
    using outer = HashOfMaps.create({ key: u64, inner, maxEntries: 1, kernel });
    using first = outer.createInner();
    outer.set(1, first.set(1, 2));
    expect([
      per.get(1)?.[0],
      list.get(0),
      memory.get(0),
      queue.pop(),
      filter.add(1).has(1n),
      trie.get('10.1.1.1'),
      outer.has(1n),
      first.get(1),
    ]).toEqual([3n, 1n, 1n, 1n, true, 1n, true, 2n]);
  });
});

describe('the types of a handle', () => {
  it('are those that are read, and no more where they say it all', () => {
    using map = HashMap.create({ key: u32, value: u64, maxEntries: 1, kernel });
    expectTypeOf(map).toEqualTypeOf<HashMap<number, bigint>>();
    expectTypeOf(map.set).parameter(1).toEqualTypeOf<bigint | number>();
    // A function of a map goes by what is read.
    const first = <K, V>(of: HashMap<K, V>): V | undefined => of.values().next().value as V;
    expectTypeOf(first(map)).toEqualTypeOf<bigint | undefined>();
    expect(first(map)).toBeUndefined();
  });

  it('are given in short to an object', () => {
    type Stored = ReturnType<typeof stored>;
    const stored = (app: LoadedObject) => app.map('stats', HashMap<number, Stats>);
    expectTypeOf<Stored>().toEqualTypeOf<HashMap<number, Stats>>();
    expectTypeOf<ReturnType<Stored['get']>>().toEqualTypeOf<Stats | undefined>();
    const value = { packets: 1, label: 'x', perPort: [1, 2n] };
    expectTypeOf(value).toExtend<Parameters<Stored['set']>[1]>();
    expectTypeOf<Stats>().toExtend<Parameters<Stored['set']>[1]>();
    const plain = (app: LoadedObject) => app.map('stats', HashMap);
    expectTypeOf<ReturnType<ReturnType<typeof plain>['get']>>().toEqualTypeOf<unknown>();
  });
});
