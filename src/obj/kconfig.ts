/**
 * `.kconfig`: externs whose values are options of the running kernel. The section exists in BTF
 * only; a loader gives it a layout, creates a read-only map of that layout and fills it.
 *
 * Rules: libbpf's `bpf_object__collect_externs`: by descending alignment, then ascending size, then
 * name. Programs are relocated against the loader's own layout, so no other loader's matters.
 */

import { alignUp } from '../bytes/align.ts';
import { ObjectError } from '../errors.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import type { Btf } from './btf/btf.ts';
import { resolveType, sizeOfType } from './btf/layout.ts';
import { spellType } from './btf/spell.ts';
import type { BtfSection } from './btf/types.ts';
import type { DataSection, DataVariable } from './data.ts';

/**
 * The most bytes of all externs. There is no data that they would have to be as large as, only a size that
 * is claimed, and an option's value is a line of the kernel's configuration.
 */
const MOST_BYTES = 1 << 20;

/**
 * Lays the externs of `.kconfig` out.
 *
 * @throws ObjectError `ERR_SKEP_DATA` for a type it cannot have, or more than 1 MiB of them
 */
export function kconfigSection(btf: Btf, sectionId: number): DataSection {
  const section = btf.type(sectionId) as BtfSection;
  const externs = section.variables.map(({ typeId }) => {
    const variable = btf.type(typeId);
    if (variable.kind !== 'var') {
      throw new ObjectError(
        'ERR_SKEP_DATA',
        `.kconfig lists type [${typeId}], which is no variable`,
        { section: '.BTF' },
      );
    }
    return {
      name: variable.name,
      typeId: variable.typeId,
      type: spellType(btf, variable.typeId),
      size: sizeOfType(btf, variable.typeId),
      alignment: optionAlignment(btf, variable.name, variable.typeId),
    };
  });
  externs.sort(
    (a, b) => b.alignment - a.alignment || a.size - b.size || (a.name < b.name ? -1 : 1),
  );
  let end = 0;
  const variables: DataVariable[] = externs.map(({ alignment, ...extern }) => {
    const offset = alignUp(end, alignment);
    end = offset + extern.size;
    return { ...extern, offset };
  });
  if (end > MOST_BYTES) {
    throw new ObjectError(
      'ERR_SKEP_DATA',
      `data section ".kconfig" has ${end} bytes; more than ${MOST_BYTES} no options need`,
      { section: '.kconfig' },
    );
  }
  return {
    name: '.kconfig',
    size: end,
    readOnly: true,
    flags: BPF_F.RDONLY_PROG | (variables.length > 0 ? BPF_F.MMAPABLE : 0),
    typeId: section.id,
    variables,
    contents: null,
  };
}

/** Options are integers, `char`, `bool`, tristates, or strings in arrays of `char`. */
function optionAlignment(btf: Btf, name: string, typeId: number): number {
  const type = resolveType(btf, typeId);
  const element = type.kind === 'array' ? resolveType(btf, type.elementTypeId) : type;
  const isCharacters = type.kind !== 'array' || (element.kind === 'int' && element.sizeBytes === 1);
  const isNumber = element.kind === 'int' || element.kind === 'enum' || element.kind === 'enum64';
  if (!isNumber || !isCharacters || ![1, 2, 4, 8].includes(element.sizeBytes)) {
    throw new ObjectError(
      'ERR_SKEP_DATA',
      `the type \`${spellType(btf, typeId)}\` of the kernel option "${name}" is none of bool, char, an integer, enum libbpf_tristate, char[]`,
      { section: '.kconfig' },
    );
  }
  return element.sizeBytes;
}
