/**
 * What the kernel makes of the types of a map (`map_check_btf` in `kernel/bpf/syscall.c`): whether
 * they fit, and which parts of values it keeps for itself.
 */

import type { Btf } from '../../obj/btf/btf.ts';
import { sizeOfType, skipModifiers } from '../../obj/btf/layout.ts';
import type { BtfComposite } from '../../obj/btf/types.ts';
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
/** `BTF_FIELDS_MAX`: how many of them it takes, and of each kind one for each struct. */
const MOST_FIELDS = 11;
const NONE: readonly SpecialField[] = [];
/**
 * What was found in a struct at a depth, by its id times 8 plus the depth; null for too many. Thousands of maps
 * share the type of a value, and thousands of members that of a struct.
 */
const FOUND = new WeakMap<Btf, Map<number, readonly SpecialField[] | null>>();

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
  // With too many of them the kernel makes the map all the same, and keeps none for itself.
  const special = specialFields(btf, valueTypeId, 0) ?? NONE;
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

/** The special fields of a value or of a part of it, from where that starts; null if there are too many. */
function specialFields(btf: Btf, typeId: number, depth: number): readonly SpecialField[] | null {
  const type = btf.type(resolved(btf, typeId));
  if (type.kind !== 'struct' || depth > MAX_NESTING) {
    return NONE;
  }
  let found = FOUND.get(btf);
  if (found === undefined) {
    found = new Map();
    FOUND.set(btf, found);
  }
  const key = type.id * 8 + depth;
  let fields = found.get(key);
  if (fields === undefined) {
    fields = fieldsOfMembers(btf, type, depth);
    found.set(key, fields);
  }
  return fields;
}

function fieldsOfMembers(
  btf: Btf,
  { members }: BtfComposite,
  depth: number,
): readonly SpecialField[] | null {
  const fields: SpecialField[] = [];
  const own = new Set<string>();
  for (const { typeId, bitOffset } of members) {
    const { kind, name, id } = btf.type(skipModifiers(btf, typeId));
    const isSpecial = kind === 'struct' && SPECIAL.has(name);
    const inside = isSpecial
      ? [{ name, offset: 0, size: btf.sizeOrType(id) }]
      : specialFields(btf, typeId, depth + 1);
    const isMore = isSpecial && own.has(name);
    if (inside === null || isMore || fields.length + inside.length > MOST_FIELDS) {
      return null;
    }
    if (isSpecial) {
      own.add(name);
    }
    for (const field of inside) {
      fields.push({ ...field, offset: field.offset + bitOffset / 8 });
    }
  }
  return fields;
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
