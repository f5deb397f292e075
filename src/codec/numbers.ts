/** Numbers: integers of 8 to 128 bits, floats, truth values, pointers. */

import { type Codec, describeValue, type Memory, ValueError } from './codec.ts';

type NumberCodec = Codec<number>;
/** 64 bits and more: reading gives a bigint; writing takes a number too, if it is a whole one. */
type BigCodec = Codec<bigint, bigint | number>;

/** Checks a whole number that fits a JavaScript number. */
export function checkInteger(
  value: unknown,
  minimum: number,
  maximum: number,
  name: string,
): number {
  if (typeof value === 'bigint' && value >= BigInt(minimum) && value <= BigInt(maximum)) {
    return Number(value);
  }
  if (typeof value !== 'number' || !Number.isInteger(value) || value < minimum || value > maximum) {
    throw new ValueError(
      `expected ${name}, an integer from ${minimum} to ${maximum}, got ${describeValue(value)}`,
    );
  }
  return value;
}

/** Checks a whole number of any size. */
export function checkBigInteger(
  value: unknown,
  bits: number,
  signed: boolean,
  name: string,
): bigint {
  const big = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value;
  // Cutting off is what V8 compiles to machine code; comparing bigints it leaves to its runtime.
  if (typeof big !== 'bigint' || cutOff(big, bits, signed) !== big) {
    const minimum = signed ? -(1n << BigInt(bits - 1)) : 0n;
    const maximum = (1n << BigInt(signed ? bits - 1 : bits)) - 1n;
    const inexact = typeof value === 'number' && Number.isInteger(value);
    const advice =
      inexact && !Number.isSafeInteger(value) ? ', which may be rounded; use a bigint' : '';
    throw new ValueError(
      `expected ${name}, an integer from ${minimum} to ${maximum}, got ${describeValue(value)}${advice}`,
    );
  }
  return big;
}

function cutOff(value: bigint, bits: number, signed: boolean): bigint {
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}

function smallInteger(
  name: string,
  sizeBytes: number,
  signed: boolean,
  read: (memory: Memory, offset: number) => number,
  write: (memory: Memory, offset: number, value: number) => void,
): NumberCodec {
  const bits = sizeBytes * 8;
  const minimum = signed ? -(2 ** (bits - 1)) : 0;
  const maximum = signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1;
  return {
    name,
    sizeBytes,
    alignment: sizeBytes,
    read,
    write: (memory, offset, value) =>
      write(memory, offset, checkInteger(value, minimum, maximum, name)),
  };
}

/** An unsigned 8-bit integer. */
export const u8: NumberCodec = smallInteger(
  'u8',
  1,
  false,
  ({ view }, at) => view.getUint8(at),
  ({ view }, at, value) => view.setUint8(at, value),
);

/** A signed 8-bit integer. */
export const i8: NumberCodec = smallInteger(
  'i8',
  1,
  true,
  ({ view }, at) => view.getInt8(at),
  ({ view }, at, value) => view.setInt8(at, value),
);

/** An unsigned 16-bit integer. */
export const u16: NumberCodec = smallInteger(
  'u16',
  2,
  false,
  ({ view, littleEndian }, at) => view.getUint16(at, littleEndian),
  ({ view, littleEndian }, at, value) => view.setUint16(at, value, littleEndian),
);

/** A signed 16-bit integer. */
export const i16: NumberCodec = smallInteger(
  'i16',
  2,
  true,
  ({ view, littleEndian }, at) => view.getInt16(at, littleEndian),
  ({ view, littleEndian }, at, value) => view.setInt16(at, value, littleEndian),
);

/** An unsigned 32-bit integer. */
export const u32: NumberCodec = smallInteger(
  'u32',
  4,
  false,
  ({ view, littleEndian }, at) => view.getUint32(at, littleEndian),
  ({ view, littleEndian }, at, value) => view.setUint32(at, value, littleEndian),
);

/** A signed 32-bit integer. */
export const i32: NumberCodec = smallInteger(
  'i32',
  4,
  true,
  ({ view, littleEndian }, at) => view.getInt32(at, littleEndian),
  ({ view, littleEndian }, at, value) => view.setInt32(at, value, littleEndian),
);

