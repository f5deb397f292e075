/**
 * What services can do with few capabilities, end to end, and how the error reads for what they cannot:
 * it names the capability, and what works without.
 */

import { chmodSync, mkdirSync, readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { load } from '../../src/loader/load.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { fixturePath, openFixture } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { askService, giveToService, serviceProblem, skepAs } from './as-service.ts';

const DEMO = fixturePath('objects/demo.bpf.o');

describe.skipIf(serviceProblem !== null)('a service', () => {
  describeKernel('with few capabilities', () => {
    const directory = pinDirectory();

    /** Loads the demo in a directory of the service; runs it; what it counted. */
    const loadDemo = () => `
      const pinDirectory = ${JSON.stringify(directory.path)};
      const object = skep.ObjectFile.open(${JSON.stringify(DEMO)});
      const app = skep.load(object, { pinDirectory, pinAll: true });
      const packet = new Uint8Array(64);
      packet[12] = 8;
      packet[14] = 0x45;
      const outcome = app.program('count_packets').run({ data: packet });
      const flows = app.map('flows', skep.HashMap);
      const tenants = app.map('tenants', skep.HashOfMaps);
      tenants.set(7, tenants.createInner());
      const ring = app.ringBuffer('events', { value: skep.bytes(1) });
      const again = skep.load(object, { pinDirectory, pinAll: true });
      print({ returned: outcome.returnValue, flows: flows.snapshot().length,
        packets: flows.snapshot()[0]?.[1].packets, inner: tenants.get(7).snapshot(),
        reused: again.map('flows', skep.HashMap).info().id === flows.info().id,
        globals: Object.keys(app.globals) });
      ring.close();
      app.close();
      again.close();`;

    it('with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON loads, pins, runs, reads and loads again', () => {
      giveToService(directory.path);
      expect(askService(['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON'], loadDemo())).toEqual({
        returned: 2,
        flows: 1,
        packets: 1,
        inner: [],
        reused: true,
        globals: ['config', 'ignored_packets'],
      });
      expect(readdirSync(directory.path).sort()).toEqual([
        ...['events', 'flows', 'tenant_one', 'tenant_zero', 'tenants'],
      ]);
    });

    it('with CAP_BPF alone creates, pins and uses maps of an object', () => {
      giveToService(directory.path);
      const script = `
        const object = skep.ObjectFile.open(${JSON.stringify(DEMO)});
        const options = { pinDirectory: ${JSON.stringify(directory.path)}, programs: false };
        const app = skep.load(object, options);
        const one = app.map('tenant_one', skep.HashMap);
        one.set(443, 5n);
        const ring = app.ringBuffer('events', { value: skep.bytes(1) });
        ring.close();
        print([one.snapshot(), app.map('tenants', skep.HashOfMaps).get(1).snapshot(),
          app.globals.ignored_packets]);
        app.close();`;
      expect(askService(['CAP_BPF'], script)).toEqual([[[443, 5]], [[443, 5]], 0]);
    });

    it('with CAP_BPF alone loads, pins, finds and runs a program that filters sockets', () => {
      giveToService(directory.path);
      const pin = JSON.stringify(`${directory.path}/program`);
      const script = `
        const kernel = linuxKernel();
        const instructions = new Uint8Array([0xb7, 0, 0, 0, 5, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);
        const fd = kernel.loadProgram({ type: 1, instructions, license: 'GPL', name: 'five', flags: 0,
          expectedAttachType: 0, kernelVersion: 0, btf: null, target: null, descriptors: [] }, null);
        kernel.pin(fd, ${pin});
        kernel.close(fd);
        const program = skep.Program.openPinned(${pin});
        print([program.info().name, program.run({ data: new Uint8Array(64) }).returnValue]);
        program.close();`;
      expect(askService(['CAP_BPF'], script)).toEqual(['five', 5]);
    });

    it('without any capability reads and writes what a loader has given to it', () => {
      const object = openFixture('demo');
      using app = load(object, { pinDirectory: directory.path, pinAll: true, programs: false });
      app.map('tenant_one', HashMap<number, bigint>).set(443, 5n);
      chmodSync(directory.path, 0o755);
      giveToService(`${directory.path}/tenant_one`, `${directory.path}/events`);
      const script = `
        const types = { key: skep.u16, value: skep.u64 };
        const open = (name) => skep.HashMap.openPinned(
          ${JSON.stringify(directory.path)} + '/' + name, types);
        const one = open('tenant_one');
        const before = one.snapshot();
        one.set(80, 1n);
        const ring = skep.RingBuffer.openPinned(
          ${JSON.stringify(`${directory.path}/events`)}, { value: skep.bytes(1) });
        ring.close();
        print(before);
        one.close();`;
      expect(askService([], script)).toEqual([[443, 5]]);
      expect(app.map('tenant_one', HashMap<number, bigint>).get(80)).toBe(1n);
    });

    it('without any capability only reads what a loader lets it read', () => {
      using app = load(openFixture('demo'), {
        ...{ pinDirectory: directory.path, pinAll: true, programs: false },
      });
      app.map('tenant_one', HashMap<number, bigint>).set(443, 5n);
      chmodSync(directory.path, 0o755);
      chmodSync(`${directory.path}/tenant_one`, 0o444);
      giveToService(`${directory.path}/tenant_one`);
      const script = `
        const open = (options) => skep.HashMap.openPinned(
          ${JSON.stringify(`${directory.path}/tenant_one`)},
          { key: skep.u16, value: skep.u64 }, options);
        const one = open({ access: 'read-only' });
        print([one.snapshot(), told(() => one.set(80, 1n)), told(open)]);
        one.close();`;
      expect(askService([], script)).toEqual([
        [[443, 5]],
        expect.stringMatching(/failed with EPERM \(.*the descriptor is read-only/),
        expect.stringMatching(/BPF_OBJ_GET failed with EACCES/),
      ]);
    });

    it.each([
      [
        'a whole load',
        [],
        /^map "tenant_zero": BPF_MAP_CREATE failed with EPERM .*lacks CAP_BPF\)$/,
      ],
      [
        'a whole load',
        ['CAP_BPF'],
        /^program "count_packets" \(xdp\): BPF_PROG_LOAD failed with EPERM .*lacks CAP_NET_ADMIN\)$/,
      ],
      [
        'a whole load',
        ['CAP_BPF', 'CAP_NET_ADMIN'],
        // Which of both comes first is up to the verifier: the second one in Linux 6.1.
        /(?:R7 pointer -= pointer prohibited|attempt to corrupt spilled pointer on stack); at demo\.bpf\.c.*allows this to loaders with CAP_PERFMON/,
      ],
    ] as const)(
      'is refused %s with %j, by what is missing, and nothing stays',
      (_, set, message) => {
        giveToService(directory.path);
        const script = `
        const object = skep.ObjectFile.open(${JSON.stringify(DEMO)});
        const pinDirectory = ${JSON.stringify(`${directory.path}/new`)};
        print(told(() => skep.load(object, { pinDirectory, pinAll: true })));`;
        expect(askService(set, script)).toMatch(message);
        expect(readdirSync(directory.path)).toEqual([]);
      },
    );

    const three = ['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON'] as const;
    it.each([
      ['HashMap.openById(1)', three, /needs CAP_SYS_ADMIN; open the map by its pin instead/],
      ['skep.Program.openById(1)', three, /needs CAP_SYS_ADMIN; open the program by its pin/],
      ['linuxKernel().nextMapId(0)', three, /BPF_MAP_GET_NEXT_ID .*needs CAP_SYS_ADMIN/],
      ['linuxKernel().nextProgramId(0)', three, /BPF_PROG_GET_NEXT_ID .*needs CAP_SYS_ADMIN/],
      ['linuxKernel().nextBtfId(0)', three, /BPF_BTF_GET_NEXT_ID .*needs CAP_SYS_ADMIN/],
      ['HashMap.create(hash)', [], /BPF_MAP_CREATE .*this process lacks CAP_BPF/],
      ['linuxKernel().loadBtf(new Uint8Array(24))', [], /BPF_BTF_LOAD .*needs root or CAP_BPF/],
      ['typedPin()', three, /needs CAP_SYS_ADMIN; pass them instead, as in HashMap\.openPinned/],
      ['perfEvents()', ['CAP_BPF'], /perf_event_open failed with E\w+ \(needs root or CAP_PERFMON/],
    ] as const)('is refused %s with %j, by what is missing', (call, set, message) => {
      mkdirSync(`${directory.path}/own`);
      using app = load(openFixture('demo'), {
        pinDirectory: `${directory.path}/own`,
        pinAll: true,
        programs: false,
      });
      expect(app.maps.size).toBe(7);
      chmodSync(directory.path, 0o755);
      giveToService(`${directory.path}/own`, `${directory.path}/own/flows`);
      const script = `
        const { HashMap, u32, u64 } = skep;
        const hash = { key: u32, value: u64, maxEntries: 1 };
        const typedPin = () => HashMap.openPinned(${JSON.stringify(`${directory.path}/own/flows`)});
        const perfEvents = () => {
          const map = skep.PerfEventArray.create({ value: skep.bytes(4) });
          try { map.cursor(); } finally { map.close(); }
        };
        print(told(() => { ${call}; return 'was allowed'; }));`;
      expect(askService(set, script)).toMatch(message);
    });

    it('has a command whose errors say the same, with exit status 1', () => {
      giveToService(directory.path);
      const pins = `${directory.path}/new`;
      const loaded = skepAs(['CAP_BPF'], 'load', DEMO, '--pin-dir', pins);
      expect([loaded.status, readdirSync(directory.path)]).toEqual([1, []]);
      expect(loaded.stderr).toMatch(/programs of type xdp .*this process lacks CAP_NET_ADMIN/);
      const listed = skepAs(['CAP_BPF'], 'map', 'list');
      expect([listed.status, listed.stderr]).toEqual([
        1,
        expect.stringMatching(/BPF_MAP_GET_NEXT_ID failed with EPERM \(needs CAP_SYS_ADMIN\)/),
      ]);
    });

    it('has `skep doctor`, which tells what it lacks and ends well', () => {
      const { status, stdout, stderr } = skepAs(['CAP_BPF'], 'doctor');
      expect([status, stderr]).toEqual([0, '']);
      expect(stdout).toMatch(/^capabilities +BPF +missing: CAP_PERFMON .*CAP_NET_ADMIN/m);
      expect(stdout).toMatch(/such programs need .*this process lacks CAP_NET_ADMIN$/m);
    });

    it('has `skep inspect`, which needs nothing', () => {
      const { status, stderr } = skepAs([], 'inspect', DEMO);
      expect([status, stderr]).toEqual([0, '']);
    });
  });
});
