/** Errors of steps: the kernel's front names descriptors and paths, a load knows whose they are. */

import { SyscallError } from '../errors.ts';
import type { Step } from './steps.ts';

/**
 * The error with the map or program in front that the step is about, unless it names it already.
 *
 * @returns what is no refusal by the kernel as it is
 */
export function stepError(step: Step, cause: unknown): unknown {
  const subject = subjectOf(step);
  if (!(cause instanceof SyscallError) || subject === null || namesIt(step, cause)) {
    return cause;
  }
  const { command, errno, errnoName, hint, message } = cause;
  const end = message.lastIndexOf(`: ${command} failed with ${errnoName}`);
  const what = end === -1 ? '' : `, ${message.slice(0, end)}`;
  return new SyscallError(`${subject}${what}`, { command, errno, errnoName, hint, cause });
}

function subjectOf(step: Step): string | null {
  if ('program' in step) {
    return `program "${step.program}"`;
  }
  return 'map' in step ? `map "${step.map}"` : null;
}

function namesIt(step: Step, { message }: SyscallError): boolean {
  const name = 'program' in step ? step.program : 'map' in step ? step.map : '';
  return message.includes(`"${name}"`);
}
