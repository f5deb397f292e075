/**
 * Bitfields: integers of so many bits somewhere in a struct. Little-endian machines count bits from
 * the lowest of the first byte, big-endian ones from the highest.
 *
 * Format: `Documentation/bpf/btf.rst`, BTF_KIND_STRUCT with the kind flag.
 */

import { type Codec, Memory, ValueError } from './codec.ts';

/** Where a bitfield lies in the bytes that start at its member's offset. */
export interface Bitfield {
  /** Bits before it, 0 to 7, in the machine's order. */
  readonly shift: number;
  /** Its width. */
  readonly bits: number;
  readonly signed: boolean;
}

/** Holds one integer between a bitfield and the codec of its type. */
const scratch = new Memory(new Uint8Array(8), true);

/** Reads a bitfield as a value of its type. */
export function readBitfield<T>(
  memory: Memory,
  at: number,
  field: Bitfield,
  codec: Codec<T, never>,
): T {
  const raw = extract(memory, at, field);
  const value = field.signed ? BigInt.asIntN(field.bits, raw) : raw;
  scratch.view.setBigUint64(0, BigInt.asUintN(64, value), true);
  return codec.read(scratch, 0);
}

/** Writes a value of its type into a bitfield, and leaves the bits around it as they are. */
export function writeBitfield(
  memory: Memory,
  at: number,
  field: Bitfield,
  codec: Codec<unknown>,
  value: unknown,
): void {
  scratch.bytes.fill(0);
  codec.write(scratch, 0, value);
  const whole = scratch.view.getBigUint64(0, true);
  const own = BigInt.asUintN(codec.sizeBytes * 8, whole);
  const meant = field.signed ? BigInt.asIntN(codec.sizeBytes * 8, own) : own;
  const kept = field.signed ? BigInt.asIntN(field.bits, own) : BigInt.asUintN(field.bits, own);
  if (meant !== kept) {
    throw new ValueError(`${meant} does not fit a bitfield of ${field.bits} bits`);
  }
  insert(memory, at, field, BigInt.asUintN(field.bits, own));
}

function byteCount({ shift, bits }: Bitfield): number {
  return Math.ceil((shift + bits) / 8);
}

/** The bits as an unsigned number. */
function extract(memory: Memory, at: number, field: Bitfield): bigint {
  const count = byteCount(field);
  let value = 0n;
  for (let index = 0; index < count; index += 1) {
    const byte = BigInt(memory.bytes[at + index]!);
    value = memory.littleEndian ? value | (byte << BigInt(8 * index)) : (value << 8n) | byte;
  }
  return BigInt.asUintN(field.bits, value >> downShift(memory, field, count));
}

function insert(memory: Memory, at: number, field: Bitfield, value: bigint): void {
  const count = byteCount(field);
  const shift = downShift(memory, field, count);
  const mask = ((1n << BigInt(field.bits)) - 1n) << shift;
  const placed = value << shift;
  for (let index = 0; index < count; index += 1) {
    const bit = BigInt(8 * (memory.littleEndian ? index : count - 1 - index));
    const keep = memory.bytes[at + index]! & ~Number((mask >> bit) & 0xffn);
    memory.bytes[at + index] = keep | Number((placed >> bit) & 0xffn);
  }
}

/** Bits below the field in the number that its bytes form. */
function downShift(memory: Memory, field: Bitfield, count: number): bigint {
  return BigInt(memory.littleEndian ? field.shift : count * 8 - field.shift - field.bits);
}
