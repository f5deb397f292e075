/**
 * Reads what the instructions of an object refer to: ELF relocations, calls within a section that the
 * compiler resolved itself, and CO-RE relocations. See relocations.ts for the rules.
 */

import { sortAscending } from '../bytes/ascending.ts';
import { ObjectError } from '../errors.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { BPF_PSEUDO } from '../uapi/opcodes.ts';
import { BtfExt, type CoreRelocation } from './btf/ext.ts';
import type { InfoRecords } from './btf/ext-records.ts';
import { isData } from './data.ts';
import { type ElfRelocation, type ElfSection, SHT, STT } from './elf.ts';
import { disassembleInstruction } from './instructions/disassemble.ts';
import { Instructions, LOAD_IMM64, SLOT_BYTES } from './instructions/instructions.ts';
import { type CallbackTags, readCallbackTags } from './link-exceptions.ts';
import { type CodeFunction, CodeFunctions } from './link-functions.ts';
import { lowerBound } from './lower-bound.ts';
import type { ObjectFile } from './object.ts';
import { Once } from './once.ts';
import type { CodeRelocation, RelocationTarget } from './relocations.ts';
import { type Extern, isExtern, readExterns } from './relocations-externs.ts';

/** Bytes of a relocation without addend. */
const REL_BYTES = 16;
/** BPF_JMP | BPF_CALL. */
const CALL = 0x85;
/** What the source register of a call of a function in the object says. */
const CALL_SUBPROGRAM = 1;

/** The code of one object. Everything is read when it is first asked for, and kept. */
export class ObjectCode {
  readonly object: ObjectFile;
  readonly functions: CodeFunctions;
  readonly #relocations = new Map<CodeFunction, readonly CodeRelocation[]>();
  readonly #entries = new Map<number, readonly ElfRelocation[]>();
  readonly #info: (SectionInfo | undefined)[] = [];
  #relocating: Map<number, ElfSection[]> | undefined;
  readonly #externs: Once<ReadonlyMap<number, Extern>>;
  #mapsByPlace: Map<number, Map<number, string>> | undefined;
  #namedFirst: Map<string, number> | undefined;
  readonly #ext = new Once(() => this.#readExt());
  #callbackTags: CallbackTags | undefined;
  readonly #globalText = new Once(() => this.#readGlobalText());
  #optionOffsets: Map<string, number> | undefined;
  #arena: string | null | undefined;
  /** No Buffer, even if the object came in one: its subarray() costs several times as much. */
  readonly #plain: Uint8Array;

  constructor(object: ObjectFile) {
    this.object = object;
    this.functions = new CodeFunctions(object.elf, object.symbols);
    this.#externs = new Once(() => readExterns(object.elf.symbols, object.btf));
    const { buffer, byteOffset, byteLength } = object.elf.bytes;
    this.#plain = new Uint8Array(buffer, byteOffset, byteLength);
  }

  /** The instructions of a function as they are in the object; not a copy. */
  instructions(code: CodeFunction): Instructions {
    return new Instructions(this.bytes(code), this.object.byteOrder);
  }

  /** The same as bytes. */
  bytes({ section, offset, size }: CodeFunction): Uint8Array {
    const start = section.offset + offset;
    return this.#plain.subarray(start, start + size);
  }

  /** All externs by symbol. @throws as {@link readExterns} */
  get externs(): ReadonlyMap<number, Extern> {
    return this.#externs.get();
  }

  /**
   * `.BTF.ext`; null if there is none, or a broken one in an object that works without.
   *
   * @throws ObjectError `ERR_SKEP_BTF`, `ERR_SKEP_ELF`
   */
  get ext(): BtfExt | null {
    return this.#ext.get();
  }

  /** Which programs name a function for exceptions. */
  get callbackTags(): CallbackTags {
    if (this.#callbackTags === undefined) {
      const { btf } = this.object;
      this.#callbackTags = btf === undefined ? new Map() : readCallbackTags(btf);
    }
    return this.#callbackTags;
  }

  /** The global functions of `.text` by name, the first of each. @throws as `CodeFunctions.ofSection` */
  get globalText(): ReadonlyMap<string, CodeFunction> {
    return this.#globalText.get();
  }

  /** What `.BTF.ext` says about a section. @throws as {@link ext} */
  infoOf(section: ElfSection): SectionInfo {
    this.#info[section.index] ??= this.#readInfo(section);
    return this.#info[section.index]!;
  }

