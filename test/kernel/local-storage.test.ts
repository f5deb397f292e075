/** Storage of files, tasks and cgroups on the running kernel. */

import {
  closeSync,
  linkSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, beforeEach, expect, expectTypeOf, it } from 'vitest';
import { struct } from '../../src/codec/by-hand.ts';
import { u8, u32, u64 } from '../../src/codec/numbers.ts';
import type { PerCpuValues } from '../../src/codec/per-cpu-values.ts';
import { SyscallError } from '../../src/errors.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { load } from '../../src/loader/load.ts';
import { CgroupStorage } from '../../src/maps/cgroup-storage.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { InodeStorage } from '../../src/maps/inode-storage.ts';
import { LegacyCgroupStorage } from '../../src/maps/legacy-cgroup-storage.ts';
import { LegacyPerCpuCgroupStorage } from '../../src/maps/legacy-per-cpu-cgroup-storage.ts';
import { storageBtf } from '../../src/maps/storage-btf.ts';
import { TaskStorage } from '../../src/maps/task-storage.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { cgroupRoot, ownCgroup, withCgroup } from '../support/cgroups.ts';
import { openFixture } from '../support/fixtures.ts';
import { ForeignProcess } from '../support/foreign-fd.ts';
import { describeKernel, kernelProblem, needsMapType, pinDirectory } from '../support/kernel.ts';
import { loadProgram } from '../support/program.ts';
import { hasProgram, output } from '../support/programs.ts';

const CLOSED = expect.objectContaining({ code: 'ERR_SKEP_CLOSED' });
const CONTEXT = { context: new Uint8Array(8) };
/** What a process sends when it runs this. */
const SEND_THREE = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(3): s.sendto(b"x", ("127.0.0.1", 9))
`;

/** Whether files can have storage: BPF LSM must be built in and enabled. */
const hasInodeStorage = kernelProblem === null && tryInodeStorage();

function tryInodeStorage(): boolean {
  try {
    using storage = InodeStorage.create({ value: u32 });
    storage.set('/', 1);
    return true;
  } catch (error) {
    if (error instanceof SyscallError && ['EINVAL', 'EBADF'].includes(error.errnoName)) {
      console.warn('TESTS OF INODE STORAGE ARE SKIPPED: the kernel has no BPF LSM, or not enabled');
      return false;
    }
    throw error;
  }
}

describeKernel('storage', () => {
  it('is created with types that the kernel takes, and gives back', () => {
    using storage = TaskStorage.create({ value: struct({ a: u8, b: u64 }), name: 'states' });
    const info = storage.info();
    expect(info).toMatchObject({ name: 'states', keySize: 4, valueSize: 16, maxEntries: 0 });
    const kept = Btf.parse(storage.kernel.readBtf(info.btfId), 'kept');
    const sent = Btf.parse(storageBtf(16, storage.kernel.littleEndian), 'sent');
    for (const id of [info.keyTypeId, info.valueTypeId]) {
      expect(kept.type(id)).toEqual(sent.type(id));
    }
  });
});

describeKernel('storage of files', () => {
  const pins = pinDirectory();
  let directory = '';

  beforeAll(() => {
    directory = mkdtempSync(`${tmpdir()}/skep-inodes-`);
    writeFileSync(`${directory}/file`, '');
    writeFileSync(`${directory}/other`, '');
    linkSync(`${directory}/file`, `${directory}/link`);
  });

  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  it.skipIf(!hasInodeStorage)('has a value per file, whatever its name', () => {
    using labels = InodeStorage.create({ value: u64 });
    expectTypeOf(labels).toEqualTypeOf<InodeStorage<bigint>>();
    const [file, link, other] = ['file', 'link', 'other'].map((name) => `${directory}/${name}`);
    const fd = openSync(file!, 'r');
    try {
      expect(labels.get(file!)).toBeUndefined();
      expect(labels.set(file!, 7n)).toBe(labels);
      expect([file!, link!, fd, { fd }].map((owner) => labels.get(owner))).toEqual([
        7n,
        7n,
        7n,
        7n,
      ]);
      expect([labels.has(link!), labels.has(other!)]).toEqual([true, false]);
      expect(() => labels.set(link!, 8n, { mode: 'noexist' })).toThrow(/EEXIST/);
      expect(() => labels.set(other!, 8n, { mode: 'exist' })).toThrow(/ENOENT/);
      labels.set(directory, 9n);
      expect(labels.get(directory)).toBe(9n);
      expect([labels.delete(fd), labels.delete(file!)]).toEqual([true, false]);
    } finally {
      closeSync(fd);
    }
  });

  it.skipIf(!hasInodeStorage)('is of files only', () => {
    using labels = InodeStorage.create({ value: u32 });
    expect(() => labels.get(`${directory}/none`)).toThrow(/ENOENT \(there is nothing at/);
    expect(() => labels.get(0x7fff_ffff)).toThrow(/EBADF/);
    expect(() => labels.set(undefined as never, 1)).toThrow(/the file descriptor of a file/);
  });

  it.skipIf(!hasInodeStorage)('has those of its object, and is opened from its pin', () => {
    using app = load(openFixture('types/inode_storage'));
    const labels = app.map('inode_storage_map', InodeStorage<bigint>);
    const path = `${pins.path}/labels`;
    labels.set(directory, 5n).pin(path);
    using pinned = InodeStorage.openPinned(path, { value: u64 });
    using live = InodeStorage.openPinned(path);
    using byId = InodeStorage.openById(labels.info().id);
    for (const map of [pinned, live, byId]) {
      expect(map.get(directory)).toBe(5n);
    }
    expect(() => TaskStorage.openPinned(path)).toThrow(/is a inode_storage; TaskStorage is for/);
  });

  it.skipIf(!hasInodeStorage)('refuses every call after close', () => {
    const labels = InodeStorage.create({ value: u32 });
    labels.close();
    for (const call of [
      () => labels.get('/no/where'),
      () => labels.has('/no/where'),
      () => labels.set('/no/where', 1),
      () => labels.delete('/no/where'),
    ]) {
      expect(call).toThrow(CLOSED);
    }
  });
});

describeKernel('storage of tasks', () => {
  const pins = pinDirectory();

  it.skipIf(!hasProgram('bpftool') || !hasProgram('python3'))(
    'has the values that programs see',
    async () => {
      const path = `${pins.path}/values`;
      using values = TaskStorage.create({ value: u64, name: 'values' });
      expectTypeOf(values).toEqualTypeOf<TaskStorage<bigint>>();
      values.pin(path);
      using program = loadProgram('task-value', pins.path, { values: path });
      using foreign = new ForeignProcess(`
