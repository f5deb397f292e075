/** Calls about programs on the running kernel, against what bpftool, the shell and /proc say of the same. */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { expect, it } from 'vitest';
import { SyscallError } from '../../src/errors.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { BPF_PROG_TYPE } from '../../src/uapi/program-types.ts';
import { describeKernel, isLinux } from '../support/kernel.ts';
import { output } from '../support/programs.ts';
import {
  createMap,
  EXIT,
  functionInfo,
  lineInfo,
  loadProgram,
  logOf,
  mapAt,
  requestOf,
  runUninterrupted,
  SLEEPABLE,
  set,
  TYPES,
  textOf,
  typeBytes,
} from './programs-parts.ts';

const PASS = [set(0, 2), EXIT];
/** `r0 = *(u32 *)(r1 +0)`: the first field of the context. */
const FIRST_FIELD = { opcode: 0x61, dst: 0, src: 1, offset: 0, imm: 0 };

/** What `bpftool prog show -j` says of a program. */
interface Shown {
  readonly id: number;
  readonly type: string;
  readonly name: string;
  readonly tag: string;
  readonly gpl_compatible: boolean;
  readonly loaded_at: number;
  readonly uid: number;
  readonly bytes_xlated: number;
  readonly bytes_jited?: number;
  readonly map_ids?: readonly number[];
  readonly btf_id?: number;
}

describeKernel('what the kernel says of a program', () => {
  it('is what bpftool shows', () => {
    const kernel = linuxKernel();
    const maps = [BPF_MAP_TYPE.HASH, BPF_MAP_TYPE.ARRAY].map((type) => createMap(kernel, { type }));
    const btf = kernel.loadBtf(typeBytes(kernel));
    const fd = loadProgram(kernel, [mapAt(1, maps[0]!), mapAt(2, maps[1]!), ...PASS], {
      name: 'shown',
      license: 'MIT',
      btf: { fd: btf, functionInfo: functionInfo(kernel, [0, TYPES.entry]), lineInfo: null },
    });
    const info = kernel.programInfo(fd);
    const shown: Shown = JSON.parse(output('bpftool', 'prog', 'show', 'id', `${info.id}`, '-j'));
    expect({
      id: info.id,
      name: info.name,
      tag: info.tag,
      gpl: info.gplCompatible,
      uid: info.userId,
      translated: info.translatedBytes,
      jited: info.jitedBytes,
      maps: info.mapIds,
      btf: info.btfId,
    }).toEqual({
      id: shown.id,
      name: shown.name,
      tag: shown.tag,
      gpl: shown.gpl_compatible,
      uid: shown.uid,
      translated: shown.bytes_xlated,
      jited: shown.bytes_jited ?? 0,
      maps: shown.map_ids,
      btf: shown.btf_id,
    });
    // bpftool shows seconds of the day; the kernel says how long it has been up.
    const uptime = Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]);
    expect(Math.abs(Number(info.loadTime) / 1e9 - uptime)).toBeLessThan(60);
    expect(info.verifiedInstructions).toBe(4);
    for (const each of [fd, btf, ...maps]) {
      kernel.close(each);
    }
  });

  it('has the code that bpftool dumps, and lines of the source', () => {
    const kernel = linuxKernel();
    const map = createMap(kernel);
    const btf = kernel.loadBtf(typeBytes(kernel));
    const fd = loadProgram(kernel, [mapAt(1, map), ...PASS], {
      btf: {
        fd: btf,
        functionInfo: functionInfo(kernel, [0, TYPES.entry]),
        lineInfo: lineInfo(kernel, 0, 2),
      },
    });
    const { id } = kernel.programInfo(fd);
    const code = kernel.programCode(fd);
    const dumped: readonly { readonly opcodes?: { readonly code: string } }[] = JSON.parse(
      output('bpftool', 'prog', 'dump', 'xlated', 'id', `${id}`, 'opcodes', '-j'),
    );
    const opcodes = dumped.flatMap(({ opcodes }) => (opcodes === undefined ? [] : [opcodes.code]));
    expect(opcodes.map(Number)).toEqual([code.instructions[0], 0xb7, 0x95]);
    expect(code.lineInfo).toEqual(lineInfo(kernel, 0, 2));
    expect(output('bpftool', 'prog', 'dump', 'xlated', 'id', `${id}`)).toContain(
      'return helper();',
    );
    for (const each of [fd, btf, map]) {
      kernel.close(each);
    }
  });

  it('is listed as bpftool lists it', () => {
    const kernel = linuxKernel();
    const fds = [loadProgram(kernel, PASS), loadProgram(kernel, PASS)];
    const own = fds.map((fd) => kernel.programInfo(fd).id);
    const ids: number[] = [];
    for (let id = kernel.nextProgramId(0); id !== null; id = kernel.nextProgramId(id)) {
      ids.push(id);
    }
    const shown: readonly Shown[] = JSON.parse(output('bpftool', 'prog', 'list', '-j'));
    const theirs = shown.map(({ id }) => id);
    // Other processes load programs meanwhile.
    expect(ids.filter((id) => own.includes(id))).toEqual(own);
    expect(theirs.filter((id) => own.includes(id))).toEqual(own);
    for (const fd of fds) {
      kernel.close(fd);
    }
  });
});

