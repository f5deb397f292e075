/**
 * What the kernel makes of the types of a map (`map_check_btf` in `kernel/bpf/syscall.c`): whether
 * they fit, and which parts of values it keeps for itself.
 */

import type { Btf } from '../../obj/btf/btf.ts';
import { sizeOfType, skipModifiers } from '../../obj/btf/layout.ts';
import { BTF_KIND } from '../../uapi/btf-kinds.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { BPF_F } from '../../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../../uapi/map-types.ts';
import type { MapAttributes } from '../kernel.ts';
import type { SpecialField } from './objects.ts';

/** Structs that belong to the kernel wherever they stand in a value, and the types that take them. */
const SPECIAL: ReadonlyMap<string, readonly number[]> = new Map([
  ['bpf_spin_lock', [BPF_MAP_TYPE.HASH, BPF_MAP_TYPE.ARRAY]],
  ['bpf_timer', [BPF_MAP_TYPE.HASH, BPF_MAP_TYPE.LRU_HASH, BPF_MAP_TYPE.ARRAY]],
  ['bpf_wq', [BPF_MAP_TYPE.HASH, BPF_MAP_TYPE.LRU_HASH, BPF_MAP_TYPE.ARRAY]],
]);
/** How deep the kernel looks for them. */
const MAX_NESTING = 4;

/** Types whose keys and values have no types (`map_check_no_btf`). */
const WITHOUT_TYPES: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.PERF_EVENT_ARRAY,
  BPF_MAP_TYPE.ARRAY_OF_MAPS,
  BPF_MAP_TYPE.HASH_OF_MAPS,
]);

/** Why types do not fit a map, or the special fields of its values. */
export function checkTypes(map: MapAttributes, btf: Btf): number | readonly SpecialField[] {
  const { keyTypeId, valueTypeId } = map.btf!;
  if (keyTypeId !== 0 && sizeOf(btf, keyTypeId) !== map.keySize) {
    return -ERRNO.EINVAL;
  }
  if (keyTypeId === 0 && !takesNoKeyType(map, btf, valueTypeId)) {
    return -ERRNO.EINVAL;
  }
  if (sizeOf(btf, valueTypeId) !== map.valueSize) {
    return -ERRNO.EINVAL;
  }
  const special = specialFields(btf, valueTypeId, 0, 0);
  for (const { name } of special) {
    if ((map.flags & (BPF_F.RDONLY_PROG | BPF_F.WRONLY_PROG)) !== 0) {
      return -ERRNO.EACCES;
    }
    if (!SPECIAL.get(name)!.includes(map.type)) {
      return -ERRNO.EOPNOTSUPP;
    }
  }
  const refusal = checkKeyType(map, btf, keyTypeId);
  return refusal < 0 ? refusal : special;
}

function takesNoKeyType(map: MapAttributes, btf: Btf, valueTypeId: number): boolean {
  if (map.type === BPF_MAP_TYPE.BLOOM_FILTER || WITHOUT_TYPES.has(map.type)) {
    return true;
  }
  // A data section: an array of one, whose value is the section.
  return (
    map.type === BPF_MAP_TYPE.ARRAY &&
    map.maxEntries === 1 &&
    valueTypeId < btf.typeCount &&
    btf.kindOf(valueTypeId) === BTF_KIND.DATASEC
  );
}

function checkKeyType(map: MapAttributes, btf: Btf, keyTypeId: number): number {
  if (WITHOUT_TYPES.has(map.type)) {
    return -ERRNO.ENOTSUPP;
  }
  const kind = keyTypeId === 0 ? 0 : btf.kindOf(skipModifiers(btf, keyTypeId));
  switch (map.type) {
    case BPF_MAP_TYPE.ARRAY:
    case BPF_MAP_TYPE.PERCPU_ARRAY:
      return keyTypeId === 0 || kind === BTF_KIND.INT ? 0 : -ERRNO.EINVAL;
    case BPF_MAP_TYPE.LPM_TRIE:
      return kind === BTF_KIND.STRUCT ? 0 : -ERRNO.EINVAL;
    case BPF_MAP_TYPE.BLOOM_FILTER:
      return keyTypeId === 0 ? 0 : -ERRNO.EINVAL;
    default:
      return 0;
  }
}

function specialFields(btf: Btf, typeId: number, offset: number, depth: number): SpecialField[] {
  const type = btf.type(skipModifiers(btf, typeId));
  if (type.kind !== 'struct' || depth > MAX_NESTING) {
    return [];
  }
  return type.members.flatMap((member) => {
    const memberType = btf.type(skipModifiers(btf, member.typeId));
    const at = offset + member.bitOffset / 8;
    return memberType.kind === 'struct' && SPECIAL.has(memberType.name)
      ? [{ name: memberType.name, offset: at, size: memberType.sizeBytes }]
      : specialFields(btf, member.typeId, at, depth + 1);
  });
}

function sizeOf(btf: Btf, typeId: number): number {
  try {
    return sizeOfType(btf, typeId);
  } catch {
    // No such type, or one without a size: the kernel gives one reason for all of it.
    return -1;
  }
}
