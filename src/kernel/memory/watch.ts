/** Waiting for the rings and events of the in-process kernel. */

import type { Interest, Watch } from '../kernel.ts';
import type { Watched } from './signal.ts';

/** The longest time that a timer takes: it keeps the process while somebody waits. */
const LONGEST_MS = 0x7fff_ffff;

export class MemoryWatch implements Watch {
  readonly #watched: readonly Watched[];
  readonly #interest: Interest;
  #takeBack: (() => void)[] = [];
  #keeper: ReturnType<typeof setTimeout> | undefined;
  #next: ReturnType<typeof setImmediate> | undefined;

  readonly #closed: () => void;
  #isClosed = false;

  /** @param closed called when it ends */
  constructor(watched: readonly Watched[], interest: Interest, closed: () => void) {
    this.#watched = watched;
    this.#interest = interest;
    this.#closed = closed;
  }

  arm(ready: () => void): void {
    this.disarm();
    if (this.#isClosed) {
      return;
    }
    const wake = () => {
      if (this.#watched.some((one) => one.isReady(this.#interest))) {
        this.disarm();
        this.#next = setImmediate(ready);
      }
    };
    this.#keeper = setTimeout(() => {}, LONGEST_MS);
    this.#takeBack = this.#watched.map(({ signal }) => signal.wait(wake));
    wake();
  }

  disarm(): void {
    clearTimeout(this.#keeper);
    clearImmediate(this.#next);
    for (const call of this.#takeBack) {
      call();
    }
    this.#takeBack = [];
  }

  close(): void {
    this.disarm();
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#closed();
    }
  }
}
