/** Maps with a hundred thousand entries, on both kernels: nothing is lost, doubled, or too much at once. */

import { expect, it } from 'vitest';
import { bytes } from '../../src/codec/aggregates.ts';
import { u32, u64 } from '../../src/codec/numbers.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import { lpmKey } from '../../src/maps/lpm-key-codec.ts';
import { LpmTrie } from '../../src/maps/lpm-trie.ts';
import { PerCpuArray } from '../../src/maps/per-cpu-array.ts';
import { PerCpuHashMap } from '../../src/maps/per-cpu-hash-map.ts';
import { describeKernels, type Place } from '../support/kernels.ts';

const ENTRIES = 100_000;
const TIMEOUT = { timeout: 120_000 };

/** The value of a key: any two keys have other ones. */
const numberFor = (key: number): bigint => BigInt(key) * 0x1_0000_0001n;

/** Keys in an order that no map has: the multiplier is odd, so that each comes once. */
const keyAt = (index: number): number => Math.imul(index, 0x9e37_79b1) >>> 0;

/** Sets entries in one call each, as many as it is told. */
function fillByBatches(map: HashMap<number, bigint>, batch: number): void {
  const { kernel } = map;
  for (let start = 0; start < ENTRIES; start += batch) {
    const count = Math.min(batch, ENTRIES - start);
    const keys = new DataView(new ArrayBuffer(count * 4));
    const values = new DataView(new ArrayBuffer(count * 8));
    for (let index = 0; index < count; index += 1) {
      const key = keyAt(start + index);
      keys.setUint32(index * 4, key, kernel.littleEndian);
      values.setBigUint64(index * 8, numberFor(key), kernel.littleEndian);
    }
    const [keyBytes, valueBytes] = [new Uint8Array(keys.buffer), new Uint8Array(values.buffer)];
    expect(kernel.updateBatch(map.fd, keyBytes, valueBytes, count, 0)).toBe(true);
  }
}

function createFull(kernel: Kernel): HashMap<number, bigint> {
  const map = HashMap.create({ key: u32, value: u64, maxEntries: ENTRIES, kernel });
  fillByBatches(map, 10_000);
  return map;
}

const wanted = () =>
  Array.from({ length: ENTRIES }, (_, index) => keyAt(index)).sort((one, two) => one - two);

describeKernels('a hash of 100,000 entries', (place: Place) => {
  it('is filled by batches, and walked, listed, counted and cleared as a whole', TIMEOUT, () => {
    using map = createFull(place.kernel);
    const keys: number[] = [];
    let wrong = 0;
    for (const [key, value] of map) {
      keys.push(key);
      wrong += value === numberFor(key) ? 0 : 1;
    }
    expect(wrong).toBe(0);
    expect(keys.sort((one, two) => one - two)).toEqual(wanted());
    expect(map.snapshot()).toHaveLength(ENTRIES);
    expect(new Set(map.keys()).size).toBe(ENTRIES);
    expect(map.count()).toBe(ENTRIES);
    // Full: it takes what it has, and nothing more.
    map.set(keyAt(7), 7n);
    expect(map.get(keyAt(7))).toBe(7n);
    expect(() => map.set(keyAt(ENTRIES), 0n)).toThrow(
      expect.objectContaining({ errnoName: 'E2BIG' }),
    );
    expect(map.clear()).toBe(ENTRIES);
    expect(map.count()).toBe(0);
  });

  it('is emptied by who walks over it, and meets every entry', TIMEOUT, () => {
    using map = createFull(place.kernel);
    let sum = 0n;
    let met = 0;
    for (const [key, value] of map) {
      sum += value;
      met += 1;
      map.delete(key);
    }
    expect(met).toBe(ENTRIES);
    expect(sum).toBe(wanted().reduce((total, key) => total + numberFor(key), 0n));
    expect(map.count()).toBe(0);
  });

  it(
    'meets what stays once, while others remove half of it before the walk comes there',
    TIMEOUT,
    () => {
      using map = createFull(place.kernel);
      const isRemoved = (key: number) => key % 2 === 1;
      const doomed = wanted().filter(isRemoved);
      const met = new Map<number, number>();
      for (const key of map.keys()) {
        met.set(key, (met.get(key) ?? 0) + 1);
        const other = doomed.pop();
        if (other !== undefined) map.delete(other);
      }
      expect(doomed).toEqual([]);
      const stays = wanted().filter((key) => !isRemoved(key));
      expect(stays.filter((key) => met.get(key) !== 1)).toEqual([]);
      expect([...met.values()].filter((times) => times !== 1)).toEqual([]);
      expect(map.count()).toBe(stays.length);
    },
  );
});

