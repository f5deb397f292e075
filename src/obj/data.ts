/**
 * Sections of global data. Each becomes an array map with one entry, the section's contents, which
 * programs address directly: what libbpf calls internal maps.
 *
 * Rules: libbpf's `bpf_object__elf_collect` and `bpf_object__init_internal_map`.
 */

import { sortAscending } from '../bytes/ascending.ts';
import { ObjectError } from '../errors.ts';
import { BTF_KIND } from '../uapi/btf-kinds.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import type { Btf } from './btf/btf.ts';
import { sizeOfType } from './btf/layout.ts';
import { spellType } from './btf/spell.ts';
import type { BtfSection } from './btf/types.ts';
import { type ElfFile, type ElfSection, SHT, STB, STT, STV } from './elf.ts';
import { byOffset } from './symbols.ts';

/** `linkage` of a variable that other objects cannot see. */
const LINKAGE_STATIC = 0;

/** A section is one value of an array map, and `value_size` of `union bpf_attr` is a `__u32`. */
const MOST_BYTES = 0xffff_ffff;

/** A variable of a data section. */
export interface DataVariable {
  readonly name: string;
  /** C spelling of its type; null without BTF. */
  readonly type: string | null;
  /** BTF id of its type, 0 without BTF. */
  readonly typeId: number;
  /** Byte offset in the section. */
  readonly offset: number;
  /** Size in bytes. */
  readonly size: number;
}

/** A data section: `.rodata`, `.data`, `.bss`, any of them with a suffix, or `.kconfig`. */
export interface DataSection {
  readonly name: string;
  /** Size in bytes. */
  readonly size: number;
  /** Whether programs may only read it; it is frozen once it is filled. */
  readonly readOnly: boolean;
  /** `BPF_F_*` creation flags of its map. */
  readonly flags: number;
  /** BTF id of the `datasec` that describes it, 0 if there is none. */
  readonly typeId: number;
  /** Variables by offset; computed when first read. @throws ObjectError `ERR_SKEP_DATA` */
  readonly variables: readonly DataVariable[];
  /** Initial contents, a view of the object; null where they are all zero. */
  readonly contents: Uint8Array | null;
}

/** Whether a section of this name holds data that programs may reach; empty ones do not count. */
export function isData(section: ElfSection, name: string): boolean {
  const { type } = section;
  if (section.size === 0 || !name.startsWith('.')) {
    return false;
  }
  return type === SHT.NOBITS
    ? isNamed(name, '.bss')
    : type === SHT.PROGBITS && (isNamed(name, '.data') || isNamed(name, '.rodata'));
}

function isNamed(name: string, family: string): boolean {
  return name === family || (name.startsWith(family) && name[family.length] === '.');
}

/**
 * Refuses a data section that no map can hold. One without contents in the file (`.bss`) can claim any
 * size. libbpf cuts such a size to 32 bits (`bpf_object__init_internal_map`), and refuses it only if
 * nothing is left.
 *
 * @param size in bytes
 * @throws ObjectError `ERR_SKEP_DATA`
 */
function checkDataSize(name: string, size: number): void {
  if (size > MOST_BYTES) {
    throw new ObjectError(
      'ERR_SKEP_DATA',
      `data section "${name}" has ${size} bytes; the map for it can have ${MOST_BYTES}`,
      { section: name },
    );
  }
}

/** A data section of an ELF file, its variables read on demand. */
export class ElfDataSection implements DataSection {
  readonly name: string;
  readonly size: number;
  readonly readOnly: boolean;
  readonly #elf: ElfFile;
  readonly #section: ElfSection;
  readonly #btf: Btf | undefined;
  /** Id of the `datasec` that describes it, 0 if there is none. */
  readonly #described: number;
  /** The symbols of the section. */
  readonly #group: readonly number[];
  #variables: readonly DataVariable[] | undefined;

