/**
 * Whether instructions and what describes them have the form that the verifier wants before it looks
 * at what they do: the first steps of `bpf_check` in `kernel/bpf/verifier.c` (6.18), with its words.
 */

import { type Instructions, LOAD_IMM64 } from '../../obj/instructions/instructions.ts';
import { BTF_KIND } from '../../uapi/btf-kinds.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { BPF_CLASS, BPF_JMP_OP, BPF_PSEUDO, BPF_PSEUDO_CALLS } from '../../uapi/opcodes.ts';
import type { InfoTable } from '../program-calls.ts';
import type { BtfObject } from './objects.ts';

/** Why a program is refused, and what the log says of it. */
export interface Refusal {
  readonly errno: number;
  readonly text: string;
}

const EXIT = BPF_CLASS.JMP | BPF_JMP_OP.EXIT;
const CALL = BPF_CLASS.JMP | BPF_JMP_OP.CALL;
const LONG_JUMP = BPF_CLASS.JMP32 | BPF_JMP_OP.JA;
const JUMP = BPF_CLASS.JMP | BPF_JMP_OP.JA;
/** `MIN_BPF_FUNCINFO_SIZE`, `MIN_BPF_LINEINFO_SIZE`, `MAX_FUNCINFO_REC_SIZE`. */
const FUNCTION_BYTES = 8;
const LINE_BYTES = 16;
const LONGEST_RECORD = 252;

/** A refusal with the usual number. */
export function invalid(text: string, errno: number = ERRNO.EINVAL): Refusal {
  return { errno, text };
}

/** Where the functions of a program start: at its start, and where calls and addresses of functions lead. */
export function functionStarts(instructions: Instructions): number[] | Refusal {
  const starts = new Set([0]);
  for (let slot = 0; slot < instructions.length; slot += instructions.slots(slot)) {
    const isCall =
      instructions.opcode(slot) === CALL && instructions.src(slot) === BPF_PSEUDO_CALLS.CALL;
    const isAddress =
      instructions.opcode(slot) === LOAD_IMM64 && instructions.src(slot) === BPF_PSEUDO.FUNC;
    if (!isCall && !isAddress) {
      continue;
    }
    const start = slot + instructions.imm(slot) + 1;
    if (start < 0 || start >= instructions.length) {
      return invalid('call to invalid destination');
    }
    starts.add(start);
  }
  return [...starts].sort((a, b) => a - b);
}

/** Jumps stay in their function, and each function ends in one or in an exit (`check_subprogs`). */
export function checkFlow(instructions: Instructions, starts: readonly number[]): Refusal | null {
  let at = 0;
  for (let slot = 0; slot < instructions.length; slot += 1) {
    const start = starts[at]!;
    const end = starts[at + 1] ?? instructions.length;
    const target = jumpTarget(instructions, slot);
    if (target !== undefined && (target < start || target >= end)) {
      return invalid(`jump out of range from insn ${slot} to ${target}`);
    }
    if (slot === end - 1) {
      const opcode = instructions.opcode(slot);
      if (opcode !== EXIT && opcode !== LONG_JUMP && opcode !== JUMP) {
        return invalid('last insn is not an exit or jmp');
      }
      at += 1;
    }
  }
  return null;
}

/** The slot that a jump goes to; undefined for what is no jump. */
function jumpTarget(instructions: Instructions, slot: number): number | undefined {
  const opcode = instructions.opcode(slot);
  const kind = opcode & 7;
  if ((kind !== BPF_CLASS.JMP && kind !== BPF_CLASS.JMP32) || opcode === EXIT || opcode === CALL) {
    return undefined;
  }
  const distance = opcode === LONG_JUMP ? instructions.imm(slot) : instructions.offset(slot);
  return slot + distance + 1;
}

/** Records about functions: one for each, in order (`check_btf_func_early`, `check_btf_func`). */
export function checkFunctionInfo(
  table: InfoTable,
  starts: readonly number[],
  { types }: BtfObject,
  littleEndian: boolean,
): Refusal | null {
  if (!isRecordSize(table.recordBytes, FUNCTION_BYTES)) {
    return invalid(`invalid func info rec size ${table.recordBytes}`);
  }
  const view = viewOf(table.bytes);
  const count = table.bytes.length / table.recordBytes;
  let before = -1;
  for (let index = 0; index < count; index += 1) {
    const offset = view.getUint32(index * table.recordBytes, littleEndian);
    const typeId = view.getUint32(index * table.recordBytes + 4, littleEndian);
    if (index === 0 && offset !== 0) {
      return invalid(`nonzero insn_off ${offset} for the first func info record`);
    }
    if (offset <= before) {
      return invalid(
        `same or smaller insn offset (${offset}) than previous func info record (${before})`,
      );
    }
    if (typeId >= types.typeCount || types.kindOf(typeId) !== BTF_KIND.FUNC) {
      return invalid(`invalid type id ${typeId} in func info`);
    }
    before = offset;
  }
  if (count !== starts.length) {
    return invalid("number of funcs in func_info doesn't match number of subprogs");
  }
  const wrong = starts.some(
    (start, index) => view.getUint32(index * table.recordBytes, littleEndian) !== start,
  );
  return wrong
    ? invalid("func_info BTF section doesn't match subprog layout in BPF program")
    : null;
}

/** Records about lines: in order, and one at the start of each function (`check_btf_line`). */
export function checkLineInfo(
  table: InfoTable,
  instructions: Instructions,
  starts: readonly number[],
): Refusal | null {
  if (!isRecordSize(table.recordBytes, LINE_BYTES)) {
    return invalid('invalid line info rec size');
  }
  const view = viewOf(table.bytes);
  const missing = new Set(starts);
  const count = table.bytes.length / table.recordBytes;
  let before = -1;
  for (let index = 0; index < count; index += 1) {
    const little = instructions.byteOrder === 'little';
    const offset = view.getUint32(index * table.recordBytes, little);
    if (offset <= before || offset >= instructions.length) {
      return invalid(
        `Invalid line_info[${index}].insn_off:${offset} (prev_offset:${Math.max(before, 0)} prog->len:${instructions.length})`,
      );
    }
    if (instructions.opcode(offset) === 0) {
      return invalid(`Invalid insn code at line_info[${index}].insn_off`);
    }
    missing.delete(offset);
    before = offset;
  }
  const first = starts.findIndex((start) => missing.has(start));
  return first === -1 ? null : invalid(`missing bpf_line_info for func#${first}`);
}

/** A 64-bit load has two slots, the second of which is empty but for its number. */
export function checkWide(instructions: Instructions, slot: number): Refusal | null {
  const next = slot + 1;
  if (
    next >= instructions.length ||
    instructions.opcode(next) !== 0 ||
    instructions.dst(next) !== 0 ||
    instructions.src(next) !== 0 ||
    instructions.offset(next) !== 0
  ) {
    return invalid('invalid bpf_ld_imm64 insn');
  }
  return null;
}

function isRecordSize(bytes: number, shortest: number): boolean {
  return bytes >= shortest && bytes <= LONGEST_RECORD && bytes % 4 === 0;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
