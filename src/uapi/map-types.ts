// The map types of bpf(2): enum bpf_map_type of include/uapi/linux/bpf.h.
// Generated from the copy in libbpf 1.7, do not edit:
//   node scripts/generate-uapi.mjs PATH/TO/bpf.h

/** The map types by the kernel's names, without `BPF_MAP_TYPE_`. */
export const BPF_MAP_TYPE = Object.freeze({
  UNSPEC: 0,
  HASH: 1,
  ARRAY: 2,
  PROG_ARRAY: 3,
  PERF_EVENT_ARRAY: 4,
  PERCPU_HASH: 5,
  PERCPU_ARRAY: 6,
  STACK_TRACE: 7,
  CGROUP_ARRAY: 8,
  LRU_HASH: 9,
  LRU_PERCPU_HASH: 10,
  LPM_TRIE: 11,
  ARRAY_OF_MAPS: 12,
  HASH_OF_MAPS: 13,
  DEVMAP: 14,
  SOCKMAP: 15,
  CPUMAP: 16,
  XSKMAP: 17,
  SOCKHASH: 18,
  CGROUP_STORAGE_DEPRECATED: 19,
  CGROUP_STORAGE: 19,
  REUSEPORT_SOCKARRAY: 20,
  PERCPU_CGROUP_STORAGE_DEPRECATED: 21,
  PERCPU_CGROUP_STORAGE: 21,
  QUEUE: 22,
  STACK: 23,
  SK_STORAGE: 24,
  DEVMAP_HASH: 25,
  STRUCT_OPS: 26,
  RINGBUF: 27,
  INODE_STORAGE: 28,
  TASK_STORAGE: 29,
  BLOOM_FILTER: 30,
  USER_RINGBUF: 31,
  CGRP_STORAGE: 32,
  ARENA: 33,
  INSN_ARRAY: 34,
  RHASH: 35, // not yet in the header this file was generated from
} as const);

const NAMES: readonly string[] = [
  'unspec',
  'hash',
  'array',
  'prog_array',
  'perf_event_array',
  'percpu_hash',
  'percpu_array',
  'stack_trace',
  'cgroup_array',
  'lru_hash',
  'lru_percpu_hash',
  'lpm_trie',
  'array_of_maps',
  'hash_of_maps',
  'devmap',
  'sockmap',
  'cpumap',
  'xskmap',
  'sockhash',
  'cgroup_storage',
  'reuseport_sockarray',
  'percpu_cgroup_storage',
  'queue',
  'stack',
  'sk_storage',
  'devmap_hash',
  'struct_ops',
  'ringbuf',
  'inode_storage',
  'task_storage',
  'bloom_filter',
  'user_ringbuf',
  'cgrp_storage',
  'arena',
  'insn_array',
  'rhash',
];

const NUMBERS: ReadonlyMap<string, number> = new Map(NAMES.map((name, type) => [name, type]));

/**
 * The name of a map type as bpftool and `libbpf_bpf_map_type_str` spell it: `hash_of_maps`.
 * The deprecated types go by their old names: `cgroup_storage`, `percpu_cgroup_storage`. A number
 * newer than this table gives `type_99`; never throws.
 */
export function mapTypeName(type: number): string {
  return NAMES[type] ?? `type_${type}`;
}

/** The inverse of {@link mapTypeName}: the number of a map type, undefined for any other text. */
export function mapTypeNumber(name: string): number | undefined {
  return NUMBERS.get(name);
}
