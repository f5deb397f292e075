/** What makes a handle fit for a map of maps, as far as the compiler of TypeScript can tell. */

import type { MapHandle } from './map-handle.ts';

/**
 * Marks the classes of handles whose maps can be inner maps. It exists for the compiler only: what
 * the kernel refuses (program arrays, maps of maps, the storage of cgroups) does not have it, so it
 * does not type-check as an inner map.
 */
export declare const canBeInner: unique symbol;

/** A handle to a map that can be an inner map of {@link ArrayOfMaps} and {@link HashOfMaps}. */
export interface InnerMap extends MapHandle {
  readonly [canBeInner]: true;
}
