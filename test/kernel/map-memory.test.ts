/** The memory that the maps of an in-process kernel may take together, and that they give back. */

import { describe, expect, it } from 'vitest';
import { bytes } from '../../src/codec/aggregates.ts';
import { u32, u64 } from '../../src/codec/numbers.ts';
import { load } from '../../src/loader/load.ts';
import { ArrayMap } from '../../src/maps/array-map.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { MappedArray } from '../../src/maps/mapped-array.ts';
import { PerCpuArray } from '../../src/maps/per-cpu-array.ts';
import { RingBuffer } from '../../src/maps/ring-buffer.ts';
import { MemoryKernel } from '../../src/testing.ts';
import { openFixture } from '../support/fixtures.ts';

const PAGE = 4096;

/** Asks for an array of so many bytes, and gives it back; whether there was room. */
function hasRoom(kernel: MemoryKernel, length: number): boolean {
  try {
    ArrayMap.create({ value: bytes(length), maxEntries: 1, kernel }).close();
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_SKEP_SYSCALL', errnoName: 'ENOMEM' });
    return false;
  }
}

describe('maps for which too little memory is left', () => {
  it('are refused with ENOMEM, as Linux does it, and why', () => {
    const kernel = new MemoryKernel({ mapMemoryBytes: 100 });
    using first = ArrayMap.create({ value: u64, maxEntries: 8, kernel });
    expect(() => ArrayMap.create({ name: 'numbers', value: u64, maxEntries: 5, kernel })).toThrow(
      'map "numbers": BPF_MAP_CREATE failed with ENOMEM (too little memory for that many entries: the maps of this in-process kernel may take 100 bytes together (its option mapMemoryBytes), and have taken 64)',
    );
    expect(kernel.openDescriptors()).toEqual([first.fd]);
    expect(kernel.mapIds()).toEqual([first.info().id]);
  });

  it('are those above 1 GiB if nothing else is said', () => {
    const kernel = new MemoryKernel();
    expect(() => ArrayMap.create({ value: u64, maxEntries: 2 ** 27 + 1, kernel })).toThrow(
      'may take 1073741824 bytes',
    );
  });

  it('end a load, which leaves nothing behind', () => {
    const kernel = new MemoryKernel({ mapMemoryBytes: 2 * PAGE });
    expect(() => load(openFixture('demo'), { kernel })).toThrow(/^map "\w+": .* ENOMEM/);
    expect([kernel.openDescriptors(), kernel.mapIds(), kernel.paths()]).toEqual([[], [], []]);
    expect(hasRoom(kernel, 2 * PAGE)).toBe(true);
  });
});

describe('what maps take', () => {
  it('is the entries of an array, by 8 bytes', () => {
    const kernel = new MemoryKernel({ mapMemoryBytes: 96 });
    using map = ArrayMap.create({ value: bytes(9), maxEntries: 4, kernel });
    expect(map.length).toBe(4);
    expect([33, 32].map((length) => hasRoom(kernel, length))).toEqual([false, true]);
  });

  it('is so for each CPU', () => {
    const kernel = new MemoryKernel({ mapMemoryBytes: 100 * 8, cpus: 4 });
    using map = PerCpuArray.create({ value: u32, maxEntries: 24, kernel });
    expect(map.length).toBe(24);
    expect([40, 32].map((length) => hasRoom(kernel, length))).toEqual([false, true]);
  });

  it('is whole pages where the memory can be mapped', () => {
    const kernel = new MemoryKernel({ mapMemoryBytes: PAGE + 8 });
    using map = MappedArray.create({ value: u64, maxEntries: 1, kernel });
    expect(map.length).toBe(1);
    expect([9, 8].map((length) => hasRoom(kernel, length))).toEqual([false, true]);
  });

  it('is two pages of a ring buffer, and its data twice', () => {
    const kernel = new MemoryKernel({ mapMemoryBytes: 4 * PAGE });
    expect(() => RingBuffer.create({ sizeBytes: 2 * PAGE, kernel })).toThrow('ENOMEM');
    using ring = RingBuffer.create({ sizeBytes: PAGE, kernel });
    expect(kernel.produce(ring, new Uint8Array(8))).toBe(true);
    expect(hasRoom(kernel, 1)).toBe(false);
  });

  it('is nothing of a hash, as there is nothing in it', () => {
    const kernel = new MemoryKernel({ mapMemoryBytes: 0 });
    using map = HashMap.create({ key: u32, value: u64, maxEntries: 1_000_000, kernel });
    expect(map.set(1, 2n).get(1)).toBe(2n);
  });
});

describe('memory of maps', () => {
  it('is given back when nobody holds the map: no descriptor, no pin, no mapping', () => {
    const kernel = new MemoryKernel({ mapMemoryBytes: PAGE });
    const map = MappedArray.create({ value: u64, maxEntries: 1, kernel });
    map.pin('/sys/fs/bpf/map');
    const memory = kernel.mapMemory(map.fd, 0, PAGE, true);
    map.close();
    expect(hasRoom(kernel, 8)).toBe(false);
    kernel.unpin('/sys/fs/bpf/map');
    expect(hasRoom(kernel, 8)).toBe(false);
    kernel.unmapMemory(memory);
    expect(hasRoom(kernel, PAGE)).toBe(true);
  });

  it('is that of all processes of a kernel', () => {
    const kernel = new MemoryKernel({ mapMemoryBytes: 16 });
    const other = kernel.process();
    const map = ArrayMap.create({ value: u64, maxEntries: 2, kernel: other });
    expect(map.length).toBe(2);
    expect(hasRoom(kernel, 8)).toBe(false);
    other.exit();
    expect(hasRoom(kernel, 16)).toBe(true);
  });

  it.each([-1, Number.NaN])('cannot be %d bytes', (mapMemoryBytes) => {
    expect(() => new MemoryKernel({ mapMemoryBytes })).toThrow(
      new TypeError(`the memory of maps is a number of bytes, not ${mapMemoryBytes}`),
    );
  });

  it('has no limit if there is none', () => {
    const kernel = new MemoryKernel({ mapMemoryBytes: Number.POSITIVE_INFINITY });
    // Never written to, so that the system gives addresses only.
    using map = ArrayMap.create({ value: u64, maxEntries: 2 ** 27 + 1, kernel });
    expect(map.length).toBe(2 ** 27 + 1);
  });
});
