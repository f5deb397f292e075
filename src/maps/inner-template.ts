/** What the inner maps of a map of maps look like, and making another one. */

import { bytes } from '../codec/aggregates.ts';
import type { Codec } from '../codec/codec.ts';
import type { BtfCodecOptions } from '../codec/from-btf.ts';
import { InnerMismatchError } from '../errors.ts';
import type { Kernel, MapInfo } from '../kernel/kernel.ts';
import { checkOptionNames, checkSizes } from './create-checks.ts';
import { createMap, kernelName, takesTypes } from './create-map.ts';
import type { InnerKind } from './inner-kinds.ts';
import { entriesRule, keptFlags } from './inner-rules.ts';
import { createStorage, isStorage } from './local-storage.ts';
import type { MapHandle } from './map-handle.ts';

/** What inner maps are created with. Sizes in bytes; type ids are those of the object's BTF. */
export interface InnerShape {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly numaNode: number;
  readonly mapExtra: bigint;
  readonly keyTypeId: number;
  readonly valueTypeId: number;
}

/** What a map of maps knows of its inner maps. */
export interface InnerTemplate {
  /** null: not known until an inner map is looked at. */
  readonly shape: InnerShape | null;
  /** The codecs of keys and values; undefined: as bytes. */
  readonly key?: Codec<unknown, never> | undefined;
  readonly value?: Codec<unknown, never> | undefined;
  /** Given where the kernel is asked for the types of each inner map, as nobody else knows them. */
  readonly live?: BtfCodecOptions | undefined;
  /** The class of inner handles; undefined: the one for the type. */
  readonly kind?: InnerKind | undefined;
  /** Loads the types; a descriptor that is the caller's. null if the kernel does not take them. */
  readonly loadBtf?: (() => number | null) | undefined;
  /** Handles of others to maps that may be inside, so that reading those needs no privilege. */
  readonly known?: readonly MapHandle[] | undefined;
}

/** What may differ from the template in {@link OuterMap.createInner}. */
export interface InnerOverrides {
  /** For arrays only if the template has `BPF_F_INNER_MAP`. */
  readonly maxEntries?: number;
  /** The kernel's name for it. */
  readonly name?: string;
}

const OVERRIDES: readonly (keyof InnerOverrides)[] = ['maxEntries', 'name'];

/** The shape of a map that exists, without its types. */
export function shapeOfMap(info: MapInfo): InnerShape {
  const { type, keySize, valueSize, maxEntries, mapExtra } = info;
  const flags = keptFlags(info);
  // The node is not told; it is a matter of speed only.
  const none = { numaNode: 0, keyTypeId: 0, valueTypeId: 0 };
  return { type, keySize, valueSize, maxEntries, flags, mapExtra, ...none };
}

/**
 * Creates a map that fits a template.
 *
 * @param outer name of the map of maps, for the map's name and messages
 * @param loadBtf gives a descriptor of the types, which stays its own
 * @returns a descriptor, the caller's
 * @throws TypeError, RangeError for a number of entries that is none of 32 bits, and for what cannot
 *   differ
 * @throws InnerMismatchError for a number of entries that cannot be; SyscallError as
 *   `BPF_MAP_CREATE` does
 */
export function createLike(
  kernel: Kernel,
  shape: InnerShape,
  outer: string,
  overrides: InnerOverrides,
  loadBtf: () => number | null,
): number {
  checkOptionNames(`createInner of map "${outer}"`, overrides, OVERRIDES);
  const { maxEntries = shape.maxEntries, name = `${outer}.inner` } = overrides;
  checkSizes({ ...shape, maxEntries });
  const rule = entriesRule(shape);
  if (maxEntries !== shape.maxEntries && rule !== undefined) {
    const wanted = `${shape.maxEntries}`;
    throw new InnerMismatchError(outer, `a map of ${maxEntries} entries`, [
      { field: 'maxEntries', wanted, found: `${maxEntries}`, rule },
    ]);
  }
  if (shape.keyTypeId === 0 && isStorage(shape.type)) {
    // Without its types the kernel would not create it; any of the right size do.
    const { type, flags, valueSize } = shape;
    return createStorage(type, { kernel, value: bytes(valueSize), flags, name }).fd;
  }
  const { keyTypeId, valueTypeId, ...attributes } = shape;
  const btf = takesTypes(shape.type, keyTypeId, valueTypeId, false) ? loadBtf() : null;
  return createMap(kernel, {
    ...attributes,
    maxEntries,
    name: kernelName(name),
    innerMapFd: null,
    btf: btf === null ? null : { fd: btf, keyTypeId, valueTypeId },
  });
}
