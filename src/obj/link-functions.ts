/**
 * The functions of an object, programs and subprograms alike, by the section and place of their code.
 *
 * Rules: libbpf's `bpf_object__add_programs` and `find_prog_by_sec_insn`. Unlike libbpf we also know
 * static functions outside `.text`, and functions of other sections as targets of calls.
 */

import { ObjectError } from '../errors.ts';
import { type ElfFile, type ElfSection, STB, STT, STV } from './elf.ts';
import { SLOT_BYTES } from './instructions/instructions.ts';
import { isCode } from './programs.ts';
import { byOffset, type SymbolsBySection } from './symbols.ts';

/** A function as the object has it. */
export interface CodeFunction {
  readonly name: string;
  readonly section: ElfSection;
  /** Byte offset of its first instruction in the section. */
  readonly offset: number;
  /** Bytes of its instructions. */
  readonly size: number;
  /** Visible to other objects: neither static nor hidden. */
  readonly isGlobal: boolean;
  /** Whether it is a program of its own; else it is only called. */
  readonly isProgram: boolean;
}

/** Finds functions by place; reads the symbols of a section when it is first asked for. */
export class CodeFunctions {
  readonly #elf: ElfFile;
  readonly #symbols: SymbolsBySection;
  readonly #sections: (readonly CodeFunction[] | undefined)[] = [];

  constructor(elf: ElfFile, symbols: SymbolsBySection) {
    this.#elf = elf;
    this.#symbols = symbols;
  }

  /** Whether instructions are in a section of this index. */
  isCode(section: number): boolean {
    const header = this.#elf.sections[section];
    return header !== undefined && isCode(header);
  }

  /**
   * The functions of a section by offset; none for a section of anything else.
   *
   * @throws ObjectError `ERR_SKEP_PROGRAM` for one that does not fit its section or overlaps another
   */
  ofSection(index: number): readonly CodeFunction[] {
    this.#sections[index] ??= this.#read(index);
    return this.#sections[index]!;
  }

  /** The function that the byte of a section belongs to. @throws as {@link ofSection} */
  containing(section: number, offset: number): CodeFunction | undefined {
    const functions = this.ofSection(section);
    let low = 0;
    let high = functions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (functions[middle]!.offset <= offset) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    const found = functions[low - 1];
    return found !== undefined && offset < found.offset + found.size ? found : undefined;
  }

  #read(index: number): CodeFunction[] {
    const { symbols } = this.#elf;
    const section = this.#elf.sections[index];
    const functions: CodeFunction[] = [];
    if (section === undefined || !isCode(section)) {
      return functions;
    }
    for (const symbol of byOffset(symbols, this.#symbols[index] ?? [])) {
      if (symbols.type(symbol) !== STT.FUNC) {
        continue;
      }
      const found = this.#function(section, symbol);
      const before = functions.at(-1);
      if (before?.offset === found.offset && before.size === found.size) {
        // A second name for the same code: calls go by place.
        continue;
      }
      this.#check(found, before);
      functions.push(found);
    }
    return functions;
  }

  #function(section: ElfSection, symbol: number): CodeFunction {
    const { symbols } = this.#elf;
    const isLocal = symbols.binding(symbol) === STB.LOCAL;
    const visibility = symbols.visibility(symbol);
    return {
      name: symbols.name(symbol),
      section,
      offset: symbols.value(symbol),
      size: symbols.size(symbol),
      isGlobal: !isLocal && visibility !== STV.HIDDEN && visibility !== STV.INTERNAL,
      isProgram: !isLocal && section.name !== '.text',
    };
  }

  #check({ name, section, offset, size }: CodeFunction, before: CodeFunction | undefined): void {
    const isWhole = offset % SLOT_BYTES === 0 && size % SLOT_BYTES === 0 && size > 0;
    const problem = !isWhole
      ? `does not consist of whole ${SLOT_BYTES}-byte instructions`
      : offset + size > section.size
        ? `reaches behind the end of its section (${section.size} bytes)`
        : before !== undefined && offset < before.offset + before.size
          ? `overlaps "${before.name}"`
          : undefined;
    if (problem !== undefined) {
      throw new ObjectError(
        'ERR_SKEP_PROGRAM',
        `function "${name}" in section "${section.name}" (${size} bytes at ${offset}) ${problem}`,
        { section: section.name, offset },
      );
    }
  }
}
