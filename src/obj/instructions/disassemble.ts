/**
 * Instructions as text, as the kernel's verifier writes them into its log, so that a log and a
 * disassembly can be laid side by side: `r1 = *(u32 *)(r6 +4)`, `if r1 > 0x5 goto pc+3`,
 * `call bpf_map_lookup_elem#1`.
 *
 * Style: kernel/bpf/disasm.c of Linux 6.18, `print_bpf_insn`; without the opcode in front, which is in
 * {@link DisassembledInstruction}. llvm-objdump writes nearly the same, but all numbers and distances in
 * hexadecimal (`r1 = *(u32 *)(r6 + 0x4)`, `goto +0x3`), helpers by number (`call 0x1`), 64-bit numbers
 * with ` ll`, and exchanges as `r1 = xchg_64(r10 - 0x8, r1)`; clang's assembler takes that one.
 */

import { helperName } from '../../uapi/helpers.ts';
import { BPF_ALU_OP, BPF_CLASS, BPF_JMP_OP, BPF_MODE } from '../../uapi/opcodes.ts';
import type { Instructions } from './instructions.ts';
import { type AtomicName, type Operation, operationOf } from './operation.ts';

/**
 * What to write instead of a number that stands for something else: for a call what follows `call`, for
 * a 64-bit load what follows `=`. undefined leaves it at what the kernel writes.
 */
export type NameOperand = (slot: number) => string | undefined;

/** One instruction as text. */
export interface DisassembledInstruction {
  /** Where it starts; 64-bit loads take two slots. */
  readonly slot: number;
  readonly opcode: number;
  readonly text: string;
}

/** All instructions as text, in order. */
export function disassemble(
  instructions: Instructions,
  nameOperand?: NameOperand,
): DisassembledInstruction[] {
  const lines: DisassembledInstruction[] = [];
  for (let slot = 0; slot < instructions.length; slot += instructions.slots(slot)) {
    const text = disassembleInstruction(instructions, slot, nameOperand);
    lines.push({ slot, opcode: instructions.opcode(slot), text });
  }
  return lines;
}

/**
 * The text of the instruction that starts at a slot. What no kernel knows is written as the kernel
 * would, starting with `BUG_` and the opcode; nothing throws.
 */
export function disassembleInstruction(
  instructions: Instructions,
  slot: number,
  nameOperand?: NameOperand,
): string {
  const opcode = instructions.opcode(slot);
  const operation = operationOf(instructions, slot);
  switch (opcode & 7) {
    case BPF_CLASS.ALU:
    case BPF_CLASS.ALU64:
      return arithmetic(instructions, slot, operation);
    case BPF_CLASS.JMP:
    case BPF_CLASS.JMP32:
      return jump(instructions, slot, operation, nameOperand);
    case BPF_CLASS.STX:
      return (opcode & 0xe0) === BPF_MODE.ATOMIC
        ? atomic(instructions, slot, operation)
        : access(instructions, slot, operation, nameOperand);
    default:
      return access(instructions, slot, operation, nameOperand);
  }
}

const ALU_SIGNS: Readonly<Record<number, string>> = {
  [BPF_ALU_OP.ADD]: '+=',
  [BPF_ALU_OP.SUB]: '-=',
  [BPF_ALU_OP.MUL]: '*=',
  [BPF_ALU_OP.DIV]: '/=',
  [BPF_ALU_OP.OR]: '|=',
  [BPF_ALU_OP.AND]: '&=',
  [BPF_ALU_OP.LSH]: '<<=',
  [BPF_ALU_OP.RSH]: '>>=',
  [BPF_ALU_OP.MOD]: '%=',
  [BPF_ALU_OP.XOR]: '^=',
  [BPF_ALU_OP.MOV]: '=',
  [BPF_ALU_OP.ARSH]: 's>>=',
};

const JUMP_SIGNS: Readonly<Record<number, string>> = {
  [BPF_JMP_OP.JEQ]: '==',
  [BPF_JMP_OP.JGT]: '>',
  [BPF_JMP_OP.JGE]: '>=',
  [BPF_JMP_OP.JSET]: '&',
  [BPF_JMP_OP.JNE]: '!=',
  [BPF_JMP_OP.JSGT]: 's>',
  [BPF_JMP_OP.JSGE]: 's>=',
  [BPF_JMP_OP.JLT]: '<',
  [BPF_JMP_OP.JLE]: '<=',
  [BPF_JMP_OP.JSLT]: 's<',
  [BPF_JMP_OP.JSLE]: 's<=',
};

function arithmetic(instructions: Instructions, slot: number, operation: Operation): string {
  const opcode = instructions.opcode(slot);
  const letter = (opcode & 7) === BPF_CLASS.ALU ? 'w' : 'r';
  const dst = `${letter}${instructions.dst(slot)}`;
  const imm = instructions.imm(slot);
  switch (operation.name) {
    case 'unknown':
      return bug(opcode);
    case 'to_le':
    case 'to_be':
      // Always `r`, although the class is that of 32-bit arithmetic.
      return `r${instructions.dst(slot)} = ${operation.name.slice(3)}${imm} r${instructions.dst(slot)}`;
    case 'bswap':
      return `${dst} = bswap${imm} ${dst}`;
    case 'neg':
      return `${dst} = -${dst}`;
    case 'addr_space_cast':
      return `${dst} = addr_space_cast(r${instructions.src(slot)}, ${imm >>> 16}, ${imm & 0xffff})`;
    case 'percpu_address':
      return `${dst} = &(void __percpu *)(r${instructions.src(slot)})`;
  }
  const isSigned = operation.name === 'sdiv' || operation.name === 'smod';
  const sign = `${isSigned ? 's' : ''}${ALU_SIGNS[opcode & 0xf0]}`;
  if (!operation.fromRegister) {
    return `${dst} ${sign} ${imm}`;
  }
  const extend = operation.name === 'movsx' ? `(s${operation.bits})` : '';
  return `${dst} ${sign} ${extend}${letter}${instructions.src(slot)}`;
}

