/**
 * What an instruction does, as one word and a width: the opcode alone does not say it, since version
 * 3 and 4 of the instruction set told new operations apart by the offset (`sdiv`, `movsx`), the
 * source register (`may_goto`) or the immediate (atomics).
 *
 * Format: RFC 9669; for what is newer, the kernel's kernel/bpf/verifier.c (`check_alu_op`,
 * `check_atomic`) and kernel/bpf/disasm.c.
 */

import {
  BPF_ALU_OP,
  BPF_ATOMIC_OP,
  BPF_CLASS,
  BPF_JMP_OP,
  BPF_MODE,
  BPF_PSEUDO_CALLS,
  BPF_SIZE,
} from '../../uapi/opcodes.ts';
import { type Instructions, LOAD_IMM64 } from './instructions.ts';

/** The operations by group. */
export type OperationName =
  | (typeof ARITHMETIC)[number]
  | Exclude<(typeof JUMPS)[number], 'call'>
  | 'sdiv'
  | 'smod'
  | 'movsx'
  | 'addr_space_cast'
  | 'percpu_address'
  | 'to_le'
  | 'to_be'
  | 'bswap'
  | 'gotol'
  | 'gotox'
  | 'may_goto'
  | 'call_helper'
  | 'call_subprogram'
  | 'call_kfunc'
  | 'load_imm64'
  | 'load_abs'
  | 'load_ind'
  | 'load'
  | 'load_signed'
  | 'store'
  | 'store_imm'
  | AtomicName
  | 'unknown';

/** The atomic operations. */
export type AtomicName =
  | 'atomic_add'
  | 'atomic_or'
  | 'atomic_and'
  | 'atomic_xor'
  | 'atomic_fetch_add'
  | 'atomic_fetch_or'
  | 'atomic_fetch_and'
  | 'atomic_fetch_xor'
  | 'atomic_xchg'
  | 'atomic_cmpxchg'
  | 'load_acquire'
  | 'store_release';

/** What an instruction does. */
export interface Operation {
  /** `unknown` for what no version of the instruction set has. */
  readonly name: OperationName;
  /**
   * Bits that are operated on: 32 or 64 for arithmetic, jumps with a condition and calls (64), the bits
   * in memory for loads and stores, those that are swapped or sign extended for `to_le`, `to_be`,
   * `bswap` and `movsx`; 0 for an unknown one.
   */
  readonly bits: number;
  /** Whether the second operand is the source register and not the immediate. */
  readonly fromRegister: boolean;
}

/** By the upper four bits of the opcode. */
const ARITHMETIC = [
  'add',
  'sub',
  'mul',
  'div',
  'or',
  'and',
  'lsh',
  'rsh',
  'neg',
  'mod',
  'xor',
  'mov',
  'arsh',
] as const;
const JUMPS = [
  'ja',
  'jeq',
  'jgt',
  'jge',
  'jset',
  'jne',
  'jsgt',
  'jsge',
  'call',
  'exit',
  'jlt',
  'jle',
  'jslt',
  'jsle',
] as const;

const SIZE_BITS: Readonly<Record<number, number>> = {
  [BPF_SIZE.B]: 8,
  [BPF_SIZE.H]: 16,
  [BPF_SIZE.W]: 32,
  [BPF_SIZE.DW]: 64,
};

const ATOMICS: Readonly<Record<number, AtomicName>> = {
  [BPF_ATOMIC_OP.ADD]: 'atomic_add',
  [BPF_ATOMIC_OP.OR]: 'atomic_or',
  [BPF_ATOMIC_OP.AND]: 'atomic_and',
  [BPF_ATOMIC_OP.XOR]: 'atomic_xor',
  [BPF_ATOMIC_OP.ADD | BPF_ATOMIC_OP.FETCH]: 'atomic_fetch_add',
  [BPF_ATOMIC_OP.OR | BPF_ATOMIC_OP.FETCH]: 'atomic_fetch_or',
  [BPF_ATOMIC_OP.AND | BPF_ATOMIC_OP.FETCH]: 'atomic_fetch_and',
  [BPF_ATOMIC_OP.XOR | BPF_ATOMIC_OP.FETCH]: 'atomic_fetch_xor',
  [BPF_ATOMIC_OP.XCHG]: 'atomic_xchg',
  [BPF_ATOMIC_OP.CMPXCHG]: 'atomic_cmpxchg',
  [BPF_ATOMIC_OP.LOAD_ACQ]: 'load_acquire',
  [BPF_ATOMIC_OP.STORE_REL]: 'store_release',
};

const UNKNOWN: Operation = { name: 'unknown', bits: 0, fromRegister: false };

