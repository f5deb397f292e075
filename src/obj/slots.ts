/**
 * Initial contents of maps of maps and program arrays: `.values = { [3] = &inner }`. The compiler
 * leaves zeros in `.maps` and writes a relocation for each slot that is used.
 *
 * Rules: libbpf's `bpf_object__collect_map_relos`; the relocation's type is not looked at, as old
 * and new LLVM write different ones.
 */

import { sortAscending } from '../bytes/ascending.ts';
import { MapDefinitionError, ObjectError } from '../errors.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import type { Btf } from './btf/btf.ts';
import { type ElfFile, type ElfSection, SHT, STT } from './elf.ts';
import type { MapSlot } from './map-definition.ts';
import type { PlacedMap } from './maps.ts';
import type { ProgramDefinition } from './programs.ts';

const SLOT_BYTES = 8;
/** Bytes of a relocation without addend. */
const REL_BYTES = 16;

/**
 * Resolves the relocations of `.maps` into the slots of the definitions.
 *
 * @param maps by ascending offset, their slots still empty
 * @throws MapDefinitionError for a relocation that fills no slot, or names no map or program
 */
export function parseSlots(
  elf: ElfFile,
  section: ElfSection,
  btf: Btf,
  maps: readonly PlacedMap[],
  programs: ReadonlyMap<string, ProgramDefinition>,
): void {
  const filled: MapSlot[][] = [];
  let count = 0;
  for (const relocations of elf.sections) {
    const isRelocation = relocations.type === SHT.REL || relocations.type === SHT.RELA;
    if (!isRelocation || relocations.info !== section.index) {
      continue;
    }
    const entries = elf.relocations(relocations);
    count += entries.length;
    if (count * REL_BYTES > elf.bytes.length) {
      // Only tables that share their bytes can hold more, and then any number of them.
      throw new ObjectError(
        'ERR_SKEP_ELF',
        'two tables of relocations of .maps share their bytes',
        {
          section: relocations.name,
        },
      );
    }
    for (const { offset, symbol } of entries) {
      const owner = ownerOf(maps, offset, relocations);
      const index = slotIndex(btf, owner, offset);
      // The definition is readonly to those who get it; here it is still being made.
      const definition = owner.definition as { slots: readonly MapSlot[] };
      if (definition.slots.length === 0) {
        const own: MapSlot[] = [];
        definition.slots = own;
        filled.push(own);
      }
      const slots = definition.slots as MapSlot[];
      slots.push(resolveTarget(elf, section, maps, owner, index, symbol, programs));
    }
  }
  for (const slots of filled) {
    sortAscending(slots, ({ index }) => index);
  }
}

/** The map that the relocated eight bytes belong to. */
function ownerOf(maps: readonly PlacedMap[], offset: number, relocations: ElfSection): PlacedMap {
  const owner = mapAt(maps, offset);
  if (owner === undefined || offset + SLOT_BYTES > owner.offset + owner.sizeBytes) {
    throw new ObjectError(
      'ERR_SKEP_ELF',
      `a relocation of .maps at offset ${offset} lies in no map`,
      { section: relocations.name, offset },
    );
  }
  return owner;
}

/** The last map that starts at an offset or before it. */
function mapAt(maps: readonly PlacedMap[], offset: number): PlacedMap | undefined {
  let low = 0;
  let high = maps.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (maps[middle]!.offset <= offset) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return maps[low - 1];
}

function slotIndex(btf: Btf, owner: PlacedMap, offset: number): number {
  const { name, typeNumber, keySize } = owner.definition;
  const inValues = offset - owner.offset - owner.valuesOffset;
  if (owner.valuesOffset === -1 || inValues < 0) {
    throw new MapDefinitionError(
      name,
      memberAt(btf, owner, offset - owner.offset),
      'it is initialised with an address; only values can be',
    );
  }
  if (inValues % SLOT_BYTES !== 0) {
    throw new MapDefinitionError(
      name,
      'values',
      `an initial value lies at byte ${inValues}, which is no multiple of ${SLOT_BYTES}`,
    );
  }
  if (typeNumber === BPF_MAP_TYPE.HASH_OF_MAPS && keySize !== 4) {
    throw new MapDefinitionError(
      name,
      'values',
      `initial values of a hash_of_maps need 4-byte keys, not ${keySize}`,
    );
  }
  return inValues / SLOT_BYTES;
}

/** The member that holds a byte of the struct. */
function memberAt(btf: Btf, owner: PlacedMap, byte: number): string | undefined {
  const struct = btf.type(owner.structId);
  let name: string | undefined;
  for (const member of struct.kind === 'struct' ? struct.members : []) {
    if (member.bitOffset <= byte * 8) {
      name = member.name;
    }
  }
  return name;
}

function resolveTarget(
  elf: ElfFile,
  section: ElfSection,
  maps: readonly PlacedMap[],
  owner: PlacedMap,
  index: number,
  symbol: number,
  programs: ReadonlyMap<string, ProgramDefinition>,
): MapSlot {
  const { symbols } = elf;
  const { name: map, inner } = owner.definition;
  const fail = (problem: string) =>
    new MapDefinitionError(map, 'values', `slot ${index} ${problem}`);
  if (symbols.type(symbol) === STT.SECTION) {
    throw fail('refers to something static; make the map or program global');
  }
  const name = symbols.name(symbol);
  const target = symbols.section(symbol);
  if (inner !== null) {
    if (target !== section.index || mapAt(maps, symbols.value(symbol))?.definition.name !== name) {
      throw fail(
        target === 0
          ? `refers to "${name}", which this object does not define`
          : `refers to "${name}", which is no map of .maps`,
      );
    }
    return { index, kind: 'map', name };
  }
  const program = programs.get(name);
  if (program === undefined) {
    throw fail(
      `refers to "${name}", which is no program of this object (functions in .text cannot be called by tail calls)`,
    );
  }
  if (program.sectionIndex !== target || program.offset !== symbols.value(symbol)) {
    throw fail(`refers to a "${name}" that is not the program of that name`);
  }
  return { index, kind: 'program', name };
}
