/**
 * The ELF container of a BPF object: header, sections, symbols, relocations. Nothing here knows
 * what a section means.
 *
 * Format: System V gABI, chapters "ELF Header" to "Relocation"; `elf.h`. Only 64-bit relocatable
 * files for machine BPF (247), or none (0, as old LLVM wrote), are accepted, in both byte orders.
 * The input is not trusted: every offset, size, link and index is checked before it is used, and
 * 64-bit fields above 2^53 are refused, so sums of two of them cannot wrap.
 */

import { StringTable } from '../bytes/string-table.ts';
import { ObjectError } from '../errors.ts';

export type ByteOrder = 'little' | 'big';

/** Section types (`SHT_*`) that matter to a BPF object. */
export const SHT = {
  NULL: 0,
  PROGBITS: 1,
  SYMTAB: 2,
  STRTAB: 3,
  RELA: 4,
  NOBITS: 8,
  REL: 9,
  SYMTAB_SHNDX: 18,
  LLVM_ADDRSIG: 0x6fff4c03,
} as const;

/** Section flag: holds instructions (`SHF_EXECINSTR`). */
export const SHF_EXECINSTR = 4;

/** From here up section indices of symbols name no section. */
const SHN_LORESERVE = 0xff00;
/** The real index stands elsewhere, because it does not fit 16 bits. */
const SHN_XINDEX = 0xffff;

/** Symbol types (`STT_*`). */
export const STT = { NOTYPE: 0, OBJECT: 1, FUNC: 2, SECTION: 3 } as const;

/** Symbol bindings (`STB_*`). */
export const STB = { LOCAL: 0, GLOBAL: 1, WEAK: 2 } as const;

/** Symbol visibilities (`STV_*`). */
export const STV = { DEFAULT: 0, INTERNAL: 1, HIDDEN: 2, PROTECTED: 3 } as const;

/** One section header. All sizes and offsets in bytes. */
export interface ElfSection {
  readonly index: number;
  readonly name: string;
  /** `SHT_*`. */
  readonly type: number;
  /** `SHF_*`; exact up to 2^53. */
  readonly flags: number;
  /** File offset of the contents. */
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly alignment: number;
  readonly entrySize: number;
}

const HEADER_BYTES = 64;
const SECTION_HEADER_BYTES = 64;
const SYMBOL_BYTES = 24;
const REL_BYTES = 16;
const RELA_BYTES = 24;
const EM_NONE = 0;
const EM_BPF = 247;
const ET_REL = 1;
const TWO_32 = 0x1_0000_0000;
/** High words from here up make a 64-bit value exceed 2^53. */
const HIGH_WORD_LIMIT = 0x20_0000;

