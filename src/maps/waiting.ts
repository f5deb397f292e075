/**
 * Sleeping until a map has something to read, or room to write.
 *
 * That is up to the event loop (`Kernel.watch`), which is armed only while somebody waits: a process
 * in which nobody does can end, and who is busy is not woken.
 */

import type { Watch } from '../kernel/kernel.ts';

/** What is waited for. */
export interface WaitedFor {
  /** Starts to watch the map. */
  open(): Watch;
  /** Whether waiting is over. */
  ready(): boolean;
  /** Whether the kernel may wake nobody for what happens just before it is asked to. */
  readonly mayBeMissed: boolean;
}

/** Wake-ups in a row with nothing ready after which it is tried once in a while only. */
const FRUITLESS_WAKEUPS = 8;
/** Once in how many milliseconds that is. */
const RETRY_MILLISECONDS = 1;

/** Those who wait for one event. */
export class Waiting {
  readonly #event: WaitedFor;
  readonly #listeners = new Set<() => void>();
  #watch: Watch | null = null;
  #fruitless = 0;
  #timer: NodeJS.Timeout | null = null;
  #check: NodeJS.Immediate | null = null;

  constructor(event: WaitedFor) {
    this.#event = event;
  }

  /** Calls back once, when the event is ready or waiting has {@link Waiting.end}ed. */
  add(listener: () => void): void {
    this.#watch ??= this.#event.open();
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) {
      try {
        this.#arm();
      } catch (error) {
        this.#listeners.delete(listener);
        throw error;
      }
    }
  }

  /** Takes {@link Waiting.add} back. */
  remove(listener: () => void): void {
    if (this.#listeners.delete(listener) && this.#listeners.size === 0) {
      this.#disarm();
    }
  }

  /** Lets go of what waiting needs, unless somebody waits. */
  rest(): void {
    if (this.#listeners.size === 0) {
      this.#watch?.close();
      this.#watch = null;
    }
  }

  /** Stops, and returns what calls back those who waited. */
  end(): () => void {
    this.#disarm();
    this.#watch?.close();
    this.#watch = null;
    return () => this.#tell();
  }

  /**
   * Resolves when the event is ready, at once if it is.
   *
   * @param check called when waiting is over; what it throws rejects
   * @throws the reason of `signal`
   */
  promise(signal: AbortSignal | undefined, check: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      check();
      if (this.#event.ready()) {
        resolve();
        return;
      }
      const done = () => {
        signal?.removeEventListener('abort', abort);
        try {
          check();
          resolve();
        } catch (error) {
          reject(error);
        }
      };
      const abort = () => {
        this.remove(done);
        this.rest();
        reject(signal?.reason);
      };
      this.add(done);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  #arm(): void {
    this.#watch?.arm(this.#woken);
    if (this.#event.mayBeMissed) {
      // Armed while descriptors are polled, it takes effect when they are polled next. After two
      // turns that has happened for sure: what came before is seen now, what comes later wakes.
      this.#check = setImmediate(() => {
        this.#check = setImmediate(this.#lookAgain);
      });
    }
  }

  readonly #lookAgain = (): void => {
    this.#check = null;
    if (this.#event.ready()) {
      this.#woken();
    }
  };

  #disarm(): void {
    this.#watch?.disarm();
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#check !== null) clearImmediate(this.#check);
    this.#timer = null;
    this.#check = null;
  }

  /**
   * The kernel says that there is something. It may be nothing of use, say a record that a program has
   * not finished yet, and then it says so again and again.
   */
  readonly #woken = (): void => {
    this.#disarm();
    if (this.#event.ready()) {
      this.#fruitless = 0;
      this.#tell();
    } else if (this.#fruitless < FRUITLESS_WAKEUPS) {
      this.#fruitless += 1;
      this.#arm();
    } else {
      this.#timer = setTimeout(this.#woken, RETRY_MILLISECONDS);
    }
  };

  #tell(): void {
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) {
      listener();
    }
  }
}
