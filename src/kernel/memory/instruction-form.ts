/**
 * The form of single instructions: which there are, and which of their fields they leave empty. What
 * `resolve_pseudo_ldimm64` and `do_check` of `kernel/bpf/verifier.c` (6.18) ask whatever the registers hold, with
 * their words. Instructions that no path reaches are looked at too.
 */

import { type Instructions, LOAD_IMM64 } from '../../obj/instructions/instructions.ts';
import {
  BPF_ALU_OP,
  BPF_ATOMIC_OP,
  BPF_CLASS,
  BPF_JMP_OP,
  BPF_MODE,
  BPF_PSEUDO_CALLS,
  BPF_SIZE,
  BPF_SRC,
} from '../../uapi/opcodes.ts';
import { invalid, type Refusal } from './program-form.ts';

/** R10: the highest register of a program. */
const HIGHEST_REGISTER = 10;
/** `BPF_ADDR_SPACE_CAST`, as the offset of a move. */
const CAST = 1;

const { K, X } = BPF_SRC;
const TWO_OPERANDS: readonly number[] = [
  BPF_ALU_OP.ADD,
  BPF_ALU_OP.SUB,
  BPF_ALU_OP.AND,
  BPF_ALU_OP.OR,
  BPF_ALU_OP.LSH,
  BPF_ALU_OP.RSH,
  BPF_ALU_OP.XOR,
  BPF_ALU_OP.MUL,
  BPF_ALU_OP.MOV,
  BPF_ALU_OP.ARSH,
  BPF_ALU_OP.DIV,
  BPF_ALU_OP.MOD,
];
const CONDITIONS: readonly number[] = [
  BPF_JMP_OP.JEQ,
  BPF_JMP_OP.JNE,
  BPF_JMP_OP.JGT,
  BPF_JMP_OP.JLT,
  BPF_JMP_OP.JGE,
  BPF_JMP_OP.JLE,
  BPF_JMP_OP.JSGT,
  BPF_JMP_OP.JSLT,
  BPF_JMP_OP.JSGE,
  BPF_JMP_OP.JSLE,
  BPF_JMP_OP.JSET,
];
const SIZES = Object.values(BPF_SIZE);
const ATOMICS: readonly number[] = [
  ...[BPF_ATOMIC_OP.ADD, BPF_ATOMIC_OP.OR, BPF_ATOMIC_OP.AND, BPF_ATOMIC_OP.XOR].flatMap((op) => [
    op,
    op | BPF_ATOMIC_OP.FETCH,
  ]),
  BPF_ATOMIC_OP.XCHG,
  BPF_ATOMIC_OP.CMPXCHG,
  BPF_ATOMIC_OP.LOAD_ACQ,
  BPF_ATOMIC_OP.STORE_REL,
];

/** `bpf_opcode_in_insntable`: every opcode that there is. */
const KNOWN: ReadonlySet<number> = new Set([
  LOAD_IMM64,
  BPF_CLASS.JMP | BPF_JMP_OP.JA,
  BPF_CLASS.JMP32 | BPF_JMP_OP.JA,
  BPF_CLASS.JMP | BPF_JMP_OP.CALL,
  BPF_CLASS.JMP | BPF_JMP_OP.EXIT,
  BPF_CLASS.JMP | BPF_JMP_OP.JCOND,
  ...[BPF_CLASS.ALU, BPF_CLASS.ALU64].flatMap((kind) => [
    ...TWO_OPERANDS.flatMap((op) => [kind | op | K, kind | op | X]),
    kind | BPF_ALU_OP.NEG,
    kind | BPF_ALU_OP.END | K,
  ]),
  BPF_CLASS.ALU | BPF_ALU_OP.END | X,
  ...[BPF_CLASS.JMP, BPF_CLASS.JMP32].flatMap((kind) =>
    CONDITIONS.flatMap((op) => [kind | op | K, kind | op | X]),
  ),
  ...SIZES.flatMap((size) => [
    BPF_CLASS.LDX | BPF_MODE.MEM | size,
    BPF_CLASS.ST | BPF_MODE.MEM | size,
    BPF_CLASS.STX | BPF_MODE.MEM | size,
    BPF_CLASS.STX | BPF_MODE.ATOMIC | size,
  ]),
  ...SIZES.filter((size) => size !== BPF_SIZE.DW).flatMap((size) => [
    BPF_CLASS.LDX | BPF_MODE.MEMSX | size,
    BPF_CLASS.LD | BPF_MODE.ABS | size,
    BPF_CLASS.LD | BPF_MODE.IND | size,
  ]),
]);

/** Whether there is such an instruction, and of a load whether its number is empty. */
export function checkKnown(code: Instructions, slot: number): Refusal | null {
  const opcode = code.opcode(slot);
  if ((opcode & 7) === BPF_CLASS.LDX) {
    const mode = opcode & 0xe0;
    if ((mode !== BPF_MODE.MEM && mode !== BPF_MODE.MEMSX) || code.imm(slot) !== 0) {
      return invalid('BPF_LDX uses reserved fields');
    }
  }
  return KNOWN.has(opcode)
    ? null
    : invalid(`unknown opcode ${opcode.toString(16).padStart(2, '0')}`);
}

