/**
 * Walks over the entries of a map: in batches where the kernel has them, by next keys otherwise.
 * Either way no key is met twice, whatever others do to the map meanwhile.
 */

import { nameOfBytes } from '../bytes/byte-name.ts';
import { SyscallError } from '../errors.ts';
import type { BatchCursor, Kernel } from '../kernel/kernel.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { endless, freshOnly } from './fresh-keys.ts';
import type { MapHandle } from './map-handle.ts';
import { refusedCall } from './refused-call.ts';

/** Entries per call: beyond a few hundred, larger batches gain nothing. */
const BATCH_ENTRIES = 512;
/** Bytes per call, unless one entry takes more. */
const BATCH_BYTES = 1 << 20;
/** Entries that are read at once where there are no batches. */
const STEP_ENTRIES = 64;

/** What a walk needs to know of a map. Sizes in bytes, as the kernel moves them. */
export interface WalkedMap {
  readonly kernel: Kernel;
  readonly name: string;
  /** The descriptor; throws once the handle is closed. */
  readonly fd: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly maxEntries: number;
  /** Whether a batch goes on from a key, and from the first one if that key is gone: tries. */
  readonly startsOver?: boolean;
}

/** What a walk needs of an open map. @param valueBytes of an entry, as the kernel moves it */
export function walkedMap(map: MapHandle, valueBytes: number): WalkedMap {
  const { keySize, maxEntries, type } = map.info();
  return {
    kernel: map.kernel,
    name: map.name,
    get fd() {
      return map.fd;
    },
    keyBytes: keySize,
    valueBytes,
    maxEntries,
    startsOver: type === BPF_MAP_TYPE.LPM_TRIE,
  };
}

/** Some entries: `count` keys one behind the other, and their values. Overwritten by the next. */
export interface Chunk {
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  readonly count: number;
}

/**
 * The entries of a map, some at a time. Entries that are added or removed during the walk may be in
 * it or not.
 *
 * @throws SkepError `ERR_SKEP_ITERATION` if the map changes so fast that the walk cannot end
 */
export function walk(map: WalkedMap): Generator<Chunk, void, undefined> {
  return map.startsOver === true ? freshOnly(map, walkInBatches(map)) : walkInBatches(map);
}

function* walkInBatches(map: WalkedMap): Generator<Chunk, void, undefined> {
  let capacity = batchEntries(map);
  const cursor = newCursor(map);
  while (!cursor.done) {
    const chunk = room(map, capacity);
    const read = readBatch(map, cursor, chunk, capacity);
    if (read === null) {
      yield* walkByKeys(map);
      return;
    }
    if (read === 'too small') {
      capacity *= 2;
      continue;
    }
    if (read > 0) {
      yield { ...chunk, count: read };
    }
  }
}

/** Removes the entries of a map, and says how many that were. */
export function clear(map: WalkedMap): number {
  let capacity = batchEntries(map);
  let removed = 0;
  const cursor = newCursor(map);
  while (!cursor.done) {
    const { keys, values } = room(map, capacity);
    let read: number | null;
    try {
      read = map.kernel.lookupAndDeleteBatch(map.fd, cursor, keys, values, capacity);
    } catch (error) {
      if (!isTooSmall(error)) throw refusedCall(error, map.name);
      capacity *= 2;
      continue;
    }
    if (read === null) {
      return removed + clearByKeys(map);
    }
    removed += read;
  }
  return removed;
}

function readBatch(
  map: WalkedMap,
  cursor: BatchCursor,
  { keys, values }: Omit<Chunk, 'count'>,
  capacity: number,
): number | 'too small' | null {
  try {
    return map.kernel.lookupBatch(map.fd, cursor, keys, values, capacity);
  } catch (error) {
    if (isTooSmall(error)) {
      return 'too small';
    }
    throw refusedCall(error, map.name);
  }
}

function* walkByKeys(map: WalkedMap): Generator<Chunk, void, undefined> {
  // Where a key is gone the kernel starts over, so what was met has to be remembered.
  const met = new Set<string>();
  let patience = 4 * (map.maxEntries + STEP_ENTRIES);
  let key = keyAfter(map, null);
  while (key !== null) {
    const { keys, values } = room(map, STEP_ENTRIES);
    let count = 0;
    while (count < STEP_ENTRIES && key !== null) {
      patience -= 1;
      if (patience < 0) {
        throw endless(map);
      }
      const current: Uint8Array = key;
      // Before the entry is given away, as its receiver may remove it.
      key = keyAfter(map, current);
      const name = nameOfBytes(current);
      const value = values.subarray(count * map.valueBytes, (count + 1) * map.valueBytes);
      if (!met.has(name) && readEntry(map, current, value)) {
        keys.set(current, count * map.keyBytes);
        met.add(name);
        count += 1;
      }
    }
    if (count > 0) {
      yield { keys, values, count };
    }
  }
}

/** The key that follows; null behind the last one. */
function keyAfter(map: WalkedMap, key: Uint8Array | null): Uint8Array | null {
  const next = new Uint8Array(map.keyBytes);
  try {
    return map.kernel.nextKey(map.fd, key, next) ? next : null;
  } catch (error) {
    throw refusedCall(error, map.name);
  }
}

function readEntry(map: WalkedMap, key: Uint8Array, value: Uint8Array): boolean {
  try {
    return map.kernel.lookup(map.fd, key, value, 0);
  } catch (error) {
    throw refusedCall(error, map.name);
  }
}

function clearByKeys(map: WalkedMap): number {
  const key = new Uint8Array(map.keyBytes);
  let removed = 0;
  try {
    while (map.kernel.nextKey(map.fd, null, key)) {
      if (map.kernel.delete(map.fd, key)) {
        removed += 1;
      }
    }
  } catch (error) {
    throw refusedCall(error, map.name);
  }
  return removed;
}

function batchEntries(map: WalkedMap): number {
  const entryBytes = Math.max(1, map.keyBytes + map.valueBytes);
  const fitting = Math.floor(BATCH_BYTES / entryBytes);
  return Math.max(1, Math.min(BATCH_ENTRIES, fitting, map.maxEntries));
}

/** Room of its own for each chunk: entries that are read from it later must not change. */
function room(map: WalkedMap, capacity: number): Omit<Chunk, 'count'> {
  return {
    keys: new Uint8Array(capacity * map.keyBytes),
    values: new Uint8Array(capacity * map.valueBytes),
  };
}

function newCursor(map: WalkedMap): BatchCursor {
  return { position: new Uint8Array(Math.max(4, map.keyBytes)), started: false, done: false };
}

function isTooSmall(error: unknown): boolean {
  return error instanceof SyscallError && error.errnoName === 'ENOSPC';
}
