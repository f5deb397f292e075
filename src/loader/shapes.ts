/**
 * What a map of an object is created as on a given machine: the definition, the caller's changes,
 * and the numbers that depend on the machine.
 */

import { alignUp } from '../bytes/align.ts';
import { ringBufferBytes } from '../maps/ring-size.ts';
import type { MapDefinition } from '../obj/map-definition.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import type { MapOptions } from './options.ts';

/** What planning needs to know of a machine; a `Kernel` tells all of it. */
export interface Machine {
  readonly littleEndian: boolean;
  /** In bytes. */
  readonly pageSize: number;
  possibleCpus(): number;
}

/** The attributes of a map to be, less what only exists at run time. Sizes in bytes. */
export interface MapShape {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** Flags that the map does without where the kernel does not know them. */
  readonly optionalFlags: number;
  readonly numaNode: number;
  readonly mapExtra: bigint;
  readonly keyTypeId: number;
  readonly valueTypeId: number;
}

/** Types that hold no keys and values in the kernel's sense; a declared type says what is in them. */
const WITHOUT_SIZES: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.RINGBUF,
  BPF_MAP_TYPE.USER_RINGBUF,
  BPF_MAP_TYPE.ARENA,
]);

/** Whether a map holds maps. */
export function isOuter(shape: Pick<MapShape, 'type'>): boolean {
  return shape.type === BPF_MAP_TYPE.ARRAY_OF_MAPS || shape.type === BPF_MAP_TYPE.HASH_OF_MAPS;
}

/** The shape of a map, or of the template inside one. */
export function shapeOf(
  definition: MapDefinition,
  machine: Machine,
  options: MapOptions = {},
): MapShape {
  const type = definition.typeNumber;
  const flags = options.flags ?? definition.flags;
  const maxEntries = options.maxEntries ?? definition.maxEntries;
  const withoutSizes = WITHOUT_SIZES.has(type);
  const keySize = withoutSizes ? 0 : definition.keySize;
  const valueSize = withoutSizes ? 0 : definition.valueSize;
  return {
    type,
    keySize: keySize || defaultKeySize(type),
    valueSize: valueSize || defaultValueSize(type),
    maxEntries: roundPerCpu(type, flags, adjustEntries(type, maxEntries, machine), machine),
    flags,
    optionalFlags: 0,
    numaNode: definition.numaNode,
    mapExtra: definition.mapExtra,
    keyTypeId: definition.keyTypeId,
    valueTypeId: definition.valueTypeId,
  };
}

function adjustEntries(type: number, maxEntries: number, machine: Machine): number {
  switch (type) {
    case BPF_MAP_TYPE.RINGBUF:
    case BPF_MAP_TYPE.USER_RINGBUF:
      return ringBufferBytes(maxEntries, machine.pageSize);
    case BPF_MAP_TYPE.PERF_EVENT_ARRAY:
    case BPF_MAP_TYPE.CPUMAP:
      return maxEntries === 0 ? machine.possibleCpus() : maxEntries;
    default:
      return maxEntries;
  }
}

/** Lists of each CPU's own take as many entries each: the kernel rounds up (`htab_map_alloc`). */
function roundPerCpu(type: number, flags: number, maxEntries: number, machine: Machine): number {
  const isLru = type === BPF_MAP_TYPE.LRU_HASH || type === BPF_MAP_TYPE.LRU_PERCPU_HASH;
  return isLru && (flags & BPF_F.NO_COMMON_LRU) !== 0
    ? alignUp(maxEntries, machine.possibleCpus())
    : maxEntries;
}

/** A perf event array is always indexed by CPU; the declaration may leave that out. */
function defaultKeySize(type: number): number {
  return type === BPF_MAP_TYPE.PERF_EVENT_ARRAY ? 4 : 0;
}

/** Where the value can only be a descriptor, the declaration may leave its size out. */
function defaultValueSize(type: number): number {
  switch (type) {
    case BPF_MAP_TYPE.PERF_EVENT_ARRAY:
    case BPF_MAP_TYPE.ARRAY_OF_MAPS:
    case BPF_MAP_TYPE.HASH_OF_MAPS:
      return 4;
    default:
      return 0;
  }
}