/** Whether all instructions leave empty what they do not use, and name registers that there are. */
export function checkInstructions(code: Instructions): Refusal | null {
  for (let slot = 0; slot < code.length; slot += code.slots(slot)) {
    const wrong = reservedFields(code, slot);
    if (wrong !== null) {
      return invalid(wrong);
    }
    const register = [code.dst(slot), usesSource(code, slot) ? code.src(slot) : 0].find(
      (each) => each > HIGHEST_REGISTER,
    );
    if (register !== undefined) {
      return invalid(`R${register} is invalid`);
    }
  }
  return null;
}

function usesSource(code: Instructions, slot: number): boolean {
  const opcode = code.opcode(slot);
  const kind = opcode & 7;
  return kind === BPF_CLASS.LDX || kind === BPF_CLASS.STX || (opcode & X) !== 0;
}

/** What is wrong with the fields of an instruction that it does not use; null for nothing. */
function reservedFields(code: Instructions, slot: number): string | null {
  const opcode = code.opcode(slot);
  const [src, offset, imm] = [code.src(slot), code.offset(slot), code.imm(slot)];
  switch (opcode & 7) {
    case BPF_CLASS.ALU:
    case BPF_CLASS.ALU64:
      return arithmetic(opcode, src, offset, imm);
    case BPF_CLASS.JMP:
    case BPF_CLASS.JMP32:
      return jump(opcode, code.dst(slot), src, offset, imm);
    case BPF_CLASS.ST:
      return src === 0 ? null : 'BPF_ST uses reserved fields';
    case BPF_CLASS.STX:
      if ((opcode & 0xe0) !== BPF_MODE.ATOMIC) {
        return imm === 0 ? null : 'BPF_STX uses reserved fields';
      }
      return atomic(opcode, imm);
    case BPF_CLASS.LD: {
      if (opcode === LOAD_IMM64) {
        return offset === 0 ? null : 'BPF_LD_IMM64 uses reserved fields';
      }
      const isAbsolute = (opcode & 0xe0) === BPF_MODE.ABS;
      return code.dst(slot) !== 0 || offset !== 0 || (isAbsolute && src !== 0)
        ? 'BPF_LD_[ABS|IND] uses reserved fields'
        : null;
    }
    default:
      return null;
  }
}

/** `check_alu_op`. */
function arithmetic(opcode: number, src: number, offset: number, imm: number): string | null {
  const operation = opcode & 0xf0;
  const isRegister = (opcode & X) !== 0;
  switch (operation) {
    case BPF_ALU_OP.NEG:
      return src === 0 && offset === 0 && imm === 0 ? null : 'BPF_NEG uses reserved fields';
    case BPF_ALU_OP.END:
      return src === 0 && offset === 0 && [16, 32, 64].includes(imm)
        ? null
        : 'BPF_END uses reserved fields';
    case BPF_ALU_OP.MOV: {
      if (!isRegister) {
        return src === 0 && offset === 0 ? null : 'BPF_MOV uses reserved fields';
      }
      const isWide = (opcode & 7) === BPF_CLASS.ALU64;
      if (isWide && offset === CAST) {
        return imm === 1 || imm === 0x1_0000
          ? null
          : 'addr_space_cast insn can only convert between address space 1 and 0';
      }
      // The rest sign extends so many bits.
      const widths = isWide ? [0, 8, 16, 32] : [0, 8, 16];
      return imm === 0 && widths.includes(offset) ? null : 'BPF_MOV uses reserved fields';
    }
    default: {
      const divides = operation === BPF_ALU_OP.DIV || operation === BPF_ALU_OP.MOD;
      const isEmpty = isRegister ? imm === 0 : src === 0;
      // 1: with signs.
      return isEmpty && (offset === 0 || (offset === 1 && divides))
        ? null
        : 'BPF_ALU uses reserved fields';
    }
  }
}

function jump(
  opcode: number,
  dst: number,
  src: number,
  offset: number,
  imm: number,
): string | null {
  const kinds: readonly number[] = [0, BPF_PSEUDO_CALLS.CALL, BPF_PSEUDO_CALLS.KFUNC_CALL];
  switch (opcode & 0xf0) {
    case BPF_JMP_OP.CALL:
      // Of a kernel function, the offset says where its types are.
      return dst === 0 && kinds.includes(src) && (offset === 0 || src === kinds[2])
        ? null
        : 'BPF_CALL uses reserved fields';
    case BPF_JMP_OP.JA: {
      const unused = (opcode & 7) === BPF_CLASS.JMP ? imm : offset;
      return dst === 0 && src === 0 && unused === 0 ? null : 'BPF_JA uses reserved fields';
    }
    case BPF_JMP_OP.EXIT:
      return dst === 0 && src === 0 && imm === 0 ? null : 'BPF_EXIT uses reserved fields';
    case BPF_JMP_OP.JCOND:
      return dst === 0 && src === 0 && imm === 0 ? null : `invalid may_goto imm ${imm}`;
    default:
      return ((opcode & X) !== 0 ? imm : src) === 0 ? null : 'BPF_JMP/JMP32 uses reserved fields';
  }
}

/** `check_atomic`. */
function atomic(opcode: number, imm: number): string | null {
  if (!ATOMICS.includes(imm)) {
    const shown = imm.toString(16).padStart(2, '0');
    return `BPF_ATOMIC uses invalid atomic opcode ${shown}`;
  }
  const size = opcode & 0x18;
  const isSmall = size === BPF_SIZE.B || size === BPF_SIZE.H;
  const isPlain = imm === BPF_ATOMIC_OP.LOAD_ACQ || imm === BPF_ATOMIC_OP.STORE_REL;
  return isSmall && !isPlain ? 'invalid atomic operand size' : null;
}
