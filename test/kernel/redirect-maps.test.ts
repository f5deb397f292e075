/** Maps that XDP redirects to, on the running kernel: interfaces, CPUs, AF_XDP sockets. */

import { readFileSync } from 'node:fs';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { u64 } from '../../src/codec/numbers.ts';
import { load } from '../../src/loader/load.ts';
import { ArrayMap } from '../../src/maps/array-map.ts';
import { CpuMap } from '../../src/maps/cpu-map.ts';
import { DevMap } from '../../src/maps/dev-map.ts';
import { DevMapHash } from '../../src/maps/dev-map-hash.ts';
import type { DeviceEntry } from '../../src/maps/device-entry.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { XskMap } from '../../src/maps/xsk-map.ts';
import { openFixture } from '../support/fixtures.ts';
import { ForeignProcess } from '../support/foreign-fd.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { InterfacePair, runLive } from '../support/live-frames.ts';
import { loadProgram, type TestProgram } from '../support/program.ts';
import { hasProgram, output } from '../support/programs.ts';

const CLOSED = expect.objectContaining({ code: 'ERR_SKEP_CLOSED' });
const PACKET = new Uint8Array(64);
const [XDP_PASS, XDP_REDIRECT] = [2, 4];
/** The loopback interface has this index in every network namespace. */
const LO = 1;

const hasTools = hasProgram('bpftool') && hasProgram('ip');

function idOf(program: TestProgram): number {
  const info = readFileSync(`/proc/self/fdinfo/${program.fd}`, 'latin1');
  return Number(/^prog_id:\s+(\d+)$/m.exec(info)![1]);
}

/** Waits until a map says that so many packets were seen. */
async function packetsSeen(seen: ArrayMap<bigint>, packets: bigint): Promise<void> {
  for (let attempt = 0; attempt < 200 && seen.get(0)! < packets; attempt += 1) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(seen.get(0)).toBe(packets);
}

