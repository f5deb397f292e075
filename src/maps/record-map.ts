/**
 * Maps that programs send records through: what ring buffers and perf event arrays share, for a
 * reader who walks over what waits, and sleeps when there is nothing.
 */

import type { Watch } from '../kernel/kernel.ts';
import { MapHandle, type OwnedMap } from './map-handle.ts';
import type { RecordCursor } from './record-cursor.ts';
import { type Feed, RecordIterator } from './record-iterator.ts';
import { decoderOf, type RecordOptions } from './record-options.ts';
import { Waiting } from './waiting.ts';

/** An open map with the type of its records. */
export interface RecordSource<T> extends OwnedMap, RecordOptions<T> {}

/** The records of one map, and what ends a loop over them that has no signal of its own. */
export interface MapFeed<T> extends Feed<T> {
  readonly signal: AbortSignal | undefined;
}

/** A map that is read record by record, each once. It has one reader at a time. */
export abstract class RecordMap<T> extends MapHandle implements AsyncIterable<T, undefined> {
  readonly #decode: (record: RecordCursor) => T;
  readonly #signal: AbortSignal | undefined;
  readonly #waiting: Waiting;
  #iterating = false;

  /** @param mayMissWakeups whether those just before waiting are missed @internal */
  constructor(source: RecordSource<T>, mayMissWakeups: boolean) {
    super(source);
    this.#decode = decoderOf(source);
    this.#signal = source.signal;
    this.#waiting = new Waiting({
      open: () => this.openWatch(),
      ready: () => this.ready(),
      mayBeMissed: mayMissWakeups,
    });
  }

  /**
   * A cursor over the records, for those who need speed: no object for each, no copies. Everyone who
   * reads through this handle shares it, and each record goes to one of them.
   *
   * @throws SkepError `ERR_SKEP_CLOSED`
   */
  abstract cursor(): RecordCursor;

  /** Starts to wait for records. @internal */
  protected abstract openWatch(): Watch;

  /** Lets go of the memory; called once. @internal */
  protected abstract unmap(): void;

  /** Whether a record can be read without waiting. */
  ready(): boolean {
    return this.cursor().ready();
  }

  /**
   * Calls back for each record that waits, now, and stops when there is none, or the callback closes
   * the handle.
   *
   * @param options.limit how many records at most
   * @returns how many there were
   */
  consume(callback: (value: T) => void, options: { readonly limit?: number } = {}): number {
    const { limit = Number.POSITIVE_INFINITY } = options;
    const cursor = this.cursor();
    let count = 0;
    try {
      while (count < limit && !this.closed && cursor.next()) {
        count += 1;
        callback(this.#decode(cursor));
      }
    } finally {
      cursor.release();
    }
    return count;
  }

  /**
   * Resolves when a record can be read, at once if one can. A record that the cursor stands on is
   * given back.
   *
   * @throws the signal's reason if that is aborted first; SkepError `ERR_SKEP_CLOSED` if the map is
   *   closed first
   */
  wait(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    return this.#waiting.promise(options.signal ?? this.#signal, () => this.cursor().release());
  }

  /**
   * The records, as they come, until the loop is left. Each is given back to the kernel when the next
   * is asked for; while the loop's body takes its time, the map fills up, and programs find no room.
   *
   * @param options.signal ends the loop: what is thrown is its reason, an `AbortError` by default
   * @throws TypeError if another loop is running
   * @throws SkepError `ERR_SKEP_CLOSED` if the map is closed meanwhile
   */
  records(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<T, undefined> {
    return new RecordIterator(this.feed(), options.signal ?? this.#signal);
  }

  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return this.records();
  }

  /** The records for an iterator. @internal */
  feed(): MapFeed<T> {
    const cursor = this.cursor();
    return {
      signal: this.#signal,
      begin: () => {
        if (this.#iterating) {
          throw new TypeError(
            `map "${this.name}" is being iterated already; a record goes to one loop only`,
          );
        }
        this.#iterating = true;
      },
      end: () => {
        this.#iterating = false;
        cursor.release();
        this.#waiting.rest();
      },
      next: () => cursor.next(),
      value: () => this.#decode(cursor),
      whenReady: (ready) => this.#waiting.add(ready),
      forget: (ready) => this.#waiting.remove(ready),
    };
  }

  /**
   * Closes the handle. What was read is given back, the record that a callback or a loop's body is busy
   * with included. Whoever waits for records is told so by `ERR_SKEP_CLOSED`.
   */
  override close(): void {
    if (this.closed) {
      return;
    }
    const tell = this.#waiting.end();
    // Whatever fails: the descriptor is closed, and nobody waits for ever.
    try {
      this.unmap();
    } finally {
      try {
        super.close();
      } finally {
        tell();
      }
    }
  }
}
