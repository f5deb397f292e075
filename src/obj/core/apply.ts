/**
 * Puts the answer to a CO-RE relocation into an instruction: the number, the size of a load or store; or
 * poison, if there is no answer.
 *
 * Rules: libbpf's `bpf_core_patch_insn` (relo_core.c). Poison is a call of a helper that no kernel has:
 * the verifier removes it if it is never reached, and refuses the program with "invalid func
 * unknown#195896080" if it is.
 */

import { ObjectError } from '../../errors.ts';
import { type Instructions, LOAD_IMM64 } from '../instructions/instructions.ts';
import type { CoreResult } from './resolve.ts';

/** The helper that poison calls: 0xbad2310, "bad relo". */
export const POISON_HELPER = 195896080;

const CALL = 0x85;

/** BPF_CLASS, the lower three bits of an opcode. */
const CLASS = { LD: 0, LDX: 1, ST: 2, STX: 3, ALU: 4, ALU64: 7 } as const;
/** BPF_SRC of an ALU instruction: from a register and not from the number. */
const FROM_REGISTER = 0x08;
/** BPF_SIZE of a load or store, and the bytes it stands for. */
const SIZE_BITS = 0x18;
const BYTES_OF_SIZE = new Map([
  [0x00, 4],
  [0x08, 2],
  [0x10, 1],
  [0x18, 8],
]);
const SIZE_OF_BYTES = new Map([...BYTES_OF_SIZE].map(([size, bytes]) => [bytes, size]));
const MAX_OFFSET = 0x7fffn;
const U32_MAX = 0xffff_ffffn;

/**
 * Changes the instruction that a relocation is about, in place.
 *
 * @param slot where it starts
 * @returns `poisoned` if the relocation has no answer that this instruction could take
 * @throws ObjectError `ERR_SKEP_PROGRAM` for an instruction that no relocation can be about, that holds
 *   another number than the object's types say, or that the number does not fit
 */
export function applyCore(
  instructions: Instructions,
  slot: number,
  result: CoreResult,
): 'patched' | 'poisoned' {
  if (slot < 0 || slot >= instructions.length) {
    throw fail(slot, result, `there are ${instructions.length} instructions only`);
  }
  const { value } = result;
  if (value === null) {
    poison(instructions, slot, result);
    return 'poisoned';
  }
  switch (instructions.opcode(slot) & 7) {
    case CLASS.ALU:
    case CLASS.ALU64:
      patchNumber(instructions, slot, result, value);
      return 'patched';
    case CLASS.LDX:
    case CLASS.ST:
    case CLASS.STX:
      return patchOffset(instructions, slot, result, value);
    case CLASS.LD:
      patchWide(instructions, slot, result, value);
      return 'patched';
    default:
      throw fail(slot, result, 'it is neither arithmetic nor a load or store');
  }
}

/** `r1 = 8`, `r1 += 8`: what is above 32 bits is cut off. */
function patchNumber(
  instructions: Instructions,
  slot: number,
  result: CoreResult,
  value: bigint,
): void {
  if ((instructions.opcode(slot) & FROM_REGISTER) !== 0) {
    throw fail(slot, result, 'it takes its operand from a register');
  }
  checkOriginal(slot, result, instructions.imm(slot));
  instructions.setImm(slot, Number(value > U32_MAX ? BigInt.asUintN(32, value) : value));
}