  /**
   * What the instructions of a function refer to, by instruction. Kept for functions that are only called,
   * which many programs have in common; what is kept of thousands of programs costs the garbage
   * collector more than reading it again.
   *
   * @throws ObjectError `ERR_SKEP_PROGRAM`, `ERR_SKEP_ELF`, `ERR_SKEP_BTF`
   */
  relocations(code: CodeFunction): readonly CodeRelocation[] {
    if (code.isProgram) {
      return this.#read(code);
    }
    let found = this.#relocations.get(code);
    if (found === undefined) {
      found = this.#read(code);
      this.#relocations.set(code, found);
    }
    return found;
  }

  #read(code: CodeFunction): CodeRelocation[] {
    const instructions = this.instructions(code);
    const found: CodeRelocation[] = [];
    const end = code.offset + code.size;
    const entries = this.#entriesOf(code.section);
    const first = lowerBound(entries, code.offset);
    let behind = first;
    for (let entry = entries[first]; entry !== undefined && entry.offset < end; ) {
      const slot = (entry.offset - code.offset) / SLOT_BYTES;
      found.push(this.#resolve(code, instructions, slot, entry.symbol));
      behind += 1;
      entry = entries[behind];
    }
    this.#findCalls(code, instructions, entries.slice(first, behind), found);
    const { core } = this.infoOf(code.section);
    for (let at = lowerBound(core, code.offset); at < core.length; at += 1) {
      const one = core[at]!;
      if (one.offset >= end) {
        break;
      }
      found.push({ slot: (one.offset - code.offset) / SLOT_BYTES, kind: 'core', core: one });
    }
    return sortAscending(found, ({ slot }) => slot);
  }