/** A parsed container. Keeps a view of the bytes it was given; section data are views too. */
export class ElfFile {
  readonly bytes: Uint8Array;
  readonly byteOrder: ByteOrder;
  /** `e_machine`: 247 or 0. */
  readonly machine: number;
  /** @internal */
  sectionNames!: StringTable;
  /** All section headers by index, the null section first. */
  readonly sections: readonly ElfSection[];
  readonly view: DataView;
  readonly littleEndian: boolean;
  #symbols: ElfSymbols | undefined;
  #tableOffset = 0;

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.littleEndian = readIdentification(bytes);
    this.byteOrder = this.littleEndian ? 'little' : 'big';
    this.machine = this.#checkHeader();
    this.sections = this.#readSections();
  }

  /**
   * Reads the container.
   *
   * @throws ObjectError `ERR_SKEP_ELF` for anything that is not a well-formed 64-bit BPF object.
   */
  static parse(bytes: Uint8Array): ElfFile {
    return new ElfFile(bytes);
  }

  /** A view of the contents of a section; empty for `SHT_NOBITS`, which has none in the file. */
  data(section: ElfSection): Uint8Array {
    return section.type === SHT.NOBITS
      ? this.bytes.subarray(0, 0)
      : this.bytes.subarray(section.offset, section.offset + section.size);
  }

  /**
   * The first three bytes of a section's name as one number, the first one highest; what is past the end of
   * all names is 0. For those who look for a few names.
   *
   * @internal
   */
  nameStart(section: ElfSection): number {
    const at = this.#tableOffset + section.index * SECTION_HEADER_BYTES;
    const name = this.view.getUint32(at, this.littleEndian);
    const { bytes } = this.sectionNames;
    return ((bytes[name] ?? 0) << 16) | ((bytes[name + 1] ?? 0) << 8) | (bytes[name + 2] ?? 0);
  }

  /**
   * The symbol table.
   *
   * @throws ObjectError `ERR_SKEP_ELF` if there is none (a stripped object), more than one, or a
   *   malformed one.
   */
  get symbols(): ElfSymbols {
    this.#symbols ??= this.#readSymbols();
    return this.#symbols;
  }

  /**
   * The entries of an `SHT_REL` or `SHT_RELA` section, in file order.
   *
   * @throws ObjectError `ERR_SKEP_ELF` for a wrong entry size or a symbol index out of range.
   */
  relocations(section: ElfSection): ElfRelocation[] {
    const entryBytes = section.type === SHT.RELA ? RELA_BYTES : REL_BYTES;
    if (section.entrySize !== entryBytes || section.size % entryBytes !== 0) {
      throw new ObjectError(
        'ERR_SKEP_ELF',
        `relocation section "${section.name}" has entries of ${section.entrySize} bytes in ${section.size} bytes; entries of ${entryBytes} are expected`,
        { section: section.name },
      );
    }
    const symbolCount = this.symbols.count;
    const out: ElfRelocation[] = [];
    for (let at = section.offset; at < section.offset + section.size; at += entryBytes) {
      const low = this.view.getUint32(at + 8, this.littleEndian);
      const high = this.view.getUint32(at + 12, this.littleEndian);
      // r_info is one 64-bit word: the symbol in its upper half, the type in its lower.
      const type = this.littleEndian ? low : high;
      const symbol = this.littleEndian ? high : low;
      if (symbol >= symbolCount) {
        throw new ObjectError(
          'ERR_SKEP_ELF',
          `relocation in "${section.name}" names symbol ${symbol}, but there are ${symbolCount}`,
          { section: section.name, offset: at - section.offset },
        );
      }
      out.push({ offset: this.#u64(at, section.name, 'r_offset'), type, symbol });
    }
    return out;
  }

  #checkHeader(): number {
    const type = this.view.getUint16(16, this.littleEndian);
    const machine = this.view.getUint16(18, this.littleEndian);
    if (type !== ET_REL) {
      throw headerError(
        `e_type is ${type}, but a BPF object is a relocatable file (1); was it linked as a program?`,
        16,
      );
    }
    if (machine !== EM_BPF && machine !== EM_NONE) {
      throw headerError(
        `e_machine is ${machine}, not BPF (247); compile with clang -target bpf`,
        18,
      );
    }
    return machine;
  }

  #readSections(): ElfSection[] {
    const tableOffset = this.#u64(0x28, 'ELF header', 'e_shoff');
    const entryBytes = this.view.getUint16(0x3a, this.littleEndian);
    let count = this.view.getUint16(0x3c, this.littleEndian);
    let namesIndex = this.view.getUint16(0x3e, this.littleEndian);
    if (tableOffset === 0) {
      throw headerError('there is no section header table', 0x28);
    }
    if (entryBytes !== SECTION_HEADER_BYTES) {
      throw headerError(
        `section headers are ${entryBytes} bytes, not ${SECTION_HEADER_BYTES}`,
        0x3a,
      );
    }
    if (tableOffset + SECTION_HEADER_BYTES > this.bytes.length) {
      throw headerError(
        `the section header table starts at ${tableOffset}, behind the end of the file (${this.bytes.length} bytes)`,
        0x28,
      );
    }
    // With 0xff00 sections or more the real numbers stand in the null section's header.
    if (count === 0) {
      count = this.#u64(tableOffset + 32, 'ELF header', 'sh_size of section 0');
    }
    if (namesIndex === SHN_XINDEX) {
      namesIndex = this.view.getUint32(tableOffset + 40, this.littleEndian);
    }
    if (count === 0 || count > (this.bytes.length - tableOffset) / SECTION_HEADER_BYTES) {
      throw headerError(
        `the table of ${count} section headers at ${tableOffset} does not fit the file (${this.bytes.length} bytes)`,
        0x3c,
      );
    }
    if (namesIndex === 0 || namesIndex >= count) {
      throw headerError(
        `the index of the section names is ${namesIndex}, but there are ${count} sections`,
        0x3e,
      );
    }
    this.#tableOffset = tableOffset;
    this.sectionNames = this.#readNames(tableOffset + namesIndex * SECTION_HEADER_BYTES);
    const sections: ElfSection[] = [];
    for (let index = 0; index < count; index += 1) {
      const section = this.#readSection(index, tableOffset + index * SECTION_HEADER_BYTES);
      if ((section.type === SHT.REL || section.type === SHT.RELA) && section.info >= count) {
        throw new ObjectError(
          'ERR_SKEP_ELF',
          `"${section.name}" relocates section ${section.info}, but there are ${count} sections`,
          { section: section.name },
        );
      }
      sections.push(section);
    }
    return sections;
  }

  #readNames(header: number): StringTable {
    const offset = this.#u64(header + 24, 'section names', 'sh_offset');
    const size = this.#u64(header + 32, 'section names', 'sh_size');
    if (offset + size > this.bytes.length) {
      throw headerError('the table of section names reaches behind the end of the file', 0x3e);
    }
    return this.#stringTable(offset, size);
  }

  /** Section and symbol names share one table in what LLVM writes: decode it once. */
  #lastTable: StringTable | undefined;
  #lastTableOffset = 0;

  #stringTable(offset: number, size: number): StringTable {
    const last = this.#lastTable;
    if (last !== undefined && this.#lastTableOffset === offset && last.bytes.length === size) {
      return last;
    }
    const table = new StringTable(this.bytes.subarray(offset, offset + size));
    this.#lastTable = table;
    this.#lastTableOffset = offset;
    return table;
  }

  #readSection(index: number, at: number): ElfSection {
    const { view, littleEndian } = this;
    if (!this.sectionNames.has(view.getUint32(at, littleEndian))) {
      throw new ObjectError(
        'ERR_SKEP_ELF',
        `section ${index} has a name outside the table of names`,
        {
          section: `section header ${index}`,
          offset: at,
        },
      );
    }
    const section = new SectionHeader(this, index, at);
    const { type, offset, size } = section;
    if (type !== SHT.NOBITS && type !== SHT.NULL && offset + size > this.bytes.length) {
      throw new ObjectError(
        'ERR_SKEP_ELF',
        `section "${section.name}" (${size} bytes at ${offset}) reaches behind the end of the file (${this.bytes.length} bytes); is the file truncated?`,
        { section: section.name, offset },
      );
    }
    return section;
  }

  #readSymbols(): ElfSymbols {
    let table: ElfSection | undefined;
    let extended: ElfSection | undefined;
    for (const section of this.sections) {
      if (section.type === SHT.SYMTAB) {
        if (table !== undefined) {
          throw new ObjectError('ERR_SKEP_ELF', 'there are two symbol tables', {
            section: section.name,
          });
        }
        table = section;
      } else if (section.type === SHT.SYMTAB_SHNDX) {
        extended = section;
      }
    }
    if (table === undefined) {
      throw new ObjectError(
        'ERR_SKEP_ELF',
        'there is no symbol table; was the object stripped? (llvm-strip -g keeps it)',
      );
    }
    if (table.entrySize !== SYMBOL_BYTES || table.size % SYMBOL_BYTES !== 0) {
      throw new ObjectError(
        'ERR_SKEP_ELF',
        `the symbol table has entries of ${table.entrySize} bytes in ${table.size} bytes; entries of ${SYMBOL_BYTES} are expected`,
        { section: table.name },
      );
    }
    const strings = this.sections[table.link];
    if (strings === undefined || strings.type !== SHT.STRTAB) {
      throw new ObjectError(
        'ERR_SKEP_ELF',
        `the symbol table links to section ${table.link}, which holds no strings`,
        {
          section: table.name,
        },
      );
    }
    const indices = extended?.link === table.index ? extended : undefined;
    return new ElfSymbols(this, table, this.#stringTable(strings.offset, strings.size), indices);
  }

  #u64(at: number, section: string, field: string): number {
    return readU64(this.view, at, this.littleEndian, section, field);
  }
}

