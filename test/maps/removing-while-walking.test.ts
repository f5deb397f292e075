/** Walks that remove what they are given, where the kernel has no batches. */

import { describe, expect, it } from 'vitest';
import { struct } from '../../src/codec/by-hand.ts';
import { u32, u64 } from '../../src/codec/numbers.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import { MemoryKernel } from '../../src/testing.ts';
import { describeKernels } from '../support/kernels.ts';

/** Before 5.6: `lookupBatch` and the like answer that there are no batches. */
function withoutBatches(): { readonly kernel: Kernel; readonly calls: Map<string, number> } {
  const calls = new Map<string, number>();
  const kernel = new Proxy(new MemoryKernel(), {
    get(target, name: keyof Kernel) {
      if (name === 'lookupBatch' || name === 'lookupAndDeleteBatch') return () => null;
      const member: unknown = target[name];
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => {
        calls.set(name, (calls.get(name) ?? 0) + 1);
        return member.apply(target, args);
      };
    },
  });
  return { kernel, calls };
}

function filled(kernel: Kernel, entries: number) {
  const map = HashMap.create({ key: u32, value: u64, maxEntries: entries, kernel, name: 'walked' });
  for (let key = 0; key < entries; key += 1) {
    map.set(key, BigInt(key));
  }
  return map;
}

describe('removing entries while walking, without batches', () => {
  it.each([1, 64, 65, 1000, 5000])(
    'meets each of %i entries once when all are removed',
    (count) => {
      using map = filled(withoutBatches().kernel, count);
      const met: number[] = [];
      for (const key of map.keys()) {
        met.push(key);
        expect(map.delete(key)).toBe(true);
      }
      expect(met.sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, index) => index));
      expect(map.count()).toBe(0);
    },
  );

  it('takes one step for each entry when every other is removed', () => {
    const { kernel, calls } = withoutBatches();
    using map = filled(kernel, 5000);
    calls.clear();
    let met = 0;
    for (const [key] of map) {
      met += 1;
      if (key % 2 === 0) map.delete(key);
    }
    expect(met).toBe(5000);
    expect(calls.get('nextKey')).toBe(5001);
    expect(map.count()).toBe(2500);
  });
});

describeKernels('replacing entries while walking', (place) => {
  it.each([64, 512, 513, 2000])('meets each of %i entries once, in batches', (count) => {
    using map = filled(place.kernel, count);
    const met: number[] = [];
    for (const key of map.keys()) {
      met.push(key);
      expect(map.delete(key)).toBe(true);
      map.set(key, 0n);
    }
    expect(met.sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, index) => index));
    expect(map.count()).toBe(count);
  });

  it('meets each entry once without batches, where removing moves nothing else', () => {
    using map = filled(withoutBatches().kernel, 2000);
    const met = new Set<number>();
    for (const [key] of map) {
      expect(met.has(key)).toBe(false);
      met.add(key);
      map.delete(key);
      map.set(key, 0n);
    }
    expect(met.size).toBe(2000);
  });
});

describe('entries that come while walking', () => {
  it('do not keep the walk going for ever', () => {
    using map = HashMap.create({
      key: u32,
      value: u64,
      maxEntries: 10_000,
      kernel: new MemoryKernel(),
    });
    for (let key = 0; key < 600; key += 1) map.set(key, 0n);
    let met = 0;
    for (const key of map.keys()) {
      met += 1;
      map.delete(key);
      map.set(1000 + met, 0n);
      expect(met).toBeLessThan(2000);
    }
    expect(map.count()).toBe(600);
  });
});

describe('the keys of a raw map', () => {
  it('come once each while they are removed', () => {
    const kernel = new MemoryKernel();
    using map = filled(kernel, 1000);
    using raw = RawMap.adopt({ kernel, fd: kernel.duplicate(map.fd) });
    const met: number[] = [];
    for (const key of raw.keys()) {
      const number = new DataView(key.buffer).getUint32(0, true);
      met.push(number);
      if (number % 2 === 1) raw.delete(key);
      key.fill(0xff);
    }
    expect(new Set(met).size).toBe(1000);
    expect(met.length).toBe(1000);
    expect(map.count()).toBe(500);
  });
});

describe('a refused call for an entry', () => {
  it('names the map', () => {
    const kernel = new MemoryKernel();
    using map = HashMap.create({ key: u32, value: u64, maxEntries: 1, kernel, name: 'flows' });
    map.set(1, 1n);
    using raw = RawMap.adopt({ kernel, fd: kernel.duplicate(map.fd) });
    const full = /^map "flows": BPF_MAP_UPDATE_ELEM failed with E2BIG/;
    expect(() => map.set(2, 1n)).toThrow(full);
    expect(() => raw.set(new Uint8Array(4), new Uint8Array(8))).toThrow(full);
  });

  it('says that a value without a spin lock cannot be locked', () => {
    const kernel = new MemoryKernel();
    const value = struct({ n: u64 });
    using map = HashMap.create({ key: u32, value, maxEntries: 1, kernel, name: 'flows' });
    const said = /^map "flows": .*EINVAL .*"lock" needs values with a bpf_spin_lock/;
    expect(() => map.set(2, { n: 1n }, { lock: true })).toThrow(said);
    expect(() => map.get(2, { lock: true })).toThrow(said);
  });
});
