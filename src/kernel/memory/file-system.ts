/**
 * The BPF file system of the in-process kernel: directories and pins below one mount point
 * (`kernel/bpf/inode.c`). Every answer is 0 or a negative errno, as the kernel gives it.
 */

import { encodeText } from '../../bytes/text.ts';
import { ERRNO } from '../../uapi/errno.ts';
import type { FileSystemKind } from '../kernel.ts';
import { refused } from '../refused.ts';
import type { KernelObject } from './objects.ts';

/** `NAME_MAX`, in bytes. */
const LONGEST_NAME = 255;
/** `PATH_MAX`, without the NUL. */
const LONGEST_PATH = 4095;

/** Where a path leads: everything before its last part is a directory that is there. */
interface Place {
  /** Absolute, without `.`, `..` and needless slashes. */
  readonly path: string;
  /** Whether it lies on this file system. */
  readonly isInside: boolean;
  /** What its last part is: a name, `.`, `..`, or nothing (the root of everything). */
  readonly last: 'name' | 'dot' | 'parent' | 'root';
  /** Whether a slash follows, which only directories take. */
  readonly isDirectory: boolean;
}

export class BpfFileSystem {
  /** Where it is mounted: an absolute path. */
  readonly root: string;
  /** What is at each path: null for a directory. */
  readonly #nodes = new Map<string, KernelObject | null>();

  constructor(root: string) {
    this.root = root;
    this.#nodes.set(root, null);
  }

  /** Paths of pins and directories, sorted. */
  paths(): string[] {
    return [...this.#nodes.keys()].filter((path) => path !== this.root).sort();
  }

  /** What a path lies on, or a negative errno for one that is too long. */
  kind(path: string): FileSystemKind | number {
    const place = this.#walk(path);
    if (typeof place === 'number') {
      return place === -ERRNO.ENAMETOOLONG ? place : 'missing';
    }
    if (!place.isInside) {
      return 'other';
    }
    const node = this.#nodes.get(place.path);
    const isThere = node !== undefined && (node === null || !place.isDirectory);
    return isThere ? 'bpf' : 'missing';
  }

  pin(path: string, object: KernelObject): number {
    const place = this.#placeToMake(path);
    if (typeof place === 'number') {
      return place;
    }
    if (place.isDirectory) {
      return -ERRNO.ENOENT;
    }
    this.#nodes.set(place.path, object);
    object.hold(true);
    return 0;
  }

  /** The object pinned at a path, or a negative errno. */
  get(path: string): KernelObject | number {
    const place = this.#walk(path);
    if (typeof place === 'number') {
      return place;
    }
    const node = this.#nodes.get(place.path);
    if (node === undefined) {
      return place.isInside ? -ERRNO.ENOENT : -ERRNO.EACCES;
    }
    return node === null ? -ERRNO.EACCES : place.isDirectory ? -ERRNO.ENOTDIR : node;
  }

  /** `do_unlinkat`. */
  unpin(path: string): number {
    const place = this.#walk(path);
    if (typeof place === 'number') {
      return place;
    }
    const node = this.#nodes.get(place.path);
    if (place.last !== 'name' || node === null) {
      return -ERRNO.EISDIR;
    }
    if (node === undefined) {
      return -ERRNO.ENOENT;
    }
    if (place.isDirectory) {
      return -ERRNO.ENOTDIR;
    }
    this.#nodes.delete(place.path);
    node.release(true);
    return 0;
  }

  makeDirectory(path: string): number {
    const place = this.#placeToMake(path);
    if (typeof place === 'number') {
      return place;
    }
    this.#nodes.set(place.path, null);
    return 0;
  }

  /** `do_rmdir`. */
  removeDirectory(path: string): number {
    const place = this.#walk(path);
    if (typeof place === 'number') {
      return place;
    }
    const refusal = REMOVED_BY_OTHER_NAME[place.last];
    if (refusal !== 0) {
      return refusal;
    }
    const node = this.#nodes.get(place.path);
    if (node === undefined) {
      return -ERRNO.ENOENT;
    }
    if (node !== null) {
      return -ERRNO.ENOTDIR;
    }
    if (place.path === this.root) {
      return -ERRNO.EBUSY;
    }
    for (const other of this.#nodes.keys()) {
      if (other.startsWith(`${place.path}/`)) {
        return -ERRNO.ENOTEMPTY;
      }
    }
    this.#nodes.delete(place.path);
    return 0;
  }

  #contains(path: string): boolean {
    return path === this.root || path.startsWith(`${this.root}/`);
  }

  /** Where something new can be made, or why not (`filename_create`). */
  #placeToMake(path: string): Place | number {
    const place = this.#walk(path);
    if (typeof place === 'number') {
      return place;
    }
    const isAbove = this.root.startsWith(`${place.path}/`);
    if (place.last !== 'name' || isAbove || this.#nodes.has(place.path)) {
      return -ERRNO.EEXIST;
    }
    return place.isInside ? place : -ERRNO.EPERM;
  }

  /**
   * Follows a path as `path_parentat` does. Outside of this file system there is nothing to be found
   * out: every name there counts as a directory.
   */
  #walk(path: string): Place | number {
    if (path === '') {
      return -ERRNO.ENOENT;
    }
    if (encodeText(path).length > LONGEST_PATH) {
      return -ERRNO.ENAMETOOLONG;
    }
    const parts = path.split('/').filter((part) => part !== '');
    // A path without a slash at its start begins in some directory outside.
    let at = path.startsWith('/') ? '' : '/.';
    let last: Place['last'] = 'root';
    for (const part of parts) {
      const refusal = this.#refusalToEnter(at, part);
      if (refusal < 0) {
        return refusal;
      }
      last = part === '.' ? 'dot' : part === '..' ? 'parent' : 'name';
      if (last !== 'dot') {
        at = last === 'name' ? `${at}/${part}` : at.slice(0, Math.max(at.lastIndexOf('/'), 0));
      }
    }
    return { path: at, isInside: this.#contains(at), last, isDirectory: path.endsWith('/') };
  }

  /** Why a name cannot be looked up where a path has come to. */
  #refusalToEnter(at: string, part: string): number {
    if (!this.#contains(at)) {
      return 0;
    }
    const node = this.#nodes.get(at);
    if (node !== null) {
      return node === undefined ? -ERRNO.ENOENT : -ERRNO.ENOTDIR;
    }
    if (part === '.' || part === '..') {
      return 0;
    }
    if (part.includes('.')) {
      // Reserved (`bpf_lookup`).
      return -ERRNO.EPERM;
    }
    return encodeText(part).length > LONGEST_NAME ? -ERRNO.ENAMETOOLONG : 0;
  }
}

/** What directories that are called otherwise than by name are not removed for. */
const REMOVED_BY_OTHER_NAME: Readonly<Record<Place['last'], number>> = {
  name: 0,
  dot: -ERRNO.EINVAL,
  parent: -ERRNO.ENOTEMPTY,
  root: -ERRNO.EBUSY,
};

/** @throws TypeError for a path that no call takes */
export function checkPath(path: string): void {
  if (path.includes('\0')) {
    throw new TypeError('a path cannot contain a NUL character');
  }
}

/**
 * What a call on files answers: false for the errno that a caller has to expect.
 *
 * @throws SyscallError for any other
 */
export function fileResult(
  command: string,
  path: string,
  result: number,
  expected: number,
): boolean {
  if (result === -expected) {
    return false;
  }
  if (result < 0) {
    throw refused(command, -result, path);
  }
  return true;
}
