/**
 * What the kernel asks of a new map: the checks of `map_create` in `kernel/bpf/syscall.c` and of each
 * type's `map_alloc_check` and `map_alloc` (6.18), in their order, as 0 or a negative errno.
 */

import { alignUp } from '../../bytes/align.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { BPF_F } from '../../uapi/map-flags.ts';
import { BPF_MAP_TYPE, mapTypeName, mapTypeNumber } from '../../uapi/map-types.ts';
import type { MapAttributes, PinAccess } from '../kernel.ts';

/** `KMALLOC_MAX_SIZE` with pages of 4 KiB. */
const LARGEST_ALLOCATION = 1 << 22;
/** `sizeof(struct htab_elem)`. */
const HASH_ELEMENT_BYTES = 48;
/** `PCPU_MIN_UNIT_SIZE`: the largest value that one CPU can have. */
const LARGEST_PER_CPU = 32 << 10;
/** As many as entries, rounded up to a power of two, of 16 bytes: less than 4 GiB of them. */
const MOST_BUCKETS = 2 ** 27;
const INT_MAX = 0x7fff_ffff;
/** Bytes of a prefix: 1 to 256, behind its length of 4. */
const SHORTEST_PREFIX_KEY = 5;
const LONGEST_PREFIX_KEY = 260;
/** `LPM_VAL_SIZE_MAX`: behind the longest prefix and `struct lpm_trie_node`. */
const LARGEST_TRIE_VALUE = LARGEST_ALLOCATION - 256 - 24;

const ACCESS = BPF_F.RDONLY | BPF_F.WRONLY | BPF_F.RDONLY_PROG | BPF_F.WRONLY_PROG;
const HASH_FLAGS =
  BPF_F.NO_PREALLOC | BPF_F.NO_COMMON_LRU | BPF_F.NUMA_NODE | BPF_F.ZERO_SEED | ACCESS;
const ARRAY_FLAGS =
  BPF_F.NUMA_NODE | BPF_F.MMAPABLE | BPF_F.PRESERVE_ELEMS | BPF_F.INNER_MAP | ACCESS;
const TRIE_FLAGS = BPF_F.NO_PREALLOC | BPF_F.NUMA_NODE | ACCESS;
const QUEUE_FLAGS = BPF_F.NUMA_NODE | ACCESS;
const BLOOM_FLAGS = BPF_F.NUMA_NODE | BPF_F.ZERO_SEED | ACCESS;
const RING_FLAGS = BPF_F.NUMA_NODE;

/** Types with an entry, or a value in it, for each CPU. */
const PER_CPU_TYPES: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.PERCPU_HASH,
  BPF_MAP_TYPE.PERCPU_ARRAY,
  BPF_MAP_TYPE.LRU_PERCPU_HASH,
]);

const LRU_TYPES: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.LRU_HASH,
  BPF_MAP_TYPE.LRU_PERCPU_HASH,
]);

/** Whether full maps of a type lose an entry instead of refusing one. */
export function isLru(type: number): boolean {
  return LRU_TYPES.has(type);
}

type Check = (map: MapAttributes, pageSize: number) => number;

const HASH_CHECK: Check = (map) => {
  const perCpu = PER_CPU_TYPES.has(map.type);
  const lru = isLru(map.type);
  const perCpuLru = (map.flags & BPF_F.NO_COMMON_LRU) !== 0;
  if (!flagsAllowed(map, HASH_FLAGS) || (!lru && perCpuLru)) {
    return -ERRNO.EINVAL;
  }
  if (lru && (map.flags & BPF_F.NO_PREALLOC) !== 0) {
    return -ERRNO.ENOTSUPP;
  }
  if (hasNode(map) && (perCpu || perCpuLru)) {
    return -ERRNO.EINVAL;
  }
  if (map.maxEntries === 0 || map.keySize === 0 || map.valueSize === 0) {
    return -ERRNO.EINVAL;
  }
  if (map.keySize + map.valueSize >= LARGEST_ALLOCATION - HASH_ELEMENT_BYTES) {
    return -ERRNO.E2BIG;
  }
  return perCpu && alignUp(map.valueSize, 8) > LARGEST_PER_CPU ? -ERRNO.E2BIG : 0;
};

/** `htab_map_alloc`. */
const HASH_ALLOCATION: Check = (map) => (map.maxEntries > MOST_BUCKETS ? -ERRNO.E2BIG : 0);

const ARRAY_CHECK: Check = (map) => {
  const perCpu = PER_CPU_TYPES.has(map.type);
  if (
    map.maxEntries === 0 ||
    map.keySize !== 4 ||
    map.valueSize === 0 ||
    !flagsAllowed(map, ARRAY_FLAGS) ||
    (perCpu && hasNode(map))
  ) {
    return -ERRNO.EINVAL;
  }
  const special = BPF_F.MMAPABLE | BPF_F.INNER_MAP;
  if (map.type !== BPF_MAP_TYPE.ARRAY && (map.flags & special) !== 0) {
    return -ERRNO.EINVAL;
  }
  if (map.type !== BPF_MAP_TYPE.PERF_EVENT_ARRAY && (map.flags & BPF_F.PRESERVE_ELEMS) !== 0) {
    return -ERRNO.EINVAL;
  }
  if (map.valueSize > INT_MAX) {
    return -ERRNO.E2BIG;
  }
  return perCpu && alignUp(map.valueSize, 8) > LARGEST_PER_CPU ? -ERRNO.E2BIG : 0;
};

