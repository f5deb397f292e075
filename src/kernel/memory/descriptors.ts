/** The file descriptors of a process of the in-process kernel, and the files behind them. */

import type { PinAccess } from '../kernel.ts';
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

  /** Numbers in use, ascending. */
  numbers(): number[] {
    return this.#open.flatMap((open, index) => (open === undefined ? [] : [index + FIRST]));
  }

  /** A descriptor for an object, which it holds. */
  add(object: KernelObject, access: PinAccess): number {
    return this.share(new OpenFile(object, access));
  }

  /** A descriptor for a file that may have others. */
  share(file: OpenFile): number {
    file.hold();
    const free = this.#open.indexOf(undefined);
    const index = free === -1 ? this.#open.length : free;
    this.#open[index] = file;
    return index + FIRST;
  }

  get(fd: number): OpenFile | undefined {
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
