/**
 * A linked program as text: the instructions as the kernel's verifier writes them, with names where it
 * would write numbers of a running kernel, and with the lines of source they come from.
 */

import { BPF_PSEUDO, BPF_PSEUDO_CALLS } from '../../uapi/opcodes.ts';
import type { SourceLine } from '../btf/ext-lines.ts';
import type { LinkedFunction, LinkedProgram } from '../link.ts';
import type { LinkedRelocation } from '../relocations.ts';
import { type DisassembledInstruction, disassemble } from './disassemble.ts';

/** One instruction of a listing. */
export interface ListedInstruction extends DisassembledInstruction {
  /** The function that starts here. */
  readonly function: LinkedFunction | undefined;
  /** The line of source that starts here. */
  readonly source: SourceLine | undefined;
}

/**
 * Lists a program. Maps are written as bpftool writes them, by name for id: `map[counters]`, data as
 * `map[.bss][0]+8`, and calls with the name of what is called: `call pc+12#scale`. Instructions that
 * CO-RE changes are as the compiler wrote them.
 *
 * @throws ObjectError `ERR_SKEP_BTF` if a line of source is not in the object's strings
 */
export function listProgram(program: LinkedProgram): ListedInstruction[] {
  const functions = new Map(program.functions.map((one) => [one.slot, one]));
  const sources = new Map(Array.from(program.lines ?? [], (line) => [line.slot, line]));
  return disassemble(program.instructions, operandNames(program)).map((line) => ({
    ...line,
    function: functions.get(line.slot),
    source: sources.get(line.slot),
  }));
}

/** What to write for the operands of a program that stand for something: see {@link disassemble}. */
export function operandNames({
  functions,
  instructions,
  relocations,
}: LinkedProgram): (slot: number) => string | undefined {
  const names = new Map<number, string>();
  for (const relocation of relocations) {
    const name = operandName(relocation);
    if (name !== undefined) {
      names.set(relocation.slot, name);
    }
  }
  const starts = new Map(functions.map(({ slot, name }) => [slot, name]));
  return (slot) => {
    const name = names.get(slot);
    if (name !== undefined) {
      return name;
    }
    const src = instructions.src(slot);
    const isWide = instructions.isWide(slot);
    if (src !== (isWide ? BPF_PSEUDO.FUNC : BPF_PSEUDO_CALLS.CALL)) {
      return undefined;
    }
    const distance = instructions.imm(slot);
    const target = starts.get(slot + distance + 1);
    const text = distance < 0 ? String(distance) : `+${distance}`;
    const place = isWide ? `subprog[${text}]` : `pc${text}`;
    return target === undefined ? place : `${place}#${target}`;
  };
}

function operandName(relocation: LinkedRelocation): string | undefined {
  switch (relocation.kind) {
    case 'map':
      return `map[${relocation.map}]`;
    case 'data':
      return `map[${relocation.section}][0]+${relocation.offset}`;
    case 'arena':
      return `map[${relocation.map}][0]+${relocation.offset}`;
    case 'kconfig':
      return `map[.kconfig][0]+${relocation.offset}#${relocation.extern.name}`;
    case 'ksym':
      return `ksym[${relocation.extern.name}]`;
    case 'kfunc':
      return relocation.extern.name;
    case 'jump-table':
      return `map[${relocation.section}][0]+${relocation.offset}`;
    case 'core':
      return undefined;
  }
}
