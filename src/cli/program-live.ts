/**
 * The code of a loaded program as text: the instructions as the verifier left them, with names where
 * they can be found and with the lines of source that the kernel keeps.
 *
 * What the kernel puts into the instructions that it tells: `bpf_insn_prepare_dump` of
 * kernel/bpf/syscall.c and `jit_subprogs` of verifier.c. The text is bpftool's (`xlated_dumper.c`), but
 * for names of functions of the program, which are without the tags that kallsyms has in front of them.
 */

import { SkepError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import {
  Btf,
  type DisassembledInstruction,
  disassemble,
  type Instructions,
  operationOf,
  type SourceLine,
  SourceLines,
} from '../obj/index.ts';
import { KernelTypes } from '../programs/kernel-types.ts';
import type { LoadedCode, Program } from '../programs/program.ts';
import { BPF_PSEUDO } from '../uapi/opcodes.ts';
import { functionNames } from './program-symbols.ts';
import { CommandError } from './usage.ts';

/** A function of a loaded program. */
export interface LiveFunction {
  /** '' if the kernel does not know its name. */
  readonly name: string;
  readonly slot: number;
}

/** One instruction of a loaded program. */
export interface LiveInstruction extends DisassembledInstruction {
  /** The function that starts here. */
  readonly function: LiveFunction | undefined;
  /** The line of source that starts here. */
  readonly source: SourceLine | undefined;
}

/**
 * Lists a loaded program.
 *
 * @throws CommandError if the caller may not see its code
 */
export function listLive(program: Program): LiveInstruction[] {
  const { btfId, id } = program.info();
  const code = program.code();
  const { instructions } = code;
  if (instructions.length === 0) {
    throw new CommandError(
      `the kernel keeps the instructions of program ${id} to itself; they need CAP_BPF (or CAP_SYS_ADMIN), and, where constants are blinded, CAP_SYSLOG`,
    );
  }
  const btf = btfId === 0 ? undefined : readBtf(program.kernel, btfId);
  const functions = functionsOf(code, btf);
  const sources = sourcesOf(code, btf);
  const names = operandNames(program.kernel, instructions, functions);
  return disassemble(instructions, (slot) => names.get(slot)).map((line) => ({
    ...line,
    function: functions.get(line.slot),
    source: sources.get(line.slot),
  }));
}

/** Types of a program; none if the caller may not see them (CAP_SYS_ADMIN). */
function readBtf(kernel: Kernel, id: number): Btf | undefined {
  return unlessUnknown(() => Btf.parse(kernel.readBtf(id)));
}

function functionsOf(
  { functionInfo }: LoadedCode,
  btf: Btf | undefined,
): Map<number, LiveFunction> {
  const functions = new Map<number, LiveFunction>();
  for (let record = 0; record < (functionInfo?.count ?? 0); record += 1) {
    const slot = functionInfo!.word(record, 0);
    const name = unlessUnknown(() => btf?.nameOf(functionInfo!.word(record, 1))) ?? '';
    functions.set(slot, { name, slot });
  }
  return functions;
}

function sourcesOf({ lineInfo }: LoadedCode, btf: Btf | undefined): Map<number, SourceLine> {
  const lines =
    lineInfo === undefined || btf === undefined
      ? []
      : (unlessUnknown(() => [...new SourceLines(lineInfo, btf)]) ?? []);
  return new Map(lines.map((line) => [line.slot, line]));
}

/** What stands for a number, by the slot of its instruction. */
function operandNames(
  kernel: Kernel,
  instructions: Instructions,
  functions: ReadonlyMap<number, LiveFunction>,
): Map<number, string> {
  const names = new Map<number, string>();
  const helpers = new Map<number, number>();
  const kfuncs = new Map<number, number>();
  for (let slot = 0; slot < instructions.length; slot += instructions.slots(slot)) {
    const imm = instructions.imm(slot);
    switch (operationOf(instructions, slot).name) {
      case 'load_imm64': {
        const name = loadName(instructions, slot, functions);
        if (name !== undefined) {
          names.set(slot, name);
        }
        break;
      }
      case 'call_subprogram':
        // The number of the function is in the immediate, the distance where jumps have theirs.
        names.set(slot, `pc${functionAt(functions, slot, instructions.offset(slot))}`);
        break;
      case 'call_helper':
        helpers.set(slot, imm);
        break;
      case 'call_kfunc':
        kfuncs.set(slot, imm);
        break;
    }
  }
  const found = functionNames(kernel, new Set([...helpers.values(), ...kfuncs.values()]));
  for (const [slot, distance] of [...helpers, ...kfuncs]) {
    const name = found.get(distance);
    if (name !== undefined) {
      names.set(slot, `${name}#${distance}`);
      kfuncs.delete(slot);
    }
  }
  nameByType(kernel, instructions, kfuncs, names);
  return names;
}

/** The operand of a 64-bit load; undefined for a number. */
function loadName(
  instructions: Instructions,
  slot: number,
  functions: ReadonlyMap<number, LiveFunction>,
): string | undefined {
  const imm = instructions.imm(slot);
  switch (instructions.src(slot)) {
    case BPF_PSEUDO.MAP_FD:
      return `map[id:${imm >>> 0}]`;
    case BPF_PSEUDO.MAP_VALUE:
      return `map[id:${imm >>> 0}][0]+${instructions.imm(slot + 1) >>> 0}`;
    case BPF_PSEUDO.FUNC: {
      const distance = functionAt(functions, slot, imm);
      const [text, name] = distance.split('#');
      return name === undefined ? `subprog[${text}]` : `subprog[${text}]#${name}`;
    }
    default:
      return undefined;
  }
}

/** A distance in slots, with the name of the function that starts there: `+12#scale`. */
function functionAt(
  functions: ReadonlyMap<number, LiveFunction>,
  slot: number,
  distance: number,
): string {
  const text = distance < 0 ? `${distance}` : `+${distance}`;
  const name = functions.get(slot + distance + 1)?.name ?? '';
  return name === '' ? text : `${text}#${name}`;
}

/**
 * Where machine code can call functions that are far away (`bpf_jit_supports_far_kfunc_call`), calls have
 * the type of the function for its distance; of modules with a descriptor, which says nothing any more.
 */
function nameByType(
  kernel: Kernel,
  instructions: Instructions,
  kfuncs: ReadonlyMap<number, number>,
  names: Map<number, string>,
): void {
  if (kfuncs.size === 0) {
    return;
  }
  const types = new KernelTypes(kernel);
  try {
    for (const [slot, typeId] of kfuncs) {
      if (instructions.offset(slot) === 0) {
        const name = unlessUnknown(() => types.kernelBtf?.nameOf(typeId));
        names.set(slot, name === undefined ? `kernel-function#${typeId}` : `${name}#${typeId}`);
      }
    }
  } finally {
    types.close();
  }
}

/** What the caller may not see, or this version cannot read, is left out. */
function unlessUnknown<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof SkepError) {
      return undefined;
    }
    throw error;
  }
}
