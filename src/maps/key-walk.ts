/** The keys of a map, one call each: for kinds of map that have no batches, or no values to read. */

import { endless } from './fresh-keys.ts';
import type { MapHandle } from './map-handle.ts';

/** Steps that a walk may take beyond those that found something new. */
const PATIENCE = 256;

/**
 * The keys of a map, each once and each a copy. Where the key reached is removed meanwhile the
 * kernel starts over, so what was met is remembered.
 *
 * @throws SkepError `ERR_SKEP_ITERATION` if the map changes so fast that the walk cannot end
 */
export function* walkKeys(
  map: Pick<MapHandle, 'fd' | 'info' | 'kernel' | 'name'>,
): Generator<Uint8Array, void, undefined> {
  const { keySize } = map.info();
  const met = new Set<string>();
  let key: Uint8Array | null = null;
  let steps = 0;
  for (;;) {
    const next = new Uint8Array(keySize);
    if (!map.kernel.nextKey(map.fd, key, next)) {
      return;
    }
    steps += 1;
    if (steps > 4 * met.size + PATIENCE) {
      throw endless(map);
    }
    const name = String.fromCharCode(...next);
    key = next;
    if (!met.has(name)) {
      met.add(name);
      // The receiver may write into what it is given.
      yield next.slice();
    }
  }
}