/** `r1 = *(u32 *)(r2 + 8)`, `*(u32 *)(r2 + 8) = r1`. */
function patchOffset(
  instructions: Instructions,
  slot: number,
  result: CoreResult,
  value: bigint,
): 'patched' | 'poisoned' {
  checkOriginal(slot, result, instructions.offset(slot));
  if (value > MAX_OFFSET) {
    throw fail(slot, result, `${value} does not fit the offset of a load or store (16 bits)`);
  }
  const { memory } = result;
  if (memory !== null && memory.failure !== null) {
    poison(instructions, slot, result);
    return 'poisoned';
  }
  instructions.setOffset(slot, Number(value));
  if (memory !== null && memory.bytes !== memory.originalBytes) {
    const opcode = instructions.opcode(slot);
    const bytes = BYTES_OF_SIZE.get(opcode & SIZE_BITS);
    if (bytes !== memory.originalBytes) {
      throw fail(
        slot,
        result,
        `it accesses ${bytes} bytes, but ${memory.originalBytes} by the object's types`,
      );
    }
    const size = SIZE_OF_BYTES.get(memory.bytes);
    if (size === undefined) {
      throw fail(slot, result, `no instruction accesses ${memory.bytes} bytes`);
    }
    instructions.setOpcode(slot, (opcode & ~SIZE_BITS) | size);
  }
  return 'patched';
}

/** `r1 = 8 ll`. */
function patchWide(
  instructions: Instructions,
  slot: number,
  result: CoreResult,
  value: bigint,
): void {
  const next = slot + 1;
  if (
    !instructions.isWide(slot) ||
    instructions.src(slot) !== 0 ||
    instructions.offset(slot) !== 0 ||
    instructions.opcode(next) !== 0 ||
    instructions.dst(next) !== 0 ||
    instructions.src(next) !== 0 ||
    instructions.offset(next) !== 0
  ) {
    throw fail(slot, result, 'it is no load of a plain number of 64 bits');
  }
  const found = BigInt.asUintN(64, instructions.imm64(slot));
  if (isUnsignedEnumerator(result, found)) {
    instructions.setImm64(slot, isExtended(value) ? BigInt.asUintN(32, value) : value);
    return;
  }
  checkOriginal(slot, result, found);
  instructions.setImm64(slot, value);
}

/**
 * Whether an instruction holds an unsigned enumerator of 32 bits. Answers are extended with the sign, as
 * old BTF does not tell signed enums from unsigned ones; what the compiler wrote does. (libbpf refuses
 * these.)
 */
function isUnsignedEnumerator({ kind, original }: CoreResult, found: bigint): boolean {
  return (
    kind === 'enumval_value' &&
    original !== null &&
    isExtended(original) &&
    found === BigInt.asUintN(32, original)
  );
}

/** Whether a number of 64 bits is a negative one of 32 bits. */
function isExtended(value: bigint): boolean {
  return value >= 0xffff_ffff_8000_0000n;
}

/** Makes an instruction, both slots of a wide one, calls of a helper that does not exist. */
function poison(instructions: Instructions, slot: number, result: CoreResult): void {
  const isWide = instructions.opcode(slot) === LOAD_IMM64;
  if (isWide && !instructions.isWide(slot)) {
    throw fail(slot, result, 'its second half is missing');
  }
  for (let at = slot; at <= slot + (isWide ? 1 : 0); at += 1) {
    instructions.setOpcode(at, CALL);
    instructions.setRegisters(at, 0, 0);
    instructions.setOffset(at, 0);
    instructions.setImm(at, POISON_HELPER);
  }
}

/** What the compiler wrote must be what the types say, or the relocation is about something else. */
function checkOriginal(slot: number, result: CoreResult, found: number | bigint): void {
  const { original } = result;
  if (original !== null && !isSame(original, found)) {
    throw fail(slot, result, `it holds ${found}, but ${original} by the object's types`);
  }
}

/** Whether a number of an instruction, whose sign is extended, is one of 64 bits. */
function isSame(original: bigint, found: number | bigint): boolean {
  // Most are offsets. Each bigint that is not made saves a program with many of them time.
  return typeof found === 'number' && found >= 0
    ? Number(original) === found
    : BigInt.asUintN(64, BigInt(found)) === original;
}

function fail(slot: number, result: CoreResult, problem: string): ObjectError {
  const { kind, localType, access } = result;
  return new ObjectError(
    'ERR_SKEP_PROGRAM',
    `instruction ${slot} is to get ${kind} of ${localType}${access === '' ? '' : `, "${access}"`} (CO-RE): ${problem}`,
  );
}
