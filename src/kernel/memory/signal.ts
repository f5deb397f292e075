/** Telling those who wait that something has changed, and moving memory away from under a mapping. */

import type { Interest } from '../kernel.ts';

/** Something that can be waited for. */
export interface Watched {
  readonly signal: Signal;
  isReady(interest: Interest): boolean;
}

/** What Linux gives for a map that cannot be waited for (`EPOLLERR`): no wait, and no error. */
export function alwaysReady(): Watched {
  return { signal: new Signal(), isReady: () => true };
}

/** Callers who wait for a change. */
export class Signal {
  readonly #waiting = new Set<() => void>();

  /** Calls back at each change; a function that takes that back. */
  wait(call: () => void): () => void {
    this.#waiting.add(call);
    return () => this.#waiting.delete(call);
  }

  raise(): void {
    for (const call of [...this.#waiting]) {
      call();
    }
  }
}

/** The same contents in another buffer: the old one, and all views of it, have no bytes any more. */
export function movedBuffer(memory: ArrayBuffer): ArrayBuffer {
  return structuredClone(memory, { transfer: [memory] });
}
