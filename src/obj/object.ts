/** A compiled BPF object, read: maps, programs, data, license. The one entry to the pure layer. */

import { decodeText } from '../bytes/text.ts';
import { ObjectError } from '../errors.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { Btf } from './btf/btf.ts';
import { type DataSection, ElfDataSection, isData } from './data.ts';
import { type ByteOrder, ElfFile, type ElfSection, SHT } from './elf.ts';
import { kconfigSection } from './kconfig.ts';
import { isLegacyMaps, parseLegacyMaps } from './legacy-maps.ts';
import type { MapDefinition } from './map-definition.ts';
import { checkExternMaps, parseMaps } from './maps.ts';
import { isCode, type ProgramDefinition, parsePrograms } from './programs.ts';
import { parseSlots } from './slots.ts';
import { parseStructOps } from './struct-ops.ts';
import { groupSymbols, type SymbolsBySection } from './symbols.ts';

/** Options of {@link ObjectFile.parse}. */
export interface ParseOptions {
  /** Where the bytes come from, usually a path. Names the object, and the maps of its data. */
  readonly file?: string;
}

/**
 * A BPF object. Reading it needs no kernel and no privileges, and gives the same result on every
 * machine. It keeps views of the bytes it was given, which must not change while it is used.
 */
export class ObjectFile {
  /** Where the bytes came from; '' if that was not said. */
  readonly file: string;
  readonly byteOrder: ByteOrder;
  /** The license's text; '' if the object states none. */
  readonly license: string;
  /** Contents of section `version`; null if there is none. */
  readonly kernelVersion: number | null;
  /** The object's types; undefined if it was compiled without `-g`. */
  readonly btf: Btf | undefined;
  /** Maps of `.maps` by offset, then those of legacy sections, then those of `.struct_ops`. */
  readonly maps: ReadonlyMap<string, MapDefinition>;
  /** Programs by section and place. */
  readonly programs: ReadonlyMap<string, ProgramDefinition>;
  /** Sections of global data by section name, `.kconfig` last. */
  readonly data: ReadonlyMap<string, DataSection>;
  /** The container underneath. */
  readonly elf: ElfFile;
  /** @internal */
  readonly symbols: SymbolsBySection;

  protected constructor(bytes: Uint8Array, options: ParseOptions) {
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError('ObjectFile.parse: expected the bytes of an object in a Uint8Array');
    }
    this.file = options.file ?? '';
    this.elf = ElfFile.parse(bytes);
    this.byteOrder = this.elf.byteOrder;
    const named = findSections(this.elf);
    this.license = readLicense(this.elf, named.license);
    this.kernelVersion = readVersion(this.elf, named.version);
    this.btf = readBtf(this.elf, named.btf);
    const described = describedSections(this.btf);
    const symbols = groupSymbols(this.elf);
    this.symbols = symbols;
    this.programs = parsePrograms(this.elf, symbols);
    this.maps = readMaps(this.elf, named, this.btf, described, symbols, this.programs);
    this.data = readData(this.elf, named.data, this.btf, described, symbols);
    checkArena(named.arena, this.maps);
  }

  /**
   * Reads an object from memory.
   *
   * @throws ObjectError `ERR_SKEP_ELF`, `ERR_SKEP_BTF`, `ERR_SKEP_PROGRAM`, `ERR_SKEP_DATA`
   * @throws MapDefinitionError `ERR_SKEP_MAP_DEFINITION`
   */
  static parse(bytes: Uint8Array, options: ParseOptions = {}): ObjectFile {
    return new ObjectFile(bytes, options);
  }
}

/** The sections that an object has once at most, its legacy map sections, and those of data. */
interface NamedSections {
  maps: ElfSection | undefined;
  btf: ElfSection | undefined;
  license: ElfSection | undefined;
  version: ElfSection | undefined;
  arena: ElfSection | undefined;
  readonly legacy: ElfSection[];
  data: Map<string, ElfSection> | undefined;
}

function findSections(elf: ElfFile): NamedSections {
  const found: NamedSections = {
    maps: undefined,
    btf: undefined,
    license: undefined,
    version: undefined,
    arena: undefined,
    legacy: [],
    data: undefined,
  };
  for (const section of elf.sections) {
    // Most have names that start otherwise (".rel", ".debug"), which need not become text.
    if (!mayMatter(elf.nameStart(section))) {
      continue;
    }
    const { name } = section;
    switch (name) {
      case '.maps':
        found.maps = once(found.maps, section);
        break;
      case '.BTF':
        found.btf = once(found.btf, section);
        break;
      case 'license':
        found.license = once(found.license, section);
        break;
      case 'version':
        found.version = once(found.version, section);
        break;
      case '.addr_space.1':
        found.arena ??= section.size > 0 ? section : undefined;
        break;
      default:
        if (section.type === SHT.PROGBITS && isLegacyMaps(name) && !isCode(section)) {
          found.legacy.push(section);
        } else if (isData(section, name)) {
          found.data ??= new Map();
          addData(found.data, name, section);
        }
    }
  }
  return found;
}

/** Whether the names that {@link findSections} looks for, those of data among them, start like this. */
function mayMatter(start: number): boolean {
  switch (start) {
    case 0x2e_6d_61: // ".maps"
    case 0x2e_42_54: // ".BTF"
    case 0x2e_61_64: // ".addr_space.1"
    case 0x2e_64_61: // ".data"
    case 0x2e_62_73: // ".bss"
    case 0x2e_72_6f: // ".rodata"
    case 0x6c_69_63: // "license"
    case 0x76_65_72: // "version"
    case 0x6d_61_70: // "maps" and "maps/..."
      return true;
    default:
      return false;
  }
}