/**
 * A section header. An object with 10,000 programs has 20,000 of them, so that only what is asked for
 * most is kept, and the name, which few ask for twice, is cut out of the table each time.
 */
class SectionHeader implements ElfSection {
  readonly index: number;
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  /** Where it stands. Not private by `#`, which costs time for each of so many objects. */
  private readonly elf: ElfFile;
  private readonly at: number;

  constructor(elf: ElfFile, index: number, at: number) {
    this.elf = elf;
    this.at = at;
    this.index = index;
    this.type = elf.view.getUint32(at + 4, elf.littleEndian);
    this.offset = readU64(elf.view, at + 24, elf.littleEndian, this, 'sh_offset');
    this.size = readU64(elf.view, at + 32, elf.littleEndian, this, 'sh_size');
  }

  get name(): string {
    const { view, littleEndian, sectionNames } = this.elf;
    // That there is a name was seen before this object was made.
    return sectionNames.at(view.getUint32(this.at, littleEndian))!;
  }

  get flags(): number {
    return readU64(this.elf.view, this.at + 8, this.elf.littleEndian, this, 'sh_flags');
  }

  get link(): number {
    return this.elf.view.getUint32(this.at + 40, this.elf.littleEndian);
  }

  get info(): number {
    return this.elf.view.getUint32(this.at + 44, this.elf.littleEndian);
  }

