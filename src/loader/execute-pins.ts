/**
 * Pins of a load: made where others make and remove pins and directories at the same time, and taken
 * back when the load fails.
 *
 * What libbpf does: `bpf_object__create_maps` tries a pin that is taken once more, and a program's not
 * (`bpf_program__pin`); when a load fails, it removes what is at the paths of its pins, whatever it is.
 */

import { SkepError, SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { ERRNO } from '../uapi/errno.ts';

/** How often a pin that others make and remove at the same time is tried. */
export const PIN_ATTEMPTS = 16;

/** What has a pin. */
export type Pinned = 'map' | 'program';

/**
 * Makes the directories of a pin and the pin, until it is there or somebody else's is used instead.
 *
 * @param what whose pin it is: `map "flows"`
 * @param useTaken called when something is pinned there; whether it is used. If not, it is tried again
 * @returns whether ours was pinned
 * @throws SkepError `ERR_SKEP_LOAD` if others make and remove a pin there all the time
 */
export function pinAmongOthers(
  kernel: Kernel,
  { fd, path, what }: { readonly fd: number; readonly path: string; readonly what: string },
  makeDirectories: () => void,
  useTaken: (taken: SyscallError) => boolean,
): boolean {
  let last: unknown;
  for (let attempt = 0; attempt < PIN_ATTEMPTS; attempt += 1) {
    try {
      makeDirectories();
      kernel.pin(fd, path);
      return true;
    } catch (error) {
      // ENOENT: somebody has just removed a directory, as a load does that has made it and failed.
      if (!isErrno(error, ERRNO.ENOENT) && !isErrno(error, ERRNO.EEXIST)) {
        throw error;
      }
      last = error;
    }
    if (isErrno(last, ERRNO.EEXIST) && useTaken(last)) {
      return false;
    }
  }
  throw new SkepError(
    'ERR_SKEP_LOAD',
    `${what} could not be pinned at ${path}: others made and removed a pin there ${PIN_ATTEMPTS} times meanwhile, or a symbolic link is there that leads nowhere`,
    { cause: last },
  );
}

/**
 * Removes a pin, unless it is another object's by now: somebody may have removed ours and made a new one.
 *
 * @param fd a descriptor of what was pinned
 */
export function unpinOwn(kernel: Kernel, kind: Pinned, fd: number, path: string): void {
  if (!isTakenOver(kernel, kind, fd, path)) {
    kernel.unpin(path);
  }
}

function isTakenOver(kernel: Kernel, kind: Pinned, fd: number, path: string): boolean {
  let found: number;
  try {
    found =
      kind === 'map' ? kernel.openPinnedMap(path, 'read-write') : kernel.openPinnedProgram(path);
  } catch (error) {
    // Another kind of object is not ours. Whatever else prevents a look, the pin was ours when it was made.
    return isErrno(error, ERRNO.EINVAL);
  }
  try {
    return idOf(kernel, kind, found) !== idOf(kernel, kind, fd);
  } catch {
    return false;
  } finally {
    kernel.close(found);
  }
}

function idOf(kernel: Kernel, kind: Pinned, fd: number): number {
  return (kind === 'map' ? kernel.mapInfo(fd) : kernel.programInfo(fd)).id;
}

/** Whether a kernel has refused something with this errno. */
export function isErrno(error: unknown, errno: number): error is SyscallError {
  return error instanceof SyscallError && error.errno === errno;
}
