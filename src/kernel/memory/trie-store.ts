/**
 * Tries of prefixes (`kernel/bpf/lpm_trie.c`): a key is a number of bits in the machine's order, and
 * the bits.
 */

import { nameOfBytes } from '../../bytes/byte-name.ts';
import { ERRNO } from '../../uapi/errno.ts';
import type { BatchCursor } from '../kernel.ts';
import { checkMode, genericLookupBatch, Store } from './store.ts';

const LENGTH_BYTES = 4;

interface Entry {
  readonly bits: number;
  /** As it was given: what lies behind the prefix is kept, and means nothing. */
  key: Uint8Array;
  value: Uint8Array;
}

export interface TrieOptions {
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly maxEntries: number;
  readonly littleEndian: boolean;
}

export class TrieStore extends Store {
  readonly #options: TrieOptions;
  readonly #maxBits: number;
  readonly #entries = new Map<string, Entry>();
  /** The entries in the order of walks: whatever a prefix contains comes before it. */
  readonly #sorted: Entry[] = [];

  constructor(options: TrieOptions) {
    super();
    this.#options = options;
    this.#maxBits = (options.keyBytes - LENGTH_BYTES) * 8;
  }

  override lookup(key: Uint8Array, value: Uint8Array): number {
    const length = this.#bits(key);
    if (length > this.#maxBits) {
      return -ERRNO.ENOENT;
    }
    for (let bits = length; bits >= 0; bits -= 1) {
      const entry = this.#entries.get(prefixOf(key, bits));
      if (entry !== undefined) {
        value.set(entry.value);
        return 0;
      }
    }
    return -ERRNO.ENOENT;
  }

  override update(key: Uint8Array, value: Uint8Array, flags: number): number {
    if (flags > 2) {
      return -ERRNO.EINVAL;
    }
    const bits = this.#bits(key);
    if (bits > this.#maxBits) {
      return -ERRNO.EINVAL;
    }
    const name = prefixOf(key, bits);
    const entry = this.#entries.get(name);
    const refusal = checkMode(flags, entry !== undefined);
    if (refusal < 0) {
      return refusal;
    }
    const copy = value.slice(0, this.#options.valueBytes);
    if (entry !== undefined) {
      entry.key = key.slice();
      entry.value = copy;
      return 0;
    }
    if (this.#entries.size >= this.#options.maxEntries) {
      return -ERRNO.ENOSPC;
    }
    const added = { bits, key: key.slice(), value: copy };
    this.#entries.set(name, added);
    this.#sorted.splice(this.#placeOf(added), 0, added);
    return 0;
  }

  override delete(key: Uint8Array): number {
    const bits = this.#bits(key);
    if (bits > this.#maxBits) {
      return -ERRNO.EINVAL;
    }
    const name = prefixOf(key, bits);
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      return -ERRNO.ENOENT;
    }
    this.#entries.delete(name);
    this.#sorted.splice(this.#placeOf(entry), 1);
    return 0;
  }

  override nextKey(key: Uint8Array | null, next: Uint8Array): number {
    const following = this.#sorted[this.#placeBehind(key)];
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
    return genericLookupBatch(this, this.#options, cursor, keys, values, count);
  }

  override get updatesBatches(): boolean {
    return true;
  }

  #placeBehind(key: Uint8Array | null): number {
    const bits = key === null ? Number.POSITIVE_INFINITY : this.#bits(key);
    const entry =
      key === null || bits > this.#maxBits ? undefined : this.#entries.get(prefixOf(key, bits));
    // A key that is not there starts the walk over.
    return entry === undefined ? 0 : this.#placeOf(entry) + 1;
  }

  #bits(key: Uint8Array): number {
    return new DataView(key.buffer, key.byteOffset).getUint32(0, this.#options.littleEndian);
  }

  /** Where an entry stands, or belongs. */
  #placeOf(entry: Entry): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (comesBefore(this.#sorted[middle]!, entry)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}

/** The first `bits` bits of a key, and how many they are. */
function prefixOf(key: Uint8Array, bits: number): string {
  const data = key.slice(LENGTH_BYTES, LENGTH_BYTES + Math.ceil(bits / 8));
  if (bits % 8 !== 0) {
    data[data.length - 1]! &= 0xff << (8 - (bits % 8));
  }
  return `${bits}:${nameOfBytes(data)}`;
}

/** By the first bit that differs; the longer one first if there is none. */
function comesBefore(a: Entry, b: Entry): boolean {
  const common = Math.min(a.bits, b.bits);
  for (let bit = 0; bit < common; bit += 1) {
    const [left, right] = [bitOf(a.key, bit), bitOf(b.key, bit)];
    if (left !== right) {
      return left < right;
    }
  }
  return a.bits > b.bits;
}

function bitOf(key: Uint8Array, bit: number): number {
  return (key[LENGTH_BYTES + (bit >>> 3)]! >>> (7 - (bit & 7))) & 1;
}
