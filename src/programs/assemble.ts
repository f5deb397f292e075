/**
 * The last step before the verifier: what the instructions of a linked program refer to becomes
 * descriptors, addresses and ids of the running kernel. What cannot be resolved, and need not be if
 * that code is never reached, is poisoned: replaced by a call that the verifier refuses.
 *
 * Rules: libbpf's `bpf_object__relocate_data` and `bpf_object__relocate_core`; `BPF_PSEUDO_*` of
 * include/uapi/linux/bpf.h.
 */

import { SkepError } from '../errors.ts';
import type { CoreRelocation } from '../obj/btf/ext.ts';
import { applyCore } from '../obj/core/apply.ts';
import type { CoreResult } from '../obj/core/resolve.ts';
import type { Instructions } from '../obj/instructions/instructions.ts';
import type { LinkedProgram } from '../obj/link.ts';
import type { LinkedRelocation } from '../obj/relocations.ts';
import type { Extern } from '../obj/relocations-externs.ts';
import { BPF_PSEUDO, BPF_PSEUDO_CALLS } from '../uapi/opcodes.ts';
import type { ResolvedExtern } from './externs.ts';
import type { ModuleTypes } from './kernel-types.ts';
import type { Poison } from './poison.ts';

/** What assembling needs to know of the load that the program is part of. */
export interface AssemblyContext {
  /** The descriptor of a map of the object; null if it was left out. */
  mapFd(map: string): number | null;
  /** What CO-RE finds. @throws SkepError, ObjectError if it cannot find anything */
  core(relocation: CoreRelocation): CoreResult;
  /** What an extern is in this kernel; null if it is weak and not there. */
  extern(extern: Extern): ResolvedExtern | null;
  /** The place of a module's descriptor in the list that the program is loaded with. */
  moduleIndex(module: ModuleTypes): number;
}

/** BPF_JMP | BPF_CALL. */
const CALL = 0x85;
/** What a poisoned instruction calls, as libbpf has it: these numbers and an index. */
const POISONED_MAP = 2_001_000_000;
const POISONED_KFUNC = 2_002_000_000;

/**
 * Makes the instructions of a linked program final, in place.
 *
 * @returns what was poisoned, by instruction
 * @throws SkepError `ERR_SKEP_LOAD` for what this kernel does not have, `ERR_SKEP_PROGRAM` for
 *   instructions that cannot be changed as they would have to be
 */
export function assemble(program: LinkedProgram, context: AssemblyContext): readonly Poison[] {
  const poisons: Poison[] = [];
  for (const relocation of program.relocations) {
    const poison = relocate(program, relocation, context);
    if (poison !== null) {
      poisons.push(poison);
    }
  }
  return poisons;
}

function relocate(
  program: LinkedProgram,
  relocation: LinkedRelocation,
  context: AssemblyContext,
): Poison | null {
  const { instructions } = program;
  const { slot } = relocation;
  switch (relocation.kind) {
    case 'map':
      return referToMap(instructions, slot, relocation.map, null, context);
    case 'data':
      return referToMap(instructions, slot, relocation.section, relocation.offset, context);
    case 'arena':
      return referToMap(instructions, slot, relocation.map, relocation.offset, context);
    case 'kconfig':
      return referToMap(instructions, slot, '.kconfig', relocation.offset, context);
    case 'ksym':
      referToSymbol(instructions, slot, context.extern(relocation.extern));
      return null;
    case 'kfunc':
      return callKernel(instructions, slot, relocation.extern, context);
    case 'core': {
      const result = context.core(relocation.core);
      const outcome = applyCore(instructions, slot, result);
      return outcome === 'poisoned' ? { slot, kind: 'core', result } : null;
    }
    case 'jump-table':
      throw noJumpTables(program, slot);
  }
}

/** @param offset in the value of the map; null for the map itself */
function referToMap(
  instructions: Instructions,
  slot: number,
  map: string,
  offset: number | null,
  context: AssemblyContext,
): Poison | null {
  const fd = context.mapFd(map);
  if (fd === null) {
    // Both halves of the load, so that neither can be taken for something else.
    poison(instructions, slot, POISONED_MAP);
    poison(instructions, slot + 1, POISONED_MAP);
    return { slot, kind: 'map', name: map };
  }
  instructions.setSrc(slot, offset === null ? BPF_PSEUDO.MAP_FD : BPF_PSEUDO.MAP_VALUE);
  instructions.setImm(slot, fd);
  instructions.setImm(slot + 1, offset ?? 0);
  return null;
}

function referToSymbol(
  instructions: Instructions,
  slot: number,
  found: ResolvedExtern | null,
): void {
  if (found === null || found.kind === 'address') {
    instructions.setImm64(slot, found?.address ?? 0n);
    return;
  }
  instructions.setSrc(slot, BPF_PSEUDO.BTF_ID);
  instructions.setImm(slot, found.typeId);
  instructions.setImm(slot + 1, found.kind === 'variable' ? found.fd : (found.module?.fd ?? 0));
}

function callKernel(
  instructions: Instructions,
  slot: number,
  extern: Extern,
  context: AssemblyContext,
): Poison | null {
  const found = context.extern(extern);
  if (found?.kind !== 'kfunc') {
    poison(instructions, slot, POISONED_KFUNC);
    return { slot, kind: 'kfunc', name: extern.name };
  }
  instructions.setSrc(slot, BPF_PSEUDO_CALLS.KFUNC_CALL);
  instructions.setImm(slot, found.typeId);
  instructions.setOffset(slot, found.module === null ? 0 : context.moduleIndex(found.module));
  return null;
}

/** A call of a helper that no kernel has. */
function poison(instructions: Instructions, slot: number, number: number): void {
  instructions.set(slot, { opcode: CALL, dst: 0, src: 0, offset: 0, imm: number });
}

function noJumpTables({ definition }: LinkedProgram, slot: number): SkepError {
  return new SkepError(
    'ERR_SKEP_LOAD',
    `program "${definition.name}", instruction ${slot}: jumps by a table, which is not supported yet; compile with -fno-jump-tables`,
  );
}
