/** What only the in-process kernel has: its other processes, its privileges, and the part of programs. */

import { describe, expect, it } from 'vitest';
import { bytes } from '../../src/codec/aggregates.ts';
import { u32, u64 } from '../../src/codec/numbers.ts';
import { load } from '../../src/loader/load.ts';
import { ArrayMap } from '../../src/maps/array-map.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { MappedArray } from '../../src/maps/mapped-array.ts';
import { ProgramArray } from '../../src/maps/program-array.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import { RingBuffer } from '../../src/maps/ring-buffer.ts';
import { MemoryKernel, withFaults } from '../../src/testing.ts';
import { openFixture } from '../support/fixtures.ts';

const U32 = { key: u32, value: u32, maxEntries: 4 };
const XDP = 6;

describe('processes of one kernel', () => {
  it('see the same pins and ids, and have descriptors of their own', () => {
    const kernel = new MemoryKernel();
    const other = kernel.process();
    using map = HashMap.create({ ...U32, kernel });
    map.set(1, 2);
    map.pin('/sys/fs/bpf/map');
    expect(other.openDescriptors()).toEqual([]);
    using theirs = HashMap.openPinned('/sys/fs/bpf/map', U32, { kernel: other });
    expect(theirs.get(1)).toBe(2);
    expect(theirs.info().id).toBe(map.info().id);
    expect(() => other.mapInfo(99)).toThrow('EBADF');
  });

  it('keep what is pinned, or held by another, when one of them ends', () => {
    const kernel = new MemoryKernel();
    const other = kernel.process();
    const [pinned, unpinned] = [0, 1].map(() => HashMap.create({ ...U32, kernel: other }));
    pinned!.pin('/sys/fs/bpf/kept');
    const id = unpinned!.info().id;
    other.exit();
    expect(other.openDescriptors()).toEqual([]);
    expect(kernel.mapIds()).toEqual([pinned!.info().id]);
    expect(() => RawMap.openById(id, { kernel })).toThrow('ENOENT');
    kernel.unpin('/sys/fs/bpf/kept');
    expect(kernel.mapIds()).toEqual([]);
  });

  it('race for a pin as loaders do: the one that comes second uses the map of the first', () => {
    const object = openFixture('nested/hash-of-maps');
    const options = { pinDirectory: '/sys/fs/bpf/race', pinAll: true };
    const kernel = new MemoryKernel();
    const other = kernel.process();
    const late = withFaults(kernel);
    let isFirst = true;
    late.before = (method) => {
      if (method === 'pin' && isFirst) {
        isFirst = false;
        load(object, { ...options, kernel: other }).close();
      }
    };
    using app = load(object, { ...options, kernel: late.kernel });
    expect(isFirst).toBe(false);
    for (const [name, map] of app.maps) {
      using pin = RawMap.openPinned(`/sys/fs/bpf/race/${name}`, { kernel });
      expect(pin.info().id).toBe(map.info().id);
    }
    expect(other.openDescriptors()).toEqual([]);
  });
});

describe('the end of a process', () => {
  it('ends its mappings', () => {
    const kernel = new MemoryKernel();
    const other = kernel.process();
    const array = MappedArray.create({ value: u64, maxEntries: 4, kernel: other });
    array.set(1, 7n);
    other.exit();
    expect(kernel.mapIds()).toEqual([]);
  });

  it('ends its waiting, so that nothing keeps Node.js', async () => {
    const kernel = new MemoryKernel();
    const other = kernel.process();
    const ring = RingBuffer.create({ sizeBytes: 4096, kernel: other });
    const before = process.getActiveResourcesInfo().filter((name) => name === 'Timeout');
    const loop = ring[Symbol.asyncIterator]();
    const next = loop.next();
    next.catch(() => {});
    other.exit();
    expect(kernel.mapIds()).toEqual([]);
    expect(process.getActiveResourcesInfo().filter((name) => name === 'Timeout')).toEqual(before);
  });
});

describe('walks', () => {
  it('miss nothing that was there all along, whatever else comes and goes', () => {
    const kernel = new MemoryKernel();
    using map = HashMap.create({ key: u32, value: u32, maxEntries: 4000, kernel });
    for (let key = 0; key < 2000; key += 1) {
      map.set(key, key);
    }
    const seen = new Set<number>();
    let fresh = 10_000;
    for (const [key] of map) {
      seen.add(key);
      map.delete(key);
      if (key % 3 === 0) {
        map.set(fresh, 0);
        fresh += 1;
      }
    }
    for (let key = 0; key < 2000; key += 1) {
      expect(seen.has(key), `key ${key}`).toBe(true);
    }
  });

  it('of LRU maps do not meet again what is updated meanwhile', () => {
    const kernel = new MemoryKernel();
    using map = HashMap.create({ key: u32, value: u32, maxEntries: 4000, lru: true, kernel });
    for (let key = 0; key < 2000; key += 1) {
      map.set(key, key);
    }
    let visits = 0;
    for (const [key, value] of map) {
      map.set(key, value + 1);
      visits += 1;
    }
    expect(visits).toBe(2000);
    expect(map.get(7)).toBe(8);
  });
});

