/** The keys of a map, one call each: for kinds of map that have no batches, or no values to read. */

import { nameOfBytes } from '../bytes/byte-name.ts';
import { endless } from './fresh-keys.ts';
import type { MapHandle } from './map-handle.ts';
import { refusedCall } from './refused-call.ts';

/** Steps that a walk may take beyond those that found something new. */
const PATIENCE = 256;

/**
 * The keys of a map, each once and each a copy. The kernel starts over where it is asked what follows
 * a key that is gone. So that is asked before a key is given away: its receiver may remove it. As
 * others may too, what was met is remembered.
 *
 * @throws SkepError `ERR_SKEP_ITERATION` if the map changes so fast that the walk cannot end
 */
export function* walkKeys(
  map: Pick<MapHandle, 'fd' | 'info' | 'kernel' | 'name'>,
): Generator<Uint8Array, void, undefined> {
  const { keySize } = map.info();
  const met = new Set<string>();
  let steps = 0;
  let key = keyAfter(map, null, keySize);
  while (key !== null) {
    steps += 1;
    if (steps > 4 * met.size + PATIENCE) {
      throw endless(map);
    }
    const current: Uint8Array = key;
    const name = nameOfBytes(current);
    key = keyAfter(map, current, keySize);
    if (!met.has(name)) {
      met.add(name);
      yield current;
    }
  }
}

/** The key that follows, the caller's; null behind the last one. */
function keyAfter(
  map: Pick<MapHandle, 'fd' | 'kernel' | 'name'>,
  key: Uint8Array | null,
  keySize: number,
): Uint8Array | null {
  const next = new Uint8Array(keySize);
  try {
    return map.kernel.nextKey(map.fd, key, next) ? next : null;
  } catch (error) {
    throw refusedCall(error, map.name);
  }
}
