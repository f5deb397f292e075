/**
 * Maps of `.struct_ops` sections: each variable is a struct of functions for the kernel to call,
 * and becomes a map of type struct_ops that holds it.
 *
 * Rules: libbpf's `init_struct_ops_maps`. The declared size is the object's own struct; the kernel's
 * is known when the map is loaded.
 */

import { MapDefinitionError } from '../errors.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE, mapTypeName } from '../uapi/map-types.ts';
import type { Btf } from './btf/btf.ts';
import { resolveType } from './btf/layout.ts';
import { spellType } from './btf/spell.ts';
import type { MapDefinition } from './map-definition.ts';

/** Sections of struct_ops variables; `?` marks those that are not created unless asked for. */
const SECTIONS: readonly string[] = [
  '.struct_ops',
  '?.struct_ops',
  '.struct_ops.link',
  '?.struct_ops.link',
];

/**
 * The struct_ops maps of an object.
 *
 * @throws MapDefinitionError for a variable that is no struct
 */
export function parseStructOps(btf: Btf, described: ReadonlyMap<string, number>): MapDefinition[] {
  const maps: MapDefinition[] = [];
  for (const section of SECTIONS) {
    const id = described.get(section) ?? 0;
    for (let index = 0; index < btf.entriesOf(id); index += 1) {
      maps.push(structOpsMap(btf, section, btf.listedType(id, index)));
    }
  }
  return maps;
}

function structOpsMap(btf: Btf, section: string, typeId: number): MapDefinition {
  const variable = btf.type(typeId);
  const name = variable.name;
  const type = variable.kind === 'var' ? resolveType(btf, variable.typeId) : variable;
  if (type.kind !== 'struct') {
    throw new MapDefinitionError(
      name,
      undefined,
      `section "${section}" holds structs of functions, found \`${spellType(btf, typeId)}\``,
      { typeId },
    );
  }
  return {
    name,
    section,
    type: mapTypeName(BPF_MAP_TYPE.STRUCT_OPS),
    typeNumber: BPF_MAP_TYPE.STRUCT_OPS,
    keySize: 4,
    valueSize: type.sizeBytes,
    maxEntries: 1,
    flags: section.endsWith('.link') ? BPF_F.LINK : 0,
    numaNode: 0,
    mapExtra: 0n,
    pinning: 'none',
    keyTypeId: 0,
    valueTypeId: type.id,
    inner: null,
    slots: [],
    legacyTail: null,
  };
}
