/**
 * The maps of an object: the variables of section `.maps` whose BTF types spell their definitions.
 *
 * Rules: libbpf's `bpf_object__init_user_btf_maps`. Two things are read elsewhere than libbpf reads
 * them: a map's place comes from its ELF symbol, since statically linked objects carry stale
 * offsets in BTF; and maps with hidden visibility are maps like others.
 */

import { sortAscending } from '../bytes/ascending.ts';
import { MapDefinitionError, ObjectError } from '../errors.ts';
import { BTF_KIND } from '../uapi/btf-kinds.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import type { Btf } from './btf/btf.ts';
import { skipModifiers } from './btf/layout.ts';
import { spellType } from './btf/spell.ts';
import type { BtfVariable } from './btf/types.ts';
import { type ElfFile, type ElfSection, type ElfSymbols, STB, STT } from './elf.ts';
import type { MapDefinition } from './map-definition.ts';
import { MemberReader } from './map-members.ts';
import type { SymbolsBySection } from './symbols.ts';

/**
 * Checks an object whose BTF speaks of `.maps` while it has no such section: all its maps are
 * declared only, and no map could be told from a number in its programs.
 *
 * @throws MapDefinitionError for the first of them
 */
export function checkExternMaps(btf: Btf, described: number): void {
  for (let index = 0; index < btf.entriesOf(described); index += 1) {
    const variable = btf.decode(btf.listedType(described, index));
    if (variable.kind === 'var' && variable.linkage !== 'global') {
      throw linkageError(variable);
    }
  }
}

/** `linkage` of a variable that other objects can see. */
const LINKAGE_GLOBAL = 1;

/** A map and where its variable lies in `.maps`. */
export interface PlacedMap {
  /** Complete but for its slots, which are empty. */
  readonly definition: MapDefinition;
  /** Byte offset of `values` in its struct, -1 if there is no such member. */
  readonly valuesOffset: number;
  /** BTF id of the struct that declares it. */
  readonly structId: number;
  /** Byte offset in the section. */
  readonly offset: number;
  /** Size of the variable in bytes, its initial `values` included. */
  readonly sizeBytes: number;
}

/**
 * Reads the maps of `.maps`, in the order of their offsets.
 *
 * @param described the id of the `datasec` called `.maps`
 * @throws MapDefinitionError for a map that is declared wrongly
 * @throws ObjectError `ERR_SKEP_BTF` if the section has no BTF that describes it
 */
export function parseMaps(
  elf: ElfFile,
  section: ElfSection,
  btf: Btf | undefined,
  described: number | undefined,
  symbols: SymbolsBySection,
): PlacedMap[] {
  if (btf === undefined) {
    throw new ObjectError(
      'ERR_SKEP_BTF',
      'the maps of .maps are described by BTF, but the object has none; compile with -g (and strip with llvm-strip -g at most)',
      { section: '.maps' },
    );
  }
  if (described === undefined) {
    throw new ObjectError(
      'ERR_SKEP_BTF',
      'the object has a section .maps, but its BTF does not describe it',
      { section: '.BTF' },
    );
  }
  const globals = new MapSymbols(elf.symbols, symbols[section.index] ?? []);
  const reader = new MemberReader(btf);
  const maps: PlacedMap[] = [];
  for (let index = 0; index < btf.entriesOf(described); index += 1) {
    const typeId = btf.listedType(described, index);
    if (btf.kindOf(typeId) !== BTF_KIND.VAR) {
      throw new ObjectError(
        'ERR_SKEP_BTF',
        `.maps lists type [${typeId}], which is no variable but ${btf.type(typeId).kind}`,
        { section: '.BTF' },
      );
    }
    maps.push(parseMap(elf, section, reader, typeId, globals));
  }
  sortAscending(maps, ({ offset }) => offset);
  checkPlaces(maps);
  return maps;
}

/** So many symbols are compared with a name before an index of all names is made. */
const NEARBY = 8;

/**
 * The global objects of `.maps`, by name. BTF and the symbol table list them in a similar order, so
 * that the one sought stands near the one found last.
 */
class MapSymbols {
  readonly #symbols: ElfSymbols;
  readonly #group: number[] = [];
  #next = 0;
  #byName: Map<string, number> | undefined;