function once(before: ElfSection | undefined, section: ElfSection): ElfSection {
  if (before !== undefined) {
    throw new ObjectError(
      'ERR_SKEP_ELF',
      `there are two sections called "${section.name}" (${before.index} and ${section.index})`,
      { section: section.name },
    );
  }
  return section;
}

function readLicense(elf: ElfFile, section: ElfSection | undefined): string {
  if (section === undefined) {
    return '';
  }
  if (section.type === SHT.NOBITS) {
    throw new ObjectError('ERR_SKEP_ELF', 'section "license" has no contents in the file', {
      section: 'license',
    });
  }
  const limit = section.offset + section.size;
  let end = section.offset;
  while (end < limit && elf.bytes[end] !== 0) {
    end += 1;
  }
  return decodeText(elf.bytes, section.offset, end);
}

function readVersion(elf: ElfFile, section: ElfSection | undefined): number | null {
  if (section === undefined) {
    return null;
  }
  if (section.type === SHT.NOBITS || section.size !== 4) {
    throw new ObjectError(
      'ERR_SKEP_ELF',
      `section "version" has ${section.size} bytes; a version has 4`,
      { section: 'version' },
    );
  }
  return elf.view.getUint32(section.offset, elf.littleEndian);
}

function readBtf(elf: ElfFile, section: ElfSection | undefined): Btf | undefined {
  if (section === undefined) {
    return undefined;
  }
  if (section.type !== SHT.PROGBITS) {
    throw new ObjectError(
      'ERR_SKEP_BTF',
      `section .BTF has type ${section.type} and so no contents (PROGBITS, 1, is expected)`,
      { section: '.BTF' },
    );
  }
  const btf = Btf.parseChecked(elf.data(section));
  if (btf.littleEndian !== elf.littleEndian) {
    throw new ObjectError(
      'ERR_SKEP_BTF',
      `BTF is ${btf.littleEndian ? 'little' : 'big'}-endian in a ${elf.byteOrder}-endian object`,
      { section: '.BTF' },
    );
  }
  return btf;
}

/** The ids of `datasec` types by name. They are decoded by whoever needs what they list. */
function describedSections(btf: Btf | undefined): Map<string, number> {
  const described = new Map<string, number>();
  if (btf === undefined) {
    return described;
  }
  for (const id of btf.idsOfKind('datasec')) {
    const name = btf.nameOf(id);
    if (!described.has(name)) {
      described.set(name, id);
    }
  }
  return described;
}

function readMaps(
  elf: ElfFile,
  named: NamedSections,
  btf: Btf | undefined,
  described: ReadonlyMap<string, number>,
  symbols: SymbolsBySection,
  programs: ReadonlyMap<string, ProgramDefinition>,
): Map<string, MapDefinition> {
  const maps = new Map<string, MapDefinition>();
  if (named.maps !== undefined) {
    const placed = parseMaps(elf, named.maps, btf, described.get('.maps'), symbols);
    // With maps there is BTF: parseMaps has said so otherwise.
    parseSlots(elf, named.maps, btf!, placed, programs);
    for (const { definition } of placed) {
      addMap(maps, definition);
    }
  }
  const externs = described.get('.maps');
  if (named.maps === undefined && btf !== undefined && externs !== undefined) {
    checkExternMaps(btf, externs);
  }
  for (const section of named.legacy) {
    for (const map of parseLegacyMaps(elf, section, symbols[section.index] ?? [])) {
      addMap(maps, map);
    }
  }
  if (btf !== undefined) {
    for (const map of parseStructOps(btf, described)) {
      addMap(maps, map);
    }
  }
  return maps;
}

/** Globals of an arena lie in a section of their own, and need an arena to go to. */
function checkArena(
  section: ElfSection | undefined,
  maps: ReadonlyMap<string, MapDefinition>,
): void {
  if (section === undefined) {
    return;
  }
  for (const { typeNumber } of maps.values()) {
    if (typeNumber === BPF_MAP_TYPE.ARENA) {
      return;
    }
  }
  throw new ObjectError(
    'ERR_SKEP_DATA',
    'section ".addr_space.1" holds globals of an arena, but .maps declares no arena',
    { section: section.name },
  );
}

function addMap(maps: Map<string, MapDefinition>, map: MapDefinition): void {
  const before = maps.size;
  maps.set(map.name, map);
  if (maps.size === before) {
    throw new ObjectError('ERR_SKEP_ELF', `there are two maps called "${map.name}"`, {
      section: map.section,
    });
  }
}

function addData(data: Map<string, ElfSection>, name: string, section: ElfSection): void {
  if (data.has(name)) {
    throw new ObjectError('ERR_SKEP_DATA', `there are two data sections called "${name}"`, {
      section: name,
    });
  }
  data.set(name, section);
}

function readData(
  elf: ElfFile,
  sections: ReadonlyMap<string, ElfSection> | undefined,
  btf: Btf | undefined,
  types: ReadonlyMap<string, number>,
  symbols: SymbolsBySection,
): Map<string, DataSection> {
  const data = new Map<string, DataSection>();
  for (const [name, section] of sections ?? []) {
    const described = types.get(name) ?? 0;
    data.set(name, new ElfDataSection(elf, section, btf, described, symbols[section.index] ?? []));
  }
  const kconfig = types.get('.kconfig');
  if (btf !== undefined && kconfig !== undefined && btf.entriesOf(kconfig) > 0) {
    data.set('.kconfig', kconfigSection(btf, kconfig));
  }
  return data;
}
