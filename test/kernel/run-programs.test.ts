/** Objects of many kinds, loaded and run on the real kernel: they give the right answers. */

import { readFileSync } from 'node:fs';
import { release, version } from 'node:os';
import { beforeEach, expect, it } from 'vitest';
import { loadNative } from '../../src/kernel/native.ts';
import { type LoadedObject, load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import { Arena } from '../../src/maps/arena.ts';
import type { HashMap } from '../../src/maps/hash-map.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import { ProgramArray } from '../../src/maps/program-array.ts';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernel, needsLinux, needsMapType } from '../support/kernel.ts';
import { output } from '../support/programs.ts';

function loadRun(name: string, options: LoadOptions = {}): LoadedObject {
  return load(ObjectFile.open(fixturePath(`run/${name}.bpf.o`)), options);
}

describeKernel('tail calls', () => {
  const stage = (app: LoadedObject, first: number) => {
    const data = new Uint8Array(14);
    data[0] = first;
    return app.program('enter').run({ data }).returnValue;
  };

  it('go to the programs that the object puts into the array, and nowhere from an empty slot', () => {
    using app = loadRun('stages');
    expect([0, 1, 2, 3, 4].map((first) => stage(app, first))).toEqual([10, 7, 20, 7, 7]);
  });

  it('go to the programs that the load options put there', () => {
    const programs = { thirty: { autoload: true } };
    const maps = { stages: { slots: { 0: null, 2: 'thirty', 3: 'ten' } } };
    using app = loadRun('stages', { programs, maps });
    expect([0, 1, 2, 3].map((first) => stage(app, first))).toEqual([7, 7, 30, 10]);
  });

  it('go to programs that are put in later', () => {
    using app = loadRun('stages', { programs: { thirty: { autoload: true } } });
    const stages = app.map('stages', ProgramArray);
    stages.set(3, app.program('thirty'));
    stages.delete(0);
    expect([0, 1, 2, 3].map((first) => stage(app, first))).toEqual([7, 7, 20, 30]);
    expect(stages.get(3)).toBe(app.program('thirty').info().id);
  });
});

describeKernel('a map of maps', () => {
  interface Usage {
    readonly requests: bigint;
    readonly last_status: number;
    readonly path: string;
  }

  it('is looked up by a program, and what that writes to the inner map is read with its type', () => {
    using app = loadRun('tenants');
    const account = app.program('account');
    expect(
      account.run({ context: { tenant: 1, user: 7, status: 200, path: '/index' } }).returnValue,
    ).toBe(0);
    expect(
      account.run({ context: { tenant: 1, user: 7, status: 404, path: '/absent' } }).returnValue,
    ).toBe(0);
    expect(account.run({ context: { tenant: 2, user: 7 } }).returnValue).toBe(1);
    using tenants = app.map('tenants', HashOfMaps<number, HashMap<number, Usage>>);
    using first = tenants.get(1)!;
    expect(first.get(7)).toEqual({ requests: 2n, last_status: 404, path: '/absent' });
  });

  it('has inner maps that are put in while its program is loaded', () => {
    using app = loadRun('tenants');
    using tenants = app.map('tenants', HashOfMaps<number, HashMap<number, Usage>>);
    using second = tenants.createInner();
    tenants.set(2, second);
    second.set(9, { requests: 41n, last_status: 0, path: '' });
    app.program('account').run({ context: { tenant: 2, user: 9, status: 500, path: '/' } });
    expect(second.get(9)).toEqual({ requests: 42n, last_status: 500, path: '/' });
  });
});

describeKernel('records of a ring buffer', () => {
  it('are received decoded, from a program that was run', async () => {
    using app = loadRun('ring');
    using events = app.ringBuffer<{ number: bigint; tag: number; half: number }>('events');
    const context = { count: 3, tag: 9, first: 100n };
    const run = app.program('produce').run({ context });
    // The members that were not given are zero.
    expect(run.context).toEqual({ ...context, flags: 0n, discard_every: 0n });
    expect(run.returnValue).toBe(3);
    const received = [];
    for await (const { number, tag, half } of events) {
      received.push([number, tag, half]);
      if (received.length === 3) break;
    }
    expect(received).toEqual([
      [100n, 9, 0],
      [101n, 9, 0],
      [102n, 9, 1],
    ]);
  });
});

describeKernel('a program that reads the kernel', () => {
  interface Task {
    readonly tgid: number;
    readonly parent_tgid: number;
    readonly comm: string;
    readonly has_absent_field: number;
    readonly has_absent_type: number;
    readonly process_group_type: number;
    readonly task_bytes: number;
    readonly cpu: number;
  }

  it('finds fields of its structs where they are, by CO-RE', () => {
    // The other program wants functions of 6.3.
    using app = loadRun('kernel-reads', { programs: { read_kernel: { autoload: false } } });
    const context = [40n, 2];
    expect(app.program('read_task').run({ context, cpu: 0 }).returnValue).toBe(42);
    // On a CPU of choice it runs in whatever that CPU was doing.
    expect((app.globals.task as Task).cpu).toBe(0);
    expect(app.program('read_task').run({ context }).returnValue).toBe(42);
    const task = app.globals.task as Task;
    expect(task).toMatchObject({
      tgid: process.pid,
      parent_tgid: process.ppid,
      comm: readFileSync('/proc/self/comm', 'utf8').trim(),
      has_absent_field: 0,
      has_absent_type: 0,
      process_group_type: 2,
    });
    expect(task.task_bytes).toBe(bytesOfTask());
  });

  /** What bpftool reads in the kernel's types. */
  function bytesOfTask(): number {
    const types = output('bpftool', 'btf', 'dump', 'file', '/sys/kernel/btf/vmlinux');
    return Number(/^\[\d+\] STRUCT 'task_struct' size=(\d+)/m.exec(types)![1]);
  }

  it('knows its options, symbols and functions', (context) => {
    needsLinux(context, '6.3', 'functions for masks of CPUs');
    using app = loadRun('kernel-reads', { kernelConfig: { CONFIG_SKEP_SETTING: -3 } });
    expect(app.program('read_kernel').run().returnValue).toBe(0);
    // Debian has numbers of its own in the release, and those of the kernel in the version.
    const [, numbers = release()] = /Debian ([\d.]+)/.exec(version()) ?? [];
    const [major, minor, patch] = numbers.split(/[.-]/).map(Number);
    const symbols = readFileSync('/proc/kallsyms', 'latin1');
    expect(app.globals.kernel).toMatchObject({
      version: (major! << 16) | (minor! << 8) | Math.min(patch!, 255),
      setting: -3,
      schedule: BigInt(`0x${/^([0-9a-f]+) [tT] schedule$/m.exec(symbols)![1]}`),
      absent_symbol: 0n,
      first_cpu: 1,
      has_absent_function: 0,
    });
    expect((app.globals.kernel as { hz: number }).hz).toBeGreaterThanOrEqual(100);
  });

  it('is told other options than those of the kernel', (context) => {
    needsLinux(context, '6.3', 'functions for masks of CPUs');
    using app = loadRun('kernel-reads', { kernelConfig: { CONFIG_HZ: 77 } });
    app.program('read_kernel').run();
    expect(app.globals.kernel).toMatchObject({ hz: 77, setting: 0 });
  });
});

describeKernel('globals in an arena', () => {
  beforeEach((context) => needsMapType(context, 'arena'));

  it('start with what the object says, and are shared with programs', () => {
    using app = loadRun('arena');
    const arena = app.map('arena', Arena);
    const words = new Uint32Array(arena.bytes.buffer, 0, 16);
    expect(app.program('touch').run().returnValue).toBe(7);
    expect(words).toContain(6);
    using again = app.map('arena', Arena);
    expect(again.bytes.buffer).toBe(arena.bytes.buffer);
  });

  it('are at the address that the object gives the arena, so that pointers to them are the same', () => {
    using app = loadRun('arena-address');
    const arena = app.map('arena', Arena);
    expect(app.program('touch').run().returnValue).toBe(6);
    expect(arena.view(0, 4).getUint32(0, true)).toBe(6);
    expect(loadNative().address(arena.bytes.buffer)).toBe(2 ** 44);
    // Two cannot be at one address.
    expect(() => loadRun('arena-address')).toThrow(/mmap .* EEXIST/);
  });
});