/** Loads and stores that are not atomic. */
function access(
  instructions: Instructions,
  slot: number,
  operation: Operation,
  nameOperand: NameOperand | undefined,
): string {
  const opcode = instructions.opcode(slot);
  const type = `u${operation.bits}`;
  const dst = instructions.dst(slot);
  const src = instructions.src(slot);
  const imm = instructions.imm(slot);
  switch (operation.name) {
    case 'load':
      return `r${dst} = *(${type} *)(r${src} ${signed(instructions.offset(slot))})`;
    case 'load_signed':
      return `r${dst} = *(s${operation.bits} *)(r${src} ${signed(instructions.offset(slot))})`;
    case 'store':
      return `*(${type} *)(r${dst} ${signed(instructions.offset(slot))}) = r${src}`;
    case 'store_imm':
      return `*(${type} *)(r${dst} ${signed(instructions.offset(slot))}) = ${imm}`;
    case 'load_abs':
      return `r0 = *(${type} *)skb[${imm}]`;
    case 'load_ind':
      return `r0 = *(${type} *)skb[r${src} + ${imm}]`;
    case 'load_imm64':
      return `r${dst} = ${nameOperand?.(slot) ?? number64(instructions, slot)}`;
    default:
      return bug(opcode, ['ld_', 'ldx_', 'st_', ''][opcode & 7]);
  }
}

function number64(instructions: Instructions, slot: number): string {
  // A load whose second slot is missing: no kernel gets to print it.
  const number = instructions.isWide(slot)
    ? BigInt.asUintN(64, instructions.imm64(slot))
    : instructions.imm(slot) >>> 0;
  return `0x${number.toString(16)}`;
}

function atomic(instructions: Instructions, slot: number, { name, bits }: Operation): string {
  const dst = instructions.dst(slot);
  const src = instructions.src(slot);
  const memory = `(u${bits} *)(r${dst} ${signed(instructions.offset(slot))})`;
  const prefix = bits === 64 ? 'atomic64' : 'atomic';
  switch (name as AtomicName | 'unknown') {
    case 'atomic_add':
    case 'atomic_or':
    case 'atomic_and':
    case 'atomic_xor':
      return `lock *${memory} ${ALU_SIGNS[instructions.imm(slot)]} r${src}`;
    case 'atomic_fetch_add':
    case 'atomic_fetch_or':
    case 'atomic_fetch_and':
    case 'atomic_fetch_xor':
      return `r${src} = ${prefix}_${name.slice('atomic_'.length)}(${memory}, r${src})`;
    case 'atomic_cmpxchg':
      return `r0 = ${prefix}_cmpxchg(${memory}, r0, r${src})`;
    case 'atomic_xchg':
      return `r${src} = ${prefix}_xchg(${memory}, r${src})`;
    case 'load_acquire':
      return `r${dst} = load_acquire((u${bits} *)(r${src} ${signed(instructions.offset(slot))}))`;
    case 'store_release':
      return `store_release(${memory}, r${src})`;
    default:
      return bug(instructions.opcode(slot));
  }
}

function jump(
  instructions: Instructions,
  slot: number,
  operation: Operation,
  nameOperand: NameOperand | undefined,
): string {
  const opcode = instructions.opcode(slot);
  const letter = (opcode & 7) === BPF_CLASS.JMP32 ? 'w' : 'r';
  const imm = instructions.imm(slot);
  const target = `pc${signed(instructions.offset(slot))}`;
  switch (operation.name) {
    case 'unknown':
      return bug(opcode);
    case 'exit':
      return 'exit';
    case 'ja':
      return `goto ${target}`;
    case 'gotol':
      return `gotol pc${signed(imm)}`;
    case 'gotox':
      return `gotox r${instructions.dst(slot)}`;
    case 'may_goto':
      return `may_goto ${target}`;
    case 'call_subprogram':
      return `call ${nameOperand?.(slot) ?? `pc${signed(imm)}`}`;
    case 'call_helper':
      return `call ${nameOperand?.(slot) ?? `${helperName(imm) ?? 'unknown'}#${imm}`}`;
    case 'call_kfunc':
      return `call ${nameOperand?.(slot) ?? `kernel-function#${imm}`}`;
  }
  const left = `${letter}${instructions.dst(slot)}`;
  const right = operation.fromRegister
    ? `${letter}${instructions.src(slot)}`
    : `0x${(imm >>> 0).toString(16)}`;
  return `if ${left} ${JUMP_SIGNS[opcode & 0xf0]} ${right} goto ${target}`;
}

function signed(number: number): string {
  return number < 0 ? String(number) : `+${number}`;
}

function bug(opcode: number, what = ''): string {
  return `BUG_${what}${opcode.toString(16).padStart(2, '0')}`;
}