  /** @throws ObjectError as {@link checkDataSize} */
  constructor(
    elf: ElfFile,
    section: ElfSection,
    btf: Btf | undefined,
    described: number,
    group: readonly number[],
  ) {
    checkDataSize(section.name, section.size);
    this.name = section.name;
    this.size = section.size;
    this.readOnly = isNamed(section.name, '.rodata');
    this.#elf = elf;
    this.#section = section;
    this.#btf = btf;
    this.#described = described;
    this.#group = group;
  }

  get typeId(): number {
    return this.#described;
  }

  get contents(): Uint8Array | null {
    return this.#section.type === SHT.NOBITS ? null : this.#elf.data(this.#section);
  }

  get flags(): number {
    const readOnly = this.readOnly ? BPF_F.RDONLY_PROG : 0;
    return readOnly | (this.#isVisible() ? BPF_F.MMAPABLE : 0);
  }

  get variables(): readonly DataVariable[] {
    this.#variables ??= this.#readVariables();
    return this.#variables;
  }

  /** A section is worth mapping if one of its variables is visible outside: not static or hidden. */
  #isVisible(): boolean {
    const { symbols } = this.#elf;
    const hidden = new Set<string>();
    for (const symbol of this.#group) {
      const visibility = symbols.visibility(symbol);
      if (visibility === STV.HIDDEN || visibility === STV.INTERNAL) {
        hidden.add(symbols.name(symbol));
      }
    }
    const btf = this.#btf;
    if (btf === undefined) {
      return false;
    }
    for (let index = 0; index < btf.entriesOf(this.#described); index += 1) {
      const id = btf.listedType(this.#described, index);
      const isStatic = btf.kindOf(id) !== BTF_KIND.VAR || btf.linkageOf(id) === LINKAGE_STATIC;
      if (!isStatic && !(hidden.size > 0 && hidden.has(btf.nameOf(id)))) {
        return true;
      }
    }
    return false;
  }

  #readVariables(): DataVariable[] {
    const section = this.#btf?.type(this.#described);
    const variables =
      this.#btf !== undefined && section?.kind === 'datasec'
        ? this.#fromBtf(this.#btf, section)
        : this.#fromSymbols();
    for (const { name, offset, size } of variables) {
      if (offset + size > this.size) {
        throw new ObjectError(
          'ERR_SKEP_DATA',
          `variable "${name}" (${size} bytes at ${offset}) reaches behind the end of section "${this.name}" (${this.size} bytes)`,
          { section: this.name, offset },
        );
      }
    }
    return sortAscending(variables, ({ offset }) => offset);
  }

  #fromBtf(btf: Btf, section: BtfSection): DataVariable[] {
    const offsets = this.#globalOffsets();
    return section.variables.map(({ typeId, offset, sizeBytes }) => {
      const variable = btf.type(typeId);
      if (variable.kind !== 'var') {
        throw new ObjectError(
          'ERR_SKEP_DATA',
          `section "${this.name}" lists type [${typeId}], which is no variable`,
          { section: '.BTF' },
        );
      }
      // BTF has the offsets of static variables only; the linker knows where global ones went.
      const global = variable.linkage === 'static' ? undefined : offsets.get(variable.name);
      return {
        name: variable.name,
        type: spellType(btf, variable.typeId),
        typeId: variable.typeId,
        offset: global ?? offset,
        size: sizeBytes === 0 ? sizeOfType(btf, variable.typeId) : sizeBytes,
      };
    });
  }

  #globalOffsets(): Map<string, number> {
    const { symbols } = this.#elf;
    const offsets = new Map<string, number>();
    for (const symbol of this.#group) {
      if (symbols.type(symbol) === STT.OBJECT && symbols.binding(symbol) !== STB.LOCAL) {
        offsets.set(symbols.name(symbol), symbols.value(symbol));
      }
    }
    return offsets;
  }

  #fromSymbols(): DataVariable[] {
    const { symbols } = this.#elf;
    return byOffset(symbols, this.#group)
      .filter((symbol) => symbols.type(symbol) === STT.OBJECT)
      .map((symbol) => ({
        name: symbols.name(symbol),
        type: null,
        typeId: 0,
        offset: symbols.value(symbol),
        size: symbols.size(symbol),
      }));
  }
}
