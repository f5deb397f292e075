/**
 * Which values are plain numbers, one behind the other, so that a typed array of JavaScript can stand
 * for the memory they lie in.
 */

import type { Codec } from '../codec/codec.ts';
import { f32, f64, i8, i16, i32, i64, pointer, u8, u16, u32, u64 } from '../codec/numbers.ts';

type SmallNumbers =
  | Uint8Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;
type BigNumbers = BigUint64Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>;

/** A typed array of any kind. */
export type NumberArray = SmallNumbers | BigNumbers;

/**
 * The typed arrays that can stand for values of type `V`: bigints are numbers of 64 bits, and arrays
 * are what they are made of.
 */
export type NumberView<V> = unknown extends V
  ? NumberArray
  : V extends bigint
    ? BigNumbers
    : V extends number
      ? SmallNumbers
      : V extends Uint8Array
        ? Uint8Array<ArrayBuffer>
        : V extends readonly (infer E)[]
          ? NumberView<E>
          : never;

/** A class of typed arrays. */
interface NumberClass {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer, offset: number, length: number): NumberArray;
}

/** How values of a type are numbers. */
export interface NumberLayout {
  readonly kind: NumberClass;
  /** Numbers in one value: 1, or the length of an array. */
  readonly count: number;
  /** Whether a value is the number itself, not an array of one. */
  readonly isScalar: boolean;
}

/**
 * By codec: those of `numbers.ts` exist once each. `bool` and enumerations are no numbers when read,
 * and integers of 128 bits have no typed array.
 */
const CLASSES: ReadonlyMap<unknown, NumberClass> = new Map<unknown, NumberClass>([
  [u8, Uint8Array],
  [i8, Int8Array],
  [u16, Uint16Array],
  [i16, Int16Array],
  [u32, Uint32Array],
  [i32, Int32Array],
  [f32, Float32Array],
  [u64, BigUint64Array],
  [i64, BigInt64Array],
  [f64, Float64Array],
  [pointer, BigUint64Array],
]);

/** How a type's values are numbers; null if they are not, or are none at all. */
export function numberLayout(codec: Codec<unknown, never>): NumberLayout | null {
  let element = codec;
  let count = 1;
  while (element.elements !== undefined) {
    count *= element.elements.count;
    element = element.elements.codec;
  }
  const kind = CLASSES.get(element);
  return kind === undefined || count === 0
    ? null
    : { kind, count, isScalar: codec.elements === undefined };
}
