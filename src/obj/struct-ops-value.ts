/**
 * What the variable of a struct_ops map holds: the bytes of the object's own struct, and the programs
 * that relocations put into its function pointers.
 *
 * Rules: libbpf's `init_struct_ops_maps` and `bpf_object__collect_st_ops_relos`; the relocation's type is
 * not looked at, as old and new LLVM write different ones.
 */

import { MapDefinitionError } from '../errors.ts';
import { BPF_PROG_TYPE } from '../uapi/program-types.ts';
import type { Btf } from './btf/btf.ts';
import { resolveType } from './btf/layout.ts';
import type { BtfComposite, BtfMember } from './btf/types.ts';
import { type ElfSection, SHT, STB, STT } from './elf.ts';
import type { MapDefinition } from './map-definition.ts';
import type { ObjectFile } from './object.ts';

/** A struct of functions as an object has it. */
export interface StructOpsValue {
  /** The object's own struct; the kernel's is matched with it by the names of members. */
  readonly struct: BtfComposite;
  /** Its bytes; function pointers are 0. */
  readonly contents: Uint8Array;
  /** Names of programs by index of the member that points to them. */
  readonly programs: ReadonlyMap<number, string>;
}

/**
 * Reads the variable of a struct_ops map; a copy.
 *
 * @throws MapDefinitionError for a variable that is not in its section, and for a pointer to something
 *   else than a program of type struct_ops
 */
export function structOpsValue(object: ObjectFile, map: MapDefinition): StructOpsValue {
  const { elf } = object;
  // Maps of struct_ops are found in BTF.
  const btf = object.btf!;
  const section = elf.sections.find(({ name }) => name === map.section);
  if (section === undefined) {
    throw new MapDefinitionError(map.name, undefined, `there is no section "${map.section}"`);
  }
  const offset = variableOffset(object, btf, map, section);
  const end = offset + map.valueSize;
  const data = elf.data(section);
  if (end > data.length) {
    throw new MapDefinitionError(
      map.name,
      undefined,
      `its ${map.valueSize} bytes at ${offset} reach behind the end of section "${section.name}" (${data.length} bytes)`,
    );
  }
  const struct = btf.type(map.valueTypeId) as BtfComposite;
  const programs = new Map<number, string>();
  for (const relocations of elf.sections) {
    const isRelocation = relocations.type === SHT.REL || relocations.type === SHT.RELA;
    if (!isRelocation || relocations.info !== section.index) {
      continue;
    }
    for (const { offset: at, symbol } of elf.relocations(relocations)) {
      if (at >= offset && at < end) {
        const index = functionAt(btf, map, struct, at - offset);
        programs.set(index, programAt(object, map, struct.members[index]!, symbol));
      }
    }
  }
  return { struct, contents: Uint8Array.from(data.subarray(offset, end)), programs };
}

/** Whether a member points to a function. */
export function isFunctionPointer(btf: Btf, { typeId }: BtfMember): boolean {
  const pointer = resolveType(btf, typeId);
  return pointer.kind === 'ptr' && resolveType(btf, pointer.typeId).kind === 'func_proto';
}

/** Where a variable lies in its section: the linker knows of global ones, BTF of static ones. */
function variableOffset(
  object: ObjectFile,
  btf: Btf,
  map: MapDefinition,
  section: ElfSection,
): number {
  const { symbols } = object.elf;
  for (const symbol of object.symbols[section.index] ?? []) {
    if (
      symbols.type(symbol) === STT.OBJECT &&
      symbols.binding(symbol) !== STB.LOCAL &&
      symbols.name(symbol) === map.name
    ) {
      return symbols.value(symbol);
    }
  }
  const described = btf.type(btf.find(map.section, 'datasec'));
  const listed = described.kind === 'datasec' ? described.variables : [];
  return listed.find(({ typeId }) => btf.nameOf(typeId) === map.name)?.offset ?? 0;
}

/** The index of the member at a byte, which has to be a pointer to a function. */
function functionAt(btf: Btf, map: MapDefinition, struct: BtfComposite, byte: number): number {
  const index = struct.members.findIndex(({ bitOffset }) => bitOffset === byte * 8);
  const member = struct.members[index];
  if (member === undefined) {
    throw new MapDefinitionError(
      map.name,
      undefined,
      `there is an address at byte ${byte}, where struct ${struct.name} has no member`,
    );
  }
  if (!isFunctionPointer(btf, member)) {
    throw new MapDefinitionError(
      map.name,
      member.name,
      'it is initialised with an address; only pointers to functions can be',
    );
  }
  return index;
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
