/**
 * What a loader depends on besides types of maps, programs and helpers. Each is asked for as libbpf's
 * `features.c` does; what needs calls that {@link Kernel} does not have (links) is told by what came with
 * the same version, and by the types of the kernel itself.
 */

import type { Kernel } from '../kernel/kernel.ts';
import type { Btf } from '../obj/btf/btf.ts';
import type { Instruction } from '../obj/instructions/instructions.ts';
import { BPF_ATTACH_TYPE } from '../uapi/attach-types.ts';
import { BTF_KIND } from '../uapi/btf-kinds.ts';
import { BPF_CMD } from '../uapi/commands.ts';
import { BPF_FUNC } from '../uapi/helpers.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import {
  BPF_ALU_OP,
  BPF_CLASS,
  BPF_MODE,
  BPF_PSEUDO_CALLS,
  BPF_SIZE,
  BPF_SRC,
} from '../uapi/opcodes.ts';
import { BPF_PROG_TYPE } from '../uapi/program-types.ts';
import { type Answer, answerOf, ask, no, unknown, YES } from './answer.ts';
import { withMap } from './map-types.ts';
import { enumHas } from './program-types.ts';
import { intType, type SmallType, smallBtf, typeOf } from './small-btf.ts';
import {
  addressOfValue,
  callHelper,
  EXIT,
  RETURN_ZERO,
  setRegister,
  tryProgram,
} from './small-program.ts';

/** What is asked, and what it is asked with. */
interface Asked {
  readonly kernel: Kernel;
  /** The kernel's own types; undefined if it has none. */
  readonly types: () => Btf | undefined;
}

interface Probe {
  /** The first version of Linux that has it. Distributions bring some to older ones. */
  readonly since: string;
  /** In words. */
  readonly title: string;
  readonly ask: (asked: Asked) => Answer;
}

/** `static` and `global` of functions and variables. */
const STATIC = 0;
const GLOBAL = 1;

/** Names of the `sys_bpf` that takes registers, by architecture (4.17). */
const WRAPPED = new Set([
  '__x64_sys_bpf',
  '__arm64_sys_bpf',
  '__s390x_sys_bpf',
  '__riscv_sys_bpf',
  '__powerpc_sys_bpf',
]);

const { SOCKET_FILTER, TRACEPOINT, KPROBE, CGROUP_SOCK, SCHED_CLS } = BPF_PROG_TYPE;

/** The features, by the names that {@link FeatureSet.feature} takes. */
export const LOADER_FEATURES = {
  'program names': {
    since: '4.15',
    title: 'names of programs',
    ask: ({ kernel }) => loads(kernel, SOCKET_FILTER, RETURN_ZERO, { name: 'skep_probe' }),
  },
  'expected attach type': {
    since: '4.17',
    title: 'the attach type of a program at load time',
    ask: ({ kernel }) =>
      loads(kernel, CGROUP_SOCK, RETURN_ZERO, {
        expectedAttachType: BPF_ATTACH_TYPE.CGROUP_INET_SOCK_CREATE,
      }),
  },
  'syscall wrapper': {
    since: '4.17',
    title: 'system calls as functions of one argument (ksyscall programs)',
    ask: askSyscallWrapper,
  },
  btf: {
    since: '4.18',
    title: 'BTF',
    ask: ({ kernel }) => takesBtf(kernel, ['int'], [intType(1)]),
  },
  'btf functions': {
    since: '5.0',
    title: 'functions in BTF',
    ask: ({ kernel }) => takesBtf(kernel, ['int', 'x', 'a'], functionTypes(STATIC)),
  },
  'global data': {
    since: '5.2',
    title: 'global variables',
    ask: askGlobalData,
  },
  'btf data sections': {
    since: '5.2',
    title: 'variables and data sections in BTF',
    ask: ({ kernel }) => takesBtf(kernel, ['x', '.data'], sectionTypes()),
  },
  'memory-mapped arrays': {
    since: '5.5',
    title: 'arrays whose memory is shared (globals without system calls)',
    ask: ({ kernel }) => ask(() => withMap(kernel, { flags: BPF_F.MMAPABLE }, () => null)),
  },
  probe_read_kernel: {
    since: '5.5',
    title: 'bpf_probe_read_kernel (before: bpf_probe_read)',
    ask: askProbeRead,
  },
  'btf global functions': {
    since: '5.6',
    title: 'global functions, verified on their own',
    ask: ({ kernel }) => takesBtf(kernel, ['int', 'x', 'a'], functionTypes(GLOBAL)),
  },
  batches: {
    since: '5.6',
    title: 'many entries of a hash in one call',
    ask: ({ kernel }) => readsBatches(kernel, BPF_MAP_TYPE.HASH),
  },
  'bind map': {
    since: '5.10',
    title: 'maps that belong to a program which does not use them',
    ask: askBindMap,
  },
  'memcg accounting': {
    since: '5.11',
    title: 'memory accounted to the cgroup (before: ulimit -l)',
    ask: ({ kernel }) =>
      loads(kernel, SOCKET_FILTER, [callHelper(BPF_FUNC.ktime_get_coarse_ns), EXIT]),
  },
  'module btf': {
    since: '5.11',
    title: 'types of modules',
    ask: askModuleBtf,
  },
  'btf float': {
    since: '5.13',
    title: 'floating point in BTF',
    ask: ({ kernel }) => takesBtf(kernel, ['float'], [typeOf(1, BTF_KIND.FLOAT, 0, 4)]),
  },
  'perf links': {
    since: '5.15',
    title: 'links of kprobes, uprobes and tracepoints',
    // There is no link to try with here; the cookies of such links came in the same release.
    ask: askCookie,
  },
  'bpf cookies': {
    since: '5.15',
    title: 'numbers that tell attachments of a program apart',
    ask: askCookie,
  },
  'btf declaration tags': {
    since: '5.16',
    title: 'declaration tags in BTF',
    ask: ({ kernel }) => takesBtf(kernel, ['tag'], tagTypes()),
  },
  'btf type tags': {
    since: '5.17',
    title: 'type tags in BTF',
    ask: ({ kernel }) =>
      takesBtf(
        kernel,
        ['tag'],
        [intType(), typeOf(1, BTF_KIND.TYPE_TAG, 0, 1), typeOf(0, BTF_KIND.PTR, 0, 2)],
      ),
  },
  'batches of maps': {
    since: '5.19',
    title: 'many entries of a map of maps in one call',
    ask: ({ kernel }) => readsBatches(kernel, BPF_MAP_TYPE.ARRAY_OF_MAPS),
  },
  'btf enum64': {
    since: '6.0',
    title: '64-bit enums in BTF',
    ask: ({ kernel }) => takesBtf(kernel, ['e'], [typeOf(1, BTF_KIND.ENUM64, 0, 8)]),
  },
  'uprobe multi links': {
    since: '6.6',
    title: 'many uprobes in one link',
    ask: askUprobeMulti,
  },
  'argument tags': {
    since: '6.8',
    title: '__arg_ctx of global functions',
    ask: askArgumentTags,
  },
  'btf section names with ?': {
    since: '6.9',
    title: 'data sections whose names start with a question mark',
    ask: ({ kernel }) => takesBtf(kernel, ['x', '?.data'], sectionTypes()),
  },
  'large value offsets': {
    since: '7.0',
    title: 'addresses beyond 512 MiB in the value of a map (large arenas)',
    ask: askLargeOffsets,
  },
} as const satisfies Readonly<Record<string, Probe>>;