/** `fd_array_map_alloc_check`: arrays whose values are descriptors. */
const SLOTS_CHECK: Check = (map, pageSize) => {
  const byPrograms = BPF_F.RDONLY_PROG | BPF_F.WRONLY_PROG;
  return map.valueSize !== 4 || (map.flags & byPrograms) !== 0
    ? -ERRNO.EINVAL
    : ARRAY_CHECK(map, pageSize);
};

const HASH_OF_MAPS_CHECK: Check = (map, pageSize) =>
  map.valueSize !== 4 ? -ERRNO.EINVAL : HASH_CHECK(map, pageSize);

const TRIE_ALLOCATION: Check = (map) =>
  map.maxEntries === 0 ||
  (map.flags & BPF_F.NO_PREALLOC) === 0 ||
  !flagsAllowed(map, TRIE_FLAGS) ||
  map.keySize < SHORTEST_PREFIX_KEY ||
  map.keySize > LONGEST_PREFIX_KEY ||
  map.valueSize === 0 ||
  map.valueSize > LARGEST_TRIE_VALUE
    ? -ERRNO.EINVAL
    : 0;

const QUEUE_CHECK: Check = (map) => {
  if (
    map.maxEntries === 0 ||
    map.keySize !== 0 ||
    map.valueSize === 0 ||
    !flagsAllowed(map, QUEUE_FLAGS)
  ) {
    return -ERRNO.EINVAL;
  }
  return map.valueSize > LARGEST_ALLOCATION ? -ERRNO.E2BIG : 0;
};

const BLOOM_CHECK: Check = (map) => (map.valueSize > LARGEST_ALLOCATION ? -ERRNO.E2BIG : 0);

const BLOOM_ALLOCATION: Check = (map) =>
  map.keySize !== 0 ||
  map.valueSize === 0 ||
  map.maxEntries === 0 ||
  !flagsAllowed(map, BLOOM_FLAGS) ||
  map.mapExtra > 15n
    ? -ERRNO.EINVAL
    : 0;

const RING_ALLOCATION: Check = (map, pageSize) =>
  (map.flags & ~RING_FLAGS) !== 0 ||
  map.keySize !== 0 ||
  map.valueSize !== 0 ||
  map.maxEntries === 0 ||
  (map.maxEntries & (map.maxEntries - 1)) !== 0 ||
  map.maxEntries % pageSize !== 0
    ? -ERRNO.EINVAL
    : 0;

const NO_CHECK: Check = () => 0;

/** `map_alloc_check` of each type, whoever asks. */
const CHECKS: ReadonlyMap<number, Check> = new Map([
  [BPF_MAP_TYPE.HASH, HASH_CHECK],
  [BPF_MAP_TYPE.LRU_HASH, HASH_CHECK],
  [BPF_MAP_TYPE.PERCPU_HASH, HASH_CHECK],
  [BPF_MAP_TYPE.LRU_PERCPU_HASH, HASH_CHECK],
  [BPF_MAP_TYPE.ARRAY, ARRAY_CHECK],
  [BPF_MAP_TYPE.PERCPU_ARRAY, ARRAY_CHECK],
  [BPF_MAP_TYPE.PROG_ARRAY, SLOTS_CHECK],
  [BPF_MAP_TYPE.PERF_EVENT_ARRAY, SLOTS_CHECK],
  [BPF_MAP_TYPE.ARRAY_OF_MAPS, SLOTS_CHECK],
  [BPF_MAP_TYPE.HASH_OF_MAPS, HASH_OF_MAPS_CHECK],
  [BPF_MAP_TYPE.LPM_TRIE, NO_CHECK],
  [BPF_MAP_TYPE.QUEUE, QUEUE_CHECK],
  [BPF_MAP_TYPE.STACK, QUEUE_CHECK],
  [BPF_MAP_TYPE.BLOOM_FILTER, BLOOM_CHECK],
  [BPF_MAP_TYPE.RINGBUF, NO_CHECK],
  [BPF_MAP_TYPE.USER_RINGBUF, NO_CHECK],
]);

