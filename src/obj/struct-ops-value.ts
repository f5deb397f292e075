/**
 * What the variable of a struct_ops map holds: the bytes of the object's own struct, and the programs
 * that relocations put into its function pointers.
 *
 * Rules: libbpf's `init_struct_ops_maps` and `bpf_object__collect_st_ops_relos`; the relocation's type is
 * not looked at, as old and new LLVM write different ones.
 */

import { sortAscending } from '../bytes/ascending.ts';
import { MapDefinitionError, ObjectError } from '../errors.ts';
import { BPF_PROG_TYPE } from '../uapi/program-types.ts';
import type { Btf } from './btf/btf.ts';
import { resolveType } from './btf/layout.ts';
import type { BtfComposite, BtfMember } from './btf/types.ts';
import { type ElfFile, type ElfRelocation, type ElfSection, SHT, STB, STT } from './elf.ts';
import { lowerBound } from './lower-bound.ts';
import type { MapDefinition } from './map-definition.ts';
import type { ObjectFile } from './object.ts';
import { Once } from './once.ts';

/** Bytes of a relocation without addend. */
const REL_BYTES = 16;

/** A struct of functions as an object has it. */
export interface StructOpsValue {
  /** The object's own struct; the kernel's is matched with it by the names of members. */
  readonly struct: BtfComposite;
  /** Its bytes; function pointers are 0. */
  readonly contents: Uint8Array;
  /** Names of programs by index of the member that points to them. */
  readonly programs: ReadonlyMap<number, string>;
}

const variablesOf = new WeakMap<ObjectFile, StructOpsVariables>();

/**
 * Reads the variable of a struct_ops map; a copy.
 *
 * @throws MapDefinitionError for a variable that is not in its section, and for a pointer to something
 *   else than a program of type struct_ops
 * @throws ObjectError `ERR_SKEP_ELF` for variables of one section that share so many bytes that all
 *   together have more than the file, and for broken tables of relocations
 */
export function structOpsValue(object: ObjectFile, map: MapDefinition): StructOpsValue {
  let variables = variablesOf.get(object);
  if (variables === undefined) {
    variables = new StructOpsVariables(object);
    variablesOf.set(object, variables);
  }
  return variables.value(map);
}

/** A section of variables, indexed: there may be thousands of them. */
class VariableSection {
  readonly section: ElfSection;
  readonly data: Uint8Array;
  readonly #object: ObjectFile;
  /** Where its variables are, by name. */
  readonly #places: ReadonlyMap<string, number>;
  /** By offset. */
  readonly #relocations: readonly ElfRelocation[];
  readonly #check = new Once(() => this.#checkSharing());

  constructor(object: ObjectFile, btf: Btf, section: ElfSection) {
    this.section = section;
    this.data = object.elf.data(section);
    this.#object = object;
    this.#places = readPlaces(object, btf, section);
    this.#relocations = readRelocations(object.elf, section);
  }

  offsetOf({ name }: MapDefinition): number {
    return this.#places.get(name) ?? 0;
  }

