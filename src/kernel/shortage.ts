/** Refusals that say nothing of what was asked for, only that there is too little of something now. */

import { SyscallError } from '../errors.ts';
import { ERRNO } from '../uapi/errno.ts';

const SHORTAGES: readonly number[] = [
  ERRNO.ENOMEM,
  ERRNO.EMFILE,
  ERRNO.ENFILE,
  ERRNO.EAGAIN,
  ERRNO.EINTR,
];

/** Whether an errno, positive, is about memory, descriptors or time: the same call may work later. */
export function isShortageErrno(errno: number): boolean {
  return SHORTAGES.includes(errno);
}

/**
 * Whether a refusal is about memory, descriptors or time. Who takes one for an answer (an older kernel,
 * a map without types) makes something lasting of what passes.
 */
export function isShortage(error: unknown): boolean {
  return error instanceof SyscallError && isShortageErrno(error.errno);
}
