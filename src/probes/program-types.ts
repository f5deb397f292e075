/**
 * Which types of program a kernel has, and which helpers they may call: a program of two instructions
 * is loaded, and closed.
 *
 * What each type wants, and what a refusal means: libbpf's `probe_prog_load` and
 * `libbpf_probe_bpf_helper`.
 */

import type { Kernel } from '../kernel/kernel.ts';
import type { AttachTarget, ProgramAttributes } from '../kernel/program-calls.ts';
import type { Btf } from '../obj/btf/btf.ts';
import type { Instruction } from '../obj/instructions/instructions.ts';
import { BPF_ATTACH_TYPE } from '../uapi/attach-types.ts';
import { ERRNO } from '../uapi/errno.ts';
import { helperName } from '../uapi/helpers.ts';
import { BPF_PROG_TYPE, programTypeName } from '../uapi/program-types.ts';
import { type Answer, answerOf, explained, no, unknown, YES } from './answer.ts';
import { type Attempt, callHelper, EXIT, RETURN_ZERO, tryProgram } from './small-program.ts';

/** `BPF_F_SLEEPABLE`. */
const SLEEPABLE = 1 << 4;
/** Type 1 of a kernel's BTF is no function, which a kernel that looks there says. */
const NO_FUNCTION = { typeId: 1, fd: null };

const EXPECTED: Readonly<Record<number, number>> = {
  [BPF_PROG_TYPE.CGROUP_SOCK_ADDR]: BPF_ATTACH_TYPE.CGROUP_INET4_CONNECT,
  [BPF_PROG_TYPE.CGROUP_SOCKOPT]: BPF_ATTACH_TYPE.CGROUP_GETSOCKOPT,
  [BPF_PROG_TYPE.SK_LOOKUP]: BPF_ATTACH_TYPE.SK_LOOKUP,
  [BPF_PROG_TYPE.LIRC_MODE2]: BPF_ATTACH_TYPE.LIRC_MODE2,
  [BPF_PROG_TYPE.NETFILTER]: BPF_ATTACH_TYPE.NETFILTER,
  [BPF_PROG_TYPE.TRACING]: BPF_ATTACH_TYPE.TRACE_FENTRY,
  // What is allowed at all is looked at first: an attach type that is wrong does for this question.
  [BPF_PROG_TYPE.LSM]: BPF_ATTACH_TYPE.MODIFY_RETURN,
};

/** Types that are refused for a known reason by kernels that have them. */
const REFUSED: Readonly<Record<number, (attempt: Attempt) => boolean>> = {
  [BPF_PROG_TYPE.TRACING]: saysInvalid('attach_btf_id 1 is not a function'),
  [BPF_PROG_TYPE.LSM]: saysInvalid('attach_btf_id 1 is not a function'),
  [BPF_PROG_TYPE.EXT]: saysInvalid('Cannot replace kernel functions'),
  [BPF_PROG_TYPE.STRUCT_OPS]: ({ refusal }) => refusal?.errno === ERRNO.ENOTSUPP,
};

/** What the verifier says of a helper that it does not know, or not for this type of program. */
const NO_HELPER: readonly string[] = [
  'invalid func ',
  'unknown func ',
  'program of this type cannot use helper ',
];

function saysInvalid(words: string): (attempt: Attempt) => boolean {
  return ({ refusal, log }) => refusal?.errno === ERRNO.EINVAL && log.includes(words);
}

/** What a certain program is loaded as. */
export interface ProgramKind {
  /** `BPF_PROG_TYPE_*`. */
  readonly type: number;
  readonly expectedAttachType: number;
  /** `BPF_F_*`. */
  readonly flags: number;
  readonly target: AttachTarget | null;
}

/** Whether a kernel takes programs of a kind, with the place that they are for. */
export function probeProgramKind(kernel: Kernel, kind: ProgramKind): Answer {
  const { refusal, log } = tryKind(kernel, kind, RETURN_ZERO);
  // Some may not return 0, which is said at their end.
  if (refusal === null || log.includes('At program exit')) {
    return YES;
  }
  // The kernel's own words are better than the name of a number.
  const words = log.split('\n').find((line) => line !== '' && !line.startsWith('processed '));
  const answer = answerOf(refusal);
  return words === undefined || answer.answer !== 'no'
    ? explained(answer, 'the kernel has no such programs')
    : no(words);
}

