/** One loop over the records of several maps. */

import { type Feed, RecordIterator } from './record-iterator.ts';
import type { MapFeed, RecordMap } from './record-map.ts';

/** Records taken from one map before the next has its turn. */
const IN_A_ROW = 64;

/** A map and one of its records. */
export type MergedRecord<M> = M extends RecordMap<infer T> ? readonly [map: M, value: T] : never;

/**
 * The records of several ring buffers and perf event arrays, as they come: which map, and the record.
 * Maps take turns, so that one with much to say does not keep the others waiting. The rest is as for
 * {@link RecordMap.records}; if one of the maps is closed, the loop ends with `ERR_SKEP_CLOSED`.
 *
 * @param options.signal ends the loop; without it, the signal that any of the maps was made with does
 * @example
 * for await (const [ring, event] of mergeRecords([flows, drops], { signal })) {
 *   console.log(ring.name, event);
 * }
 */
export function mergeRecords<const M extends RecordMap<unknown>>(
  maps: readonly M[],
  options: { readonly signal?: AbortSignal } = {},
): AsyncIterableIterator<MergedRecord<M>, undefined> {
  if (maps.length === 0 || new Set(maps).size !== maps.length) {
    throw new TypeError('mergeRecords takes one map or several, each once');
  }
  const feed = new MergedFeed(maps);
  return new RecordIterator(
    feed,
    ...(options.signal === undefined ? feed.signals : [options.signal]),
  );
}

class MergedFeed<M extends RecordMap<unknown>> implements Feed<MergedRecord<M>> {
  readonly #maps: readonly M[];
  readonly #feeds: readonly MapFeed<unknown>[];
  #begun = 0;
  #current = 0;
  #left = IN_A_ROW;

  constructor(maps: readonly M[]) {
    this.#maps = maps;
    this.#feeds = maps.map((map) => map.feed());
  }

  /** What ends loops over one of the maps. */
  get signals(): readonly (AbortSignal | undefined)[] {
    return this.#feeds.map(({ signal }) => signal);
  }

  begin(): void {
    try {
      for (const feed of this.#feeds) {
        feed.begin();
        this.#begun += 1;
      }
    } catch (error) {
      this.end();
      throw error;
    }
  }

  end(): void {
    for (const feed of this.#feeds.slice(0, this.#begun)) {
      feed.end();
    }
    this.#begun = 0;
  }

  next(): boolean {
    if (this.#left > 0 && this.#feeds[this.#current]!.next()) {
      this.#left -= 1;
      return true;
    }
    for (let tries = 0; tries < this.#feeds.length; tries += 1) {
      this.#current = (this.#current + 1) % this.#feeds.length;
      if (this.#feeds[this.#current]!.next()) {
        this.#left = IN_A_ROW - 1;
        return true;
      }
    }
    return false;
  }

  value(): MergedRecord<M> {
    const value = this.#feeds[this.#current]!.value();
    return [this.#maps[this.#current]!, value] as unknown as MergedRecord<M>;
  }

  whenReady(ready: () => void): void {
    for (const feed of this.#feeds) {
      feed.whenReady(ready);
    }
  }

  forget(ready: () => void): void {
    for (const feed of this.#feeds) {
      feed.forget(ready);
    }
  }
}
