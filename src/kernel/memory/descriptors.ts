/** The file descriptors of a process of the in-process kernel, and the files behind them. */

import { ERRNO } from '../../uapi/errno.ts';
import type { PinAccess } from '../kernel.ts';
import { refused } from '../refused.ts';
import type { KernelObject } from './objects.ts';

/**
 * An open object (`struct file`): what descriptors that were duplicated share. It is closed with the
 * last of them.
 */
export class OpenFile {
  readonly object: KernelObject;
  readonly access: PinAccess;
  #holders = 0;

  constructor(object: KernelObject, access: PinAccess) {
    this.object = object;
    this.access = access;
    object.hold(true);
  }

  hold(): void {
    this.#holders += 1;
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0) {
      this.object.fileClosed(this);
      this.object.release(true);
    }
  }
}

/** 0, 1 and 2 are the standard streams' everywhere else, and so they are here. */
const FIRST = 3;

/** Whether a number is that of a standard stream, which is open and nothing that a call wants. */
export function isStream(fd: number): boolean {
  return fd === 0 || fd === 1 || fd === 2;
}

/** Open files by the lowest number that is free, as Linux gives them out. */
export class Descriptors {
  readonly #open: (OpenFile | undefined)[] = [];
  #ended = false;

  /** Numbers in use, ascending. */
  numbers(): number[] {
    return this.#open.flatMap((open, index) => (open === undefined ? [] : [index + FIRST]));
  }

  /** The process has ended: it can have no more, and nothing is asked of those that it had. */
  end(): void {
    this.#ended = true;
  }

  /** @throws SyscallError `ESRCH` if the process has ended */
  checkAlive(): void {
    if (this.#ended) {
      const hint = 'it has ended by exit(); kernel.process() makes another one';
      throw refused('a call', ERRNO.ESRCH, 'process of the in-process kernel', hint);
    }
  }

  /** A descriptor for an object, which it holds. */
  add(object: KernelObject, access: PinAccess): number {
    return this.share(new OpenFile(object, access));
  }

  /** A descriptor for a file that may have others. */
  share(file: OpenFile): number {
    this.checkAlive();
    file.hold();
    const free = this.#open.indexOf(undefined);
    const index = free === -1 ? this.#open.length : free;
    this.#open[index] = file;
    return index + FIRST;
  }

  get(fd: number): OpenFile | undefined {
    this.checkAlive();
    return this.#open[fd - FIRST];
  }

  /** Closes a descriptor; false if it is none. */
  remove(fd: number): boolean {
    const open = this.#open[fd - FIRST];
    if (open === undefined) {
      return false;
    }
    this.#open[fd - FIRST] = undefined;
    open.release();
    return true;
  }
}

/** How errors call the map of a descriptor. */
export function describeMap(fd: number): string {
  return `map at file descriptor ${fd}`;
}