send_unknown(os.pidfd_open(os.getppid()))
send_unknown(os.pidfd_open(os.getpid()))
`);
      const [own, other] = [await foreign.fd(), await foreign.fd()];
      expect([values.get(own), program.run(CONTEXT)]).toEqual([undefined, 0]);
      expect(values.set(own, 21n).set({ fd: other }, 1n)).toBe(values);
      expect(program.run(CONTEXT)).toBe(21);
      expect([values.get(own), values.get(other)]).toEqual([42n, 1n]);
      expect(() => values.set(own, 1n, { mode: 'noexist' })).toThrow(/EEXIST/);
      expect([values.has(own), values.delete(own), values.delete(own)]).toEqual([
        true,
        true,
        false,
      ]);
      expect(program.run(CONTEXT)).toBe(0);
    },
  );

  it('is of tasks only', () => {
    using values = TaskStorage.create({ value: u32 });
    expect(() => values.get(values)).toThrow(/EBADF/);
    // The directory of a process is no pidfd here.
    const fd = openSync('/proc/self', 'r');
    try {
      expect(() => values.get(fd)).toThrow(/EBADF/);
    } finally {
      closeSync(fd);
    }
    expect(() => values.get('1' as never)).toThrow(/of a task \(a pidfd\)/);
  });

  it('has those of its object, and is opened from its pin', () => {
    using app = load(openFixture('types/task_storage'));
    const values = app.map('task_storage_map', TaskStorage<bigint>);
    const path = `${pins.path}/values`;
    values.pin(path);
    using pinned = TaskStorage.openPinned(path, { value: u64 });
    using live = TaskStorage.openPinned(path);
    using byId = TaskStorage.openById(values.info().id);
    expect([pinned, live, byId].map((map) => map.info().id)).toEqual(
      Array(3).fill(values.info().id),
    );
    expect(() => TaskStorage.openPinned(path, { value: u32 })).toThrow(/values have 8 bytes/);
    expect(() => CgroupStorage.openPinned(path)).toThrow(/is a task_storage; CgroupStorage is for/);
  });

  it('refuses every call after close', () => {
    const values = TaskStorage.create({ value: u32 });
    values.close();
    for (const call of [() => values.get(1), () => values.set(1, 1), () => values.delete(1)]) {
      expect(call).toThrow(CLOSED);
    }
  });
});

describeKernel('storage of cgroups', () => {
  const pins = pinDirectory();
  beforeEach((context) => needsMapType(context, 'cgrp_storage'));

  it.skipIf(!hasProgram('bpftool') || cgroupRoot === null)(
    'has the values that programs see',
    () => {
      const path = `${pins.path}/values`;
      using values = CgroupStorage.create({ value: u64, name: 'values' });
      values.pin(path);
      using program = loadProgram('cgroup-value', pins.path, { values: path });
      expect([values.get(ownCgroup()), program.run(CONTEXT)]).toEqual([undefined, 0]);
      values.set(ownCgroup(), 4n);
      expect(program.run(CONTEXT)).toBe(4);
      expect(values.get(ownCgroup())).toBe(8n);
      expect([values.delete(ownCgroup()), values.delete(ownCgroup())]).toEqual([true, false]);
    },
  );

  it.skipIf(cgroupRoot === null)('has a value per cgroup', () => {
    using values = CgroupStorage.create({ value: u32 });
    expectTypeOf(values).toEqualTypeOf<CgroupStorage<number>>();
    withCgroup((path) => {
      const fd = openSync(path, 'r');
      values.set(path, 1).set(cgroupRoot!, 2);
      expect([values.get(fd), values.get({ fd }), values.get(cgroupRoot!)]).toEqual([1, 1, 2]);
      expect(() => values.set(path, 1, { mode: 'noexist' })).toThrow(/EEXIST/);
      expect([values.has(fd), values.delete(fd), values.has(path)]).toEqual([true, true, false]);
      closeSync(fd);
    });
    expect(() => values.get('/tmp')).toThrow(/EBADF/);
    expect(() => values.get('/etc/passwd')).toThrow(/open failed with ENOTDIR/);
  });

  it.skipIf(cgroupRoot === null)('has those of its object, and is opened from its pin', () => {
    using app = load(openFixture('types/cgrp_storage'));
    const values = app.map('cgrp_storage_map', CgroupStorage<bigint>);
    const path = `${pins.path}/values`;
    values.set(cgroupRoot!, 3n).pin(path);
    using pinned = CgroupStorage.openPinned(path, { value: u64 });
    using live = CgroupStorage.openPinned(path);
    using byId = CgroupStorage.openById(values.info().id);
    expect([pinned, live, byId].map((map) => map.get(cgroupRoot!))).toEqual([3n, 3n, 3n]);
    expect(() => HashMap.openPinned(path, { key: u32, value: u64 })).toThrow(/is a cgrp_storage/);
  });

  it('refuses every call after close', () => {
    const values = CgroupStorage.create({ value: u32 });
    values.close();
    for (const call of [
      () => values.get('/no/where'),
      () => values.set('/no/where', 1),
      () => values.delete('/no/where'),
    ]) {
      expect(call).toThrow(CLOSED);
    }
  });
});

describeKernel('the older storage of cgroups', () => {
  const pins = pinDirectory();
  const EGRESS = 1;

  /** Attaches a program to a new cgroup while `use` runs, and sends three packets from in there. */
  function whileAttached(object: string, map: string, use: (id: bigint, send: () => void) => void) {
    using program = loadProgram(object, pins.path, { sent: map });
    const pin = `${pins.path}/attached`;
    linuxKernel().pin(program.fd, pin);
    withCgroup((path) => {
      output('bpftool', 'cgroup', 'attach', path, 'egress', 'pinned', pin);
      const inside = `echo $$ > ${path}/cgroup.procs && exec python3 -c '${SEND_THREE}'`;
      use(BigInt(statSync(path).ino), () => output('sh', '-c', inside));
      output('bpftool', 'cgroup', 'detach', path, 'egress', 'pinned', pin);
    });
  }

  const runnable = cgroupRoot !== null && hasProgram('bpftool') && hasProgram('python3');

  it.skipIf(!runnable)('has the values of attached programs', () => {
    const path = `${pins.path}/sent`;
    using sent = LegacyCgroupStorage.create({ value: u64, name: 'sent' });
    sent.pin(path);
    expect([...sent]).toEqual([]);
    whileAttached('count-sent', path, (id, send) => {
      const key = { cgroup_inode_id: id, attach_type: EGRESS };
      expect([...sent]).toEqual([[key, 0n]]);
      send();
      expect([sent.get(key), sent.has(key)]).toEqual([3n, true]);
      expect(sent.set(key, 100n)).toBe(sent);
      send();
      expect(sent.get(key)).toBe(103n);
      expect([...sent.keys()]).toEqual([key]);
      const other = { ...key, attach_type: 0 };
      expect([sent.get(other), sent.has(other)]).toEqual([undefined, false]);
      expect(() => sent.set(other, 1n)).toThrow(/ENOENT/);
      expect(() => sent.set(key, -1n)).toThrow(/expected u64/);
    });
  });

  it.skipIf(!runnable)('has values per CPU as well', () => {
    const path = `${pins.path}/sent`;
    using sent = LegacyPerCpuCgroupStorage.create({ value: u64, name: 'sent' });
    expectTypeOf(sent.get).returns.toEqualTypeOf<PerCpuValues<bigint> | undefined>();
    sent.pin(path);
    whileAttached('count-sent-per-cpu', path, (id, send) => {
      const key = { cgroup_inode_id: id, attach_type: EGRESS };
      send();
      expect(sent.get(key)?.sum()).toBe(3n);
      sent.set(
        key,
        Array.from(sent.get(key)!, () => 10n),
      );
      expect(sent.get(key)?.sum()).toBe(10n * BigInt(sent.kernel.possibleCpus()));
      expect([...sent].map(([found]) => found)).toEqual([key]);
    });
  });

  it('has the keys and values of its object, and is opened from its pin', () => {
    using one = load(openFixture('types/cgroup_storage'));
    using many = load(openFixture('types/percpu_cgroup_storage'));
    const map = one.map('cgroup_storage_map', LegacyCgroupStorage<bigint>);
    const perCpu = many.map('percpu_cgroup_storage_map', LegacyPerCpuCgroupStorage);
    const path = `${pins.path}/sent`;
    map.pin(path);
    perCpu.pin(`${pins.path}/per-cpu`);
    using pinned = LegacyCgroupStorage.openPinned(path, { value: u64 });
    using live = LegacyCgroupStorage.openPinned(path);
    using byId = LegacyCgroupStorage.openById(map.info().id);
    using pinnedPerCpu = LegacyPerCpuCgroupStorage.openPinned(`${pins.path}/per-cpu`);
    const key = { cgroup_inode_id: 1n, attach_type: EGRESS };
    expect([map, pinned, live, byId].map((each) => each.get(key))).toEqual(
      Array(4).fill(undefined),
    );
    expect([...pinnedPerCpu]).toEqual([]);
    expect(() => LegacyCgroupStorage.openPinned(`${pins.path}/per-cpu`)).toThrow(
      /is a percpu_cgroup_storage; LegacyCgroupStorage is for cgroup_storage/,
    );
  });

  it('refuses every call after close', () => {
    const sent = LegacyCgroupStorage.create({ value: u64 });
    sent.close();
    const key = { cgroup_inode_id: 1n, attach_type: EGRESS };
    for (const call of [
      () => sent.get(key),
      () => sent.has(key),
      () => sent.set(key, 1n),
      () => sent.keys().next(),
      () => sent.entries().next(),
    ]) {
      expect(call).toThrow(CLOSED);
    }
  });
});
