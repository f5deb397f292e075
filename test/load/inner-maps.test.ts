/** Ten thousand inner maps, on both kernels: no more descriptors than needed, and nothing left over. */

import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { u16, u32, u64 } from '../../src/codec/numbers.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import { describeKernels, type Place } from '../support/kernels.ts';

const COUNT = 10_000;
/** So many are created, put in by one call, and closed again. */
const PORTION = 200;
/** What a handle of maps of maps may keep for itself, and the two that each map in hand takes. */
const MOST_DESCRIPTORS = 2 * PORTION + 64 + 16;
const TIMEOUT = { timeout: 180_000 };

const INNER = { kind: HashMap, key: u16, value: u64, maxEntries: 1 } as const;

type Ports = HashMap<number, bigint>;

/** Creates inner maps for all keys in portions, and puts them in; the most descriptors that it took. */
function putAll(place: Place, tenants: HashOfMaps<number, Ports>, first: bigint): number {
  let most = 0;
  for (let start = 0; start < COUNT; start += PORTION) {
    const portion = Array.from({ length: PORTION }, (_, index) => {
      const key = start + index;
      const ports = tenants.createInner({ name: 'load_ports' });
      return [key, ports.set(key, first + BigInt(key))] as const;
    });
    tenants.setAll(portion);
    most = Math.max(most, place.openDescriptors().length);
    for (const [, ports] of portion) ports.close();
  }
  return most;
}

/** The keys whose inner map has not the one entry that it should have. */
function wrongKeys(tenants: HashOfMaps<number, Ports>, first: bigint): number[] {
  const wrong: number[] = [];
  for (const [key, ports] of tenants) {
    const [entry, ...more] = ports.snapshot();
    if (entry?.[0] !== key || entry[1] !== first + BigInt(key) || more.length > 0) wrong.push(key);
    ports.close();
  }
  return wrong;
}

/** How many maps of the test are in the kernel. */
function countMaps(kernel: Kernel): number {
  let count = 0;
  for (let id = kernel.nextMapId(0); id !== null; id = kernel.nextMapId(id)) {
    try {
      const fd = kernel.openMapById(id);
      count += kernel.mapInfo(fd).name === 'load_ports' ? 1 : 0;
      kernel.close(fd);
    } catch {
      // Gone since the id was read.
    }
  }
  return count;
}

/** The kernel frees maps some time after their last user is gone. */
async function mapsLeft(kernel: Kernel, wanted: number): Promise<number> {
  let count = countMaps(kernel);
  for (let turn = 0; turn < 200 && count > wanted; turn += 1) {
    await delay(50);
    count = countMaps(kernel);
  }
  return count;
}

describeKernels('a hash of 10,000 maps', (place: Place) => {
  it('is filled, read, filled again and emptied with few descriptors', TIMEOUT, async () => {
    const { kernel } = place;
    using tenants = HashOfMaps.create({ key: u32, inner: INNER, maxEntries: COUNT, kernel });
    expect(putAll(place, tenants, 1n)).toBeLessThanOrEqual(MOST_DESCRIPTORS);
    expect(tenants.count()).toBe(COUNT);
    expect(wrongKeys(tenants, 1n)).toEqual([]);
    // All are replaced; those that were in before are gone.
    expect(putAll(place, tenants, 7n)).toBeLessThanOrEqual(MOST_DESCRIPTORS);
    expect(wrongKeys(tenants, 7n)).toEqual([]);
    expect(await mapsLeft(kernel, COUNT)).toBe(COUNT);
    // Some by name, the rest at once.
    for (let key = 0; key < 20; key += 1) expect(tenants.delete(key)).toBe(true);
    expect(tenants.clear()).toBe(COUNT - 20);
    expect([tenants.count(), tenants.get(100)]).toEqual([0, undefined]);
    expect(place.openDescriptors()).toHaveLength(1);
    expect(await mapsLeft(kernel, 0)).toBe(0);
  });
});

it('without CAP_SYS_ADMIN every inner map that was put in is kept, and read back', () => {
  const kernel = new MemoryKernel({ capabilities: ['CAP_BPF'] });
  using tenants = HashOfMaps.create({ key: u32, inner: INNER, maxEntries: 100, kernel });
  for (let key = 0; key < 100; key += 1) {
    using ports = tenants.createInner();
    tenants.set(key, ports.set(key, BigInt(key)));
  }
  expect(wrongKeys(tenants, 0n)).toEqual([]);
  expect(kernel.openDescriptors()).toHaveLength(101);
});
