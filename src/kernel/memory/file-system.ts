/**
 * The BPF file system of the in-process kernel: directories and pins below one mount point
 * (`kernel/bpf/inode.c`). Every answer is 0 or a negative errno, as the kernel gives it.
 */

import { ERRNO } from '../../uapi/errno.ts';
import type { FileSystemKind } from '../kernel.ts';
import { refused } from '../refused.ts';
import type { KernelObject } from './objects.ts';

const LONGEST_NAME = 255;

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

  /** What a path lies on, or a negative errno for a name that is too long. */
  kind(path: string): FileSystemKind | number {
    if (!this.#contains(path)) {
      return 'other';
    }
    if (this.#refusalToWalk(trimmed(path)) === -ERRNO.ENAMETOOLONG) {
      return -ERRNO.ENAMETOOLONG;
    }
    return this.#nodes.has(trimmed(path)) ? 'bpf' : 'missing';
  }

  pin(path: string, object: KernelObject): number {
    const refusal = this.#refusalToMake(path);
    if (refusal < 0) {
      return refusal;
    }
    this.#nodes.set(trimmed(path), object);
    object.hold(true);
    return 0;
  }

  /** The object pinned at a path, or a negative errno. */
  get(path: string): KernelObject | number {
    const place = trimmed(path);
    const refusal = this.#refusalToWalk(place);
    if (refusal < 0) {
      return refusal;
    }
    const node = this.#nodes.get(place);
    if (node === undefined) {
      return this.#contains(place) ? -ERRNO.ENOENT : -ERRNO.EACCES;
    }
    return node ?? -ERRNO.EACCES;
  }

  unpin(path: string): number {
    const place = trimmed(path);
    const refusal = this.#refusalToWalk(place);
    if (refusal < 0) {
      return refusal;
    }
    const node = this.#nodes.get(place);
    if (node === undefined) {
      return -ERRNO.ENOENT;
    }
    if (node === null) {
      return -ERRNO.EISDIR;
    }
    this.#nodes.delete(place);
    node.release(true);
    return 0;
  }

  makeDirectory(path: string): number {
    const refusal = this.#refusalToMake(path);
    if (refusal === 0) {
      this.#nodes.set(trimmed(path), null);
    }
    return refusal;
  }

  removeDirectory(path: string): number {
    const place = trimmed(path);
    const refusal = this.#refusalToWalk(place);
    if (refusal < 0) {
      return refusal;
    }
    const node = this.#nodes.get(place);
    if (node === undefined) {
      return -ERRNO.ENOENT;
    }
    if (node !== null) {
      return -ERRNO.ENOTDIR;
    }
    if (place === this.root) {
      return -ERRNO.EBUSY;
    }
    for (const other of this.#nodes.keys()) {
      if (other.startsWith(`${place}/`)) {
        return -ERRNO.ENOTEMPTY;
      }
    }
    this.#nodes.delete(place);
    return 0;
  }

  #contains(path: string): boolean {
    return path === this.root || path.startsWith(`${this.root}/`);
  }

  #refusalToMake(path: string): number {
    const place = trimmed(path);
    if (this.#nodes.has(place)) {
      return -ERRNO.EEXIST;
    }
    if (!this.#contains(place)) {
      return -ERRNO.EPERM;
    }
    return this.#refusalToWalk(place);
  }

  /** Why a path cannot lead anywhere: a part of it is missing, is no directory, or has a dot. */
  #refusalToWalk(path: string): number {
    if (!this.#contains(path)) {
      return 0;
    }
    let at = this.root;
    const parts = path.slice(this.root.length + 1).split('/');
    for (const [index, part] of parts.entries()) {
      const parent = this.#nodes.get(at);
      if (parent === undefined) {
        return -ERRNO.ENOENT;
      }
      if (parent !== null) {
        return -ERRNO.ENOTDIR;
      }
      if (part.length > LONGEST_NAME) {
        return -ERRNO.ENAMETOOLONG;
      }
      if (part.includes('.')) {
        return -ERRNO.EPERM;
      }
      at = `${at}/${part}`;
      if (index === parts.length - 1) {
        return 0;
      }
    }
    return 0;
  }
}

/** Without slashes at its end. */
function trimmed(path: string): string {
  const end = /\/+$/.exec(path)?.index;
  return end === undefined || end === 0 ? path : path.slice(0, end);
}

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
