/** Waiting for ring buffers of the in-process kernel. */

import type { Watch } from '../kernel.ts';
import type { RingStore } from './ring-store.ts';

/** The longest time that a timer takes: it keeps the process while somebody waits. */
const LONGEST_MS = 0x7fff_ffff;

export class MemoryWatch implements Watch {
  readonly #rings: readonly RingStore[];
  #takeBack: (() => void)[] = [];
  #keeper: ReturnType<typeof setTimeout> | undefined;
  #next: ReturnType<typeof setImmediate> | undefined;

  constructor(rings: readonly RingStore[]) {
    this.#rings = rings;
  }

  arm(ready: () => void): void {
    this.disarm();
    const wake = () => {
      this.disarm();
      this.#next = setImmediate(ready);
    };
    if (this.#rings.some((ring) => ring.isReadable)) {
      wake();
      return;
    }
    this.#keeper = setTimeout(() => {}, LONGEST_MS);
    this.#takeBack = this.#rings.map((ring) => ring.onRecord(wake));
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
  }
}
