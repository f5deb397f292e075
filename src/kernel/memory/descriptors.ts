/** The file descriptors of a process of the in-process kernel. */

import type { PinAccess } from '../kernel.ts';
import type { KernelObject } from './objects.ts';

/** An open object. */
export interface Open {
  readonly object: KernelObject;
  readonly access: PinAccess;
}

/** 0, 1 and 2 are the standard streams' everywhere else, and so they are here. */
const FIRST = 3;

/** Open objects by the lowest number that is free, as Linux gives them out. */
export class Descriptors {
  readonly #open: (Open | undefined)[] = [];

  /** Numbers in use, ascending. */
  numbers(): number[] {
    return this.#open.flatMap((open, index) => (open === undefined ? [] : [index + FIRST]));
  }

  /** A descriptor for an object, which it holds. */
  add(object: KernelObject, access: PinAccess): number {
    object.hold(true);
    const free = this.#open.indexOf(undefined);
    const index = free === -1 ? this.#open.length : free;
    this.#open[index] = { object, access };
    return index + FIRST;
  }

  get(fd: number): Open | undefined {
    return this.#open[fd - FIRST];
  }

  /** Closes a descriptor; false if it is none. */
  remove(fd: number): boolean {
    const open = this.#open[fd - FIRST];
    if (open === undefined) {
      return false;
    }
    this.#open[fd - FIRST] = undefined;
    open.object.release(true);
    return true;
  }
}

/** How errors call the map of a descriptor. */
export function describeMap(fd: number): string {
  return `map at file descriptor ${fd}`;
}
