/**
 * Pairs of keys and values out of the chunks of a walk.
 *
 * Not a generator, which V8 does not compile into the loop that uses it: that halves what an entry
 * costs besides the system call.
 */

import { type Codec, Memory } from '../codec/codec.ts';
import type { Chunk } from './walk.ts';

/** What every iterator of JavaScript inherits, the helpers of Node.js 22 among it. */
const IteratorPrototype: object = Object.getPrototypeOf(
  Object.getPrototypeOf([][Symbol.iterator]()),
);

/** How the entries of a map lie in chunks. */
export interface EntryLayout<K, V> {
  /** Whose `fd` throws once it is closed. */
  readonly map: { readonly fd: number };
  readonly key: Codec<K, unknown>;
  readonly value: Codec<V, unknown>;
  /** From one value to the next, in bytes. */
  readonly valueStep: number;
  readonly littleEndian: boolean;
}

/** Iterates over entries, decoding each when it is reached. */
export class EntryIterator<K, V> implements IterableIterator<[K, V], undefined> {
  readonly #chunks: Iterator<Chunk, void>;
  readonly #layout: EntryLayout<K, V>;
  #keys: Memory | undefined;
  #values: Memory | undefined;
  #index = 0;
  #count = 0;

  constructor(chunks: Iterator<Chunk, void>, layout: EntryLayout<K, V>) {
    this.#chunks = chunks;
    this.#layout = layout;
  }

  static {
    Object.setPrototypeOf(EntryIterator.prototype, IteratorPrototype);
  }

  next(): IteratorResult<[K, V], undefined> {
    if (this.#index === this.#count && !this.#goOn()) {
      return { done: true, value: undefined };
    }
    const index = this.#index;
    this.#index = index + 1;
    const { map, key, value, valueStep } = this.#layout;
    // The handle may have been closed since the last step.
    void map.fd;
    return {
      done: false,
      value: [
        key.read(this.#keys!, index * key.sizeBytes),
        value.read(this.#values!, index * valueStep),
      ],
    };
  }

  /** Called by loops that are left: there is nothing more to come. */
  return(): IteratorResult<[K, V], undefined> {
    this.#index = this.#count;
    this.#chunks.return?.();
    return { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }

  /** Reads the next chunk; false if there is none. */
  #goOn(): boolean {
    const { done, value: chunk } = this.#chunks.next();
    if (done === true) {
      return false;
    }
    const { littleEndian } = this.#layout;
    this.#keys = new Memory(chunk.keys, littleEndian);
    this.#values = new Memory(chunk.values, littleEndian);
    this.#index = 0;
    this.#count = chunk.count;
    return true;
  }
}