/** What `map_alloc` checks itself, of those who may make maps. */
const ALLOCATIONS: ReadonlyMap<number, Check> = new Map([
  [BPF_MAP_TYPE.HASH, HASH_ALLOCATION],
  [BPF_MAP_TYPE.LRU_HASH, HASH_ALLOCATION],
  [BPF_MAP_TYPE.PERCPU_HASH, HASH_ALLOCATION],
  [BPF_MAP_TYPE.LRU_PERCPU_HASH, HASH_ALLOCATION],
  [BPF_MAP_TYPE.HASH_OF_MAPS, HASH_ALLOCATION],
  [BPF_MAP_TYPE.LPM_TRIE, TRIE_ALLOCATION],
  [BPF_MAP_TYPE.BLOOM_FILTER, BLOOM_ALLOCATION],
  [BPF_MAP_TYPE.RINGBUF, RING_ALLOCATION],
  [BPF_MAP_TYPE.USER_RINGBUF, RING_ALLOCATION],
]);

/** Whether the in-process kernel has maps of a type. */
export function hasMapType(type: number): boolean {
  return CHECKS.has(type);
}

/** Why a map cannot be created, whoever asks for it: 0 if its numbers are not in the way. */
export function checkAttributes(map: MapAttributes, pageSize: number): number {
  if (map.btf !== null && map.btf.keyTypeId !== 0 && map.btf.valueTypeId === 0) {
    return -ERRNO.EINVAL;
  }
  // Only struct_ops maps have it.
  if (map.kernelValueType !== undefined && map.type !== BPF_MAP_TYPE.STRUCT_OPS) {
    return -ERRNO.EINVAL;
  }
  const hasExtra: readonly number[] = [BPF_MAP_TYPE.BLOOM_FILTER, BPF_MAP_TYPE.ARENA];
  if (map.mapExtra !== 0n && !hasExtra.includes(map.type)) {
    return -ERRNO.EINVAL;
  }
  const both = BPF_F.RDONLY | BPF_F.WRONLY;
  if ((map.flags & both) === both || (hasNode(map) && map.numaNode !== 0)) {
    return -ERRNO.EINVAL;
  }
  if (mapTypeNumber(mapTypeName(map.type)) === undefined) {
    return -ERRNO.EINVAL;
  }
  return CHECKS.get(map.type)?.(map, pageSize) ?? 0;
}

/** Why a map cannot be created by somebody who may create maps: 0 if it can. */
export function checkAllocation(map: MapAttributes, pageSize: number): number {
  return ALLOCATIONS.get(map.type)?.(map, pageSize) ?? 0;
}

/** `bpf_obj_name_cpy`, with the NUL that the kernel's front adds. */
export function checkName(name: string): number {
  return /^[A-Za-z0-9_.]*$/.test(name) ? 0 : -ERRNO.EINVAL;
}

function flagsAllowed(map: MapAttributes, allowed: number): boolean {
  const byPrograms = BPF_F.RDONLY_PROG | BPF_F.WRONLY_PROG;
  return (map.flags & ~allowed) === 0 && (map.flags & byPrograms) !== byPrograms;
}

function hasNode(map: MapAttributes): boolean {
  return (map.flags & BPF_F.NUMA_NODE) !== 0;
}

/** The bytes of a value as calls move it: all CPUs' values in a per-CPU map. */
export function movedBytes(map: Pick<MapAttributes, 'type' | 'valueSize'>, cpus: number): number {
  return PER_CPU_TYPES.has(map.type) ? alignUp(map.valueSize, 8) * cpus : map.valueSize;
}

/**
 * Entries that a map has room for: as many for each CPU where each has a list of its own
 * (`htab_map_alloc`).
 */
export function roomOf(map: Pick<MapAttributes, 'flags' | 'maxEntries'>, cpus: number): number {
  const { flags, maxEntries } = map;
  return (flags & BPF_F.NO_COMMON_LRU) === 0 ? maxEntries : Math.ceil(maxEntries / cpus) * cpus;
}

/**
 * Bytes that a map takes when it is made, and keeps: the entries of arrays, the pages of ring buffers.
 * All other maps take memory for what is put in.
 *
 * @param machine its pages in bytes
 */
export function fixedBytes(
  map: Pick<MapAttributes, 'type' | 'valueSize' | 'maxEntries' | 'flags'>,
  machine: { readonly cpus: number; readonly pageSize: number },
): number {
  const { cpus, pageSize } = machine;
  switch (map.type) {
    case BPF_MAP_TYPE.ARRAY:
    case BPF_MAP_TYPE.PERCPU_ARRAY: {
      const bytes = alignUp(movedBytes(map, cpus), 8) * map.maxEntries;
      return (map.flags & BPF_F.MMAPABLE) === 0 ? bytes : alignUp(bytes, pageSize);
    }
    case BPF_MAP_TYPE.RINGBUF:
    case BPF_MAP_TYPE.USER_RINGBUF:
      return 2 * pageSize + 2 * map.maxEntries;
    default:
      return 0;
  }
}

/** What the flags of a new map let its descriptor do. */
export function accessOf(flags: number): PinAccess {
  if ((flags & BPF_F.RDONLY) !== 0) {
    return 'read-only';
  }
  return (flags & BPF_F.WRONLY) !== 0 ? 'write-only' : 'read-write';
}