/** The name of a feature. */
export type FeatureName = keyof typeof LOADER_FEATURES;

/** Whether a kernel has a feature. */
export function probeFeature(
  kernel: Kernel,
  types: () => Btf | undefined,
  name: FeatureName,
): Answer {
  return LOADER_FEATURES[name].ask({ kernel, types });
}

function loads(...attempt: Parameters<typeof tryProgram>): Answer {
  const { refusal } = tryProgram(...attempt);
  return refusal === null ? YES : answerOf(refusal);
}

function takesBtf(kernel: Kernel, names: readonly string[], types: readonly SmallType[]): Answer {
  return ask(() => {
    kernel.close(kernel.loadBtf(smallBtf(names, types, kernel.littleEndian)));
    return null;
  });
}

/** `void x(int a)`; the strings are `int`, `x`, `a`. */
function functionTypes(linkage: number): SmallType[] {
  return [
    intType(1),
    typeOf(0, BTF_KIND.FUNC_PROTO, 1, 0, 7, 1),
    typeOf(5, BTF_KIND.FUNC, linkage, 2),
  ];
}

/** A section of 4 bytes with the variable `x`; the strings are `x` and the name of the section. */
function sectionTypes(): SmallType[] {
  return [
    intType(),
    typeOf(1, BTF_KIND.VAR, 0, 1, STATIC),
    typeOf(3, BTF_KIND.DATASEC, 1, 4, 2, 0, 4),
  ];
}

/** A variable `tag` with a tag of that name, which is of the variable and of no part of it (-1). */
function tagTypes(): SmallType[] {
  return [intType(), typeOf(1, BTF_KIND.VAR, 0, 1, STATIC), typeOf(1, BTF_KIND.DECL_TAG, 0, 2, -1)];
}

/** Writes into the middle of an array's value. */
function askGlobalData({ kernel }: Asked): Answer {
  const store: Instruction = {
    opcode: BPF_CLASS.ST | BPF_MODE.MEM | BPF_SIZE.DW,
    dst: 1,
    src: 0,
    offset: 0,
    imm: 42,
  };
  return ask(() =>
    withMap(kernel, { valueSize: 32 }, (fd) =>
      loads(kernel, SOCKET_FILTER, [addressOfValue(fd, 16), store, ...RETURN_ZERO]),
    ),
  );
}

/** Reads 8 bytes at address 0 onto the stack. */
function askProbeRead({ kernel }: Asked): Answer {
  const move = BPF_CLASS.ALU64 | BPF_ALU_OP.MOV | BPF_SRC.X;
  const add = BPF_CLASS.ALU64 | BPF_ALU_OP.ADD;
  return loads(kernel, TRACEPOINT, [
    { opcode: move, dst: 1, src: 10, offset: 0, imm: 0 },
    { opcode: add, dst: 1, src: 0, offset: 0, imm: -8 },
    setRegister(2, 8),
    setRegister(3, 0),
    callHelper(BPF_FUNC.probe_read_kernel),
    EXIT,
  ]);
}

