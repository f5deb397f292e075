/** Which maps fit into a map of maps: `kernel/bpf/map_in_map.c`. */

import { ERRNO } from '../../uapi/errno.ts';
import { BPF_F } from '../../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../../uapi/map-types.ts';
import type { InnerMeta, MapObject, SpecialField } from './objects.ts';

/** Types without `map_meta_equal`. */
const NEVER: ReadonlySet<number> = new Set([BPF_MAP_TYPE.PROG_ARRAY]);

/** What is kept of a template (`bpf_map_meta_alloc`), or why it is none. */
export function innerMetaOf(template: MapObject): InnerMeta | number {
  if (template.inner !== null) {
    return -ERRNO.EINVAL;
  }
  if (NEVER.has(template.attributes.type)) {
    return -ERRNO.ENOTSUPP;
  }
  return {
    attributes: { ...template.attributes, flags: template.flags },
    special: template.special,
    btf: template.btf,
  };
}

/** Whether a map is like the template (`map_meta_equal`). */
export function fitsTemplate({ attributes: wanted, special }: InnerMeta, map: MapObject): boolean {
  const { type, keySize, valueSize, maxEntries } = map.attributes;
  if (type !== wanted.type || keySize !== wanted.keySize || valueSize !== wanted.valueSize) {
    return false;
  }
  if (map.flags !== wanted.flags || !sameFields(special, map.special)) {
    return false;
  }
  const sized = type === BPF_MAP_TYPE.ARRAY && (wanted.flags & BPF_F.INNER_MAP) === 0;
  return !sized || maxEntries === wanted.maxEntries;
}

function sameFields(a: readonly SpecialField[], b: readonly SpecialField[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ name, offset }, index) => b[index]!.name === name && b[index]!.offset === offset)
  );
}