describe('privileges', () => {
  it.each([
    ['looking for maps by id', (kernel: MemoryKernel) => kernel.openMapById(1)],
    ['listing maps', (kernel: MemoryKernel) => kernel.nextMapId(0)],
    ['reading BTF by id', (kernel: MemoryKernel) => kernel.readBtf(1)],
  ])('without CAP_SYS_ADMIN refuse %s', (_, call) => {
    const owner = new MemoryKernel();
    const kernel = owner.process({ capabilities: ['CAP_BPF'] });
    expect(() => call(kernel)).toThrow('EPERM');
    using map = HashMap.create({ ...U32, kernel });
    expect(map.set(1, 1).get(1)).toBe(1);
  });

  it('without CAP_PERFMON refuse events of a CPU, with the errno of perf_event_open(2)', () => {
    // As root without CAP_SYS_ADMIN and CAP_PERFMON (setpriv --bounding-set), with
    // perf_event_paranoid at 2: EACCES, also for CPUs that there are not.
    const kernel = new MemoryKernel({ capabilities: ['CAP_BPF'] });
    expect(() => kernel.openOutputEvent(0, 1)).toThrow('EACCES');
    expect(() => kernel.openOutputEvent(99, 1)).toThrow('EACCES');
    const other = kernel.process({ capabilities: ['CAP_PERFMON'] });
    other.close(other.openOutputEvent(0, 1));
    expect(() => other.openOutputEvent(99, 1)).toThrow('EINVAL');
  });

  it('without CAP_BPF refuse to create, and leave pins to be used', () => {
    const owner = new MemoryKernel();
    using map = HashMap.create({ ...U32, kernel: owner });
    map.pin('/sys/fs/bpf/map');
    const kernel = owner.process({ capabilities: [] });
    expect(() => HashMap.create({ ...U32, kernel })).toThrow('EPERM');
    expect(() => kernel.loadBtf(new Uint8Array(24))).toThrow('EPERM');
    using theirs = HashMap.openPinned('/sys/fs/bpf/map', U32, { kernel });
    expect(theirs.count()).toBe(0);
  });
});

describe('what programs do', () => {
  it('is done to frozen maps too, and checked for sizes', () => {
    const kernel = new MemoryKernel();
    using map = ArrayMap.create({ value: u64, maxEntries: 2, kernel });
    map.freeze();
    expect(() => map.set(1, 7n)).toThrow('EPERM');
    kernel.updateAsProgram(map, Uint8Array.of(1, 0, 0, 0), Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0));
    expect(map.get(1)).toBe(7n);
    expect(() => kernel.updateAsProgram(map, Uint8Array.of(1), new Uint8Array(8))).toThrow(
      RangeError,
    );
    expect(() => kernel.updateAsProgram(map, new Uint8Array(4), new Uint8Array(1))).toThrow(
      RangeError,
    );
  });

  it('is refused where programs may only read', () => {
    const kernel = new MemoryKernel();
    using map = HashMap.create({ ...U32, flags: 0x80, kernel });
    const four = new Uint8Array(4);
    expect(() => kernel.updateAsProgram(map, four, four)).toThrow('EACCES');
  });

  it('takes handles of its own process only', () => {
    const [kernel, other] = [new MemoryKernel(), new MemoryKernel()];
    using ring = RingBuffer.create({ sizeBytes: 4096, kernel });
    expect(kernel.produce(ring, Uint8Array.of(1))).toBe(true);
    expect(withFaults(kernel).kernel).not.toBe(kernel);
    expect(() => other.produce(ring, Uint8Array.of(1))).toThrow('another kernel');
    using map = HashMap.create({ ...U32, kernel });
    expect(() => kernel.produce(map, Uint8Array.of(1))).toThrow('no ringbuf');
    expect(() => kernel.drain(ring)).toThrow('no user_ringbuf');
  });
});

describe('programs', () => {
  it('are held by the array that they are in, for as long as somebody holds that', () => {
    const kernel = new MemoryKernel();
    const program = kernel.createProgram(XDP, 'target');
    const array = ProgramArray.create({ maxEntries: 3, kernel });
    array.set(2, program);
    kernel.close(program);
    const id = array.get(2);
    expect(id).toBeGreaterThan(0);
    expect([...array.keys()]).toEqual([2]);
    array.pin('/sys/fs/bpf/jumps');
    array.close();
    using again = ProgramArray.openPinned('/sys/fs/bpf/jumps', { kernel });
    expect(again.get(2)).toBe(id);
    again.unpin();
    again.close();
    expect(kernel.mapIds()).toEqual([]);
  });
});

it('takes keys and values of any size that Linux takes', () => {
  const kernel = new MemoryKernel();
  const size = 300_000;
  using map = HashMap.create({ key: bytes(size), value: u32, maxEntries: 2, kernel });
  map.set(new Uint8Array(size).fill(3), 1);
  expect(map.get(new Uint8Array(size).fill(3))).toBe(1);
  expect(map.get(new Uint8Array(size))).toBeUndefined();
});

it('refuses what no machine has', () => {
  expect(() => new MemoryKernel({ cpus: 0 })).toThrow(TypeError);
  expect(() => new MemoryKernel({ pageSize: 1000 })).toThrow(TypeError);
});