  /** Finds the calls that have no relocation. */
  #findCalls(
    code: CodeFunction,
    instructions: Instructions,
    entries: readonly ElfRelocation[],
    found: CodeRelocation[],
  ): void {
    const { bytes } = instructions;
    // Both ascend, so that one look at the next entry tells whether an instruction has one.
    let next = 0;
    for (let slot = 0; slot < instructions.length; slot += 1) {
      const opcode = bytes[slot * SLOT_BYTES]!;
      if (opcode !== CALL && opcode !== LOAD_IMM64) {
        continue;
      }
      const offset = code.offset + slot * SLOT_BYTES;
      while (next < entries.length && entries[next]!.offset < offset) {
        next += 1;
      }
      if (entries[next]?.offset !== offset && isCallInObject(instructions, slot)) {
        found.push(this.#withinSection(code, instructions, slot));
      }
      slot += opcode === LOAD_IMM64 ? 1 : 0;
    }
  }

  #resolve(
    code: CodeFunction,
    instructions: Instructions,
    slot: number,
    symbol: number,
  ): CodeRelocation {
    const { symbols } = this.object.elf;
    const fail = (problem: string) => this.#fault(code, instructions, slot, symbol, problem);
    const opcode = instructions.opcode(slot);
    if (opcode !== CALL && !instructions.isWide(slot)) {
      throw fail('which only a call or a 64-bit load can refer to');
    }
    const section = symbols.section(symbol);
    if (section === -1) {
      throw fail('which is in no section (compile with -fno-common)');
    }
    if (isExtern(symbols, symbol)) {
      return { slot, ...this.#extern(symbol, opcode === CALL, fail) };
    }
    if (section === 0) {
      throw fail('which is not defined; is a global variable only declared?');
    }
    const isCode = this.functions.isCode(section);
    if (opcode === CALL) {
      if (instructions.src(slot) !== CALL_SUBPROGRAM) {
        throw fail('but a call of a helper refers to nothing');
      }
      const offset = symbols.value(symbol) + (instructions.imm(slot) + 1) * SLOT_BYTES;
      return { slot, kind: 'call', target: this.#functionAt(section, offset, isCode, fail) };
    }
    if (isCode) {
      const offset = symbols.value(symbol) + instructions.imm(slot);
      return { slot, kind: 'function', target: this.#functionAt(section, offset, isCode, fail) };
    }
    return { slot, ...this.#memory(section, symbol, instructions.imm(slot), fail) };
  }

  /** A call that goes to a static function of the same section: no relocation, a distance. */
  #withinSection(code: CodeFunction, instructions: Instructions, slot: number): CodeRelocation {
    const fail = (problem: string) => this.#fault(code, instructions, slot, undefined, problem);
    if (instructions.opcode(slot) === LOAD_IMM64) {
      throw fail('is the address of a function, but no relocation says of which');
    }
    const offset = code.offset + (slot + instructions.imm(slot) + 1) * SLOT_BYTES;
    return { slot, kind: 'call', target: this.#functionAt(code.section.index, offset, true, fail) };
  }

  #functionAt(section: number, offset: number, isCode: boolean, fail: Fail): CodeFunction {
    if (!isCode) {
      throw fail(`which is in section "${this.#nameOf(section)}" and no code`);
    }
    const target = this.functions.containing(section, offset);
    if (target?.offset !== offset) {
      const place = `byte ${offset} of section "${this.#nameOf(section)}"`;
      throw fail(
        target === undefined
          ? `but there is no function at ${place}`
          : `but ${place} is inside "${target.name}" and not its start`,
      );
    }
    return target;
  }

  #extern(symbol: number, isCall: boolean, fail: Fail): RelocationTarget {
    const extern = this.externs.get(symbol);
    if (extern === undefined) {
      throw fail('which has no name');
    }
    if (isCall) {
      if (extern.kind !== 'kfunc') {
        throw fail('which is no function');
      }
      return { kind: 'kfunc', extern };
    }
    if (extern.kind !== 'kconfig') {
      return { kind: 'ksym', extern };
    }
    const offset = this.#offsetOfOption(extern.name);
    if (offset === undefined) {
      throw fail('which .kconfig does not have');
    }
    return { kind: 'kconfig', extern, offset };
  }

  /** Where `.kconfig` has an option; of two with one name the first. */
  #offsetOfOption(option: string): number | undefined {
    if (this.#optionOffsets === undefined) {
      this.#optionOffsets = new Map();
      for (const { name, offset } of this.object.data.get('.kconfig')?.variables ?? []) {
        if (!this.#optionOffsets.has(name)) {
          this.#optionOffsets.set(name, offset);
        }
      }
    }
    return this.#optionOffsets.get(option);
  }

  /** The name of the arena; null if there is none. */
  #arenaName(): string | null {
    if (this.#arena === undefined) {
      const maps = [...this.object.maps.values()];
      this.#arena = maps.find(({ typeNumber }) => typeNumber === BPF_MAP_TYPE.ARENA)?.name ?? null;
    }
    return this.#arena;
  }

  /** A reference to what is neither code nor extern: a map, or global data. */
  #memory(index: number, symbol: number, imm: number, fail: Fail): RelocationTarget {
    const { elf } = this.object;
    const section = elf.sections[index]!;
    const name = section.name;
    const offset = elf.symbols.value(symbol) + imm;
    if (isData(section, name)) {
      return { kind: 'data', section: name, offset };
    }
    const arena = name === '.addr_space.1' ? this.#arenaName() : null;
    if (arena !== null) {
      return { kind: 'arena', map: arena, offset };
    }
    if (name === '.jumptables') {
      const size = elf.symbols.size(symbol);
      return { kind: 'jump-table', section: name, offset: elf.symbols.value(symbol), size };
    }
    const places = this.#mapsIn(index);
    if (places === undefined) {
      throw fail(`which is in section "${name}"; that holds neither maps nor data nor code`);
    }
    // The number counts only where the symbol is the section itself.
    const isSection = elf.symbols.type(symbol) === STT.SECTION;
    const place = isSection ? offset : elf.symbols.value(symbol);
    const map = places.get(place);
    if (map === undefined) {
      throw fail(`but no map starts at byte ${place} of section "${name}"`);
    }
    return { kind: 'map', map };
  }

  /** The maps that are declared in a section, by offset. */
  #mapsIn(section: number): ReadonlyMap<number, string> | undefined {
    if (this.#mapsByPlace === undefined) {
      this.#mapsByPlace = new Map();
      const { elf, maps, symbols } = this.object;
      for (const { index, name } of elf.sections) {
        for (const symbol of symbols[index] ?? []) {
          const map = elf.symbols.type(symbol) === STT.FUNC ? undefined : elf.symbols.name(symbol);
          if (map !== undefined && maps.get(map)?.section === name) {
            const places = this.#mapsByPlace.get(index) ?? new Map<number, string>();
            this.#mapsByPlace.set(index, places.set(elf.symbols.value(symbol), map));
          }
        }
      }
    }
    return this.#mapsByPlace.get(section);
  }

  /** The ELF relocations of a section, by offset. */
  #entriesOf(section: ElfSection): readonly ElfRelocation[] {
    let entries = this.#entries.get(section.index);
    if (entries === undefined) {
      entries = this.#readEntries(section);
      this.#entries.set(section.index, entries);
    }
    return entries;
  }

  #readEntries(section: ElfSection): ElfRelocation[] {
    if (this.#relocating === undefined) {
      this.#relocating = new Map();
      for (const table of this.object.elf.sections) {
        if (table.type === SHT.REL || table.type === SHT.RELA) {
          const tables = this.#relocating.get(table.info) ?? [];
          this.#relocating.set(table.info, tables);
          tables.push(table);
        }
      }
    }
    let all: ElfRelocation[] = [];
    for (const table of this.#relocating.get(section.index) ?? []) {
      if (table.type === SHT.RELA) {
        throw entryError(table, 'has relocations with addends, which code for BPF does not have');
      }
      const entries = this.object.elf.relocations(table);
      for (const entry of entries) {
        if (entry.offset % SLOT_BYTES !== 0 || entry.offset >= section.size) {
          const place = `byte ${entry.offset} of section "${section.name}" (${section.size} bytes)`;
          throw entryError(table, `relocates ${place}, where no instruction starts`);
        }
      }
      all = all.length === 0 ? entries : all.concat(entries);
      // Only tables that share their bytes can hold more, and then any number of them.
      if (all.length * REL_BYTES > this.object.elf.bytes.length) {
        throw entryError(table, 'has entries that belong to another section, too');
      }
    }
    return sortAscending(all, ({ offset }) => offset);
  }

  #readInfo({ name, index }: ElfSection): SectionInfo {
    if (this.ext === null) {
      return NO_INFO;
    }
    if (this.#namedFirst === undefined) {
      this.#namedFirst = new Map();
      for (const section of this.object.elf.sections) {
        const own = section.name;
        if (!this.#namedFirst.has(own)) {
          this.#namedFirst.set(own, section.index);
        }
      }
    }
    // It goes by names: of two sections with one name the first is meant.
    if (this.#namedFirst.get(name) !== index) {
      return NO_INFO;
    }
    return {
      functions: this.ext.functions(name),
      lines: this.ext.lines(name),
      core: sortAscending(this.ext.coreRelocations(name), ({ offset }) => offset),
    };
  }

  #readGlobalText(): Map<string, CodeFunction> {
    const found = new Map<string, CodeFunction>();
    const text = this.object.elf.sections.find(({ name }) => name === '.text');
    for (const one of this.functions.ofSection(text?.index ?? 0)) {
      if (one.isGlobal && !found.has(one.name)) {
        found.set(one.name, one);
      }
    }
    return found;
  }

  #readExt(): BtfExt | null {
    const { elf, btf, maps } = this.object;
    const section = elf.sections.find(({ name }) => name === '.BTF.ext');
    if (section === undefined || btf === undefined) {
      return null;
    }
    if (section.type !== SHT.PROGBITS) {
      throw new ObjectError(
        'ERR_SKEP_BTF',
        `section .BTF.ext has type ${section.type} and so no contents (PROGBITS, 1, is expected)`,
        { section: '.BTF.ext' },
      );
    }
    try {
      return BtfExt.parse(elf.data(section), btf);
    } catch (error) {
      // Nothing in such an object needs BTF, so that it can be loaded without: libbpf's rule.
      if (error instanceof ObjectError && maps.size === 0 && this.externs.size === 0) {
        return null;
      }
      throw error;
    }
  }

  /** Symbols of sections have the name of their section. */
  #symbolText(symbol: number): string {
    const { symbols } = this.object.elf;
    const section = symbols.section(symbol);
    const name = symbols.name(symbol) || (section > 0 ? this.#nameOf(section) : '');
    return name === '' ? `symbol ${symbol}` : `"${name}"`;
  }

  #nameOf(section: number): string {
    return this.object.elf.sections[section]?.name ?? String(section);
  }

  /** An error that names function, instruction and symbol, if there is one. */
  #fault(
    { name, section, offset, isProgram }: CodeFunction,
    instructions: Instructions,
    slot: number,
    symbol: number | undefined,
    problem: string,
  ): ObjectError {
    const text = disassembleInstruction(instructions, slot);
    const subject =
      symbol === undefined ? problem : `refers to ${this.#symbolText(symbol)}, ${problem}`;
    return new ObjectError(
      'ERR_SKEP_PROGRAM',
      `${isProgram ? 'program' : 'function'} "${name}" in section "${section.name}", instruction ${slot} (${text}): ${subject}`,
      { section: section.name, offset: offset + slot * SLOT_BYTES },
    );
  }
}

type Fail = (problem: string) => ObjectError;

/** What `.BTF.ext` says about the code of one section. */
export interface SectionInfo {
  readonly functions: InfoRecords | undefined;
  readonly lines: InfoRecords | undefined;
  /** By offset. */
  readonly core: readonly CoreRelocation[];
}

const NO_INFO: SectionInfo = { functions: undefined, lines: undefined, core: [] };

function isCallInObject(instructions: Instructions, slot: number): boolean {
  const opcode = instructions.opcode(slot);
  return opcode === CALL
    ? instructions.src(slot) === CALL_SUBPROGRAM
    : opcode === LOAD_IMM64 && instructions.src(slot) === BPF_PSEUDO.FUNC;
}

function entryError(table: ElfSection, problem: string): ObjectError {
  return new ObjectError('ERR_SKEP_ELF', `section "${table.name}" ${problem}`, {
    section: table.name,
  });
}
