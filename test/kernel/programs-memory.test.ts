/** What only the kernel in the process has for programs: functions of a test, options, privileges. */

import { describe, expect, it } from 'vitest';
import { withFaults } from '../../src/kernel/faults.ts';
import { SymbolFinder, versionCode } from '../../src/kernel/linux-system.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import type { TestRunFunction } from '../../src/kernel/memory/test-run.ts';
import { explainLoad, programCapabilities } from '../../src/kernel/program-hints.ts';
import { replay } from '../../src/kernel/replay.ts';
import { load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { BPF_ATTACH_TYPE } from '../../src/uapi/attach-types.ts';
import { ERRNO } from '../../src/uapi/errno.ts';
import { BPF_PROG_TYPE } from '../../src/uapi/program-types.ts';
import { fixturePath } from '../support/fixtures.ts';
import {
  createMap,
  EXIT,
  loadProgram,
  mapAt,
  requestOf,
  SLEEPABLE,
  set,
  typeBytes,
} from './programs-parts.ts';

const PASS = [set(0, 2), EXIT];

describe('a program of the in-process kernel', () => {
  it('does when it is run what a test says, by its name', () => {
    const kernel = new MemoryKernel();
    const fd = loadProgram(kernel, PASS);
    kernel.onTestRun('entry', ({ data }) => ({
      returnValue: -1,
      data: Uint8Array.of(9, ...(data ?? [])),
      durationNanoseconds: 12,
    }));
    const dataOut = new Uint8Array(16);
    const data = new Uint8Array(14).fill(1);
    expect(kernel.runProgram(fd, requestOf({ data, dataOut }))).toEqual({
      returnValue: 0xffff_ffff,
      durationNanoseconds: 12,
      dataBytes: 15,
      contextBytes: 0,
    });
    expect([...dataOut]).toEqual([9, ...data, 0]);
    const short = new Uint8Array(2);
    expect(() => kernel.runProgram(fd, requestOf({ data, dataOut: short }))).toThrow('ENOSPC');
  });

  it('does what is said for its id before what is said for its name', () => {
    const kernel = new MemoryKernel();
    const [one, two] = [loadProgram(kernel, PASS), loadProgram(kernel, PASS)];
    kernel.onTestRun('entry', () => ({ returnValue: 1 }));
    kernel.onTestRun(kernel.programInfo(two).id, () => ({ returnValue: 2 }));
    const run = (fd: number) =>
      kernel.runProgram(fd, requestOf({ data: new Uint8Array(14) })).returnValue;
    expect([run(one), run(two)]).toEqual([1, 2]);
  });

  it('leaves its context where Linux does: of a syscall program in the one that came', () => {
    const kernel = new MemoryKernel();
    const type = BPF_PROG_TYPE.SYSCALL;
    const fd = loadProgram(kernel, PASS, { type, flags: SLEEPABLE });
    kernel.onTestRun('entry', () => ({ returnValue: 0, context: Uint8Array.of(5, 6) }));
    const context = new Uint8Array(2);
    kernel.runProgram(fd, requestOf({ context }));
    expect([...context]).toEqual([5, 6]);
  });

  it.each([
    ['is asynchronous', async () => ({ returnValue: 1 })],
    ['returnValue is an integer', () => undefined],
    ['returnValue is an integer', () => ({ returnValue: '1' })],
    ['returnValue is an integer', () => ({})],
    ['data that is a Uint8Array', () => ({ returnValue: 1, data: [1] })],
  ])('answers at once, and with a number: else the error says that it %s', (text, run) => {
    const kernel = new MemoryKernel();
    const fd = loadProgram(kernel, PASS);
    kernel.onTestRun('entry', run as unknown as TestRunFunction);
    const request = requestOf({ data: new Uint8Array(14) });
    expect(() => kernel.runProgram(fd, request)).toThrow(TypeError);
    expect(() => kernel.runProgram(fd, request)).toThrow(text);
  });

  it('says through its handle, too, that a test has to say what it does', () => {
    const kernel = new MemoryKernel();
    using app = load(ObjectFile.open(fixturePath('run/packets.bpf.o')), { kernel });
    const data = new Uint8Array(64);
    expect(() => app.program('answer').run({ data })).toThrow(/no test has said .*onTestRun/);
  });

  it('cannot be run until a test says so, which the error tells', () => {
    const kernel = new MemoryKernel();
    const fd = loadProgram(kernel, PASS);
    expect(() => kernel.runProgram(fd, requestOf({}))).toThrow(
      /ENOTSUPP \(no test has said .*onTestRun/,
    );
  });

  it('needs the capabilities of its type', () => {
    const kernel = new MemoryKernel({ capabilities: ['CAP_BPF'] });
    expect(() => loadProgram(kernel, PASS)).toThrow(
      /EPERM \(programs of type xdp need root or CAP_BPF and CAP_NET_ADMIN/,
    );
    expect(() => loadProgram(kernel, PASS, { type: BPF_PROG_TYPE.TRACEPOINT })).toThrow(
      /need root or CAP_BPF and CAP_PERFMON/,
    );
    const fd = loadProgram(kernel, PASS, { type: BPF_PROG_TYPE.SOCKET_FILTER });
    expect(kernel.programInfo(fd).type).toBe(BPF_PROG_TYPE.SOCKET_FILTER);
    expect(() => kernel.openProgramById(1)).toThrow('EPERM');
    expect(() => kernel.nextProgramId(0)).toThrow('EPERM');
    expect(() => kernel.nextBtfId(0)).toThrow('EPERM');
    // Its code is not for those who may not load programs.
    const other = kernel.process({ capabilities: [] });
    kernel.pin(fd, '/sys/fs/bpf/entry');
    const opened = other.openPinnedProgram('/sys/fs/bpf/entry');
    expect(other.programInfo(opened).translatedBytes).toBe(0);
    expect(other.programCode(opened).instructions).toHaveLength(0);
  });

  it('of a type that is made for a function names one of the kernel', () => {
    const type = BPF_PROG_TYPE.TRACING;
    const expectedAttachType = BPF_ATTACH_TYPE.TRACE_FENTRY;
    const kernel = new MemoryKernel();
    const load = (on: MemoryKernel, typeId: number) =>
      loadProgram(on, PASS, { type, expectedAttachType, target: { typeId, fd: null } });
    expect(() => loadProgram(kernel, PASS, { type, expectedAttachType })).toThrow('EINVAL');
    expect(() => load(kernel, 3), 'no types of the kernel').toThrow('EINVAL');
    const typed = new MemoryKernel({ kernelBtf: typeBytes(kernel) });
    expect(() => load(typed, 99)).toThrow('EINVAL');
    const fd = load(typed, 3);
    expect(typed.programInfo(fd)).toMatchObject({ attachTypeId: 3, attachBtfObjectId: 1 });
  });
});

describe('what the in-process kernel says of itself', () => {
  it('is what it was made with', () => {
    const kernelBtf = typeBytes(new MemoryKernel());
    const kernel = new MemoryKernel({
      release: '5.10.300-cloud',
      configuration: 'CONFIG_HZ=250\n',
      symbols: { _text: 0xffff_ffff_8100_0000n },
      kernelBtf,
    });
    expect(kernel.version()).toBe(0x05_0a_ff);
    expect(kernel.configuration()).toBe('CONFIG_HZ=250\n');
    expect([...kernel.symbolAddresses(new Set(['_text', 'toString']))]).toEqual([
      ['_text', 0xffff_ffff_8100_0000n],
    ]);
    expect(kernel.kernelBtf()).toBe(kernelBtf);
    const fd = kernel.openBtfById(kernel.nextBtfId(0)!);
    expect(kernel.btfInfo(fd)).toMatchObject({ name: 'vmlinux', isKernel: true });
    const plain = kernel.process({ capabilities: [] });
    expect([...plain.symbolAddresses(new Set(['_text'])).values()]).toEqual([0n]);
  });

  it('is 6.18, and nothing more, if nothing else is said', () => {
    const kernel = new MemoryKernel();
    expect(kernel.version()).toBe(0x06_12_00);
    expect([kernel.configuration(), kernel.kernelBtf(), kernel.nextBtfId(0)]).toEqual([
      null,
      null,
      null,
    ]);
    expect(() => new MemoryKernel({ release: 'latest' })).toThrow(TypeError);
  });
});

describe('the log of calls about programs', () => {
  it('replays on another kernel, with the descriptors of that one in the instructions', () => {
    const noted = withFaults(new MemoryKernel());
    const map = createMap(noted.kernel);
    const fd = loadProgram(noted.kernel, [mapAt(1, map), ...PASS]);
    noted.kernel.programInfo(fd);
    const other = new MemoryKernel();
    createMap(other);
    const again = replay(noted.calls, other);
    expect(again.map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
    expect(again[2]?.result).toMatchObject({ name: 'entry', mapIds: [2] });
    expect(noted.print()).toContain('"instructions":"<32 bytes>"');
  });

  it('has what they were called with as it was then', () => {
    const noted = withFaults(new MemoryKernel());
    noted.kernel.close(loadProgram(noted.kernel, PASS));
    noted.failCall(1, 'EPERM', 'loadProgram');
    expect(() => loadProgram(noted.kernel, PASS)).toThrow(/BPF_PROG_LOAD failed with EPERM/);
    expect(noted.calls.map(({ method }) => method)).toEqual([
      'loadProgram',
      'close',
      'loadProgram',
    ]);
  });
});

describe('the version of a kernel', () => {
  it.each([
    ['6.18.44-fc', '#1 SMP', '', 0x06_12_2c],
    ['4.19.0-22-amd64', '#1 SMP Debian 4.19.260-1 (2022-09-29)', '', 0x04_13_ff],
    ['5.4.0-12-generic', '#15-Ubuntu SMP', 'Ubuntu 5.4.0-12.15-generic 5.4.8', 0x05_04_08],
    ['unknown', '', '', 0],
  ])('called %s is the one it was built from', (release, version, ubuntu, code) => {
    expect(versionCode({ release, version, ubuntu })).toBe(code);
  });
});

describe('lines of /proc/kallsyms', () => {
  const find = (names: readonly string[], ...lines: readonly string[]) => {
    const finder = new SymbolFinder(new Set(names));
    finder.add(lines.map((line) => `${line}\n`).join(''));
    return [...finder.addresses];
  };

  it('give the addresses of names, also of modules, and of data that clang renamed', () => {
    expect(
      find(
        ['_text', 'helper', 'state'],
        'ffffffff81000000 T _text',
        'ffffffffc0001000 t helper\t[module]',
        'ffffffffc0002000 d state.llvm.1234567',
        'ffffffffc0003000 t other',
      ),
    ).toEqual([
      ['_text', 0xffff_ffff_8100_0000n],
      ['helper', 0xffff_ffff_c000_1000n],
      ['state', 0xffff_ffff_c000_2000n],
    ]);
  });

  it('are refused if a name has two addresses, unless they are hidden', () => {
    expect(() => find(['a'], '0000000000001000 t a', '0000000000002000 t a')).toThrow(
      /symbol "a" in \/proc\/kallsyms.*ENOTUNIQ.*0x1000 and 0x0+2000/,
    );
    expect(find(['a'], '0000000000000000 t a', '0000000000000000 t a')).toEqual([['a', 0n]]);
  });
});

describe('the reason why a program was not loaded', () => {
  it.each([
    [BPF_PROG_TYPE.SOCKET_FILTER, ['CAP_BPF']],
    [BPF_PROG_TYPE.XDP, ['CAP_BPF', 'CAP_NET_ADMIN']],
    [BPF_PROG_TYPE.KPROBE, ['CAP_BPF', 'CAP_PERFMON']],
    [BPF_PROG_TYPE.EXT, ['CAP_BPF', 'CAP_NET_ADMIN', 'CAP_PERFMON']],
  ])('of type %i may be one of these capabilities: %j', (type, capabilities) => {
    expect(programCapabilities(type)).toEqual(capabilities);
  });

  it('may be that this process lacks one of them, which it names', () => {
    const why = (type: number, held: readonly string[] | null) =>
      explainLoad(
        type,
        ERRNO.EPERM,
        () => '[none]',
        (capability) => held?.includes(capability) ?? null,
      );
    expect(why(BPF_PROG_TYPE.EXT, ['CAP_BPF'])).toMatch(
      /; this process lacks CAP_NET_ADMIN and CAP_PERFMON$/,
    );
    expect(why(BPF_PROG_TYPE.XDP, ['CAP_NET_ADMIN'])).toMatch(/; this process lacks CAP_BPF$/);
    expect(why(BPF_PROG_TYPE.XDP, ['CAP_BPF', 'CAP_NET_ADMIN'])).toMatch(/user namespace/);
    expect(why(BPF_PROG_TYPE.XDP, null)).not.toMatch(/this process/);
  });

  it('may be that the kernel is locked down, for those that look into it', () => {
    const why = (type: number, state: string | null) =>
      explainLoad(
        type,
        ERRNO.EPERM,
        () => state,
        () => true,
      );
    const locked = 'none [integrity] confidentiality';
    expect(why(BPF_PROG_TYPE.TRACING, locked)).toMatch(
      /; this kernel is locked down \(integrity\)/,
    );
    expect(why(BPF_PROG_TYPE.TRACING, null)).toMatch(/; a kernel that is locked down may/);
    expect(why(BPF_PROG_TYPE.TRACING, '[none] integrity')).not.toMatch(/locked/);
    expect(why(BPF_PROG_TYPE.XDP, locked)).not.toMatch(/locked/);
  });
});
