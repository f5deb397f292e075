/**
 * Maps of the legacy section `maps`: one struct of numbers each, as loaders took them before BTF.
 *
 * Format: `struct bpf_map_def` of old libbpf, five 32-bit words in the object's byte order; loaders
 * appended fields of their own (iproute2's `bpf_elf_map`), which are kept as they are. Read as
 * cilium/ebpf reads it; libbpf refuses such objects since 1.0.
 */

import { MapDefinitionError, ObjectError } from '../errors.ts';
import { mapTypeName } from '../uapi/map-types.ts';
import type { ElfFile, ElfSection } from './elf.ts';
import type { MapDefinition } from './map-definition.ts';
import { byOffset } from './symbols.ts';

const DEFINITION_BYTES = 20;

/** Whether a section of this name holds legacy definitions. */
export function isLegacyMaps(name: string): boolean {
  return name === 'maps' || name.startsWith('maps/');
}

/**
 * Reads the definitions of a legacy section, by offset.
 *
 * @throws ObjectError `ERR_SKEP_ELF` if no symbol names a map in it
 * @throws MapDefinitionError for a definition that is cut short or overlaps another
 */
export function parseLegacyMaps(
  elf: ElfFile,
  section: ElfSection,
  group: readonly number[],
): MapDefinition[] {
  const { symbols } = elf;
  const ordered = byOffset(symbols, group);
  if (ordered.length === 0) {
    throw new ObjectError(
      'ERR_SKEP_ELF',
      `section "${section.name}" holds maps, but no symbol names one`,
      {
        section: section.name,
      },
    );
  }
  return ordered.map((symbol, index) => {
    const name = symbols.name(symbol);
    const offset = symbols.value(symbol);
    const next = ordered[index + 1];
    const limit = next === undefined ? section.size : symbols.value(next);
    // Assembled objects give no size: the definition then ends where the next one starts.
    const size = symbols.size(symbol) || limit - offset;
    if (offset + size > limit) {
      throw new MapDefinitionError(
        name,
        undefined,
        `its ${size} bytes at offset ${offset} reach behind ${next === undefined ? `the end of section "${section.name}"` : `the start of "${symbols.name(next)}"`} (${limit})`,
      );
    }
    if (size < DEFINITION_BYTES) {
      throw new MapDefinitionError(
        name,
        undefined,
        `a definition has ${DEFINITION_BYTES} bytes at least, this one ${size}`,
      );
    }
    return readDefinition(elf, section, name, offset, size);
  });
}

function readDefinition(
  elf: ElfFile,
  section: ElfSection,
  name: string,
  offset: number,
  size: number,
): MapDefinition {
  const data = elf.data(section);
  if (offset + size > data.length) {
    throw new MapDefinitionError(
      name,
      undefined,
      `section "${section.name}" has no contents in the file`,
    );
  }
  const field = (index: number) =>
    elf.view.getUint32(section.offset + offset + 4 * index, elf.littleEndian);
  return {
    name,
    section: section.name,
    type: mapTypeName(field(0)),
    typeNumber: field(0),
    keySize: field(1),
    valueSize: field(2),
    maxEntries: field(3),
    flags: field(4),
    numaNode: 0,
    mapExtra: 0n,
    pinning: 'none',
    keyTypeId: 0,
    valueTypeId: 0,
    inner: null,
    slots: [],
    legacyTail:
      size === DEFINITION_BYTES ? null : data.slice(offset + DEFINITION_BYTES, offset + size),
  };
}
