/** Arrays of programs, on both kernels, and of cgroups, on the running one. */

import { closeSync, openSync } from 'node:fs';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { load } from '../../src/loader/load.ts';
import { CgroupArray } from '../../src/maps/cgroup-array.ts';
import { ProgramArray } from '../../src/maps/program-array.ts';
import { cgroupRoot, ownCgroup, withCgroup } from '../support/cgroups.ts';
import { openFixture } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { describeKernels } from '../support/kernels.ts';
import { loadProgram } from '../support/program.ts';
import { hasProgram, output } from '../support/programs.ts';

const CLOSED = expect.objectContaining({ code: 'ERR_SKEP_CLOSED' });
const PACKET = new Uint8Array(60);
/** `BPF_PROG_TYPE_XDP`. */
const XDP = 6;

describeKernels('a program array', (place) => {
  it('takes programs only, and says so', () => {
    const { kernel } = place;
    using stages = ProgramArray.create({ kernel, maxEntries: 2 });
    expect(() => stages.set(0, stages)).toThrow(/EINVAL \(the descriptor is no program/);
    expect(() => stages.set(0, 0x7fff_ffff)).toThrow(/EBADF \(the descriptor is not open\)/);
    expect(() => stages.set(-1, 1)).toThrow(/expected u32/);
    expect(() => stages.set(0, -1)).toThrow(
      /expected the file descriptor of a program, .*; got -1/,
    );
    expect(() => stages.set(0, {} as never)).toThrow(/got an Object/);
    expect(() => stages.set(0, '/sys/fs/bpf/x' as never)).toThrow(/got "\/sys/);
    expect(stages.count()).toBe(0);
  });

  it('has those of its object, and is opened from its pin and by its id', () => {
    const { kernel } = place;
    using app = load(openFixture('types/prog_array'), { kernel });
    const stages = app.map('prog_array_map', ProgramArray);
    expectTypeOf(stages).toEqualTypeOf<ProgramArray>();
    const path = `${place.directory}/stages`;
    stages.pin(path);
    using pinned = ProgramArray.openPinned(path, { kernel });
    using byId = ProgramArray.openById(stages.info().id, { kernel });
    expect([pinned.length, byId.length]).toEqual([stages.length, stages.length]);
    expect(() => CgroupArray.openPinned(path, { kernel })).toThrow(
      /is a prog_array; CgroupArray is for cgroup_array/,
    );
  });

  it('refuses every call after close', () => {
    const { kernel } = place;
    const stages = ProgramArray.create({ kernel, maxEntries: 2 });
    const walk = stages.entries();
    stages.close();
    const calls: Readonly<Record<string, () => unknown>> = {
      length: () => stages.length,
      get: () => stages.get(0),
      has: () => stages.has(0),
      set: () => stages.set(0, 1),
      delete: () => stages.delete(0),
      clear: () => stages.clear(),
      count: () => stages.count(),
      snapshot: () => stages.snapshot(),
      keys: () => stages.keys().next(),
      values: () => stages.values().next(),
      'entries begun': () => walk.next(),
    };
    for (const [name, call] of Object.entries(calls)) {
      expect(call, name).toThrow(CLOSED);
    }
  });
});

describe('a program array (memory)', () => {
  it('tells the ids of its programs, and holds them', () => {
    const kernel = new MemoryKernel();
    using stages = ProgramArray.create({ kernel, maxEntries: 4 });
    const fd = kernel.createProgram(XDP, 'second');
    stages.set(3, fd).set(1, { fd });
    kernel.close(fd);
    const id = stages.get(1)!;
    expect([stages.get(0), stages.has(0), stages.has(3)]).toEqual([undefined, false, true]);
    expect([...stages]).toEqual([
      [1, id],
      [3, id],
    ]);
    expect([stages.delete(1), stages.delete(1), stages.count()]).toEqual([true, false, 1]);
  });

  it('is emptied when nobody in user space holds it', () => {
    const kernel = new MemoryKernel();
    const stages = ProgramArray.create({ kernel, maxEntries: 4 });
    stages.pin('/sys/fs/bpf/stages');
    const fd = kernel.createProgram(XDP);
    stages.set(1, fd).close();
    const pinned = ProgramArray.openPinned('/sys/fs/bpf/stages', { kernel });
    expect(pinned.count()).toBe(1);
    pinned.unpin();
    pinned.close();
    expect(kernel.mapIds()).toEqual([]);
    kernel.close(fd);
    expect(kernel.openDescriptors()).toEqual([]);
  });
});

describeKernel('a program array of programs', () => {
  const pins = pinDirectory();

  it.skipIf(!hasProgram('bpftool'))('is where tail calls go', () => {
    const path = `${pins.path}/stages`;
    using stages = ProgramArray.create({ maxEntries: 4, name: 'stages' });
    stages.pin(path);
    using first = loadProgram('tail-call', pins.path, { stages: path });
    expect(first.run({ packet: PACKET })).toBe(7);
    const second = loadProgram('tail-target', pins.path);
    expect(stages.set(1, second)).toBe(stages);
    second.close();
    // The array keeps the program; it answers the length of the packet.
    expect(first.run({ packet: PACKET })).toBe(60);
    expect(stages.delete(1)).toBe(true);
    expect(first.run({ packet: PACKET })).toBe(7);
  });

  it.skipIf(!hasProgram('bpftool'))('is emptied by the kernel when nobody holds it', async () => {
    const path = `${pins.path}/stages`;
    const stages = ProgramArray.create({ maxEntries: 4 });
    stages.pin(path);
    using first = loadProgram('tail-call', pins.path, { stages: path });
    using second = loadProgram('tail-target', pins.path);
    stages.set(1, second);
    stages.close();
    expect(first.run({ packet: PACKET })).toBe(60);
    const pinned = ProgramArray.openPinned(path);
    pinned.unpin();
    pinned.close();
    // The program still uses it, but that does not count. It takes a moment.
    for (let attempt = 0; attempt < 200 && first.run({ packet: PACKET }) !== 7; attempt += 1) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(first.run({ packet: PACKET })).toBe(7);
  });

  it.skipIf(!hasProgram('bpftool'))('tells the ids of its programs, as bpftool does', () => {
    const path = `${pins.path}/stages`;
    using stages = ProgramArray.create({ maxEntries: 4 });
    using program = loadProgram('tail-target', pins.path);
    stages.set(3, program.fd).set(1, program).pin(path);
    const id = stages.get(1)!;
    const dumped = JSON.parse(output('bpftool', '-j', 'map', 'dump', 'pinned', path));
    const seen = dumped.filter((entry: { value: unknown }) => Array.isArray(entry.value));
    const bytes = [id & 255, (id >> 8) & 255, (id >> 16) & 255, id >>> 24];
    const hex = bytes.map((byte) => `0x${byte.toString(16).padStart(2, '0')}`);
    expect(seen.map((entry: { value: unknown }) => entry.value)).toEqual([hex, hex]);
    expect(JSON.parse(output('bpftool', '-j', 'prog', 'show', 'id', `${id}`))).toMatchObject({
      id,
      name: 'second',
    });
    expect([stages.get(0), stages.has(0), stages.has(3)]).toEqual([undefined, false, true]);
    expect([...stages.keys()]).toEqual([1, 3]);
    expect([...stages]).toEqual([
      [1, id],
      [3, id],
    ]);
    expect([...stages.values()]).toEqual([id, id]);
    expect([stages.length, stages.count(), stages.clear(), stages.count()]).toEqual([4, 2, 2, 0]);
    expect(stages.delete(1)).toBe(false);
  });
});

describeKernel('an array of cgroups', () => {
  const pins = pinDirectory();

  it.skipIf(cgroupRoot === null || !hasProgram('bpftool'))(
    'tells programs whether a task is in one of its cgroups',
    () => {
      const path = `${pins.path}/watched`;
      using watched = CgroupArray.create({ maxEntries: 4, name: 'watched' });
      watched.pin(path);
      using program = loadProgram('under-cgroup', pins.path, { watched: path });
      const isUnder = (slot: number) =>
        program.run({ context: new Uint8Array(new BigUint64Array([BigInt(slot)]).buffer) }) | 0;
      expect(isUnder(0)).toBe(-11); // EAGAIN: the slot is empty
      withCgroup((empty) => {
        watched.set(0, cgroupRoot!).set(1, empty);
        const fd = openSync(ownCgroup(), 'r');
        try {
          watched.set(2, fd).set(3, { fd });
        } finally {
          closeSync(fd);
        }
      });
      expect([0, 1, 2, 3].map(isUnder)).toEqual([1, 0, 1, 1]);
      expect([watched.delete(0), watched.delete(0)]).toEqual([true, false]);
      expect(isUnder(0)).toBe(-11);
    },
  );

  it('takes directories of cgroups only, and leaves none open', () => {
    using watched = CgroupArray.create({ maxEntries: 2 });
    expect(() => watched.set(0, '/tmp')).toThrow(/EBADF \(.* no directory of a cgroup/);
    expect(() => watched.set(0, '/no/where')).toThrow(
      /^\/no\/where: open failed with ENOENT \(there is nothing at this path\)$/,
    );
    expect(() => watched.set(0, '/etc/passwd')).toThrow(/open failed with ENOTDIR/);
    expect(() => watched.set(0, true as never)).toThrow(/the directory of a cgroup.*got true/);
  });

  it.skipIf(cgroupRoot === null)('has so many slots and no more', () => {
    using watched = CgroupArray.create({ maxEntries: 2 });
    expect(watched.length).toBe(2);
    expect(() => watched.set(2, cgroupRoot!)).toThrow(/E2BIG/);
    expect(() => watched.delete(2)).toThrow(/E2BIG/);
  });

  it('has those of its object, and is opened from its pin and by its id', () => {
    using app = load(openFixture('types/cgroup_array'));
    const watched = app.map('cgroup_array_map', CgroupArray);
    expectTypeOf(watched).toEqualTypeOf<CgroupArray>();
    const path = `${pins.path}/watched`;
    watched.pin(path);
    using pinned = CgroupArray.openPinned(path);
    using byId = CgroupArray.openById(watched.info().id);
    expect([pinned.delete(0), byId.delete(0)]).toEqual([false, false]);
    expect(() => ProgramArray.openPinned(path)).toThrow(/is a cgroup_array; ProgramArray is for/);
  });

  it('refuses every call after close', () => {
    const watched = CgroupArray.create({ maxEntries: 2 });
    watched.close();
    for (const call of [
      () => watched.length,
      () => watched.set(0, '/no/where'),
      () => watched.delete(0),
    ]) {
      expect(call).toThrow(CLOSED);
    }
  });
});