  get alignment(): number {
    return readU64(this.elf.view, this.at + 48, this.elf.littleEndian, this, 'sh_addralign');
  }

  get entrySize(): number {
    return readU64(this.elf.view, this.at + 56, this.elf.littleEndian, this, 'sh_entsize');
  }
}

/** One relocation entry. */
export interface ElfRelocation {
  /** `r_offset`: byte offset in the section that is relocated. Not checked against its size. */
  readonly offset: number;
  /** `R_BPF_*`. */
  readonly type: number;
  /** Index into the symbol table, in range. */
  readonly symbol: number;
}

/**
 * The symbol table, read in place: a symbol is its index, and each field is read when asked for.
 * An object with 10,000 programs has 20,000 symbols of which a few fields are needed.
 */
export class ElfSymbols {
  readonly count: number;
  readonly #elf: ElfFile;
  readonly #start: number;
  readonly #strings: StringTable;
  readonly #extended: ElfSection | undefined;

  constructor(
    elf: ElfFile,
    table: ElfSection,
    strings: StringTable,
    extended: ElfSection | undefined,
  ) {
    this.#elf = elf;
    this.#start = table.offset;
    this.count = table.size / SYMBOL_BYTES;
    this.#strings = strings;
    this.#extended = extended;
  }

  /** @throws ObjectError if the name lies outside the string table. */
  name(symbol: number): string {
    const name = this.#strings.at(this.#nameOffset(symbol));
    if (name === undefined) {
      throw new ObjectError(
        'ERR_SKEP_ELF',
        `symbol ${symbol} has a name outside the string table`,
        {
          section: '.symtab',
          offset: symbol * SYMBOL_BYTES,
        },
      );
    }
    return name;
  }

  /** Whether a symbol has this name. @throws as {@link ElfSymbols.name} */
  isNamed(symbol: number, name: string): boolean {
    const offset = this.#nameOffset(symbol);
    return offset < this.#strings.bytes.length
      ? this.#strings.is(offset, name)
      : this.name(symbol) === name;
  }

