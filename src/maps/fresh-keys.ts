/** For walks that the kernel may start over: each entry once all the same. */

import { nameOfBytes } from '../bytes/byte-name.ts';
import { SkepError } from '../errors.ts';
import type { Chunk, WalkedMap } from './walk.ts';

/**
 * A walk without the entries that were met before. Where batches are made of single steps
 * (`generic_map_lookup_batch` in `kernel/bpf/syscall.c`), each goes on from the last key read, and a
 * trie begins from its first key again if that one is gone.
 *
 * The last entry of each chunk comes only after the next chunk was read: a caller who removes what
 * it is given never removes the key that the walk goes on from.
 *
 * @throws SkepError `ERR_SKEP_ITERATION` if far more entries come by than the map can have
 */
export function* freshOnly(
  map: WalkedMap,
  chunks: Iterable<Chunk>,
): Generator<Chunk, void, undefined> {
  const met = new Set<string>();
  let patience = 4 * (map.maxEntries + 64);
  let held: Chunk | null = null;
  for (const chunk of chunks) {
    patience -= chunk.count;
    if (patience < 0) {
      throw endless(map);
    }
    const count = moveFresh(map, chunk, met);
    if (held !== null) {
      yield held;
    }
    held = count === 0 ? null : entryOf(map, chunk, count - 1);
    if (count > 1) {
      yield { ...chunk, count: count - 1 };
    }
  }
  if (held !== null) {
    yield held;
  }
}

/** The error for a walk that the map's changes keep from ending. */
export function endless(map: Pick<WalkedMap, 'name'>): SkepError {
  return new SkepError(
    'ERR_SKEP_ITERATION',
    `map "${map.name}" changes so fast that walking over it does not end; take fewer entries at a time, or walk while nobody removes any`,
  );
}

/** Moves the entries that were not met before to the front of a chunk; their number. */
function moveFresh(map: WalkedMap, { keys, values, count }: Chunk, met: Set<string>): number {
  const { keyBytes, valueBytes } = map;
  let kept = 0;
  for (let index = 0; index < count; index += 1) {
    const at = index * keyBytes;
    const name = nameOfBytes(keys.subarray(at, at + keyBytes));
    if (!met.has(name)) {
      met.add(name);
      keys.copyWithin(kept * keyBytes, at, at + keyBytes);
      values.copyWithin(kept * valueBytes, index * valueBytes, (index + 1) * valueBytes);
      kept += 1;
    }
  }
  return kept;
}

function entryOf(map: WalkedMap, { keys, values }: Chunk, index: number): Chunk {
  return {
    keys: keys.subarray(index * map.keyBytes, (index + 1) * map.keyBytes),
    values: values.subarray(index * map.valueBytes, (index + 1) * map.valueBytes),
    count: 1,
  };
}