describeKernel('a test run', () => {
  it('gives what an XDP program returns, the packet, and the time it took', () => {
    const kernel = linuxKernel();
    // *(u8 *)(data + 0) = 0xff, with the check of the length that the verifier wants.
    const fd = loadProgram(kernel, [
      { opcode: 0x61, dst: 2, src: 1, offset: 0, imm: 0 },
      { opcode: 0x61, dst: 3, src: 1, offset: 4, imm: 0 },
      set(0, 1),
      { opcode: 0xbf, dst: 4, src: 2, offset: 0, imm: 0 },
      { opcode: 0x07, dst: 4, src: 0, offset: 0, imm: 1 },
      { opcode: 0x2d, dst: 4, src: 3, offset: 2, imm: 0 },
      { opcode: 0x72, dst: 2, src: 0, offset: 0, imm: 0xff },
      set(0, 2),
      EXIT,
    ]);
    const data = new Uint8Array(64).fill(7);
    const dataOut = new Uint8Array(100);
    const outcome = runUninterrupted(kernel, fd, requestOf({ data, dataOut, repeat: 10 }));
    expect(outcome).toMatchObject({ returnValue: 2, dataBytes: 64 });
    expect(outcome.durationNanoseconds).toBeLessThan(1e6);
    expect([...dataOut.subarray(0, 2), dataOut[63], dataOut[64]]).toEqual([0xff, 7, 7, 0]);
    expect(data[0]).toBe(7);
    kernel.close(fd);
  });

  it('fails if the packet does not fit, and writes no more than there is room for', () => {
    const kernel = linuxKernel();
    const fd = loadProgram(kernel, PASS);
    const memory = new Uint8Array(64).fill(1);
    const dataOut = memory.subarray(16, 32);
    const data = new Uint8Array(64).fill(7);
    expect(() => kernel.runProgram(fd, requestOf({ data, dataOut }))).toThrow('ENOSPC');
    expect([memory[15], memory[16], memory[31], memory[32]]).toEqual([1, 7, 7, 1]);
    // Room for nothing is none at all: to the kernel it would be room without end.
    const none = kernel.runProgram(fd, requestOf({ data, dataOut: memory.subarray(16, 16) }));
    expect(none.dataBytes).toBe(64);
    expect(memory[32]).toBe(1);
    kernel.close(fd);
  });

  it('gives the context of an XDP program as it leaves it', () => {
    const kernel = linuxKernel();
    const fd = loadProgram(kernel, PASS);
    const context = new Uint8Array(24);
    new DataView(context.buffer).setUint32(4, 64, kernel.littleEndian);
    const contextOut = new Uint8Array(64);
    const data = new Uint8Array(64);
    const outcome = kernel.runProgram(fd, requestOf({ data, context, contextOut }));
    expect(outcome.contextBytes).toBe(24);
    expect(new DataView(contextOut.buffer).getUint32(4, kernel.littleEndian)).toBe(64);
    kernel.close(fd);
  });

  it('of a syscall program changes the context that was handed in', () => {
    const kernel = linuxKernel();
    // Before 6.3 a number is written to a context from a register only.
    const write = { opcode: 0x63, dst: 1, src: 2, offset: 4, imm: 0 };
    const fd = loadProgram(kernel, [FIRST_FIELD, set(2, 99), write, EXIT], {
      type: BPF_PROG_TYPE.SYSCALL,
      flags: SLEEPABLE,
    });
    const context = new Uint8Array(8);
    const view = new DataView(context.buffer);
    view.setUint32(0, 41, kernel.littleEndian);
    expect(kernel.runProgram(fd, requestOf({ context })).returnValue).toBe(41);
    expect(view.getUint32(4, kernel.littleEndian)).toBe(99);
    kernel.close(fd);
  });

  it('is refused for programs that cannot be run so, and with what they do not take', () => {
    const kernel = linuxKernel();
    const fd = loadProgram(kernel, PASS, { type: BPF_PROG_TYPE.TRACEPOINT });
    expect(() => kernel.runProgram(fd, requestOf({ data: new Uint8Array(64) }))).toThrow(
      /program at file descriptor \d+: BPF_PROG_TEST_RUN failed with ENOTSUPP/,
    );
    const xdp = loadProgram(kernel, PASS);
    const data = new Uint8Array(64);
    expect(() => kernel.runProgram(xdp, requestOf({ data, flags: 1 << 30 }))).toThrow('EINVAL');
    kernel.close(fd);
    kernel.close(xdp);
  });
});