  /** Those in a variable. */
  relocationsOf(offset: number, size: number): readonly ElfRelocation[] {
    const first = lowerBound(this.#relocations, offset);
    return this.#relocations.slice(first, lowerBound(this.#relocations, offset + size));
  }

  /** @throws ObjectError if variables have too much in common */
  checkSharing(): void {
    this.#check.get();
  }

  /**
   * Variables that overlap would make more of a file than is in it. A few that do are taken, as libbpf
   * does not look.
   */
  #checkSharing(): void {
    const { elf, maps } = this.#object;
    let bytes = 0;
    for (const map of maps.values()) {
      const offset = this.offsetOf(map);
      const end = offset + map.valueSize;
      if (map.section !== this.section.name || end > this.data.length) {
        continue;
      }
      const first = lowerBound(this.#relocations, offset);
      const count = lowerBound(this.#relocations, end) - first;
      bytes += map.valueSize + count * REL_BYTES;
      if (bytes > elf.bytes.length) {
        throw new ObjectError(
          'ERR_SKEP_ELF',
          `variable "${map.name}" in section "${map.section}" has the same bytes as other variables`,
          { section: map.section, offset },
        );
      }
    }
  }
}

/** The struct_ops variables of one object. What several have in common is read once. */
class StructOpsVariables {
  readonly #object: ObjectFile;
  readonly #btf: Btf;
  /** By name; of two with one name the first, undefined if there is none. */
  readonly #sections = new Map<string, Once<VariableSection | undefined>>();
  /** Indices of members by the byte they start at, by struct. */
  readonly #members = new Map<BtfComposite, ReadonlyMap<number, number>>();

  constructor(object: ObjectFile) {
    this.#object = object;
    // Maps of struct_ops are found in BTF.
    this.#btf = object.btf!;
  }

  value(map: MapDefinition): StructOpsValue {
    const found = this.#sectionOf(map);
    if (found === undefined) {
      throw new MapDefinitionError(map.name, undefined, `there is no section "${map.section}"`);
    }
    const { section, data } = found;
    const offset = found.offsetOf(map);
    const end = offset + map.valueSize;
    if (end > data.length) {
      throw new MapDefinitionError(
        map.name,
        undefined,
        `its ${map.valueSize} bytes at ${offset} reach behind the end of section "${section.name}" (${data.length} bytes)`,
      );
    }
    found.checkSharing();
    const struct = this.#btf.type(map.valueTypeId) as BtfComposite;
    const programs = this.#programs(found, map, struct, offset);
    return { struct, contents: Uint8Array.from(data.subarray(offset, end)), programs };
  }

  #programs(
    section: VariableSection,
    map: MapDefinition,
    struct: BtfComposite,
    offset: number,
  ): Map<number, string> {
    const programs = new Map<number, string>();
    for (const { offset: at, symbol } of section.relocationsOf(offset, map.valueSize)) {
      const index = this.#functionAt(map, struct, at - offset);
      programs.set(index, programAt(this.#object, map, struct.members[index]!, symbol));
    }
    return programs;
  }

  #sectionOf({ section: name }: MapDefinition): VariableSection | undefined {
    let found = this.#sections.get(name);
    if (found === undefined) {
      found = new Once(() => {
        const section = this.#object.elf.sections.find((one) => one.name === name);
        return section && new VariableSection(this.#object, this.#btf, section);
      });
      this.#sections.set(name, found);
    }
    return found.get();
  }

  /** The index of the member at a byte, which has to be a pointer to a function. */
  #functionAt(map: MapDefinition, struct: BtfComposite, byte: number): number {
    let starts = this.#members.get(struct);
    if (starts === undefined) {
      starts = membersByByte(struct);
      this.#members.set(struct, starts);
    }
    const index = starts.get(byte) ?? -1;
    const member = struct.members[index];
    if (member === undefined) {
      throw new MapDefinitionError(
        map.name,
        undefined,
        `there is an address at byte ${byte}, where struct ${struct.name} has no member`,
      );
    }
    if (!isFunctionPointer(this.#btf, member)) {
      throw new MapDefinitionError(
        map.name,
        member.name,
        'it is initialised with an address; only pointers to functions can be',
      );
    }
    return index;
  }
}

/** Whether a member points to a function. */
export function isFunctionPointer(btf: Btf, { typeId }: BtfMember): boolean {
  const pointer = resolveType(btf, typeId);
  return pointer.kind === 'ptr' && resolveType(btf, pointer.typeId).kind === 'func_proto';
}

/** Where variables lie in a section: the linker knows of global ones, BTF of static ones. */
function readPlaces({ elf, symbols }: ObjectFile, btf: Btf, { name, index }: ElfSection) {
  const places = new Map<string, number>();
  for (const symbol of symbols[index] ?? []) {
    if (elf.symbols.type(symbol) === STT.OBJECT && elf.symbols.binding(symbol) !== STB.LOCAL) {
      setFirst(places, elf.symbols.name(symbol), elf.symbols.value(symbol));
    }
  }
  const described = btf.type(btf.find(name, 'datasec'));
  for (const { typeId, offset } of described.kind === 'datasec' ? described.variables : []) {
    setFirst(places, btf.nameOf(typeId), offset);
  }
  return places;
}

/** The relocations of a section, by offset. */
function readRelocations(elf: ElfFile, section: ElfSection): ElfRelocation[] {
  const found: ElfRelocation[] = [];
  for (const table of elf.sections) {
    const isRelocation = table.type === SHT.REL || table.type === SHT.RELA;
    if (!isRelocation || table.info !== section.index) {
      continue;
    }
    for (const entry of elf.relocations(table)) {
      found.push(entry);
    }
    if (found.length * REL_BYTES > elf.bytes.length) {
      // Only tables that share their bytes can hold more, and then any number of them.
      throw new ObjectError(
        'ERR_SKEP_ELF',
        `two tables of relocations of section "${section.name}" share their bytes`,
        { section: table.name },
      );
    }
  }
  return sortAscending(found, ({ offset }) => offset);
}

/** Of two at one byte, as in a union without a name, the first. */
function membersByByte({ members }: BtfComposite): Map<number, number> {
  const starts = new Map<number, number>();
  for (const [index, { bitOffset }] of members.entries()) {
    setFirst(starts, bitOffset / 8, index);
  }
  return starts;
}

function setFirst<K, V>(map: Map<K, V>, key: K, value: V): void {
  if (!map.has(key)) {
    map.set(key, value);
  }
}

/** The program at a symbol. */
function programAt(
  { elf: { symbols }, programs }: ObjectFile,
  { name: map }: MapDefinition,
  { name: member }: BtfMember,
  symbol: number,
): string {
  if (symbols.type(symbol) === STT.SECTION) {
    throw new MapDefinitionError(
      map,
      member,
      'it points to something static; make the program global',
    );
  }
  const name = symbols.name(symbol);
  const program = programs.get(name);
  if (
    program === undefined ||
    program.sectionIndex !== symbols.section(symbol) ||
    program.offset !== symbols.value(symbol)
  ) {
    throw new MapDefinitionError(
      map,
      member,
      `it points to "${name}", which is no program of this object`,
    );
  }
  if (program.typeNumber !== BPF_PROG_TYPE.STRUCT_OPS) {
    throw new MapDefinitionError(
      map,
      member,
      `it points to program "${name}" of type ${program.type}; write SEC("struct_ops/${member}") for it`,
    );
  }
  return name;
}
