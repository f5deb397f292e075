/** What only the in-process kernel has: its other processes, its privileges, and the part of programs. */

import { describe, expect, it } from 'vitest';
import { bytes } from '../../src/codec/aggregates.ts';
import { u32, u64 } from '../../src/codec/numbers.ts';
import { load } from '../../src/loader/load.ts';
import { ArrayMap } from '../../src/maps/array-map.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { MappedArray } from '../../src/maps/mapped-array.ts';
import { PerfEventArray } from '../../src/maps/perf-event-array.ts';
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

describe('a process that has ended', () => {
  it('makes no more calls: each of them says so', () => {
    const kernel = new MemoryKernel();
    const other = kernel.process();
    const map = HashMap.create({ ...U32, kernel: other });
    map.set(1, 1);
    other.exit();
    for (const call of [
      () => map.get(1),
      () => HashMap.create({ ...U32, kernel: other }),
      () => other.openPinnedMap('/sys/fs/bpf/map', 'read-write'),
      () => other.openPinnedProgram('/sys/fs/bpf/map'),
      () => other.nextMapId(0),
      () => other.nextBtfId(0),
      () => other.makeDirectory('/sys/fs/bpf/new'),
      () => other.unpin('/sys/fs/bpf/map'),
      () => other.createProgram(XDP),
    ]) {
      expect(call).toThrow(/ESRCH \(it has ended by exit/);
    }
    // What closes things goes on, as handles are closed behind it.
    map.close();
    other.exit();
    expect([other.openDescriptors(), kernel.paths(), kernel.mapIds()]).toEqual([[], [], []]);
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

  it.each([
    // On Linux 6.18, as nobody: setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all
    ['a hash', {}, 'EPERM'],
    ['a hash without keys', { keySize: 0 }, 'EINVAL'],
    ['a flag that there is not', { flags: 0x80_0000 }, 'EINVAL'],
    ['a type that there is not', { type: 200 }, 'EINVAL'],
    ['a name that is none', { name: 'a b' }, 'EPERM'],
    ['a map of maps without a template', { type: 12 }, 'EPERM'],
    ['a value that is too large for a CPU', { type: 6, valueSize: 40_000 }, 'E2BIG'],
    ['an LRU map without memory of its own', { type: 9, flags: 1 }, 'ENOTSUPP'],
    ['types that are not there', { btf: { fd: 99, keyTypeId: 1, valueTypeId: 1 } }, 'EPERM'],
    ['a trie with flags that it lacks', { type: 11, keySize: 8 }, 'EPERM'],
    ['a ring with keys', { type: 27 }, 'EPERM'],
    ['a filter with keys', { type: 30 }, 'EPERM'],
  ])('are asked for after the attributes of a map: %s', (_, attributes, errno) => {
    const kernel = new MemoryKernel({ capabilities: [] });
    const hash = { type: 1, keySize: 4, valueSize: 4, maxEntries: 4, flags: 0, name: 'm' };
    const rest = { numaNode: 0, mapExtra: 0n, innerMapFd: null, btf: null };
    expect(() => kernel.createMap({ ...hash, ...rest, ...attributes })).toThrow(errno);
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

  it('takes a lock where values have one, and only there', () => {
    const kernel = new MemoryKernel();
    using map = HashMap.create({ ...U32, kernel });
    const four = new Uint8Array(4);
    expect(() => kernel.updateAsProgram(map, four, four, 4)).toThrow('EINVAL');
    expect(() => kernel.updateAsProgram(map, four, four, 0x8000_0000)).toThrow('EINVAL');
    using locked = load(openFixture('maps/special-fields'), { kernel, programs: false });
    const [, withLock] = [...locked.maps].find(([, each]) => accepts(each))!;
    function accepts(each: RawMap): boolean {
      const { keySize, valueSize } = each.info();
      const [key, value] = [new Uint8Array(keySize), new Uint8Array(valueSize)];
      try {
        kernel.updateAsProgram(each, key, value, 4);
        return true;
      } catch {
        return false;
      }
    }
    expect(withLock.info().valueSize).toBeGreaterThan(4);
  });

  it('looks up and deletes, also in frozen maps', () => {
    const kernel = new MemoryKernel();
    using map = HashMap.create({ ...U32, kernel });
    map.set(1, 7).freeze();
    const [one, two] = [Uint8Array.of(1, 0, 0, 0), Uint8Array.of(2, 0, 0, 0)];
    expect(kernel.lookupAsProgram(map, one)).toEqual(Uint8Array.of(7, 0, 0, 0));
    expect(kernel.lookupAsProgram(map, two)).toBeNull();
    expect(() => map.delete(1)).toThrow('EPERM');
    expect(kernel.deleteAsProgram(map, one)).toBe(true);
    expect(kernel.deleteAsProgram(map, one)).toBe(false);
    using array = ArrayMap.create({ value: u32, maxEntries: 1, kernel });
    expect(() => kernel.deleteAsProgram(array, new Uint8Array(4))).toThrow('EINVAL');
    using hidden = HashMap.create({ ...U32, flags: 0x100, kernel });
    expect(() => kernel.lookupAsProgram(hidden, one)).toThrow('EACCES');
  });

  it('keeps an entry of an LRU map that it looks up, as lookups from user space do not', () => {
    const kernel = new MemoryKernel();
    using map = HashMap.create({ key: u32, value: u32, maxEntries: 2, lru: true, kernel });
    map.set(1, 1).set(2, 2);
    kernel.lookupAsProgram(map, Uint8Array.of(1, 0, 0, 0));
    map.get(2);
    map.set(3, 3);
    expect([...map.keys()].sort()).toEqual([1, 3]);
  });

  it('loses records without room, of which the last byte of a ring is none', () => {
    // On Linux 6.18, a program that outputs 4 bytes to a ring of one page until it is full: 255.
    const kernel = new MemoryKernel();
    using events = PerfEventArray.create({ value: u32, bytesPerCpu: 4096, kernel }).start();
    const record = new Uint8Array(4);
    let written = 0;
    while (kernel.outputEvent(events, 0, record)) {
      written += 1;
    }
    expect(written).toBe(255);
    expect(kernel.outputEvent(events, 0, record)).toBe(false);
    expect(() => kernel.outputEvent(events, 0, new Uint8Array(65_536))).toThrow(RangeError);
    expect(() => kernel.outputEvent(events, 0, new Uint8Array(65_517))).toThrow('65516');
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
