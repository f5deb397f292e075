/** Arrays, also with a value for each CPU (`kernel/bpf/arraymap.c`). */

import { alignUp } from '../../bytes/align.ts';
import { ERRNO } from '../../uapi/errno.ts';
import type { BatchCursor } from '../kernel.ts';
import { movedBuffer } from './signal.ts';
import { checkMode, genericLookupBatch, Store } from './store.ts';

const KEY_BYTES = 4;

export interface ArrayOptions {
  /** Of one entry as it is moved: all CPUs' values together. */
  readonly valueBytes: number;
  readonly maxEntries: number;
  readonly littleEndian: boolean;
  /** The memory of an array that can be mapped is a multiple of this; 0 if it cannot be. */
  readonly pageSize: number;
}

export class ArrayStore extends Store {
  readonly #options: ArrayOptions;
  /** Bytes from one entry to the next. */
  readonly #step: number;
  #bytes: Uint8Array<ArrayBuffer>;

  constructor(options: ArrayOptions) {
    super();
    this.#options = options;
    this.#step = alignUp(options.valueBytes, 8);
    const size = this.#step * options.maxEntries;
    this.#bytes = new Uint8Array(
      new ArrayBuffer(options.pageSize === 0 ? size : alignUp(size, options.pageSize)),
    );
  }

  /** The memory of the entries, which mappings share. */
  get memory(): ArrayBuffer {
    return this.#bytes.buffer;
  }

  /** Moves the entries into fresh memory: mappings of the old one have no bytes any more. */
  detach(): void {
    this.#bytes = new Uint8Array(movedBuffer(this.memory));
  }

  override lookup(key: Uint8Array, value: Uint8Array): number {
    const index = this.#index(key);
    if (index >= this.#options.maxEntries) {
      return -ERRNO.ENOENT;
    }
    const at = index * this.#step;
    value.set(this.#bytes.subarray(at, at + this.#options.valueBytes));
    return 0;
  }

  override update(key: Uint8Array, value: Uint8Array, flags: number): number {
    if (flags > 2) {
      return -ERRNO.EINVAL;
    }
    const index = this.#index(key);
    if (index >= this.#options.maxEntries) {
      return -ERRNO.E2BIG;
    }
    const refusal = checkMode(flags, true);
    if (refusal < 0) {
      return refusal;
    }
    this.#bytes.set(value.subarray(0, this.#options.valueBytes), index * this.#step);
    return 0;
  }

  override delete(): number {
    return -ERRNO.EINVAL;
  }

  override nextKey(key: Uint8Array | null, next: Uint8Array): number {
    return nextIndex(key, next, this.#options);
  }

  override lookupBatch(
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number {
    const { valueBytes } = this.#options;
    return genericLookupBatch(
      this,
      { keyBytes: KEY_BYTES, valueBytes },
      cursor,
      keys,
      values,
      count,
    );
  }

  override get updatesBatches(): boolean {
    return true;
  }

  #index(key: Uint8Array): number {
    return indexOf(key, this.#options.littleEndian);
  }
}

/** The number that a key of an array is. */
export function indexOf(key: Uint8Array, littleEndian: boolean): number {
  return new DataView(key.buffer, key.byteOffset, KEY_BYTES).getUint32(0, littleEndian);
}

/** `array_map_get_next_key`: behind an index that is too large comes the first one. */
export function nextIndex(
  key: Uint8Array | null,
  next: Uint8Array,
  { maxEntries, littleEndian }: Pick<ArrayOptions, 'maxEntries' | 'littleEndian'>,
): number {
  const index = key === null ? maxEntries : indexOf(key, littleEndian);
  if (index === maxEntries - 1) {
    return -ERRNO.ENOENT;
  }
  const view = new DataView(next.buffer, next.byteOffset, KEY_BYTES);
  view.setUint32(0, index >= maxEntries ? 0 : index + 1, littleEndian);
  return 0;
}
