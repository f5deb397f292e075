/** Values as JSON, and back: for what other programs read and write. */

import { type Codec, describeValue, Memory, rethrowWithin, ValueError } from './codec.ts';
import { PerCpuValues } from './per-cpu-values.ts';

/** What JSON has. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [name: string]: Json };

/**
 * A decoded value as JSON. Integers that a JSON number cannot hold exactly become decimal strings,
 * bytes become `0x` and two digits each, floats that JSON does not have become their names.
 */
export function toJson(value: unknown): Json {
  switch (typeof value) {
    case 'bigint':
      return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
    case 'number':
      return Number.isFinite(value) ? value : String(value);
    case 'string':
    case 'boolean':
      return value;
    default:
      return objectToJson(value);
  }
}

function objectToJson(value: unknown): Json {
  if (value instanceof Uint8Array) {
    return bytesToHex(value);
  }
  if (Array.isArray(value)) {
    return value.map(toJson);
  }
  if (value instanceof PerCpuValues) {
    return Array.from(value, toJson);
  }
  if (typeof value !== 'object' || value === null) {
    return null;
  }
  // Defined, not assigned: a member may be called __proto__.
  const out: { [name: string]: Json } = {};
  for (const [name, member] of Object.entries(value)) {
    Object.defineProperty(out, name, { value: toJson(member), enumerable: true });
  }
  return out;
}

/** `0x` and two digits for each byte, in the order of memory. */
export function bytesToHex(bytes: Uint8Array): string {
  let text = '0x';
  for (const byte of bytes) {
    text += byte.toString(16).padStart(2, '0');
  }
  return text;
}

/**
 * The value that a codec writes for JSON, as {@link toJson} makes it of what the codec reads: decimal
 * strings for integers that a JSON number cannot hold, `0x...` for bytes. Integers may be `0x...` too,
 * and bytes arrays of numbers. What does not fit is left for the codec to refuse.
 *
 * @throws ValueError for text that is no integer or no bytes where these are expected, and for
 *   integers that JSON has rounded
 */
export function fromJson(codec: Codec<unknown, never>, json: Json): unknown {
  // What a codec reads tells what it is for: reading never fails, whatever the bytes.
  const sample = codec.read(new Memory(new Uint8Array(codec.sizeBytes), true), 0);
  return likeSample(sample, json);
}

function likeSample(sample: unknown, json: Json): unknown {
  if (sample instanceof Uint8Array) {
    return typeof json === 'string' ? bytesFromHex(json, sample.length) : json;
  }
  switch (typeof sample) {
    case 'bigint':
      checkExact(json);
      return typeof json === 'string' ? integerOr(json) : json;
    case 'number':
      return typeof json === 'string' ? numberOr(json) : json;
    case 'string':
      // Zero reads as '' in text, as a name in an enum, whose numbers may come as strings.
      return typeof json === 'string' && sample !== '' ? integerOr(json) : json;
    case 'object':
      return sample === null ? json : membersLike(sample, json);
    default:
      return json;
  }
}

function membersLike(sample: object, json: Json): unknown {
  if (typeof json !== 'object' || json === null) {
    return json;
  }
  if (Array.isArray(json)) {
    // Elements are of one type, and so are the values of all CPUs.
    const element = (sample as { readonly 0?: unknown })[0];
    return json.map((each: Json, index) => within(index, () => likeSample(element, each)));
  }
  const out: { [name: string]: unknown } = {};
  for (const [name, member] of Object.entries(json)) {
    const value = within(name, () =>
      Object.hasOwn(sample, name) ? likeSample((sample as typeof out)[name], member) : member,
    );
    Object.defineProperty(out, name, { value, enumerable: true });
  }
  return out;
}

/** An integer in decimal or hexadecimal digits; other text may be a name in an enum. */
function integerOr(text: string): bigint | string {
  const [, minus, digits] = /^(-?)(\d+|0[xX][\da-fA-F]+)$/.exec(text) ?? [];
  if (digits === undefined) {
    return text;
  }
  return minus === '-' ? -BigInt(digits) : BigInt(digits);
}

/** Floats that JSON does not have go by their names. */
function numberOr(text: string): unknown {
  return ['NaN', 'Infinity', '-Infinity'].includes(text) ? Number(text) : integerOr(text);
}

/** Refuses integers that have lost digits on their way. */
function checkExact(json: Json): void {
  if (typeof json === 'number' && Number.isInteger(json) && !Number.isSafeInteger(json)) {
    throw new ValueError(
      `${json} is beyond 2^53, where JSON numbers lose digits; give it as a string`,
    );
  }
}

function bytesFromHex(text: string, length: number): Uint8Array {
  const digits = /^0[xX]((?:[\da-fA-F]{2})*)$/.exec(text)?.[1];
  if (digits === undefined) {
    throw new ValueError(
      `expected ${length} bytes, as "0x" and ${length * 2} hexadecimal digits, got ${describeValue(text)}`,
    );
  }
  return Uint8Array.from({ length: digits.length / 2 }, (_, at) =>
    Number.parseInt(digits.slice(at * 2, at * 2 + 2), 16),
  );
}

function within<T>(step: string | number, convert: () => T): T {
  try {
    return convert();
  } catch (error) {
    rethrowWithin(error, step);
  }
}