  /** `STT_*`. */
  type(symbol: number): number {
    return this.#elf.bytes[this.#start + symbol * SYMBOL_BYTES + 4]! & 0xf;
  }

  /** `STB_*`. */
  binding(symbol: number): number {
    return this.#elf.bytes[this.#start + symbol * SYMBOL_BYTES + 4]! >> 4;
  }

  /** `STV_*`. */
  visibility(symbol: number): number {
    return this.#elf.bytes[this.#start + symbol * SYMBOL_BYTES + 5]! & 3;
  }

  #nameOffset(symbol: number): number {
    const { view, littleEndian } = this.#elf;
    return view.getUint32(this.#start + symbol * SYMBOL_BYTES, littleEndian);
  }

  /**
   * Index of the section that defines the symbol; 0 for an undefined one, -1 for one of the
   * special indices (`SHN_ABS`, `SHN_COMMON`, ...). Not checked against the number of sections.
   */
  section(symbol: number): number {
    const { view, littleEndian } = this.#elf;
    const index = view.getUint16(this.#start + symbol * SYMBOL_BYTES + 6, littleEndian);
    if (index < SHN_LORESERVE) {
      return index;
    }
    const extended = this.#extended;
    if (index !== SHN_XINDEX || extended === undefined || symbol * 4 + 4 > extended.size) {
      return -1;
    }
    return view.getUint32(extended.offset + symbol * 4, littleEndian);
  }

  /** `st_value`: byte offset in the symbol's section. */
  value(symbol: number): number {
    return this.#u64(symbol, 8, 'st_value');
  }

  /** `st_size` in bytes. */
  size(symbol: number): number {
    return this.#u64(symbol, 16, 'st_size');
  }

  #u64(symbol: number, field: number, name: string): number {
    const { view, littleEndian } = this.#elf;
    const at = this.#start + symbol * SYMBOL_BYTES + field;
    return readU64(view, at, littleEndian, '.symtab', name);
  }
}

/** A 64-bit field. @throws ObjectError if it is above 2^53 */
function readU64(
  view: DataView,
  at: number,
  littleEndian: boolean,
  section: string | ElfSection,
  field: string,
): number {
  const first = view.getUint32(at, littleEndian);
  const second = view.getUint32(at + 4, littleEndian);
  const high = littleEndian ? second : first;
  if (high >= HIGH_WORD_LIMIT) {
    const name = typeof section === 'string' ? section : section.name;
    throw new ObjectError('ERR_SKEP_ELF', `${field} of ${name} is above 2^53`, {
      section: name,
      offset: at,
    });
  }
  const low = littleEndian ? first : second;
  // Nearly always: keeps the number a small integer.
  return high === 0 ? low : high * TWO_32 + low;
}

/** Checks `e_ident`; returns whether the file is little-endian. */
function readIdentification(bytes: Uint8Array): boolean {
  if (bytes.length < HEADER_BYTES) {
    throw headerError(
      `the file has ${bytes.length} bytes, fewer than an ELF header (${HEADER_BYTES})`,
      0,
    );
  }
  if (bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46) {
    throw headerError('this is not an ELF file (no 0x7f "ELF" at its start)', 0);
  }
  if (bytes[4] !== 2) {
    throw headerError(
      bytes[4] === 1 ? '32-bit ELF; BPF objects are 64-bit' : `unknown ELF class ${bytes[4]}`,
      4,
    );
  }
  if (bytes[5] !== 1 && bytes[5] !== 2) {
    throw headerError(`unknown byte order ${bytes[5]}`, 5);
  }
  if (bytes[6] !== 1) {
    throw headerError(`unknown ELF version ${bytes[6]}`, 6);
  }
  return bytes[5] === 1;
}

function headerError(problem: string, offset: number): ObjectError {
  return new ObjectError('ERR_SKEP_ELF', problem, { section: 'ELF header', offset });
}
