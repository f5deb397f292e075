/**
 * Whether a map that exists can be used for a definition.
 *
 * The fields are libbpf's (`map_is_reuse_compat`), and for maps of maps what a program is verified
 * against: the shape of the inner maps, which the kernel does not tell, but an inner map does. Their
 * rules are in `inner-rules.ts`.
 */

import { type MapDifference, SyscallError } from '../errors.ts';
import type { Kernel, MapInfo } from '../kernel/kernel.ts';
import { innerDifferences, keptFlags, spellFlags, storedFlags } from '../maps/inner-rules.ts';
import { mapTypeName } from '../uapi/map-types.ts';
import type { MapShape } from './shapes.ts';

/** How many keys of a map of maps are tried in search of an inner map. */
const SEARCHED_KEYS = 1024;

/** The fields in which a map differs from a shape; none if it can be used. */
export function differences(shape: MapShape, found: MapInfo): MapDifference[] {
  const out: MapDifference[] = [];
  compare(out, 'type', shape.type, found.type, mapTypeName);
  compare(out, 'keySize', shape.keySize, found.keySize);
  compare(out, 'valueSize', shape.valueSize, found.valueSize);
  compare(out, 'maxEntries', shape.maxEntries, found.maxEntries);
  // A map of another kernel's making may lack, or have, a flag that it could do without.
  const counted = ~shape.optionalFlags;
  compare(
    out,
    'flags',
    (storedFlags(shape.flags) & counted) >>> 0,
    (keptFlags(found) & counted) >>> 0,
    spellFlags,
  );
  if (shape.mapExtra !== found.mapExtra) {
    out.push({ field: 'mapExtra', wanted: `${shape.mapExtra}`, found: `${found.mapExtra}` });
  }
  return out;
}

/**
 * Like {@link differences}, for the template of a map of maps against an inner map found in it.
 * Fields are called `inner.keySize` and so on. None if no inner map could be looked at: the map is
 * empty, or this process lacks CAP_SYS_ADMIN.
 */
export function foundInnerDifferences(
  kernel: Kernel,
  fd: number,
  outer: MapInfo,
  shape: MapShape,
): MapDifference[] {
  const info = readInner(kernel, fd, outer);
  if (info === null) {
    return [];
  }
  return innerDifferences(shape, info).map(({ field, wanted, found }) => ({
    field: `inner.${field}`,
    wanted,
    found,
  }));
}

/** A descriptor of the first inner map found. */
function findInner(kernel: Kernel, fd: number, outer: MapInfo): number | null {
  const value = new Uint8Array(4);
  let key: Uint8Array | null = null;
  for (let tried = 0; tried < SEARCHED_KEYS; tried += 1) {
    const next: Uint8Array = new Uint8Array(outer.keySize);
    if (!kernel.nextKey(fd, key, next)) {
      return null;
    }
    if (kernel.lookup(fd, next, value, 0)) {
      // A look-up gives the inner map's id, in the machine's byte order.
      const id = new DataView(value.buffer).getUint32(0, kernel.littleEndian);
      return kernel.openMapById(id);
    }
    key = next;
  }
  return null;
}

/** What the kernel says of an inner map; null where this process may not look at one. */
function readInner(kernel: Kernel, fd: number, outer: MapInfo): MapInfo | null {
  try {
    const inner = findInner(kernel, fd, outer);
    if (inner === null) {
      return null;
    }
    try {
      return kernel.mapInfo(inner);
    } finally {
      kernel.close(inner);
    }
  } catch (error) {
    // EPERM: a write-only map, or no CAP_SYS_ADMIN. ENOENT: the inner map has just been replaced.
    if (error instanceof SyscallError && ['EPERM', 'ENOENT'].includes(error.errnoName)) {
      return null;
    }
    throw error;
  }
}

function compare(
  out: MapDifference[],
  field: string,
  wanted: number,
  found: number,
  spell: (value: number) => string = String,
): void {
  if (wanted !== found) {
    out.push({ field, wanted: spell(wanted), found: spell(found) });
  }
}
