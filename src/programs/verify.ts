/**
 * Giving a program to the kernel and getting the reason if it is refused: first without a log, which is
 * fastest; after a refusal once more with one, which grows until all of it fits, and has more than
 * statistics; and with less, where the kernel is too old for something that the program can do without.
 *
 * Rules: libbpf's `bpf_object_load_prog`; what a log takes: `bpf_verifier_log_attr_valid` in
 * kernel/bpf/log.c.
 */

import { decodeText } from '../bytes/text.ts';
import { SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { ProgramAttributes } from '../kernel/program-calls.ts';

/** Room for a log at first. */
const FIRST_LOG_BYTES = 1 << 16;
/** The most that kernels before 5.2 take. */
const MOST_LOG_BYTES = 0xff_ffff;
/** `BPF_LOG_LEVEL1`: the log says which instruction, and of which line. */
const PLACES = 1;
/** `BPF_LOG_LEVEL` of include/linux/bpf_verifier.h: levels that say so. */
const ANY_PLACES = 3;

/** What came of giving a program to the kernel. */
export interface Verified {
  /** The program's descriptor. */
  readonly fd: number;
  /** The log; '' if none was asked for. */
  readonly log: string;
  /** Whether there was no room for all of it. */
  readonly truncated: boolean;
  /** What the program was loaded without, and the refusal of the whole; undefined if it is whole. */
  readonly leftOut: { readonly what: string; readonly refusal: SyscallError } | undefined;
}

/** The kernel did not take a program. */
export class Refusal {
  readonly error: SyscallError;
  /** What the verifier wrote; '' if it did not come to that. */
  readonly log: string;
  readonly truncated: boolean;

  constructor(error: SyscallError, log: string, truncated: boolean) {
    this.error = error;
    this.log = log;
    this.truncated = truncated;
  }
}

/** How a program is given to the kernel. */
export interface VerifyOptions {
  /** The log's level if the program is right; 0 for no log. */
  readonly level: number;
  /** Whether the expected attach type may be left out (before 4.17). */
  readonly attachTypeOptional: boolean;
}

/**
 * Loads a program.
 *
 * @returns its descriptor, or the refusal
 * @throws what is no refusal by the kernel
 */
export function verify(
  kernel: Kernel,
  attributes: ProgramAttributes,
  { level, attachTypeOptional }: VerifyOptions,
): Verified | Refusal {
  const first = attempt(kernel, attributes, level);
  // The verifier says why it refuses; without a word, the kernel did not understand the call.
  if (!(first instanceof Refusal) || first.log !== '' || !mayBeAge(first.error)) {
    return first;
  }
  for (const { less, what } of lesser(attributes, attachTypeOptional)) {
    const next = attempt(kernel, less, level);
    if (!(next instanceof Refusal)) {
      return { ...next, leftOut: { what, refusal: first.error } };
    }
    if (next.log !== '') {
      // Understood now: the first refusal was for what was left out, this one is about the program.
      return next;
    }
  }
  return first;
}

function attempt(kernel: Kernel, attributes: ProgramAttributes, level: number): Verified | Refusal {
  if (level !== 0) {
    const outcome = withLog(kernel, attributes, level, undefined);
    // Statistics alone come with the reason of a refusal, but not with its place.
    return outcome instanceof Refusal && outcome.log !== '' && (level & ANY_PLACES) === 0
      ? withLog(kernel, attributes, level | PLACES, outcome.error)
      : outcome;
  }
  try {
    const fd = kernel.loadProgram(attributes, null);
    return { fd, log: '', truncated: false, leftOut: undefined };
  } catch (error) {
    return withLog(kernel, attributes, PLACES, asRefusal(error));
  }
}

/** @param refusal what the kernel said without a log; undefined if it was not asked */
function withLog(
  kernel: Kernel,
  attributes: ProgramAttributes,
  level: number,
  refusal: SyscallError | undefined,
): Verified | Refusal {
  for (let size = FIRST_LOG_BYTES; ; ) {
    const request = { level, buffer: new Uint8Array(size), wholeBytes: 0 };
    let error: SyscallError;
    try {
      const fd = kernel.loadProgram(attributes, request);
      return { fd, log: textOf(request.buffer), truncated: false, leftOut: undefined };
    } catch (thrown) {
      error = asRefusal(thrown);
    }
    if (error.errnoName !== 'ENOSPC') {
      return new Refusal(error, textOf(request.buffer), false);
    }
    if (size === MOST_LOG_BYTES) {
      return withoutRoom(kernel, attributes, textOf(request.buffer), refusal);
    }
    size = Math.min(MOST_LOG_BYTES, request.wholeBytes > size ? request.wholeBytes : size * 4);
  }
}

/** The log is longer than any room for it: whether the program is right, it is asked without. */
function withoutRoom(
  kernel: Kernel,
  attributes: ProgramAttributes,
  log: string,
  refusal: SyscallError | undefined,
): Verified | Refusal {
  if (refusal !== undefined) {
    return new Refusal(refusal, log, true);
  }
  try {
    return { fd: kernel.loadProgram(attributes, null), log, truncated: true, leftOut: undefined };
  } catch (error) {
    return new Refusal(asRefusal(error), log, true);
  }
}

function textOf(buffer: Uint8Array): string {
  const end = buffer.indexOf(0);
  return decodeText(buffer, 0, end === -1 ? buffer.length : end);
}

function asRefusal(error: unknown): SyscallError {
  if (error instanceof SyscallError) {
    return error;
  }
  throw error;
}

/** Whether a refusal can mean that the kernel does not know a field. */
function mayBeAge({ errnoName }: SyscallError): boolean {
  return errnoName === 'EINVAL' || errnoName === 'E2BIG';
}

/** The same with less and less of what older kernels do not know. */
function* lesser(
  attributes: ProgramAttributes,
  attachTypeOptional: boolean,
): Generator<{ readonly less: ProgramAttributes; readonly what: string }> {
  let less = attributes;
  if (attachTypeOptional && less.expectedAttachType !== 0) {
    less = { ...less, expectedAttachType: 0 };
    yield { less, what: 'expected attach type' };
  }
  if (less.btf !== null) {
    less = { ...less, btf: null };
    yield { less, what: 'types' };
  }
  if (less.name !== '') {
    less = { ...less, name: '' };
    yield { less, what: 'name' };
  }
}
