/**
 * What a kernel answers instead of an error: errnos that a caller has to expect are values in the calls of
 * `Kernel`. The running kernel's front makes them such in `linux-elements.ts`, `linux-objects.ts` and
 * `linux.ts`; a test that lets a call fail gets the same from here.
 */

import { ERRNO } from '../uapi/errno.ts';
import type { BatchCursor } from './kernel.ts';
import { isShortageErrno } from './shortage.ts';

/** What a call gives for an errno. */
interface Answer {
  readonly value: false | null | 0 | 'missing';
}

/** Answers that need nothing but the errno, by method. */
const ANSWERS: Readonly<Record<string, ReadonlyMap<number, Answer['value']>>> = {
  lookup: new Map([[ERRNO.ENOENT, false]]),
  lookupAndDelete: new Map([[ERRNO.ENOENT, false]]),
  delete: new Map([[ERRNO.ENOENT, false]]),
  nextKey: new Map([[ERRNO.ENOENT, false]]),
  // Kernels that do not know a command say EINVAL, types of map that have no batches ENOTSUPP.
  lookupBatch: new Map([
    [ERRNO.EINVAL, null],
    [ERRNO.ENOTSUPP, null],
  ]),
  lookupAndDeleteBatch: new Map([
    [ERRNO.EINVAL, null],
    [ERRNO.ENOTSUPP, null],
  ]),
  updateBatch: new Map([
    [ERRNO.EINVAL, false],
    [ERRNO.ENOTSUPP, false],
  ]),
  nextMapId: new Map([[ERRNO.ENOENT, null]]),
  nextProgramId: new Map([[ERRNO.ENOENT, null]]),
  nextBtfId: new Map([[ERRNO.ENOENT, null]]),
  unpin: new Map([[ERRNO.ENOENT, false]]),
  makeDirectory: new Map([[ERRNO.EEXIST, false]]),
  removeDirectory: new Map([
    [ERRNO.ENOENT, false],
    [ERRNO.ENOTEMPTY, false],
  ]),
  kernelBtf: new Map([[ERRNO.ENOENT, null]]),
  fileSystem: new Map([
    [ERRNO.ENOENT, 'missing'],
    [ERRNO.ENOTDIR, 'missing'],
    [ERRNO.EPERM, 'missing'],
  ]),
};

/**
 * What a call gives that fails with this errno; undefined where it throws.
 *
 * @param method of `Kernel`
 * @param errno positive
 * @param args what it was called with: the cursor of a batch is moved
 */
export function answerOf(
  method: string,
  errno: number,
  args: readonly unknown[],
): Answer | undefined {
  if (method === 'configuration') {
    // Whatever the reason is, the kernel does not tell; but it may tell later if that is a shortage.
    return isShortageErrno(errno) ? undefined : { value: null };
  }
  const isWalk = method === 'lookupBatch' || method === 'lookupAndDeleteBatch';
  if (isWalk && errno === ERRNO.ENOENT) {
    // There is no more, and nothing was read.
    const cursor = args[1] as BatchCursor;
    cursor.started = true;
    cursor.done = true;
    return { value: 0 };
  }
  const value = ANSWERS[method]?.get(errno);
  return value === undefined ? undefined : { value };
}
