/** What comes of asking a kernel whether it can do something. */

import { SyscallError } from '../errors.ts';
import { ERRNO } from '../uapi/errno.ts';

/**
 * An answer. `not permitted`: this process may not (privileges, lockdown), which says nothing of what the
 * kernel can do. `unknown`: it cannot be found out, or not now.
 */
export interface Answer {
  readonly answer: 'yes' | 'no' | 'not permitted' | 'unknown';
  /** Why it is not `yes`; null if it is. */
  readonly reason: string | null;
}

/** It can. */
export const YES: Answer = Object.freeze({ answer: 'yes', reason: null });

/** It cannot. */
export function no(reason: string): Answer {
  return { answer: 'no', reason };
}

/** Nobody can tell. */
export function unknown(reason: string): Answer {
  return { answer: 'unknown', reason };
}

/** What a kernel answers to what it does not know; anything else is no answer to the question. */
const NO: ReadonlySet<number> = new Set([
  ERRNO.EINVAL,
  ERRNO.E2BIG,
  ERRNO.EACCES,
  ERRNO.ENOENT,
  ERRNO.ENOSYS,
  ERRNO.EBADF,
  ERRNO.EOPNOTSUPP,
  ERRNO.ENOTSUPP,
]);

/** What a refusal says about what was asked for. */
export function answerOf(refusal: SyscallError): Answer {
  const { command, errno, errnoName, hint } = refusal;
  const reason = `${command} gives ${errnoName}`;
  if (errno === ERRNO.EPERM) {
    return {
      answer: 'not permitted',
      reason: hint === undefined ? reason : `${reason}: ${hint}`,
    };
  }
  return NO.has(errno) ? no(reason) : unknown(reason);
}

/** An answer with more words: if it is `no`, what that means comes before what the kernel said. */
export function explained(answer: Answer, meaning: string): Answer {
  return answer.answer === 'no' ? no(`${meaning} (${answer.reason})`) : answer;
}

/** The answer of a call: its own, or, if that is null, that it succeeds where the kernel can. */
export function ask(call: () => Answer | null): Answer {
  try {
    return call() ?? YES;
  } catch (error) {
    if (error instanceof SyscallError) {
      return answerOf(error);
    }
    throw error;
  }
}