/** What the instruction at a slot does. Never throws for a slot that exists. */
export function operationOf(instructions: Instructions, slot: number): Operation {
  const opcode = instructions.opcode(slot);
  const size = SIZE_BITS[opcode & 0x18]!;
  const mode = opcode & 0xe0;
  switch (opcode & 7) {
    case BPF_CLASS.ALU:
    case BPF_CLASS.ALU64:
      return arithmetic(instructions, slot, opcode);
    case BPF_CLASS.JMP:
    case BPF_CLASS.JMP32:
      return jump(instructions, slot, opcode);
    case BPF_CLASS.LD:
      return opcode === LOAD_IMM64
        ? known('load_imm64', 64, false)
        : mode === BPF_MODE.ABS && size < 64
          ? known('load_abs', size, false)
          : mode === BPF_MODE.IND && size < 64
            ? known('load_ind', size, true)
            : UNKNOWN;
    case BPF_CLASS.LDX:
      return mode === BPF_MODE.MEM
        ? known('load', size, true)
        : mode === BPF_MODE.MEMSX && size < 64
          ? known('load_signed', size, true)
          : UNKNOWN;
    case BPF_CLASS.ST:
      return mode === BPF_MODE.MEM ? known('store_imm', size, false) : UNKNOWN;
    default:
      return mode === BPF_MODE.MEM
        ? known('store', size, true)
        : mode === BPF_MODE.ATOMIC
          ? atomic(instructions.imm(slot), size)
          : UNKNOWN;
  }
}

function known(name: OperationName, bits: number, fromRegister: boolean): Operation {
  return { name, bits, fromRegister };
}

function arithmetic(instructions: Instructions, slot: number, opcode: number): Operation {
  const bits = (opcode & 7) === BPF_CLASS.ALU64 ? 64 : 32;
  const fromRegister = (opcode & 8) !== 0;
  const offset = instructions.offset(slot);
  switch (opcode & 0xf0) {
    case BPF_ALU_OP.END: {
      const swapped = instructions.imm(slot);
      return known(bits === 64 ? 'bswap' : fromRegister ? 'to_be' : 'to_le', swapped, false);
    }
    case BPF_ALU_OP.DIV:
      return known(offset === 1 ? 'sdiv' : 'div', bits, fromRegister);
    case BPF_ALU_OP.MOD:
      return known(offset === 1 ? 'smod' : 'mod', bits, fromRegister);
    case BPF_ALU_OP.MOV:
      return move(bits, fromRegister, offset);
    default: {
      const name = ARITHMETIC[opcode >> 4];
      return name === undefined ? UNKNOWN : known(name, bits, fromRegister);
    }
  }
}

function move(bits: number, fromRegister: boolean, offset: number): Operation {
  if (fromRegister && (offset === 8 || offset === 16 || offset === 32)) {
    return known('movsx', offset, true);
  }
  if (fromRegister && bits === 64 && offset === 1) {
    return known('addr_space_cast', 64, true);
  }
  // Only in what the kernel gives back: its own way to reach per-CPU memory.
  return fromRegister && bits === 64 && offset === -1
    ? known('percpu_address', 64, true)
    : known('mov', bits, fromRegister);
}

function jump(instructions: Instructions, slot: number, opcode: number): Operation {
  const isShort = (opcode & 7) === BPF_CLASS.JMP32;
  const fromRegister = (opcode & 8) !== 0;
  switch (opcode & 0xf0) {
    case BPF_JMP_OP.JA:
      return fromRegister
        ? isShort
          ? UNKNOWN
          : known('gotox', 64, true)
        : known(isShort ? 'gotol' : 'ja', 64, false);
    case BPF_JMP_OP.CALL:
      return isShort || fromRegister ? UNKNOWN : call(instructions.src(slot));
    case BPF_JMP_OP.EXIT:
      return isShort || fromRegister ? UNKNOWN : known('exit', 64, false);
    case BPF_JMP_OP.JCOND:
      return isShort || fromRegister || instructions.src(slot) !== 0
        ? UNKNOWN
        : known('may_goto', 64, false);
    default: {
      const name = JUMPS[opcode >> 4];
      return name === undefined || name === 'call'
        ? UNKNOWN
        : known(name, isShort ? 32 : 64, fromRegister);
    }
  }
}

function call(kind: number): Operation {
  switch (kind) {
    case 0:
      return known('call_helper', 64, false);
    case BPF_PSEUDO_CALLS.CALL:
      return known('call_subprogram', 64, false);
    case BPF_PSEUDO_CALLS.KFUNC_CALL:
      return known('call_kfunc', 64, false);
    default:
      return UNKNOWN;
  }
}

function atomic(operation: number, size: number): Operation {
  const name = ATOMICS[operation];
  // Loads and stores with an order exist in every size, the others for words and double words.
  const isOrdered = name === 'load_acquire' || name === 'store_release';
  return name === undefined || (size < 32 && !isOrdered) ? UNKNOWN : known(name, size, true);
}