/** Reads 64 bits; what lies outside of the memory is the view's to refuse. */
function readBig({ bigs, view, littleEndian }: Memory, at: number): bigint {
  const aligned = bigs !== null && (at & 7) === 0 ? bigs[at / 8] : undefined;
  return aligned ?? view.getBigUint64(at, littleEndian);
}

/** An unsigned 64-bit integer, as a bigint. */
export const u64: BigCodec = {
  name: 'u64',
  sizeBytes: 8,
  alignment: 8,
  read: readBig,
  write: ({ view, littleEndian }, at, value) =>
    view.setBigUint64(at, checkBigInteger(value, 64, false, 'u64'), littleEndian),
};

/** A signed 64-bit integer, as a bigint. */
export const i64: BigCodec = {
  name: 'i64',
  sizeBytes: 8,
  alignment: 8,
  read: ({ view, littleEndian }, at) => view.getBigInt64(at, littleEndian),
  write: ({ view, littleEndian }, at, value) =>
    view.setBigInt64(at, checkBigInteger(value, 64, true, 'i64'), littleEndian),
};

function integer128(name: string, signed: boolean): BigCodec {
  return {
    name,
    sizeBytes: 16,
    alignment: 16,
    read({ view, littleEndian }, at) {
      const low = view.getBigUint64(littleEndian ? at : at + 8, littleEndian);
      const high = view.getBigUint64(littleEndian ? at + 8 : at, littleEndian);
      const value = (high << 64n) | low;
      return signed ? BigInt.asIntN(128, value) : value;
    },
    write({ view, littleEndian }, at, value) {
      const bits = BigInt.asUintN(128, checkBigInteger(value, 128, signed, name));
      view.setBigUint64(littleEndian ? at : at + 8, BigInt.asUintN(64, bits), littleEndian);
      view.setBigUint64(littleEndian ? at + 8 : at, bits >> 64n, littleEndian);
    },
  };
}

/** An unsigned 128-bit integer, as a bigint. */
export const u128: BigCodec = integer128('u128', false);

/** A signed 128-bit integer, as a bigint. */
export const i128: BigCodec = integer128('i128', true);

function checkNumber(value: unknown, name: string): number {
  if (typeof value !== 'number') {
    throw new ValueError(`expected ${name}, a number, got ${describeValue(value)}`);
  }
  return value;
}

/** A 32-bit float. */
export const f32: NumberCodec = {
  name: 'f32',
  sizeBytes: 4,
  alignment: 4,
  read: ({ view, littleEndian }, at) => view.getFloat32(at, littleEndian),
  write: ({ view, littleEndian }, at, value) =>
    view.setFloat32(at, checkNumber(value, 'f32'), littleEndian),
};

/** A 64-bit float. */
export const f64: NumberCodec = {
  name: 'f64',
  sizeBytes: 8,
  alignment: 8,
  read: ({ view, littleEndian }, at) => view.getFloat64(at, littleEndian),
  write: ({ view, littleEndian }, at, value) =>
    view.setFloat64(at, checkNumber(value, 'f64'), littleEndian),
};

/** C's `bool`, of one byte: any byte but 0 reads as true. */
export const bool: Codec<boolean> = {
  name: 'bool',
  sizeBytes: 1,
  alignment: 1,
  read: ({ view }, at) => view.getUint8(at) !== 0,
  write({ view }, at, value) {
    if (typeof value !== 'boolean') {
      throw new ValueError(`expected true or false, got ${describeValue(value)}`);
    }
    view.setUint8(at, value ? 1 : 0);
  },
};

/** A pointer of a BPF program: 8 bytes on every machine, as a bigint. */
export const pointer: BigCodec = {
  name: 'pointer',
  sizeBytes: 8,
  alignment: 8,
  read: u64.read,
  write: ({ view, littleEndian }, at, value) =>
    view.setBigUint64(at, checkBigInteger(value, 64, false, 'a pointer'), littleEndian),
};
