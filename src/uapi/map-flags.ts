// The flags of maps: two anonymous enums of include/uapi/linux/bpf.h.
// Generated from the copy in libbpf 1.7, do not edit:
//   node scripts/generate-uapi.mjs PATH/TO/bpf.h

/** The bits of `map_flags` (BPF_MAP_CREATE) by the kernel's names, without `BPF_F_`. */
export const BPF_F = Object.freeze({
  NO_PREALLOC: 0x1,
  NO_COMMON_LRU: 0x2,
  NUMA_NODE: 0x4,
  RDONLY: 0x8,
  WRONLY: 0x10,
  STACK_BUILD_ID: 0x20,
  ZERO_SEED: 0x40,
  RDONLY_PROG: 0x80,
  WRONLY_PROG: 0x100,
  CLONE: 0x200,
  MMAPABLE: 0x400,
  PRESERVE_ELEMS: 0x800,
  INNER_MAP: 0x1000,
  LINK: 0x2000,
  PATH_FD: 0x4000,
  VTYPE_BTF_OBJ_FD: 0x8000,
  TOKEN_FD: 0x10000,
  SEGV_ON_FAULT: 0x20000,
  NO_USER_CONV: 0x40000,
  RB_OVERWRITE: 0x80000,
} as const);

/**
 * The flags of BPF_MAP_UPDATE_ELEM, without `BPF_` or `BPF_F_`. LOCK is also taken by lookups. ANY,
 * NOEXIST and EXIST exclude each other; the others are bits. With CPU the upper 32 bits of the
 * 64-bit flags are the number of the CPU.
 */
export const BPF_UPDATE = Object.freeze({
  ANY: 0,
  NOEXIST: 1,
  EXIST: 2,
  LOCK: 4,
  CPU: 8,
  ALL_CPUS: 16,
} as const);

const BITS: readonly (readonly [name: string, bit: number])[] = Object.entries(BPF_F);

/**
 * The names of the bits set in `map_flags` (a u32), lowest bit first, as in {@link BPF_F}; bits newer
 * than this table come last as one hexadecimal number: `['NO_PREALLOC', '0x80000000']`.
 */
export function mapFlagNames(flags: number): string[] {
  const names: string[] = [];
  let rest = flags >>> 0;
  for (const [name, bit] of BITS) {
    if ((rest & bit) === 0) continue;
    names.push(name);
    rest = (rest & ~bit) >>> 0;
  }
  if (rest !== 0) names.push(`0x${rest.toString(16)}`);
  return names;
}