function readsBatches(kernel: Kernel, type: number): Answer {
  const read = (fd: number) => {
    const cursor = { position: new Uint8Array(4), started: false, done: false };
    // A bucket of a hash may have more than one entry, but none of an empty one does.
    const count = kernel.lookupBatch(fd, cursor, new Uint8Array(4), new Uint8Array(4), 1);
    return count === null ? no('it reads one entry at a time') : YES;
  };
  return ask(() =>
    type === BPF_MAP_TYPE.ARRAY_OF_MAPS
      ? withMap(kernel, {}, (innerMapFd) => withMap(kernel, { type, innerMapFd }, read))
      : withMap(kernel, { type }, read),
  );
}

/** The command is a value of an enum of the kernel; without types, a helper of the same release. */
function askBindMap({ kernel, types }: Asked): Answer {
  const known = enumHas(types(), 'bpf_cmd', BPF_CMD.PROG_BIND_MAP);
  if (known !== undefined) {
    return known ? YES : no('the kernel has no BPF_PROG_BIND_MAP');
  }
  const redirect = [setRegister(1, 0), setRegister(2, 0), callHelper(BPF_FUNC.redirect_peer), EXIT];
  return loads(kernel, SCHED_CLS, redirect);
}

function askCookie({ kernel }: Asked): Answer {
  return loads(kernel, TRACEPOINT, [callHelper(BPF_FUNC.get_attach_cookie), EXIT]);
}

/** Modules have types of their own where BTF objects have a name and say whose they are. */
function askModuleBtf({ types }: Asked): Answer {
  const own = types();
  if (own === undefined) {
    return no('the kernel has no BTF of its own (CONFIG_DEBUG_INFO_BTF)');
  }
  const id = own.find('bpf_btf_info', 'struct');
  const type = id === 0 ? undefined : own.type(id);
  const has = type?.kind === 'struct' && type.members.some(({ name }) => name === 'kernel_btf');
  return has ? YES : no('the kernel does not name BTF objects');
}

function askUprobeMulti({ types }: Asked): Answer {
  const own = types();
  if (own === undefined) {
    return unknown('the kernel has no BTF that would tell');
  }
  // It is compiled in with CONFIG_UPROBES only.
  return own.find('bpf_uprobe_multi_link', 'struct') === 0
    ? no('the kernel has no struct bpf_uprobe_multi_link')
    : YES;
}

function askSyscallWrapper({ kernel }: Asked): Answer {
  return ask(() =>
    kernel.symbolAddresses(WRAPPED).size > 0
      ? YES
      : no('no symbol is called as wrappers are (__x64_sys_bpf, __arm64_sys_bpf, ...)'),
  );
}

/** A global function that needs its argument to be the context, which only its tag says. */
function askArgumentTags({ kernel }: Asked): Answer {
  const prototype = (name: number) => typeOf(0, BTF_KIND.FUNC_PROTO, 1, 1, name, 2);
  const types = [
    intType(1),
    typeOf(0, BTF_KIND.PTR, 0, 0),
    prototype(1),
    typeOf(1, BTF_KIND.FUNC, GLOBAL, 3),
    prototype(3),
    typeOf(3, BTF_KIND.FUNC, GLOBAL, 5),
    typeOf(5, BTF_KIND.DECL_TAG, 0, 6, 0),
  ];
  const call: Instruction = { ...callHelper(1), src: BPF_PSEUDO_CALLS.CALL };
  const instructions = [call, EXIT, callHelper(BPF_FUNC.get_func_ip), EXIT];
  // Each function: its first instruction, and its type.
  const functions = new Uint8Array(Uint32Array.of(0, 4, 2, 6).buffer);
  return ask(() => {
    const fd = kernel.loadBtf(smallBtf(['a', 'b', 'arg:ctx'], types, kernel.littleEndian));
    try {
      return loads(kernel, KPROBE, instructions, {
        kernelVersion: kernel.version(),
        btf: { fd, functionInfo: { bytes: functions, recordBytes: 8 }, lineInfo: null },
      });
    } finally {
      kernel.close(fd);
    }
  });
}

/** An offset that is too large for the map at hand: what the kernel dislikes about it tells. */
function askLargeOffsets({ kernel }: Asked): Answer {
  return ask(() =>
    withMap(kernel, { valueSize: 1 }, (fd) => {
      const instructions = [addressOfValue(fd, 1 << 30), EXIT];
      const { refusal, log } = tryProgram(kernel, SOCKET_FILTER, instructions, {}, true);
      if (log.includes('direct value offset of')) {
        return no('the kernel has a limit of 512 MiB');
      }
      if (log.includes('invalid access to map value pointer')) {
        return YES;
      }
      return refusal === null ? unknown('it takes any offset') : answerOf(refusal);
    }),
  );
}
