/** Faults and the log, on the in-process kernel. */

import { describe, expect, it } from 'vitest';
import { SyscallError } from '../../src/errors.ts';
import { HashMap, load, u32 } from '../../src/index.ts';
import type { Call, CallName, ErrnoName } from '../../src/kernel/faults.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { MemoryKernel, replay, withFaults } from '../../src/testing.ts';
import { openFixture } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';

const ONE = Uint8Array.of(1, 0, 0, 0);
const U32 = { key: u32, value: u32, maxEntries: 4 };

describe('faults', () => {
  it('fail the call that was counted, and only that one', () => {
    const faulty = withFaults(new MemoryKernel());
    const { kernel } = faulty;
    using map = HashMap.create({ ...U32, kernel });
    faulty.failCall(2, 'ENOMEM', 'update');
    map.set(1, 1);
    expect(() => map.set(2, 2)).toThrow(
      expect.objectContaining({ command: 'BPF_MAP_UPDATE_ELEM', errnoName: 'ENOMEM' }),
    );
    map.set(3, 3);
    expect([...map.keys()]).toEqual([1, 3]);
  });

  it('fail every call of a method until they are taken back', () => {
    const faulty = withFaults(new MemoryKernel());
    faulty.failEvery('createMap', 'EPERM');
    for (let round = 0; round < 3; round += 1) {
      expect(() => HashMap.create({ ...U32, kernel: faulty.kernel })).toThrow(SyscallError);
    }
    faulty.reset();
    HashMap.create({ ...U32, kernel: faulty.kernel }).close();
    expect(faulty.calls.map(({ method }) => method)).toContain('createMap');
  });

  it('count calls of all methods that can be refused', () => {
    const object = openFixture('demo');
    const faulty = withFaults(new MemoryKernel());
    load(object, { kernel: faulty.kernel, pinAll: true }).close();
    const count = faulty.calls.filter(({ method }) => method !== 'close').length;
    expect(count).toBeGreaterThan(10);
    for (let n = 1; n <= count; n += 1) {
      const memory = new MemoryKernel();
      const again = withFaults(memory);
      again.failCall(n, 'EIO');
      let failed = false;
      try {
        load(object, { kernel: again.kernel, pinAll: true }).close();
      } catch (error) {
        expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_SKEP_/) });
        failed = true;
      }
      expect(memory.openDescriptors(), `call ${n}`).toEqual([]);
      if (failed) {
        expect(memory.paths(), `call ${n}`).toEqual([]);
        expect(memory.mapIds(), `call ${n}`).toEqual([]);
      }
    }
  });

  it.each([
    ['lookup', 'ENOENT', (map) => map.get(1), undefined],
    ['delete', 'ENOENT', (map) => map.delete(1), false],
    [
      'lookupAndDelete',
      'ENOENT',
      ({ fd }, kernel) => kernel.lookupAndDelete(fd, ONE, new Uint8Array(4), 0),
      false,
    ],
    ['nextKey', 'ENOENT', ({ fd }, kernel) => kernel.nextKey(fd, null, new Uint8Array(4)), false],
    // A batch of nothing, behind which there is nothing.
    ['lookupBatch', 'ENOENT', (map) => map.snapshot(), []],
    ['lookupBatch', 'EINVAL', (map) => map.snapshot(), [[1, 2]]],
    ['lookupBatch', 'ENOTSUPP', (map) => map.snapshot(), [[1, 2]]],
    ['updateBatch', 'EINVAL', ({ fd }, kernel) => kernel.updateBatch(fd, ONE, ONE, 1, 0), false],
    ['updateBatch', 'ENOTSUPP', ({ fd }, kernel) => kernel.updateBatch(fd, ONE, ONE, 1, 0), false],
  ] as const satisfies readonly (readonly [
    CallName,
    ErrnoName,
    (map: HashMap<number, number>, kernel: Kernel) => unknown,
    unknown,
  ])[])('of %s with %s are the answer that it is on Linux', (method, errno, use, wanted) => {
    const faulty = withFaults(new MemoryKernel());
    using map = HashMap.create({ ...U32, kernel: faulty.kernel });
    map.set(1, 2);
    faulty.failEvery(method, errno);
    expect(use(map, faulty.kernel)).toEqual(wanted);
    expect(faulty.calls.some(({ fault, error }) => fault === errno && error === undefined)).toBe(
      true,
    );
    expect(faulty.print()).toContain(` for ${errno}`);
  });

  it.each([
    ['unpin', 'ENOENT', (kernel) => kernel.unpin('/sys/fs/bpf/map'), false],
    ['makeDirectory', 'EEXIST', (kernel) => kernel.makeDirectory('/sys/fs/bpf/new'), false],
    ['removeDirectory', 'ENOTEMPTY', (kernel) => kernel.removeDirectory('/sys/fs/bpf/x'), false],
    ['fileSystem', 'ENOENT', (kernel) => kernel.fileSystem('/sys/fs/bpf'), 'missing'],
    ['nextMapId', 'ENOENT', (kernel) => kernel.nextMapId(0), null],
    ['nextProgramId', 'ENOENT', (kernel) => kernel.nextProgramId(0), null],
    ['nextBtfId', 'ENOENT', (kernel) => kernel.nextBtfId(0), null],
    ['configuration', 'EACCES', (kernel) => kernel.configuration(), null],
    ['kernelBtf', 'ENOENT', (kernel) => kernel.kernelBtf(), null],
  ] as const satisfies readonly (readonly [
    CallName,
    ErrnoName,
    (kernel: Kernel) => unknown,
    unknown,
  ])[])(
    'of %s with %s are the answer that it is on Linux, and are not made',
    (method, errno, use, wanted) => {
      const memory = new MemoryKernel({ configuration: 'CONFIG_HZ=100' });
      const faulty = withFaults(memory);
      faulty.failCall(1, errno, method);
      expect(use(faulty.kernel)).toBe(wanted);
      expect(memory.paths()).toEqual([]);
      const [call] = faulty.calls;
      expect([call!.method, call!.fault]).toEqual([method, errno]);
      expect(use(faulty.kernel)).not.toBe(undefined);
      expect(faulty.calls.at(-1)!.fault).toBe(undefined);
    },
  );

  it('are errors for every other errno, also of what the kernel says of itself', () => {
    const faulty = withFaults(new MemoryKernel());
    using map = HashMap.create({ ...U32, kernel: faulty.kernel });
    faulty.failCall(1, 'EPERM', 'lookup');
    expect(() => map.get(1)).toThrow('EPERM');
    faulty.failCall(1, 'EPERM', 'lookupBatch');
    expect(() => map.snapshot()).toThrow('EPERM');
    // That this process has no descriptors left is nothing that the kernel says of itself.
    faulty.failCall(1, 'EMFILE', 'configuration');
    expect(() => faulty.kernel.configuration()).toThrow(/open.*EMFILE.*ulimit -n/);
    faulty.failCall(1, 'EACCES', 'symbolAddresses');
    expect(() => faulty.kernel.symbolAddresses(new Set(['_text']))).toThrow(/open.*EACCES/);
    faulty.failCall(1, 'EACCES', 'kernelBtf');
    expect(() => faulty.kernel.kernelBtf()).toThrow('EACCES');
    expect(faulty.calls.at(-2)!.arguments).toEqual([new Set(['_text'])]);
    expect(faulty.print()).toContain('symbolAddresses(["_text"]) throws');
  });

  it('refuse what cannot be', () => {
    const faulty = withFaults(new MemoryKernel());
    expect(() => faulty.failCall(0, 'EIO')).toThrow(TypeError);
    expect(() => faulty.failCall(1, 'EWHAT' as 'EIO')).toThrow('EWHAT');
  });
});