/** Whether programs of a kind may call a helper. The kind itself is known to be taken. */
export function probeHelperOf(kernel: Kernel, kind: ProgramKind, helper: number): Answer {
  return helperAnswer(tryKind(kernel, kind, [callHelper(helper), EXIT]), kind.type, helper);
}

function tryKind(kernel: Kernel, kind: ProgramKind, instructions: readonly Instruction[]): Attempt {
  const { type, ...more } = kind;
  const kernelVersion = type === BPF_PROG_TYPE.KPROBE ? kernel.version() : 0;
  return tryProgram(kernel, type, instructions, { ...more, kernelVersion }, true);
}

/** Whether a kernel has programs of a type. */
export function probeProgramType(kernel: Kernel, type: number): Answer {
  if (type <= BPF_PROG_TYPE.UNSPEC || type > BPF_PROG_TYPE.NETFILTER) {
    return unknown(`nothing is known of a program type ${programTypeName(type)}`);
  }
  const expected = REFUSED[type];
  const attempt = tryType(kernel, type, RETURN_ZERO, expected !== undefined);
  if (expected?.(attempt) === true || (expected === undefined && attempt.refusal === null)) {
    return YES;
  }
  return attempt.refusal === null
    ? no('it takes a program that has nothing to be attached to')
    : explained(answerOf(attempt.refusal), 'the kernel has no such programs');
}

/**
 * Whether programs of a type may call a helper.
 *
 * Types that cannot be loaded without a place to attach to are not asked, as which helpers there are
 * depends on the place; if the kernel has no such helper at all, that is known.
 *
 * @param types the kernel's own; undefined if it has none
 */
export function probeHelper(
  kernel: Kernel,
  types: () => Btf | undefined,
  programType: number,
  helper: number,
): Answer {
  if (REFUSED[programType] !== undefined) {
    return enumHas(types(), 'bpf_func_id', helper) === false
      ? no(`the kernel has no ${nameOf(helper)}`)
      : unknown(
          `which helpers a ${programTypeName(programType)} program has depends on its target`,
        );
  }
  return helperAnswer(
    tryType(kernel, programType, [callHelper(helper), EXIT], true),
    programType,
    helper,
  );
}

function nameOf(helper: number): string {
  return helperName(helper) ?? `helper ${helper}`;
}

/** What came of a program that calls a helper and ends. */
function helperAnswer({ refusal, log }: Attempt, programType: number, helper: number): Answer {
  if (refusal === null) {
    return YES;
  }
  if (NO_HELPER.some((words) => log.includes(words))) {
    return no(`a ${programTypeName(programType)} program cannot call ${nameOf(helper)} here`);
  }
  // The verifier got as far as to dislike the arguments, so it knows the helper.
  return log === '' ? answerOf(refusal) : YES;
}

/**
 * Whether an enum of the kernel has a value; undefined if there is no such enum, as in kernels without
 * BTF.
 */
export function enumHas(types: Btf | undefined, name: string, wanted: number): boolean | undefined {
  const id = types?.find(name, 'enum') ?? 0;
  const type = id === 0 ? undefined : types?.type(id);
  return type?.kind === 'enum'
    ? type.values.some(({ value }) => Number(value) === wanted)
    : undefined;
}

function tryType(
  kernel: Kernel,
  type: number,
  instructions: readonly Instruction[],
  withLog: boolean,
): Attempt {
  const hasTarget =
    type === BPF_PROG_TYPE.TRACING || type === BPF_PROG_TYPE.LSM || type === BPF_PROG_TYPE.EXT;
  const more: Partial<ProgramAttributes> = {
    expectedAttachType: EXPECTED[type] ?? 0,
    flags: type === BPF_PROG_TYPE.SYSCALL ? SLEEPABLE : 0,
    // Kernels before 5.0 compare it.
    kernelVersion: type === BPF_PROG_TYPE.KPROBE ? kernel.version() : 0,
    target: hasTarget ? NO_FUNCTION : null,
  };
  return tryProgram(kernel, type, instructions, more, withLog);
}