describeKernels('large values for each CPU', (place: Place) => {
  it('of 20,000 keys come back each where it was put', TIMEOUT, () => {
    const { kernel } = place;
    const count = 20_000;
    using map = PerCpuHashMap.create({ key: u32, value: u64, maxEntries: count, kernel });
    const cpus = kernel.possibleCpus();
    for (let key = 0; key < count; key += 1) {
      map.set(
        key,
        Array.from({ length: cpus }, (_, cpu) => numberFor(key) + BigInt(cpu)),
      );
    }
    let wrong = 0;
    for (const [key, values] of map) {
      wrong += [...values].every((value, cpu) => value === numberFor(key) + BigInt(cpu)) ? 0 : 1;
    }
    expect(wrong).toBe(0);
    expect(map.clear()).toBe(count);
  });

  it('of 32,760 bytes are read and written whole', TIMEOUT, () => {
    const { kernel } = place;
    // The kernel's allocator for memory of each CPU gives no more than 32 KiB at once.
    const sizeBytes = 32_760;
    using map = PerCpuArray.create({ value: bytes(sizeBytes), maxEntries: 3, kernel });
    const cpus = kernel.possibleCpus();
    const values = Array.from({ length: cpus }, (_, cpu) =>
      new Uint8Array(sizeBytes).fill(cpu + 1),
    );
    map.set(1, values);
    expect(values.map((value, cpu) => Buffer.compare(value, map.get(1)![cpu]!))).toEqual(
      values.map(() => 0),
    );
    expect(map.get(2)![cpus - 1]!.every((byte) => byte === 0)).toBe(true);
  });
});

describeKernels('large entries', (place: Place) => {
  it('of a megabyte, one at a time', TIMEOUT, () => {
    const { kernel } = place;
    const value = bytes(1 << 20);
    using map = HashMap.create({ key: u32, value, maxEntries: 4, kernel });
    const content = new Uint8Array(1 << 20).map((_, index) => index % 251);
    for (const key of [1, 2, 3]) map.set(key, content);
    expect(Buffer.compare(map.get(2)!, content)).toBe(0);
    expect([...map].map(([key, found]) => [key, found.length]).sort()).toEqual([
      [1, 1 << 20],
      [2, 1 << 20],
      [3, 1 << 20],
    ]);
    expect(map.clear()).toBe(3);
  });

  it('with keys longer than a call has arguments', TIMEOUT, () => {
    const { kernel } = place;
    const key = bytes(200_000);
    const inner = { kind: HashMap, key: u32, value: u64, maxEntries: 1 } as const;
    using map = HashMap.create({ key, value: u32, maxEntries: 2, kernel });
    const long = new Uint8Array(200_000).fill(7);
    map.set(long, 1);
    expect([...map]).toEqual([[long, 1]]);
    using outer = HashOfMaps.create({ key, inner, maxEntries: 2, kernel });
    using one = outer.createInner();
    outer.setAll([[long, one]]).set(long, one);
    using found = outer.get(long);
    expect(found?.info().id).toBe(one.info().id);
    expect(outer.count()).toBe(1);
    expect(outer.clear()).toBe(1);
  });

  it('as 20,000 prefixes of a trie, each once, while they are removed', TIMEOUT, () => {
    const count = 20_000;
    using trie = LpmTrie.create({
      key: lpmKey(4),
      value: u32,
      maxEntries: count,
      kernel: place.kernel,
    });
    for (let index = 0; index < count; index += 1) {
      trie.set(`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}/32`, index);
    }
    const met = new Set<number>();
    let steps = 0;
    for (const [key, value] of trie) {
      steps += 1;
      met.add(value);
      trie.delete(key);
    }
    expect([steps, met.size, trie.count()]).toEqual([count, count, 0]);
  });
});
