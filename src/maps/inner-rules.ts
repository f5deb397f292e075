/**
 * Which maps fit into a map of maps: those that are like the template that it was created with.
 *
 * The rules are those of `bpf_map_meta_alloc`, `bpf_map_meta_equal` and `array_map_meta_equal` in
 * `kernel/bpf/map_in_map.c` and `arraymap.c` (6.18).
 */

import type { InnerDifference } from '../errors.ts';
import { BPF_F, mapFlagNames } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE, mapTypeName } from '../uapi/map-types.ts';

/** What is compared. Sizes in bytes. */
export interface ComparedMap {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
}

/** Flags that belong to a descriptor or to the call, and are not kept with the map. */
const NOT_STORED =
  BPF_F.RDONLY | BPF_F.WRONLY | BPF_F.PATH_FD | BPF_F.VTYPE_BTF_OBJ_FD | BPF_F.TOKEN_FD;

const NESTED = 'maps of maps nest one level deep only';
const CGROUP = "the storage of cgroups belongs to the program that uses it, not to a map's slot";

/** Why maps of a type can never be inner maps. The kernel answers ENOTSUPP or EINVAL. */
const NEVER_INNER: ReadonlyMap<number, string> = new Map([
  [
    BPF_MAP_TYPE.PROG_ARRAY,
    'a program array is bound to the kind of program that first uses it, which the kernel cannot check for an inner map',
  ],
  [BPF_MAP_TYPE.ARRAY_OF_MAPS, NESTED],
  [BPF_MAP_TYPE.HASH_OF_MAPS, NESTED],
  [BPF_MAP_TYPE.CGROUP_STORAGE, CGROUP],
  [BPF_MAP_TYPE.PERCPU_CGROUP_STORAGE, CGROUP],
  [
    BPF_MAP_TYPE.STRUCT_OPS,
    'a struct_ops map is the functions of one part of the kernel, which programs cannot look up',
  ],
]);

/** Why no map of this type can be an inner map; undefined if it can. */
export function neverInner(type: number): string | undefined {
  return NEVER_INNER.get(type);
}

/** The flags that the kernel keeps with a map, of those that it was created with. */
export function storedFlags(flags: number): number {
  return (flags & ~NOT_STORED) >>> 0;
}

/** The flags that an existing map was created with: the kernel adds one of its own to device maps. */
export function keptFlags(found: Pick<ComparedMap, 'type' | 'flags'>): number {
  const isDevice = found.type === BPF_MAP_TYPE.DEVMAP || found.type === BPF_MAP_TYPE.DEVMAP_HASH;
  return storedFlags(isDevice ? found.flags & ~BPF_F.RDONLY_PROG : found.flags);
}

/** Flags in words: `NO_PREALLOC | NUMA_NODE`, `none`. */
export function spellFlags(flags: number): string {
  return mapFlagNames(flags).join(' | ') || 'none';
}

/**
 * Why inner maps must have as many entries as the template: programs have the number compiled in.
 * Undefined if they may differ.
 */
export function entriesRule(template: Pick<ComparedMap, 'type' | 'flags'>): string | undefined {
  if (template.type === BPF_MAP_TYPE.XSKMAP) {
    return 'XSK maps must have as many entries as the template';
  }
  if (template.type === BPF_MAP_TYPE.ARRAY && (template.flags & BPF_F.INNER_MAP) === 0) {
    return 'arrays must have as many entries as the template, unless the template and they are created with BPF_F_INNER_MAP (5.10)';
  }
  return undefined;
}

/** The fields in which a map differs from the template, as far as the kernel tells. */
export function innerDifferences(template: ComparedMap, found: ComparedMap): InnerDifference[] {
  const out: InnerDifference[] = [];
  const add = (field: string, wanted: string, got: string, rule: string) => {
    if (wanted !== got) {
      out.push({ field, wanted, found: got, rule });
    }
  };
  const equal = 'must be as in the template, which programs are verified against';
  add('type', mapTypeName(template.type), mapTypeName(found.type), equal);
  add('keySize', `${template.keySize}`, `${found.keySize}`, equal);
  add('valueSize', `${template.valueSize}`, `${found.valueSize}`, equal);
  const [wanted, got] = [storedFlags(template.flags), keptFlags(found)];
  add('flags', spellFlags(wanted), spellFlags(got), flagsRule(wanted ^ got));
  const entries = entriesRule(template);
  if (entries !== undefined) {
    add('maxEntries', `${template.maxEntries}`, `${found.maxEntries}`, entries);
  }
  return out;
}

/**
 * What is left to suspect when the kernel refuses a map that differs in nothing it tells: what it
 * found in the type of the values, and on old kernels the number of entries.
 */
export function hiddenDifferences(
  template: ComparedMap,
  found: ComparedMap & { readonly valueTypeId: number },
): InnerDifference[] {
  const out: InnerDifference[] = [
    {
      field: 'special fields',
      wanted: "those of the template's values",
      found: found.valueTypeId === 0 ? 'none, since the map has no BTF' : 'others',
      rule: 'spin locks, timers and the like must be the same ones in the values',
    },
  ];
  if (template.maxEntries !== found.maxEntries) {
    out.push({
      field: 'maxEntries',
      wanted: `${template.maxEntries}`,
      found: `${found.maxEntries}`,
      rule: 'must be equal before Linux 5.10',
    });
  }
  return out;
}

function flagsRule(different: number): string {
  return (different & BPF_F.INNER_MAP) !== 0
    ? 'BPF_F_INNER_MAP must be set in the template and in every array, or nowhere, even if they are of one size'
    : 'the creation flags must be exactly those of the template';
}