describe('the log', () => {
  it('has each call as it was made, and prints it', () => {
    const faulty = withFaults(new MemoryKernel());
    using map = HashMap.create({ ...U32, kernel: faulty.kernel });
    faulty.reset();
    map.set(1, 2);
    map.get(9);
    expect(faulty.print()).toBe(
      'update(3, <01 00 00 00>, <02 00 00 00>, 0)\nlookup(3, <09 00 00 00>, <02 00 00 00>, 0) = false',
    );
  });

  it('has what was read, one entry at a time and in batches', () => {
    const faulty = withFaults(new MemoryKernel());
    using map = HashMap.create({ ...U32, kernel: faulty.kernel });
    map.set(1, 2);
    faulty.reset();
    map.get(1);
    expect(faulty.print()).toMatch(/^lookup\(.*\) = true, reading <02 00 00 00>$/);
    faulty.reset();
    expect(map.snapshot()).toEqual([[1, 2]]);
    const [batch] = faulty.calls.filter(({ method }) => method === 'lookupBatch');
    const [keys, values] = batch!.read!;
    expect([keys![0], values![0]]).toEqual([1, 2]);
    // Not what the caller's memory has become since.
    map.set(1, 9).snapshot();
    expect(values![0]).toBe(2);
    expect(withoutReading(faulty.calls)).toEqual(['update']);
  });

  it('has questions that cannot be refused', () => {
    const faulty = withFaults(new MemoryKernel());
    using map = HashMap.create({ ...U32, kernel: faulty.kernel });
    map.freeze();
    faulty.reset();
    map.usage();
    expect(faulty.print()).toBe('mapUsage(3) = {"memoryBytes":32,"frozen":true}');
  });

  it('lets a test do something between two calls', () => {
    const faulty = withFaults(new MemoryKernel());
    using map = HashMap.create({ ...U32, kernel: faulty.kernel });
    const seen: string[] = [];
    faulty.before = (method) => seen.push(method);
    map.has(1);
    expect(seen).toEqual(['lookup']);
  });

  it('can be replayed in another kernel', () => {
    const faulty = withFaults(new MemoryKernel());
    using _ = load(openFixture('nested/hash-of-maps'), {
      kernel: faulty.kernel,
      programs: false,
    });
    const other = new MemoryKernel({ littleEndian: true });
    // A descriptor more, so that all numbers differ.
    HashMap.create({ ...U32, kernel: other });
    const replayed = replay(faulty.calls, other);
    expect(replayed.filter(({ error }) => error !== undefined)).toEqual([]);
    expect(other.openDescriptors().length).toBe(4);
  });
});

