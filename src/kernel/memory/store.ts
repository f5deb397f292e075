/**
 * What each kind of map does with its entries in the in-process kernel.
 *
 * Like the kernel's own `struct bpf_map_ops`, a store answers with 0 or a negative errno and never
 * throws; what it does not have answers `-ENOTSUPP`. Buffers have the right sizes: whoever calls has
 * seen to that.
 */

import { ERRNO } from '../../uapi/errno.ts';
import type { BatchCursor } from '../kernel.ts';

/** Flags of an update (`BPF_ANY`, ...). */
export const NOEXIST = 1;
export const EXIST = 2;
/** `BPF_F_LOCK`. */
export const LOCK = 4;

const NONE = -ERRNO.ENOTSUPP;

/** The entries of a map. */
export abstract class Store {
  /** Copies a value out. Bloom filters are asked for what is in `value`. */
  lookup(_key: Uint8Array, _value: Uint8Array): number {
    return NONE;
  }

  /** A lookup by a program, which counts as a use where entries go that are not used. */
  lookupByProgram(key: Uint8Array, value: Uint8Array): number {
    return this.lookup(key, value);
  }

  /** @param flags without `BPF_F_LOCK` */
  update(_key: Uint8Array, _value: Uint8Array, _flags: number): number {
    return NONE;
  }

  delete(_key: Uint8Array): number {
    return NONE;
  }

  /** Copies a value out and removes the entry. */
  take(_key: Uint8Array, _value: Uint8Array, _flags: number): number {
    return NONE;
  }

  /** @param key null for the first */
  nextKey(_key: Uint8Array | null, _next: Uint8Array): number {
    return NONE;
  }

  /** Reads many entries; how many, or `-ENOTSUPP`. Sets `cursor.done` behind the last one. */
  lookupBatch(
    _cursor: BatchCursor,
    _keys: Uint8Array,
    _values: Uint8Array,
    _count: number,
  ): number {
    return NONE;
  }

  /** Like {@link Store.lookupBatch}, and removes what was read. */
  takeBatch(_cursor: BatchCursor, _keys: Uint8Array, _values: Uint8Array, _count: number): number {
    return NONE;
  }

  /** Whether many entries can be set in one call. */
  get updatesBatches(): boolean {
    return false;
  }

  /** A file of the map was closed (`map_release`): what was put in through it may go. */
  fileClosed(_file: object): void {}

  /** Nobody in user space holds the map any more (`map_release_uref`). */
  releasedByUsers(): void {}

  /** The map is gone: lets go of what it holds. */
  destroy(): void {}
}

/**
 * A walk in batches over a store that has `nextKey` and `lookup`: the kernel's
 * `generic_map_lookup_batch`. The position is the last key that was read.
 */
export function genericLookupBatch(
  store: Store,
  sizes: { readonly keyBytes: number; readonly valueBytes: number },
  cursor: BatchCursor,
  keys: Uint8Array,
  values: Uint8Array,
  count: number,
): number {
  const { keyBytes, valueBytes } = sizes;
  const last = cursor.position.subarray(0, keyBytes);
  let before: Uint8Array | null = cursor.started ? last.slice() : null;
  let read = 0;
  while (read < count) {
    const key = keys.subarray(read * keyBytes, (read + 1) * keyBytes);
    const result = store.nextKey(before, key);
    if (result === -ERRNO.ENOENT) {
      cursor.done = true;
      break;
    }
    if (result < 0) {
      return result;
    }
    before = key.slice();
    const value = values.subarray(read * valueBytes, (read + 1) * valueBytes);
    const found = store.lookup(key, value);
    if (found === -ERRNO.ENOENT) {
      continue;
    }
    if (found < 0) {
      return found;
    }
    read += 1;
  }
  if (read > 0) {
    last.set(keys.subarray((read - 1) * keyBytes, read * keyBytes));
  }
  return read;
}

/** Whether an update with these flags, for a key that is there or not, may go on: 0, or why not. */
export function checkMode(flags: number, exists: boolean): number {
  if (flags > EXIST) {
    return -ERRNO.EINVAL;
  }
  if (flags === NOEXIST && exists) {
    return -ERRNO.EEXIST;
  }
  return flags === EXIST && !exists ? -ERRNO.ENOENT : 0;
}
