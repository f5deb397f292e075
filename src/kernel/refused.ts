/** The error for what a kernel refuses. */

import { SyscallError } from '../errors.ts';
import { errnoName } from '../uapi/errno.ts';
import { explain } from './hints.ts';

/**
 * Makes the error.
 *
 * @param command `BPF_...`, or the name of the system call
 * @param errno positive
 * @param what what the call was about: `map "flows"`, a path
 * @param hint instead of what is usually the reason
 */
export function refused(
  command: string,
  errno: number,
  what: string,
  hint?: string,
  cause?: unknown,
): SyscallError {
  const name = errnoName(errno);
  return new SyscallError(what, {
    command,
    errno,
    errnoName: name,
    hint: hint ?? explain(command, errno, name, what),
    cause,
  });
}
