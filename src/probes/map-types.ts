/**
 * Which types of map a kernel has: one of each is created, as small as it may be, and closed.
 *
 * What each type wants: `map_alloc_check` of its file in the kernel, and libbpf's `probe_map_create`.
 */

import { SyscallError } from '../errors.ts';
import type { Kernel, MapAttributes } from '../kernel/kernel.ts';
import { BTF_KIND } from '../uapi/btf-kinds.ts';
import { ERRNO } from '../uapi/errno.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE, mapTypeName } from '../uapi/map-types.ts';
import { type Answer, ask, explained, no, unknown } from './answer.ts';
import { intType, smallBtf, typeOf } from './small-btf.ts';

/** The number of the last type whose attributes are known here. */
const LAST_KNOWN = BPF_MAP_TYPE.RHASH;

/** An array of one 32-bit number. What a type of map wants otherwise is put over it. */
const ORDINARY: MapAttributes = {
  type: BPF_MAP_TYPE.ARRAY,
  keySize: 4,
  valueSize: 4,
  maxEntries: 1,
  flags: 0,
  name: '',
  numaNode: 0,
  mapExtra: 0n,
  innerMapFd: null,
  btf: null,
};

const KEYLESS = { keySize: 0 };
const STORAGE = { valueSize: 8, maxEntries: 0, flags: BPF_F.NO_PREALLOC };
// `struct bpf_cgroup_storage_key`.
const CGROUP_STORAGE = { keySize: 16, valueSize: 8, maxEntries: 0 };

const WANTED: Readonly<Record<number, Partial<MapAttributes>>> = {
  [BPF_MAP_TYPE.STACK_TRACE]: { valueSize: 8 },
  [BPF_MAP_TYPE.LPM_TRIE]: { keySize: 8, valueSize: 8, flags: BPF_F.NO_PREALLOC },
  [BPF_MAP_TYPE.CGROUP_STORAGE]: CGROUP_STORAGE,
  [BPF_MAP_TYPE.PERCPU_CGROUP_STORAGE]: CGROUP_STORAGE,
  [BPF_MAP_TYPE.QUEUE]: KEYLESS,
  [BPF_MAP_TYPE.STACK]: KEYLESS,
  [BPF_MAP_TYPE.BLOOM_FILTER]: KEYLESS,
  [BPF_MAP_TYPE.SK_STORAGE]: STORAGE,
  [BPF_MAP_TYPE.INODE_STORAGE]: STORAGE,
  [BPF_MAP_TYPE.TASK_STORAGE]: STORAGE,
  [BPF_MAP_TYPE.CGRP_STORAGE]: STORAGE,
  [BPF_MAP_TYPE.ARENA]: { keySize: 0, valueSize: 0, flags: BPF_F.MMAPABLE },
  // `struct bpf_insn_array_value`.
  [BPF_MAP_TYPE.INSN_ARRAY]: { valueSize: 16 },
  [BPF_MAP_TYPE.RHASH]: { flags: BPF_F.NO_PREALLOC },
};

/** Whether a kernel has maps of a type. */
export function probeMapType(kernel: Kernel, type: number): Answer {
  if (type <= BPF_MAP_TYPE.UNSPEC || type > LAST_KNOWN) {
    return unknown(`nothing is known of a map type ${mapTypeName(type)}`);
  }
  const answer = ask(() => {
    switch (type) {
      case BPF_MAP_TYPE.STRUCT_OPS:
        return probeStructOps(kernel);
      case BPF_MAP_TYPE.ARRAY_OF_MAPS:
      case BPF_MAP_TYPE.HASH_OF_MAPS:
        return withMap(kernel, {}, (innerMapFd) => withMap(kernel, { type, innerMapFd }, nothing));
      case BPF_MAP_TYPE.RINGBUF:
      case BPF_MAP_TYPE.USER_RINGBUF:
        return withMap(
          kernel,
          { type, keySize: 0, valueSize: 0, maxEntries: kernel.pageSize },
          nothing,
        );
      case BPF_MAP_TYPE.SK_STORAGE:
      case BPF_MAP_TYPE.INODE_STORAGE:
      case BPF_MAP_TYPE.TASK_STORAGE:
      case BPF_MAP_TYPE.CGRP_STORAGE:
        return probeStorage(kernel, type);
      default:
        return withMap(kernel, { type, ...WANTED[type] }, nothing);
    }
  });
  return explained(answer, 'the kernel has no such maps');
}

/** Creates a map for a call, an array of one number where nothing else is wanted. */
export function withMap<Result>(
  kernel: Kernel,
  wanted: Partial<MapAttributes>,
  call: (fd: number) => Result,
): Result {
  const fd = kernel.createMap({ ...ORDINARY, ...wanted });
  try {
    return call(fd);
  } finally {
    kernel.close(fd);
  }
}

/** Creating it was all. */
function nothing(): null {
  return null;
}

/** Local storage wants types: a 32-bit key, and a value of the right size. */
function probeStorage(kernel: Kernel, type: number): null {
  const members = [1, 1, 0, 3, 1, 32];
  const types = [intType(), typeOf(0, BTF_KIND.STRUCT, 2, 8, ...members)];
  const fd = kernel.loadBtf(smallBtf(['a', 'b'], types, kernel.littleEndian));
  try {
    const btf = { fd, keyTypeId: 1, valueTypeId: 2 };
    return withMap(kernel, { type, ...WANTED[type], btf }, nothing);
  } finally {
    kernel.close(fd);
  }
}

/** A kernel that has them says ENOTSUPP to a type which is no `bpf_struct_ops_NAME`. */
function probeStructOps(kernel: Kernel): Answer | null {
  try {
    const type = BPF_MAP_TYPE.STRUCT_OPS;
    withMap(kernel, { type, kernelValueType: { typeId: 1, fd: null } }, nothing);
  } catch (error) {
    if (error instanceof SyscallError && error.errno === ERRNO.ENOTSUPP) {
      return null;
    }
    throw error;
  }
  return no('it takes what is no struct of function pointers');
}