describe('a replay', () => {
  it('reads again, so that both readings can be compared', () => {
    const faulty = withFaults(new MemoryKernel());
    const map = HashMap.create({ ...U32, kernel: faulty.kernel });
    map.set(1, 2);
    map.get(1);
    map.close();
    const again = replay(faulty.calls, new MemoryKernel());
    expect(again.map(({ read }) => read)).toEqual(faulty.calls.map(({ read }) => read));
    expect(again.some(({ read }) => read !== undefined)).toBe(true);
  });

  it('knows nothing more of a descriptor that was closed', () => {
    const faulty = withFaults(new MemoryKernel());
    const fd = HashMap.create({ ...U32, kernel: faulty.kernel }).fd;
    faulty.kernel.close(fd);
    expect(() => faulty.kernel.mapInfo(fd)).toThrow('EBADFD');
    const other = new MemoryKernel();
    // What has the old number in the other kernel is none of the replay's business.
    const [mine, created] = [1, 2].map(() => HashMap.create({ ...U32, kernel: other }));
    created!.close();
    const again = replay(faulty.calls, other);
    expect(again.map(({ error }) => error !== undefined)).toEqual(
      faulty.calls.map(({ error }) => error !== undefined),
    );
    expect(again.at(-1)!.error).toBeInstanceOf(SyscallError);
    expect(other.openDescriptors()).toEqual([mine!.fd]);
  });

  it('makes no call on another descriptor in the place of one that it could not get', () => {
    const faulty = withFaults(new MemoryKernel());
    const map = HashMap.create({ ...U32, kernel: faulty.kernel });
    map.set(1, 2);
    const other = new MemoryKernel();
    using bystander = HashMap.create({ ...U32, kernel: other });
    expect(bystander.fd).toBe(map.fd);
    const poor = other.process({ capabilities: [] });
    const again = replay(faulty.calls, poor);
    expect(again.every(({ error }) => error instanceof SyscallError)).toBe(true);
    expect(bystander.count()).toBe(0);
  });
});

describeKernel('the log of the running kernel', () => {
  const directory = pinDirectory();

  it('replays in the in-process kernel with the same results', () => {
    const linux = withFaults(linuxKernel());
    const options = { pinDirectory: directory.path, pinAll: true };
    load(openFixture('demo'), { ...options, kernel: linux.kernel }).close();
    const memory = new MemoryKernel({ cpus: linux.kernel.possibleCpus() });
    memory.makeDirectory(directory.path);
    const results = replay(linux.calls, memory);
    for (const { call, result, error } of results) {
      expect(error === undefined, `${call.method}: ${String(error)}`).toBe(
        call.error === undefined,
      );
      if (typeof call.result === 'boolean') {
        expect(result).toBe(call.result);
      }
    }
    expect(memory.openDescriptors()).toEqual([]);
    expect(memory.paths().length).toBeGreaterThan(5);
  });
});

function withoutReading(calls: readonly Call[]): string[] {
  return calls.flatMap(({ method, read }) => (read === undefined ? [method] : []));
}
