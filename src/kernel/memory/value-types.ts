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

/** Types that look at the types of keys themselves (`map_check_btf`), and so take maps without one. */
const LOOKS_AT_KEYS: ReadonlySet<number> = new Set([
  ...WITHOUT_TYPES,
  BPF_MAP_TYPE.ARRAY,
  BPF_MAP_TYPE.PERCPU_ARRAY,
  BPF_MAP_TYPE.LPM_TRIE,
  BPF_MAP_TYPE.BLOOM_FILTER,
]);

/** Why types do not fit a map, or the special fields of its values. */
export function checkTypes(map: MapAttributes, btf: Btf): number | readonly SpecialField[] {
  const { keyTypeId, valueTypeId } = map.btf!;
  const keyFits =
    keyTypeId === 0 ? LOOKS_AT_KEYS.has(map.type) : sizeOf(btf, keyTypeId) === map.keySize;
  if (!keyFits || sizeOf(btf, valueTypeId) !== map.valueSize) {
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
  const refusal = checkKeyType(map, btf);
  return refusal < 0 ? refusal : special;
}

/** `map_check_btf` of each type. */
function checkKeyType(map: MapAttributes, btf: Btf): number {
  if (WITHOUT_TYPES.has(map.type)) {
    return -ERRNO.ENOTSUPP;
  }
  const { keyTypeId, valueTypeId } = map.btf!;
  const kind = keyTypeId === 0 ? 0 : btf.kindOf(resolved(btf, keyTypeId));
  const fits = (does: boolean) => (does ? 0 : -ERRNO.EINVAL);
  switch (map.type) {
    case BPF_MAP_TYPE.ARRAY:
      // A data section: an array of one, whose value is the section.
      return fits(
        keyTypeId === 0
          ? map.maxEntries === 1 && btf.kindOf(resolved(btf, valueTypeId)) === BTF_KIND.DATASEC
          : kind === BTF_KIND.INT,
      );
    case BPF_MAP_TYPE.PERCPU_ARRAY:
      return fits(kind === BTF_KIND.INT);
    case BPF_MAP_TYPE.LPM_TRIE:
      return fits(kind === BTF_KIND.STRUCT);
    case BPF_MAP_TYPE.BLOOM_FILTER:
      return fits(keyTypeId === 0);
    default:
      return 0;
  }
}

/** What a type is in the end: behind typedefs, modifiers and variables. */
function resolved(btf: Btf, typeId: number): number {
  const id = skipModifiers(btf, typeId);
  return btf.kindOf(id) === BTF_KIND.VAR ? resolved(btf, btf.sizeOrType(id)) : id;
}

function specialFields(btf: Btf, typeId: number, offset: number, depth: number): SpecialField[] {
  const type = btf.type(resolved(btf, typeId));
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
    if (btf.kindOf(typeId) === BTF_KIND.DECL_TAG) {
      return -1;
    }
    return sizeOfType(btf, typeId);
  } catch {
    // No such type, or one without a size: the kernel gives one reason for all of it.
    return -1;
  }
}