describeKernel('a map of network interfaces', () => {
  const pins = pinDirectory();

  describe.skipIf(!hasTools)('for programs', () => {
    it.each([
      ['devmap', DevMap],
      ['devmap_hash', DevMapHash],
    ] as const)('sends packets out of them: %s', (_, Kind) => {
      using devices = new InterfacePair();
      const path = `${pins.path}/targets`;
      using targets = Kind.create({ maxEntries: 4, name: 'targets' });
      targets.pin(path);
      using seen = ArrayMap.create({ value: u64, maxEntries: 3 });
      seen.pin(`${pins.path}/seen`);
      using redirect = loadProgram('redirect', pins.path, { targets: path });
      using count = loadProgram('devmap-program', pins.path, { seen: `${pins.path}/seen` });

      // Nothing in the slot: the packet passes.
      expect(redirect.run({ packet: PACKET })).toBe(XDP_PASS);
      expect(targets.set(1, devices.name)).toBe(targets);
      expect(redirect.run({ packet: PACKET })).toBe(XDP_REDIRECT);
      expect(targets.get(1)).toEqual({ ifindex: devices.ifindex, programId: null });

      targets.set(1, { ifindex: devices.ifindex, program: count });
      expect(targets.get(1)).toEqual({ ifindex: devices.ifindex, programId: idOf(count) });
      // Packets leave a veth only if the other end has XDP: this one, with an empty map, lets all pass.
      using pass = loadProgram('redirect', pins.path);
      output('bpftool', 'net', 'attach', 'xdpdrv', 'id', `${idOf(pass)}`, 'dev', devices.peer);
      runLive(redirect.fd, 5);
      // How many, and by which interface they would have left.
      expect([seen.get(0), seen.get(1)]).toEqual([5n, BigInt(devices.ifindex)]);

      expect([targets.delete(1), targets.delete(1)]).toEqual([true, false]);
      expect(redirect.run({ packet: PACKET })).toBe(XDP_PASS);
    });

    it('is left by interfaces that go away', async () => {
      const devices = new InterfacePair();
      using targets = DevMap.create({ maxEntries: 2 });
      using hash = DevMapHash.create({ maxEntries: 2 });
      targets.set(0, devices.name);
      hash.set(7, { ifindex: devices.name });
      devices.close();
      expect([targets.snapshot(), hash.snapshot()]).toEqual([[], []]);
      expect(() => targets.set(0, devices.ifindex)).toThrow(/EINVAL \(there is no interface/);
    });

    it('takes programs for this use only', () => {
      using targets = DevMap.create({ maxEntries: 2 });
      using other = loadProgram('redirect', pins.path);
      expect(() => targets.set(0, { ifindex: LO, program: other })).toThrow(
        /EINVAL \(.*not of type XDP for BPF_XDP_DEVMAP/,
      );
      expect(targets.has(0)).toBe(false);
      using narrow = DevMap.create({ maxEntries: 2, programs: false });
      expect(narrow.set(0, LO).get(0)).toEqual({ ifindex: LO, programId: null });
      expect(() => narrow.set(0, { ifindex: LO, program: other })).toThrow(
        /values of 4 bytes, so it has no room for programs; create it with values of 8/,
      );
    });

    it('is the map that bpftool sees', () => {
      using targets = DevMap.create({ maxEntries: 2, name: 'targets' });
      const path = `${pins.path}/targets`;
      targets.set(1, LO).pin(path);
      const dump = JSON.parse(output('bpftool', '-j', 'map', 'dump', 'pinned', path));
      expect(dump.map((entry: { value: unknown }) => entry.value)).toContainEqual(
        ['0x01', ...'0'.repeat(7)].map((byte) => (byte === '0' ? '0x00' : byte)),
      );
    });
  });

  it('has slots of which some may be empty', () => {
    using targets = DevMap.create({ maxEntries: 4 });
    expectTypeOf(targets.get).returns.toEqualTypeOf<DeviceEntry | undefined>();
    targets.set(2, LO).set(0, 'lo');
    const lo = { ifindex: LO, programId: null };
    expect([...targets]).toEqual([
      [0, lo],
      [2, lo],
    ]);
    expect([...targets.keys()]).toEqual([0, 2]);
    expect([targets.length, targets.count(), targets.has(1)]).toEqual([4, 2, false]);
    expect([targets.delete(4), targets.get(4)]).toEqual([false, undefined]);
    expect(() => targets.set(4, LO)).toThrow(/E2BIG/);
    expect([targets.clear(), targets.count()]).toEqual([2, 0]);
  });

  it('has any numbers as keys, if it is a hash', () => {
    using targets = DevMapHash.create({ maxEntries: 2 });
    targets.set(0xffff_ffff, LO).set(7, LO, { mode: 'noexist' });
    expect(() => targets.set(7, LO, { mode: 'noexist' })).toThrow(/EEXIST/);
    expect(() => targets.set(8, LO)).toThrow(/E2BIG/);
    expect(() => targets.set(7, LO, { mode: 'new' as never })).toThrow(/the mode is/);
    expect(new Set(targets.keys())).toEqual(new Set([7, 0xffff_ffff]));
    expect([targets.clear(), targets.count(), targets.delete(7)]).toEqual([2, 0, false]);
  });

  it('knows no interface without a name or index', () => {
    using targets = DevMap.create({ maxEntries: 2 });
    expect(() => targets.set(0, 'no-such-device')).toThrow(
      expect.objectContaining({ code: 'ERR_SKEP_FILE' }),
    );
    for (const name of ['', '..', 'a/b', 'lo ', 'sixteen-letters-']) {
      expect(() => targets.set(0, name), name).toThrow(/is no name of a network interface/);
    }
    for (const index of [0, -1, 1.5, Number.NaN, 2 ** 31]) {
      expect(() => targets.set(0, index), `${index}`).toThrow(RangeError);
    }
    expect(() => targets.set(0, { ifindex: LO, program: 0 })).toThrow(/at descriptor 0/);
    expect(targets.count()).toBe(0);
  });

  it('has those of its object, and is opened from its pin and by its id', () => {
    using app = load(openFixture('types/devmap'));
    using hashes = load(openFixture('types/devmap_hash'));
    const targets = app.map('devmap_map', DevMap);
    const hash = hashes.map('devmap_hash_map', DevMapHash);
    targets.set(1, LO).pin(`${pins.path}/array`);
    hash.set(1, LO).pin(`${pins.path}/hash`);
    using pinned = DevMap.openPinned(`${pins.path}/array`);
    using pinnedHash = DevMapHash.openPinned(`${pins.path}/hash`);
    using byId = DevMap.openById(targets.info().id);
    using hashById = DevMapHash.openById(hash.info().id);
    for (const map of [pinned, pinnedHash, byId, hashById]) {
      expect(map.get(1)?.ifindex).toBe(LO);
    }
    expect(() => DevMap.openPinned(`${pins.path}/hash`)).toThrow(
      /is a devmap_hash; DevMap is for devmap/,
    );
    expect(() => app.map('devmap_map', HashMap)).toThrow(/is a devmap; HashMap is for/);
  });

  it.each([
    ['devmap', DevMap],
    ['devmap_hash', DevMapHash],
  ] as const)('refuses every call after close: %s', (_, Kind) => {
    const targets = Kind.create({ maxEntries: 2 });
    targets.close();
    for (const call of [
      () => targets.get(0),
      () => targets.has(0),
      () => targets.set(0, LO),
      () => targets.delete(0),
      () => targets.clear(),
      () => targets.entries().next(),
    ]) {
      expect(call).toThrow(CLOSED);
    }
  });
});

describeKernel('a map of CPUs', () => {
  const pins = pinDirectory();

  it.skipIf(!hasTools)('has packets go on there', async () => {
    const path = `${pins.path}/targets`;
    using cpus = CpuMap.create({ maxEntries: 4, name: 'targets' });
    cpus.pin(path);
    using seen = ArrayMap.create({ value: u64, maxEntries: 3 });
    seen.pin(`${pins.path}/seen`);
    using redirect = loadProgram('redirect', pins.path, { targets: path });
    using count = loadProgram('cpumap-program', pins.path, { seen: `${pins.path}/seen` });
    expect(redirect.run({ packet: PACKET })).toBe(XDP_PASS);
    expect(cpus.set(1, { queueSize: 192, program: count })).toBe(cpus);
    expect(cpus.get(1)).toEqual({ queueSize: 192, programId: idOf(count) });
    runLive(redirect.fd, 7);
    await packetsSeen(seen, 7n);
    // The number of the CPU that the program ran on.
    expect(seen.get(2)).toBe(1n);
    expect([cpus.delete(1), cpus.delete(1)]).toEqual([true, false]);
    expect(redirect.run({ packet: PACKET })).toBe(XDP_PASS);
  });

  it('has a queue for each', () => {
    using cpus = CpuMap.create({ maxEntries: 4 });
    cpus.set(0, 16).set(0, { queueSize: 32 });
    expect([...cpus]).toEqual([[0, { queueSize: 32, programId: null }]]);
    expect([cpus.length, cpus.count(), cpus.has(1), cpus.get(1)]).toEqual([4, 1, false, undefined]);
    expect(() => cpus.set(0, 16_385)).toThrow(/EOVERFLOW \(a queue has 16384/);
    expect(() => cpus.set(4, 16)).toThrow(/E2BIG/);
    for (const size of [0, -1, 1.5]) {
      expect(() => cpus.set(0, size)).toThrow(/the size of a queue is a whole number above 0/);
    }
    using narrow = CpuMap.create({ maxEntries: 4, programs: false });
    expect(narrow.set(0, 8).get(0)).toEqual({ queueSize: 8, programId: null });
    expect([cpus.clear(), cpus.count()]).toEqual([1, 0]);
  });

  it.skipIf(!hasTools)('takes programs for this use only', () => {
    using cpus = CpuMap.create({ maxEntries: 2 });
    using other = loadProgram('redirect', pins.path);
    expect(() => cpus.set(0, { queueSize: 8, program: other })).toThrow(
      /ENOMEM \(.*BPF_XDP_CPUMAP/,
    );
  });

  it('has no CPUs that cannot be', () => {
    const possible = readFileSync('/sys/devices/system/cpu/possible', 'latin1');
    const last = Number(/(\d+)\s*$/.exec(possible)![1]);
    let cpus: CpuMap;
    try {
      cpus = CpuMap.create({ maxEntries: last + 2 });
    } catch (error) {
      // The kernel was built for no more CPUs than there can be.
      expect(error).toMatchObject({ errnoName: 'E2BIG' });
      return;
    }
    expect(() => cpus.set(last + 1, 8)).toThrow(/ENODEV \(there can be no such CPU\)/);
    cpus.close();
  });

  it('has those of its object, and is opened from its pin and by its id', () => {
    using app = load(openFixture('types/cpumap'), { maps: { cpumap_map: { maxEntries: 2 } } });
    const cpus = app.map('cpumap_map', CpuMap);
    expectTypeOf(cpus).toEqualTypeOf<CpuMap>();
    const path = `${pins.path}/cpus`;
    cpus.set(0, 8).pin(path);
    using pinned = CpuMap.openPinned(path);
    using byId = CpuMap.openById(cpus.info().id);
    expect([pinned.get(0)?.queueSize, byId.get(0)?.queueSize]).toEqual([8, 8]);
    expect(() => DevMap.openPinned(path)).toThrow(/is a cpumap; DevMap is for devmap/);
  });

  it('refuses every call after close', () => {
    const cpus = CpuMap.create({ maxEntries: 2 });
    cpus.close();
    for (const call of [
      () => cpus.length,
      () => cpus.get(0),
      () => cpus.set(0, 8),
      () => cpus.delete(0),
      () => cpus.entries().next(),
    ]) {
      expect(call).toThrow(CLOSED);
    }
  });
});

describeKernel('a map of AF_XDP sockets', () => {
  const pins = pinDirectory();

  it.skipIf(!hasTools || !hasProgram('python3'))('has packets handed to them', async () => {
    const path = `${pins.path}/targets`;
    using sockets = XskMap.create({ maxEntries: 4, name: 'targets' });
    sockets.pin(path);
    using redirect = loadProgram('redirect', pins.path, { targets: path });
    expect(redirect.run({ packet: PACKET })).toBe(XDP_PASS);
    using foreign = new ForeignProcess(`
sockets = [socket.socket(44, socket.SOCK_RAW) for _ in range(2)]
for each in sockets:
    send_unknown(each.fileno())
`);
    const [fd, other] = [await foreign.fd(), await foreign.fd()];
    expect(sockets.set(1, { fd })).toBe(sockets);
    expect(redirect.run({ packet: PACKET })).toBe(XDP_REDIRECT);
    expect(() => sockets.set(1, other, { mode: 'noexist' })).toThrow(/EEXIST/);
    sockets.set(1, other, { mode: 'exist' });
    expect(sockets.delete(1)).toBe(true);
    expect(redirect.run({ packet: PACKET })).toBe(XDP_PASS);
    expect(() => sockets.set(1, fd, { mode: 'exist' })).toThrow(/ENOENT/);
  });

  it('takes such sockets only', async () => {
    using sockets = XskMap.create({ maxEntries: 2 });
    expect(sockets.length).toBe(2);
    expect(() => sockets.set(0, sockets)).toThrow(/ENOTSOCK \(the descriptor is no socket\)/);
    expect(() => sockets.set(0, 0x7fff_ffff)).toThrow(/EBADF \(the descriptor is not open\)/);
    expect(() => sockets.set(0, 'lo' as never)).toThrow(/of an AF_XDP socket.*got "lo"/);
    // The kernel does not tell whether there was something.
    expect(sockets.delete(0)).toBe(true);
    expect(() => sockets.delete(2)).toThrow(/EINVAL/);
  });

  it('has those of its object, and is opened from its pin and by its id', () => {
    using app = load(openFixture('types/xskmap'));
    const sockets = app.map('xskmap_map', XskMap);
    expectTypeOf(sockets).toEqualTypeOf<XskMap>();
    const path = `${pins.path}/sockets`;
    sockets.pin(path);
    using pinned = XskMap.openPinned(path);
    using byId = XskMap.openById(sockets.info().id);
    expect([pinned.length, byId.length]).toEqual([sockets.length, sockets.length]);
    expect(() => CpuMap.openPinned(path)).toThrow(/is a xskmap; CpuMap is for cpumap/);
  });

  it('refuses every call after close', () => {
    const sockets = XskMap.create({ maxEntries: 2 });
    sockets.close();
    for (const call of [() => sockets.length, () => sockets.set(0, 1), () => sockets.delete(0)]) {
      expect(call).toThrow(CLOSED);
    }
  });
});
