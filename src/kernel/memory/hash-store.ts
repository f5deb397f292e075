/**
 * Hashes: with and without LRU, with a value for each CPU, and hashes of maps underneath
 * (`kernel/bpf/hashtab.c`).
 *
 * The order of entries is that in which they came, where the kernel's is that of its hash function;
 * every entry is a bucket of its own. As there, a key that is removed and comes again has the place that it
 * had, so that whoever does this to each key of a walk comes to an end.
 */

import { nameOfBytes } from '../../bytes/byte-name.ts';
import { ERRNO } from '../../uapi/errno.ts';
import type { BatchCursor } from '../kernel.ts';
import { checkMode, Store } from './store.ts';

interface Entry {
  readonly key: Uint8Array;
  value: Uint8Array;
  /** Which entry it is, counted from the first one ever: entries stand in this order. */
  readonly number: number;
  removed: boolean;
}

/** The value of what was removed. */
const NOTHING = new Uint8Array(0);

/** Below this many places the list is not worth tidying. */
const SMALL = 64;

export interface HashOptions {
  readonly valueBytes: number;
  readonly maxEntries: number;
  /** Full maps lose their oldest entry, rather than refuse a new one. */
  readonly lru: boolean;
  /** Whether `BPF_MAP_LOOKUP_AND_DELETE_ELEM` is there: not in hashes of maps. */
  readonly takes: boolean;
}

export class HashStore extends Store {
  readonly #options: HashOptions;
  readonly #entries = new Map<string, Entry>();
  /** Entries in order of arrival, some of them removed since. */
  #order: Entry[] = [];
  /** Those that were removed, for as long as they have their place. */
  readonly #removed = new Map<string, Entry>();
  /** Where walks end: before what came after they began, which may have been read at another place. */
  readonly #ends = new WeakMap<BatchCursor, number>();
  /** Every place before this one is of an entry that was removed. */
  #first = 0;
  #nextNumber = 0;
  /** Of LRU maps: names by their last use (an update, or a program's lookup), the oldest first. Walks know nothing of it. */
  readonly #recent = new Set<string>();

  constructor(options: HashOptions) {
    super();
    this.#options = options;
  }

  /** Values, for those that hold something in them. */
  *values(): Generator<Uint8Array> {
    for (const { value } of this.#entries.values()) {
      yield value;
    }
  }

  override lookup(key: Uint8Array, value: Uint8Array): number {
    const entry = this.#entries.get(nameOfBytes(key));
    if (entry === undefined) {
      return -ERRNO.ENOENT;
    }
    value.set(entry.value);
    return 0;
  }

  override lookupByProgram(key: Uint8Array, value: Uint8Array): number {
    const result = this.lookup(key, value);
    if (result === 0) {
      this.#touch(nameOfBytes(key));
    }
    return result;
  }

  override update(key: Uint8Array, value: Uint8Array, flags: number): number {
    const name = nameOfBytes(key);
    const entry = this.#entries.get(name);
    const refusal = checkMode(flags, entry !== undefined);
    if (refusal < 0) {
      return refusal;
    }
    if (entry !== undefined) {
      entry.value = this.#copy(value);
      this.#touch(name);
      return 0;
    }
    if (this.#entries.size >= this.#options.maxEntries) {
      if (!this.#options.lru) {
        return -ERRNO.E2BIG;
      }
      this.#evict();
    }
    this.#add(name, key.slice(), this.#copy(value));
    return 0;
  }

  override delete(key: Uint8Array): number {
    const name = nameOfBytes(key);
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      return -ERRNO.ENOENT;
    }
    this.#remove(name, entry);
    return 0;
  }

  override take(key: Uint8Array, value: Uint8Array): number {
    if (!this.#options.takes) {
      return -ERRNO.ENOTSUPP;
    }
    const result = this.lookup(key, value);
    return result < 0 ? result : this.delete(key);
  }

  override nextKey(key: Uint8Array | null, next: Uint8Array): number {
    const entry = key === null ? undefined : this.#entries.get(nameOfBytes(key));
    const following = this.#from(entry === undefined ? 0 : entry.number + 1);
    if (following === undefined) {
      return -ERRNO.ENOENT;
    }
    next.set(following.key);
    return 0;
  }

  override lookupBatch(
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number {
    return this.#readBatch(cursor, keys, values, count, () => {});
  }

  override takeBatch(
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number {
    return this.#readBatch(cursor, keys, values, count, (entry) => {
      this.#remove(nameOfBytes(entry.key), entry);
    });
  }

  override get updatesBatches(): boolean {
    return true;
  }

  #readBatch(
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
    read: (entry: Entry) => void,
  ): number {
    if (count === 0) {
      return 0;
    }
    const { valueBytes } = this.#options;
    const position = new DataView(cursor.position.buffer, cursor.position.byteOffset);
    if (!cursor.started) {
      this.#ends.set(cursor, this.#nextNumber);
    }
    const end = this.#ends.get(cursor) ?? this.#nextNumber;
    let entry = this.#from(cursor.started ? position.getUint32(0) : 0);
    let done = 0;
    while (entry !== undefined && entry.number < end && done < count) {
      keys.set(entry.key, done * entry.key.length);
      values.set(entry.value, done * valueBytes);
      done += 1;
      read(entry);
      position.setUint32(0, entry.number + 1);
      entry = this.#from(entry.number + 1);
    }
    cursor.done = entry === undefined || entry.number >= end;
    return done;
  }

  #copy(value: Uint8Array): Uint8Array {
    return value.slice(0, this.#options.valueBytes);
  }

  #add(name: string, key: Uint8Array, value: Uint8Array): void {
    const former = this.#removed.get(name);
    if (former !== undefined) {
      this.#removed.delete(name);
      former.removed = false;
      former.value = value;
      this.#first = Math.min(this.#first, this.#placeOf(former.number));
      this.#entries.set(name, former);
    } else {
      this.#tidy();
      const entry = { key, value, number: this.#nextNumber, removed: false };
      this.#nextNumber += 1;
      this.#entries.set(name, entry);
      this.#order.push(entry);
    }
    this.#touch(name);
  }

  #remove(name: string, entry: Entry): void {
    this.#entries.delete(name);
    this.#recent.delete(name);
    entry.removed = true;
    entry.value = NOTHING;
    this.#removed.set(name, entry);
  }

  #touch(name: string): void {
    if (this.#options.lru) {
      this.#recent.delete(name);
      this.#recent.add(name);
    }
  }

  #evict(): void {
    for (const name of this.#recent) {
      this.#remove(name, this.#entries.get(name)!);
      return;
    }
  }

  /** The first entry with this number or a higher one. */
  #from(number: number): Entry | undefined {
    while (this.#order[this.#first]?.removed === true) {
      this.#first += 1;
    }
    let place = Math.max(this.#first, this.#placeOf(number));
    while (this.#order[place]?.removed === true) {
      place += 1;
    }
    return this.#order[place];
  }

  /** The first place of an entry with this number or a higher one. */
  #placeOf(number: number): number {
    let low = 0;
    let high = this.#order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#order[middle]!.number < number) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** Drops what was removed once it is more than what is there. */
  #tidy(): void {
    if (this.#order.length >= SMALL && this.#order.length >= 2 * this.#entries.size) {
      this.#order = this.#order.filter(({ removed }) => !removed);
      this.#removed.clear();
      this.#first = 0;
    }
  }
}
