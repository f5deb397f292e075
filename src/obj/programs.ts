/**
 * The programs of an object: global functions in executable sections other than `.text`. What kind
 * of program one is follows from its section's name.
 *
 * Rules: libbpf's `bpf_object__add_programs`. Functions in `.text`, and static functions anywhere,
 * are subprograms that programs call; they are not listed. (libbpf refuses static functions outside
 * `.text`; cilium/ebpf takes them as we do.)
 */

import { ObjectError } from '../errors.ts';
import { attachTypeName } from '../uapi/attach-types.ts';
import { programTypeName } from '../uapi/program-types.ts';
import { type ElfFile, type ElfSection, SHF_EXECINSTR, SHT, STB, STT } from './elf.ts';
import { programSection } from './sections.ts';
import { byOffset, type SymbolsBySection } from './symbols.ts';

/** Bytes of an instruction. */
const INSTRUCTION_BYTES = 8;

/** A program as an object declares it. */
export interface ProgramDefinition {
  readonly name: string;
  /** The section's name, without the `?` that some start with. */
  readonly section: string;
  /** The type as bpftool prints it, e.g. `xdp`; `unspec` if the section's name is not known. */
  readonly type: string;
  /** `BPF_PROG_TYPE_*`. */
  readonly typeNumber: number;
  /** The expected attach type as libbpf prints it; null where the section's name implies none. */
  readonly attachType: string | null;
  /** `BPF_*` attach type; 0 where there is none. */
  readonly attachTypeNumber: number;
  /** What follows the section's kind, e.g. `syscalls/sys_enter_openat`; null if nothing does. */
  readonly attachTo: string | null;
  readonly sleepable: boolean;
  /** false for sections whose name starts with `?`. */
  readonly autoload: boolean;
  /** Number of 8-byte instructions, before any subprogram is linked in. */
  readonly instructions: number;
  /** Index of the section in the object. */
  readonly sectionIndex: number;
  /** Byte offset of the first instruction in the section. */
  readonly offset: number;
}

/** Whether a section holds instructions. */
export function isCode(section: ElfSection): boolean {
  return section.type === SHT.PROGBITS && section.flags % 8 >= SHF_EXECINSTR && section.size > 0;
}

/**
 * Reads the programs, by section and place.
 *
 * @throws ObjectError `ERR_SKEP_PROGRAM` for a function that does not fit its section, overlaps
 *   another, or has the name of another
 */
export function parsePrograms(
  elf: ElfFile,
  symbols: SymbolsBySection,
): Map<string, ProgramDefinition> {
  const programs = new Map<string, ProgramDefinition>();
  for (const section of elf.sections) {
    const group = symbols[section.index];
    if (group === undefined || !isCode(section)) {
      continue;
    }
    const sectionName = section.name;
    if (sectionName === '.text') {
      continue;
    }
    let end = 0;
    const kind = describeSection(sectionName);
    for (const symbol of byOffset(elf.symbols, group)) {
      if (elf.symbols.type(symbol) !== STT.FUNC) {
        continue;
      }
      const { offset, size } = functionPlace(elf, section, symbol, end);
      end = offset + size;
      if (elf.symbols.binding(symbol) === STB.LOCAL) {
        continue;
      }
      const name = elf.symbols.name(symbol);
      const before = programs.size;
      programs.set(name, {
        name,
        section: sectionName.startsWith('?') ? sectionName.slice(1) : sectionName,
        type: kind.type,
        typeNumber: kind.typeNumber,
        attachType: kind.attachType,
        attachTypeNumber: kind.attachTypeNumber,
        attachTo: kind.attachTo,
        sleepable: kind.sleepable,
        autoload: kind.autoload,
        instructions: size / INSTRUCTION_BYTES,
        sectionIndex: section.index,
        offset,
      });
      if (programs.size === before) {
        throw new ObjectError('ERR_SKEP_PROGRAM', `there are two programs called "${name}"`, {
          section: sectionName,
          offset,
        });
      }
    }
  }
  return programs;
}

function describeSection(name: string) {
  const known = programSection(name);
  return {
    type: programTypeName(known.type),
    typeNumber: known.type,
    attachType: known.attachType === null ? null : attachTypeName(known.attachType),
    attachTypeNumber: known.attachType ?? 0,
    attachTo: known.attachTo,
    sleepable: known.sleepable,
    autoload: known.autoload,
  };
}

function functionPlace(
  elf: ElfFile,
  section: ElfSection,
  symbol: number,
  end: number,
): { offset: number; size: number } {
  const offset = elf.symbols.value(symbol);
  const size = elf.symbols.size(symbol);
  const problem =
    size === 0
      ? 'has no instructions'
      : size % INSTRUCTION_BYTES !== 0 || offset % INSTRUCTION_BYTES !== 0
        ? `(${size} bytes at ${offset}) does not consist of whole ${INSTRUCTION_BYTES}-byte instructions`
        : offset + size > section.size
          ? `(${size} bytes at ${offset}) reaches behind the end of its section (${section.size} bytes)`
          : offset < end
            ? 'overlaps the function before it'
            : undefined;
  if (problem !== undefined) {
    throw new ObjectError(
      'ERR_SKEP_PROGRAM',
      `function "${elf.symbols.name(symbol)}" in section "${section.name}" ${problem}`,
      { section: section.name, offset },
    );
  }
  return { offset, size };
}
