/**
 * Whether a map that exists can be used for a definition.
 *
 * The fields are libbpf's (`map_is_reuse_compat`), and for maps of maps what a program is verified
 * against: the shape of the inner maps, which the kernel does not tell, but an inner map does. The
 * rules for inner maps are those of `bpf_map_meta_equal` in `kernel/bpf/map_in_map.c`.
 */

import { type MapDifference, SyscallError } from '../errors.ts';
import type { Kernel, MapInfo } from '../kernel/kernel.ts';
import { BPF_F, mapFlagNames } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE, mapTypeName } from '../uapi/map-types.ts';
import type { MapShape } from './shapes.ts';

/** Flags that belong to a descriptor or to the call, and are not kept with the map. */
const NOT_STORED =
  BPF_F.RDONLY | BPF_F.WRONLY | BPF_F.PATH_FD | BPF_F.VTYPE_BTF_OBJ_FD | BPF_F.TOKEN_FD;

/** How many keys of a map of maps are tried in search of an inner map. */
const SEARCHED_KEYS = 1024;

/** The fields in which a map differs from a shape; none if it can be used. */
export function differences(shape: MapShape, found: MapInfo): MapDifference[] {
  const out: MapDifference[] = [];
  compare(out, 'type', shape.type, found.type, mapTypeName);
  compare(out, 'keySize', shape.keySize, found.keySize);
  compare(out, 'valueSize', shape.valueSize, found.valueSize);
  compare(out, 'maxEntries', shape.maxEntries, found.maxEntries);
  compare(out, 'flags', storedFlags(shape.flags), keptFlags(found), spellFlags);
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
export function innerDifferences(
  kernel: Kernel,
  fd: number,
  outer: MapInfo,
  shape: MapShape,
): MapDifference[] {
  const info = readInner(kernel, fd, outer);
  if (info === null) {
    return [];
  }
  const out: MapDifference[] = [];
  compare(out, 'inner.type', shape.type, info.type, mapTypeName);
  compare(out, 'inner.keySize', shape.keySize, info.keySize);
  compare(out, 'inner.valueSize', shape.valueSize, info.valueSize);
  compare(out, 'inner.flags', storedFlags(shape.flags), keptFlags(info), spellFlags);
  if (entriesMatter(shape)) {
    compare(out, 'inner.maxEntries', shape.maxEntries, info.maxEntries);
  }
  return out;
}

/** Programs have the number of entries of these compiled in; others may differ in it. */
function entriesMatter(shape: MapShape): boolean {
  return (
    shape.type === BPF_MAP_TYPE.XSKMAP ||
    (shape.type === BPF_MAP_TYPE.ARRAY && (shape.flags & BPF_F.INNER_MAP) === 0)
  );
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

function storedFlags(flags: number): number {
  return (flags & ~NOT_STORED) >>> 0;
}

/** The kernel adds a flag of its own to device maps. */
function keptFlags(info: MapInfo): number {
  const isDevice = info.type === BPF_MAP_TYPE.DEVMAP || info.type === BPF_MAP_TYPE.DEVMAP_HASH;
  return storedFlags(isDevice ? info.flags & ~BPF_F.RDONLY_PROG : info.flags);
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

function spellFlags(flags: number): string {
  return mapFlagNames(flags).join(' | ') || 'none';
}
