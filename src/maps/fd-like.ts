/** What stands for an open file: a descriptor, something that has one, or a path to open. */

import { closeSync, constants, openSync } from 'node:fs';
import { describeValue } from '../codec/codec.ts';
import { refused } from '../kernel/refused.ts';

/**
 * A file descriptor, or an object that has one as its `fd`: a handle, a `FileHandle` of
 * `node:fs/promises`. It stays its owner's, who closes it.
 */
export type FdLike = number | { readonly fd: number };

/** An open file as {@link FdLike}, or the path of one that is opened for the length of the call. */
export type PathOrFd = string | FdLike;

const LARGEST = 0x7fff_ffff;

/** What of a file a map needs: a directory, or anything at all, without the right to read it. */
const OPEN_FLAGS = {
  directory: constants.O_RDONLY | constants.O_DIRECTORY,
  // O_PATH, which node:fs does not name; the same number on every architecture with a shim.
  any: 0x20_0000,
} as const;

/**
 * The descriptor that is meant.
 *
 * @param what what it is to be, for messages: `a program`
 * @throws TypeError for anything that is none
 */
export function fdOf(thing: FdLike, what: string): number {
  const fd: unknown = typeof thing === 'object' && thing !== null ? thing.fd : thing;
  if (typeof fd !== 'number' || !Number.isInteger(fd) || fd < 0 || fd > LARGEST) {
    const got = fd === thing || fd === undefined ? describeValue(thing) : `fd ${describeValue(fd)}`;
    throw new TypeError(
      `expected the file descriptor of ${what}, or an object with one as its fd; got ${got}`,
    );
  }
  return fd;
}

/**
 * Calls `use` with a descriptor. A path is opened before and closed after.
 *
 * @param what see {@link fdOf}
 * @throws SyscallError `ENOENT` and the like for a path that cannot be opened
 */
export function withFd<T>(
  thing: PathOrFd,
  kind: keyof typeof OPEN_FLAGS,
  what: string,
  use: (fd: number) => T,
): T {
  if (typeof thing !== 'string') {
    return use(fdOf(thing, what));
  }
  const fd = openPath(thing, OPEN_FLAGS[kind]);
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function openPath(path: string, flags: number): number {
  try {
    return openSync(path, flags);
  } catch (cause) {
    if (cause instanceof Error && 'errno' in cause && typeof cause.errno === 'number') {
      throw refused('open', -cause.errno, path, undefined, cause);
    }
    throw cause;
  }
}
