/** Calls about programs, as scenarios on both kernels: what is kept of a program, and by whom. */

import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { SyscallError } from '../../src/errors.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import type { ProgramAttributes } from '../../src/kernel/program-calls.ts';
import { type Instruction, Instructions } from '../../src/obj/instructions/instructions.ts';
import { BPF_ATTACH_TYPE } from '../../src/uapi/attach-types.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { BPF_PROG_TYPE } from '../../src/uapi/program-types.ts';
import { describeKernels } from '../support/kernels.ts';
import {
  attributesOf,
  bytesOf,
  call,
  createMap,
  EXIT,
  functionInfo,
  lineInfo,
  loadProgram,
  logOf,
  mapAt,
  requestOf,
  SLEEPABLE,
  set,
  TYPES,
  textOf,
  typeBytes,
  u32,
  valueAt,
} from './programs-parts.ts';

const PASS = [set(0, 2), EXIT];

/** The errno's name of a call that is refused; what it gave if it is not. */
function errnoOf(make: () => unknown): unknown {
  try {
    return make();
  } catch (error) {
    if (error instanceof SyscallError) {
      return error.errnoName;
    }
    throw error;
  }
}

describeKernels('a loaded program', (place) => {
  it('has an id, a type, a name, a license and a tag, which is a hash of its instructions', () => {
    const { kernel } = place;
    const map = createMap(kernel, { type: BPF_MAP_TYPE.ARRAY });
    const fd = loadProgram(kernel, [mapAt(1, map), ...PASS], { name: 'hello' });
    const info = kernel.programInfo(fd);
    expect(info).toMatchObject({
      type: BPF_PROG_TYPE.XDP,
      name: 'hello',
      gplCompatible: true,
      translatedBytes: 32,
      mapIds: [kernel.mapInfo(map).id],
      btfId: 0,
      attachTypeId: 0,
      attachBtfObjectId: 0,
      userId: 0,
    });
    expect(info.id).toBeGreaterThan(0);
    // Of these instructions on any map, whose number counts as 0.
    const hash = createHash(place.isLinux('6.18') ? 'sha256' : 'sha1');
    hash.update(bytesOf(place.kernel, mapAt(1, 0), ...PASS));
    expect(info.tag).toBe(hash.digest('hex').slice(0, 16));
    kernel.close(fd);
    kernel.close(map);
  });

  it.each([
    ['GPL', true],
    ['Dual MIT/GPL', true],
    ['GPL v2', true],
    ['MIT', false],
    ['', false],
  ])('with the license "%s" is compatible with the GPL: %s', (license, compatible) => {
    const fd = loadProgram(place.kernel, PASS, { license });
    expect(place.kernel.programInfo(fd).gplCompatible).toBe(compatible);
    place.kernel.close(fd);
  });

  it('has a name of at most 15 bytes, the rest of which is cut off', () => {
    const fd = loadProgram(place.kernel, PASS, { name: 'a_name_that_is_too_long' });
    expect(place.kernel.programInfo(fd).name).toBe('a_name_that_is_');
    place.kernel.close(fd);
  });

  it('shows its code with the ids of maps in the place of descriptors', () => {
    const { kernel } = place;
    const map = createMap(kernel, { valueSize: 64 });
    const list = [mapAt(1, map), valueAt(2, map, 40), ...PASS];
    const fd = loadProgram(kernel, list);
    const code = kernel.programCode(fd);
    const { id } = kernel.mapInfo(map);
    const shown = new Instructions(code.instructions, kernel.littleEndian ? 'little' : 'big');
    expect([shown.src(0), shown.imm(0), shown.imm(1)]).toEqual([1, id, 0]);
    expect([shown.src(2), shown.imm(2), shown.imm(3)]).toEqual([2, id, 40]);
    expect([code.functionInfo, code.lineInfo]).toEqual([null, null]);
    kernel.close(fd);
    kernel.close(map);
  });

  it('keeps its maps until it is closed', async () => {
    const { kernel } = place;
    const map = createMap(kernel);
    const { id } = kernel.mapInfo(map);
    const fd = loadProgram(kernel, [mapAt(1, map), ...PASS]);
    kernel.close(map);
    const again = kernel.openMapById(id);
    expect(kernel.mapInfo(again).name).toBe('data');
    kernel.close(again);
    kernel.close(fd);
    // Linux frees programs later, when no CPU can be running one.
    await expect
      .poll(() => {
        const left = errnoOf(() => kernel.openMapById(id));
        if (typeof left === 'number') {
          kernel.close(left);
        }
        return left;
      })
      .toBe('ENOENT');
  });

  it('is opened by its id, and found in the list of ids, while somebody holds it', () => {
    const { kernel } = place;
    const fd = loadProgram(kernel, PASS);
    const { id } = kernel.programInfo(fd);
    const other = kernel.openProgramById(id);
    expect(other).not.toBe(fd);
    expect(kernel.programInfo(other).id).toBe(id);
    expect(kernel.nextProgramId(id - 1)).toBe(id);
    kernel.close(fd);
    expect(kernel.programInfo(other).id).toBe(id);
    kernel.close(other);
    expect(errnoOf(() => kernel.openProgramById(id))).toBe('ENOENT');
    expect(kernel.nextProgramId(id - 1)).not.toBe(id);
  });

  it('is held by its pin, and opened from there as a program only', () => {
    const { kernel, directory } = place;
    const fd = loadProgram(kernel, PASS);
    const { id } = kernel.programInfo(fd);
    const path = `${directory}/entry`;
    kernel.pin(fd, path);
    kernel.close(fd);
    const opened = kernel.openPinnedProgram(path);
    expect(kernel.programInfo(opened).id).toBe(id);
    kernel.close(opened);
    expect(errnoOf(() => kernel.openPinnedMap(path, 'read-write'))).toBe('EINVAL');
    expect(kernel.unpin(path)).toBe(true);
    expect(errnoOf(() => kernel.openPinnedProgram(path))).toBe('ENOENT');
    expect(errnoOf(() => kernel.openProgramById(id))).toBe('ENOENT');
  });

  it('is not what a map is opened as', () => {
    const { kernel, directory } = place;
    const map = createMap(kernel);
    kernel.pin(map, `${directory}/data`);
    expect(() => kernel.openPinnedProgram(`${directory}/data`)).toThrow(
      /EINVAL \(it is no program/,
    );
    expect(() => kernel.programInfo(map)).toThrow(/EINVAL \(it is no program/);
    expect(() => kernel.programCode(map)).toThrow(/EINVAL \(it is no program/);
    expect(errnoOf(() => kernel.runProgram(map, requestOf({})))).toBe('EINVAL');
    kernel.unpin(`${directory}/data`);
    kernel.close(map);
  });

  it('is the same behind a duplicate of its descriptor', () => {
    const { kernel } = place;
    const fd = loadProgram(kernel, PASS);
    const copy = kernel.duplicate(fd);
    const { id } = kernel.programInfo(fd);
    kernel.close(fd);
    expect(kernel.programInfo(copy).id).toBe(id);
    kernel.close(copy);
    expect(errnoOf(() => kernel.runProgram(copy, requestOf({})))).toBe('EBADF');
  });
});

describeKernels('a program that is refused', (place) => {
  const refusals: readonly (readonly [
    name: string,
    errno: string,
    list: readonly Instruction[],
    other: Partial<ProgramAttributes>,
  ])[] = [
    ['without instructions', 'E2BIG', [], {}],
    ['with flags that no kernel has', 'EINVAL', PASS, { flags: 1 << 30 }],
    ['of a type that no kernel has', 'EINVAL', PASS, { type: 999 }],
    ['of no type', 'EINVAL', PASS, { type: 0 }],
    ['with a name that is none', 'EINVAL', PASS, { name: 'a-b' }],
    ['whose end is reached', 'EINVAL', [set(0, 2)], {}],
    ['that jumps out of itself', 'EINVAL', [{ ...EXIT, opcode: 0x05, offset: 7 }, ...PASS], {}],
    ['that calls outside of itself', 'EINVAL', [call(9), EXIT], {}],
    ['with a map that is not open', 'EBADF', [mapAt(1, 9999), ...PASS], {}],
    ['with half a 64-bit load', 'EINVAL', [{ ...EXIT, opcode: 0x18 }], {}],
    ['of type syscall that may not sleep', 'EINVAL', PASS, { type: BPF_PROG_TYPE.SYSCALL }],
    ['of type xdp that may sleep', 'EINVAL', PASS, { flags: SLEEPABLE }],
    [
      'with an attach type of another program type',
      'EINVAL',
      PASS,
      {
        type: BPF_PROG_TYPE.CGROUP_SKB,
        expectedAttachType: BPF_ATTACH_TYPE.CGROUP_INET4_CONNECT,
      },
    ],
    [
      'of type sk_lookup without its attach type',
      'EINVAL',
      PASS,
      { type: BPF_PROG_TYPE.SK_LOOKUP },
    ],
    [
      'of type xdp that is made for a function of the kernel',
      'EINVAL',
      PASS,
      { target: { typeId: 1, fd: null } },
    ],
    ['made for a descriptor that is not open', 'EINVAL', PASS, { target: { typeId: 1, fd: 9999 } }],
  ];

  it.each(refusals)('%s gives %s', (_, errno, list, other) => {
    expect(errnoOf(() => loadProgram(place.kernel, list, other))).toBe(errno);
  });

  it('is said to be so by its name and with what to look at', () => {
    expect(() => loadProgram(place.kernel, [set(0, 2)])).toThrow(
      /^program "entry": BPF_PROG_LOAD failed with EINVAL \(the verifier refused it/,
    );
  });

  it('takes addresses of values in arrays of one entry, and inside of the value', () => {
    const { kernel } = place;
    const one = createMap(kernel, { valueSize: 8 });
    const two = createMap(kernel, { maxEntries: 2 });
    const hash = createMap(kernel, { type: BPF_MAP_TYPE.HASH });
    const errno = (fd: number, offset: number) =>
      errnoOf(() => loadProgram(kernel, [valueAt(1, fd, offset), ...PASS]));
    expect([errno(one, 8), errno(two, 0), errno(hash, 0)]).toEqual([
      'EINVAL',
      'ENOTSUPP',
      'EINVAL',
    ]);
    const fd = errno(one, 7);
    expect(fd).toBeTypeOf('number');
    for (const each of [fd as number, one, two, hash]) {
      kernel.close(each);
    }
  });

  it('is an error of the caller if its parts have no form', () => {
    const { kernel } = place;
    const whole = attributesOf(kernel, PASS);
    expect(() => kernel.loadProgram({ ...whole, license: 'G\0L' }, null)).toThrow(TypeError);
    expect(() => kernel.loadProgram({ ...whole, name: 'a\0b' }, null)).toThrow(TypeError);
    const half = whole.instructions.subarray(0, 12);
    expect(() => kernel.loadProgram({ ...whole, instructions: half }, null)).toThrow(RangeError);
  });
});

describeKernels('the log of the verifier', (place) => {
  it('says why a program was refused, and how long it is', () => {
    const log = logOf(1, 4096);
    expect(errnoOf(() => loadProgram(place.kernel, [set(0, 2)], {}, log))).toBe('EINVAL');
    const [first, second] = textOf(log).split('\n');
    expect(first).toBe('last insn is not an exit or jmp');
    expect(second).toMatch(/^processed \d+ insns/);
    // Kernels before 6.4 do not say how long it is.
    expect(log.wholeBytes).toBe(place.isLinux('6.4') ? textOf(log).length + 1 : 0);
  });

  it('fails the call if it does not fit, and says what it needs', () => {
    const log = logOf(1, 128);
    const jump = { ...EXIT, opcode: 0x05, offset: 7 };
    expect(errnoOf(() => loadProgram(place.kernel, [jump, ...PASS], {}, log))).toBe('ENOSPC');
    if (place.isLinux('6.4')) expect(log.wholeBytes).toBeGreaterThan(128);
    expect(errnoOf(() => loadProgram(place.kernel, [jump, ...PASS], {}, logOf(1, 512)))).toBe(
      'EINVAL',
    );
  });

  it('is there for a program that was loaded, too', () => {
    const log = logOf(1, 4096);
    const fd = loadProgram(place.kernel, PASS, {}, log);
    expect(textOf(log)).toMatch(/^processed \d+ insns \(limit 1000000\) max_states_per_insn 0/m);
    place.kernel.close(fd);
  });
});

describeKernels('what describes a program', (place) => {
  const list = [call(1), EXIT, set(0, 2), EXIT];
  const load = (kernel: Kernel, btf: Omit<NonNullable<ProgramAttributes['btf']>, 'fd'>) => {
    const fd = kernel.loadBtf(typeBytes(kernel));
    try {
      return loadProgram(kernel, list, { btf: { fd, ...btf } });
    } finally {
      kernel.close(fd);
    }
  };

  it('is kept with it, and the types too', () => {
    const { kernel } = place;
    const functions = functionInfo(kernel, [0, TYPES.entry], [2, TYPES.helper]);
    const lines = lineInfo(kernel, 0, 2);
    const fd = load(kernel, { functionInfo: functions, lineInfo: lines });
    const code = kernel.programCode(fd);
    expect(code.functionInfo).toEqual(functions);
    expect(code.lineInfo).toEqual(lines);
    const { btfId } = kernel.programInfo(fd);
    const types = kernel.openBtfById(btfId);
    expect(kernel.btfInfo(types)).toEqual({
      id: btfId,
      name: '',
      isKernel: false,
      size: typeBytes(kernel).length,
    });
    expect(kernel.readBtf(btfId)).toEqual(typeBytes(kernel));
    expect(kernel.nextBtfId(btfId - 1)).toBe(btfId);
    kernel.close(types);
    kernel.close(fd);
  });

  it.each([
    [
      'of one function that is not there',
      [
        [0, TYPES.entry],
        [2, TYPES.helper],
        [3, TYPES.helper],
      ],
    ],
    ['of fewer functions than it has', [[0, TYPES.entry]]],
    [
      'of a function elsewhere',
      [
        [0, TYPES.entry],
        [1, TYPES.helper],
      ],
    ],
    [
      'not of its first instruction',
      [
        [1, TYPES.entry],
        [2, TYPES.helper],
      ],
    ],
    [
      'by a type that is no function',
      [
        [0, TYPES.int],
        [2, TYPES.helper],
      ],
    ],
  ] as const)('is refused with records %s', (_, records) => {
    const table = functionInfo(
      place.kernel,
      ...(records as readonly (readonly [number, number])[]),
    );
    const btf = { functionInfo: table, lineInfo: null };
    expect(errnoOf(() => load(place.kernel, btf))).toBe('EINVAL');
  });

  it.each([
    ['without one for each function', [0]],
    ['out of order', [0, 2, 1]],
    ['outside of it', [0, 2, 4]],
  ])('is refused with lines %s', (_, slots) => {
    const { kernel } = place;
    const functions = functionInfo(kernel, [0, TYPES.entry], [2, TYPES.helper]);
    const btf = { functionInfo: functions, lineInfo: lineInfo(kernel, ...slots) };
    expect(errnoOf(() => load(kernel, btf))).toBe('EINVAL');
  });

  it('is not looked at if it describes nothing', () => {
    const { kernel } = place;
    const fd = loadProgram(kernel, list, { btf: { fd: 9999, functionInfo: null, lineInfo: null } });
    expect(kernel.programInfo(fd).btfId).toBe(0);
    kernel.close(fd);
  });

  it('is refused if its descriptor is no BTF', () => {
    const { kernel } = place;
    const map = createMap(kernel);
    const table = functionInfo(kernel, [0, TYPES.entry], [2, TYPES.helper]);
    const load = (fd: number) =>
      errnoOf(() =>
        loadProgram(kernel, list, { btf: { fd, functionInfo: table, lineInfo: null } }),
      );
    expect([load(9999), load(map)]).toEqual(['EBADF', 'EINVAL']);
    expect(() => kernel.btfInfo(map)).toThrow(/EINVAL \(it is no BTF/);
    kernel.close(map);
  });
});

describeKernels('the programs of a program array', (place) => {
  const array = (kernel: Kernel) =>
    createMap(kernel, { type: BPF_MAP_TYPE.PROG_ARRAY, maxEntries: 4, name: 'jumps' });
  const put = (kernel: Kernel, map: number, index: number, fd: number) =>
    errnoOf(() => kernel.update(map, u32(kernel, index), u32(kernel, fd), 0));

  it('are all of the type of the first one', () => {
    const { kernel } = place;
    const map = array(kernel);
    const fds = [BPF_PROG_TYPE.XDP, BPF_PROG_TYPE.XDP, BPF_PROG_TYPE.SCHED_CLS].map((type) =>
      loadProgram(kernel, PASS, { type }),
    );
    expect(fds.map((fd, index) => put(kernel, map, index, fd))).toEqual([
      undefined,
      undefined,
      'EINVAL',
    ]);
    // Also when the first one is gone again.
    kernel.delete(map, u32(kernel, 0));
    kernel.delete(map, u32(kernel, 1));
    expect(put(kernel, map, 0, fds[2]!)).toBe('EINVAL');
    for (const fd of [...fds, map]) {
      kernel.close(fd);
    }
  });

  it('are of the type of the program that uses it', () => {
    const { kernel } = place;
    const map = array(kernel);
    const user = loadProgram(kernel, [mapAt(1, map), ...PASS], { type: BPF_PROG_TYPE.SCHED_CLS });
    const other = loadProgram(kernel, PASS);
    expect(put(kernel, map, 0, other)).toBe('EINVAL');
    expect(errnoOf(() => loadProgram(kernel, [mapAt(1, map), ...PASS]))).toBe('EINVAL');
    for (const fd of [user, other, map]) {
      kernel.close(fd);
    }
  });

  it('have one expected attach type', () => {
    const { kernel } = place;
    const map = array(kernel);
    const plain = loadProgram(kernel, PASS);
    const devices = loadProgram(kernel, PASS, { expectedAttachType: BPF_ATTACH_TYPE.XDP_DEVMAP });
    expect([put(kernel, map, 0, plain), put(kernel, map, 1, devices)]).toEqual([
      undefined,
      'EINVAL',
    ]);
    for (const fd of [plain, devices, map]) {
      kernel.close(fd);
    }
  });

  it('stay as long as somebody holds the array', () => {
    const { kernel } = place;
    const map = array(kernel);
    const fd = loadProgram(kernel, PASS);
    const { id } = kernel.programInfo(fd);
    put(kernel, map, 3, fd);
    kernel.close(fd);
    const again = kernel.openProgramById(id);
    kernel.close(again);
    kernel.delete(map, u32(kernel, 3));
    expect(errnoOf(() => kernel.openProgramById(id))).toBe('ENOENT');
    kernel.close(map);
  });
});