  constructor(symbols: ElfSymbols, group: readonly number[]) {
    this.#symbols = symbols;
    for (const symbol of group) {
      if (symbols.type(symbol) === STT.OBJECT && symbols.binding(symbol) !== STB.LOCAL) {
        this.#group.push(symbol);
      }
    }
  }

  find(name: string): number | undefined {
    const count = this.#group.length;
    for (let step = 0; step < NEARBY && step < count; step += 1) {
      const at = (this.#next + step) % count;
      const symbol = this.#group[at]!;
      if (this.#symbols.isNamed(symbol, name)) {
        this.#next = at + 1;
        return symbol;
      }
    }
    if (count <= NEARBY) {
      return undefined;
    }
    this.#byName ??= new Map(this.#group.map((symbol) => [this.#symbols.name(symbol), symbol]));
    return this.#byName.get(name);
  }
}

function parseMap(
  elf: ElfFile,
  section: ElfSection,
  reader: MemberReader,
  variableId: number,
  globals: MapSymbols,
): PlacedMap {
  const { btf } = reader;
  const name = btf.nameOf(variableId);
  if (name === '') {
    throw new MapDefinitionError(
      '',
      undefined,
      `the variable of type [${variableId}] in .maps has no name`,
      { typeId: variableId },
    );
  }
  if (btf.linkageOf(variableId) !== LINKAGE_GLOBAL) {
    throw linkageError(btf.type(variableId) as BtfVariable);
  }
  const symbol = globals.find(name);
  if (symbol === undefined) {
    throw new MapDefinitionError(
      name,
      undefined,
      'BTF lists the map, but .maps has no global object symbol of that name',
    );
  }
  const structId = mapStruct(btf, name, btf.sizeOrType(variableId));
  const offset = elf.symbols.value(symbol);
  const sizeBytes = elf.symbols.size(symbol);
  if (offset + sizeBytes > section.size) {
    throw new MapDefinitionError(
      name,
      undefined,
      `its ${sizeBytes} bytes at offset ${offset} reach behind the end of .maps (${section.size} bytes)`,
    );
  }
  if (btf.sizeOrType(structId) > sizeBytes) {
    throw new MapDefinitionError(
      name,
      undefined,
      `its struct has ${btf.sizeOrType(structId)} bytes, but its symbol only ${sizeBytes}`,
      { typeId: structId },
    );
  }
  const definition = reader.read(name, structId, true);
  return { definition, valuesOffset: reader.valuesOffset, structId, offset, sizeBytes };
}

/** Why a variable of `.maps` that is not global is no map. */
function linkageError(variable: BtfVariable): MapDefinitionError {
  const problem = {
    static: 'the map is static; maps must be global variables',
    extern: 'the map is only declared (extern); link the object that defines it',
    unknown: 'the map has a linkage that is not known',
    global: '',
  }[variable.linkage];
  return new MapDefinitionError(variable.name, undefined, problem, { typeId: variable.id });
}

/** The id of the struct that a map's variable is of. */
function mapStruct(btf: Btf, name: string, typeId: number): number {
  let id: number;
  try {
    id = skipModifiers(btf, typeId);
  } catch (cause) {
    throw new MapDefinitionError(
      name,
      undefined,
      `its type cannot be resolved: ${cause instanceof Error ? cause.message : String(cause)}`,
      { typeId, cause },
    );
  }
  if (btf.kindOf(id) !== BTF_KIND.STRUCT) {
    throw new MapDefinitionError(
      name,
      undefined,
      `a map is declared as a struct, found \`${spellType(btf, typeId)}\``,
      { typeId: id },
    );
  }
  return id;
}

/** No two maps may share bytes, and there is room for one arena only. */
function checkPlaces(maps: readonly PlacedMap[]): void {
  let arena: MapDefinition['name'] | undefined;
  for (let index = 0; index < maps.length; index += 1) {
    const map = maps[index]!;
    const before = maps[index - 1];
    const { name, typeNumber } = map.definition;
    if (before !== undefined && before.offset + before.sizeBytes > map.offset) {
      throw new MapDefinitionError(
        name,
        undefined,
        `it overlaps map "${before.definition.name}" in .maps`,
      );
    }
    if (typeNumber === BPF_MAP_TYPE.ARENA) {
      if (arena !== undefined) {
        throw new MapDefinitionError(
          name,
          undefined,
          `an object has one arena at most; "${arena}" is one already`,
        );
      }
      arena = name;
    }
  }
}