describeKernel('the log of the verifier', () => {
  it('has every instruction at level 2, and statistics with 4', () => {
    const kernel = linuxKernel();
    const [brief, whole] = [logOf(4, 1 << 16), logOf(2 | 4, 1 << 16)];
    kernel.close(loadProgram(kernel, PASS, {}, brief));
    kernel.close(loadProgram(kernel, PASS, {}, whole));
    expect(textOf(brief)).toMatch(/^verification time \d+ usec\nstack depth 0\nprocessed 2 insns/);
    expect(textOf(whole)).toContain('0: (b7) r0 = 2');
    // Kernels before 6.4 do not say how long it is.
    expect(whole.wholeBytes).toBe(isLinux('6.4') ? textOf(whole).length + 1 : 0);
  });

  it('fails a program that is right if it does not fit', () => {
    const kernel = linuxKernel();
    const log = logOf(2, 128);
    const refused = () => loadProgram(kernel, PASS, {}, log);
    expect(refused).toThrow(SyscallError);
    expect(refused).toThrow("ENOSPC (the verifier's log did not fit)");
    if (isLinux('6.4')) expect(log.wholeBytes).toBeGreaterThan(128);
    expect(textOf(log).length).toBeLessThan(128);
  });

  it('is not written if nobody asks for one', () => {
    const kernel = linuxKernel();
    const log = logOf(0, 128);
    expect(() => loadProgram(kernel, [EXIT], {}, null)).toThrow('EACCES');
    expect(log.buffer.every((byte) => byte === 0)).toBe(true);
  });
});

describeKernel('descriptors that instructions name by index', () => {
  // r1 = map_by_idx[N]
  const mapByIndex = (index: number) => ({ ...mapAt(1, index), src: 5 });

  it('are those in the list', () => {
    const kernel = linuxKernel();
    const map = createMap(kernel);
    const fd = loadProgram(kernel, [mapByIndex(1), ...PASS], { descriptors: [0, map] });
    expect(kernel.programInfo(fd).mapIds).toEqual([kernel.mapInfo(map).id]);
    kernel.close(fd);
    kernel.close(map);
  });

  it('are looked for before the kernel does, which would read behind the list', () => {
    const kernel = linuxKernel();
    const kfunc = { opcode: 0x85, dst: 0, src: 2, offset: 5, imm: 1 };
    for (const instruction of [mapByIndex(2), mapByIndex(-1), kfunc]) {
      expect(() => loadProgram(kernel, [instruction, ...PASS], { descriptors: [0, 1] })).toThrow(
        /^instruction 0 names descriptor -?\d+, of which there are 2$/,
      );
    }
  });
});

describeKernel('what the kernel says of itself', () => {
  it('is its version, as `uname -r` has it on kernels that are called what they are', () => {
    const kernel = linuxKernel();
    const version = kernel.version();
    const named = /^(\d+)\.(\d+)\./.exec(output('uname', '-r'));
    expect([version >> 16, (version >> 8) & 255]).toEqual([Number(named?.[1]), Number(named?.[2])]);
  });

  it('is its configuration, as zcat shows it', () => {
    const kernel = linuxKernel();
    const files = readdirSync('/proc');
    const text = files.includes('config.gz') ? output('zcat', '/proc/config.gz') : null;
    const boot = `/boot/config-${output('uname', '-r').trim()}`;
    const isInBoot = statSync(boot, { throwIfNoEntry: false }) !== undefined;
    expect(kernel.configuration()).toBe(isInBoot ? readFileSync(boot, 'utf8') : text);
  });

  it('is where its symbols are, as grep finds them', () => {
    const kernel = linuxKernel();
    const names = ['_text', 'bpf_prog_load', 'bpf_map_lookup_elem', 'kallsyms_lookup_name'];
    const lines = output('grep', '-E', ` . (${names.join('|')})$`, '/proc/kallsyms');
    const expected = lines
      .trim()
      .split('\n')
      .map((line): [string, bigint] => [line.split(' ')[2]!, BigInt(`0x${line.split(' ')[0]}`)]);
    expect(expected.length).toBeGreaterThan(2);
    const found = kernel.symbolAddresses(new Set([...names, 'no_such_symbol']));
    expect(new Map(found)).toEqual(new Map(expected));
  });

  it('is which types it has, as the file in sysfs, and always the same memory', () => {
    const kernel = linuxKernel();
    const bytes = kernel.kernelBtf();
    expect(bytes?.length).toBe(statSync('/sys/kernel/btf/vmlinux').size);
    expect(kernel.kernelBtf()).toBe(bytes);
    expect(Btf.parse(bytes!).find('task_struct', 'struct')).toBeGreaterThan(0);
  });

  it('is which BTF it holds: its own has the name vmlinux', () => {
    const kernel = linuxKernel();
    const first = kernel.nextBtfId(0)!;
    const fd = kernel.openBtfById(first);
    expect(kernel.btfInfo(fd)).toEqual({
      id: first,
      name: 'vmlinux',
      isKernel: true,
      size: kernel.kernelBtf()!.length,
    });
    kernel.close(fd);
    expect(() => kernel.openBtfById(0x7fff_fff0)).toThrow('ENOENT');
  });
});

describeKernel('a struct_ops link', () => {
  it('is refused for maps of another type', () => {
    const kernel = linuxKernel();
    const map = createMap(kernel);
    expect(() => kernel.linkStructOps(map)).toThrow(/BPF_LINK_CREATE failed with EINVAL/);
    kernel.close(map);
  });
});
