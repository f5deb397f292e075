/** Bytes, text, arrays, and enumerations. */

import { decodeText, encodeText } from '../bytes/text.ts';
import { type Codec, describeValue, rethrowWithin, ValueError } from './codec.ts';
import { u8 } from './numbers.ts';

/** So many bytes: reading gives a copy, writing takes exactly that many. */
export function bytes(length: number): Codec<Uint8Array, Uint8Array | readonly number[]> {
  const name = `bytes(${length})`;
  return {
    name,
    sizeBytes: length,
    alignment: 1,
    elements: { codec: u8, count: length },
    read: (memory, at) => memory.bytes.slice(at, at + length),
    write(memory, at, value) {
      if (value instanceof Uint8Array || Array.isArray(value)) {
        if (value.length !== length) {
          throw new ValueError(`expected ${length} bytes, got ${value.length}`);
        }
        for (let index = 0; index < length; index += 1) {
          const byte: unknown = value[index];
          if (typeof byte !== 'number' || !Number.isInteger(byte) || byte < 0 || byte > 255) {
            throw new ValueError(`expected a byte, got ${describeValue(byte)}`, [index]);
          }
          memory.bytes[at + index] = byte;
        }
        return;
      }
      throw new ValueError(`expected ${length} bytes, got ${describeValue(value)}`);
    },
  };
}

/**
 * A `char` array: text up to the first NUL, as UTF-8. Writing takes text of up to so many bytes; the
 * rest becomes NUL. Text that fills the array has none, as C allows. Bytes are taken as they are, and
 * bytes that are no UTF-8 survive reading and writing (as lone surrogates U+DC80 to U+DCFF).
 */
export function text(length: number): Codec<string, string | Uint8Array> {
  const name = `char[${length}]`;
  return {
    name,
    sizeBytes: length,
    alignment: 1,
    read(memory, at) {
      const { bytes } = memory;
      // Not indexOf: behind a text that fills its array it would search the whole memory.
      let end = at;
      while (end < at + length && bytes[end] !== 0) {
        end += 1;
      }
      return decodeText(bytes, at, end, 'escape');
    },
    write(memory, at, value) {
      if (typeof value !== 'string' && !(value instanceof Uint8Array)) {
        throw new ValueError(`expected text, got ${describeValue(value)}`);
      }
      const encoded = typeof value === 'string' ? encodeText(value, 'escape') : value;
      if (encoded.length > length) {
        throw new ValueError(`expected text of at most ${length} bytes, got ${encoded.length}`);
      }
      if (typeof value === 'string' && value.includes('\0')) {
        throw new ValueError('expected text without NUL characters; give bytes instead');
      }
      memory.bytes.set(encoded, at);
      memory.bytes.fill(0, at + encoded.length, at + length);
    },
  };
}

/** So many values of one type. */
export function array<T, I>(element: Codec<T, I>, length: number): Codec<T[], readonly I[]> {
  const name = `${element.name}[${length}]`;
  const step = element.sizeBytes;
  return {
    name,
    sizeBytes: step * length,
    alignment: element.alignment,
    elements: { codec: element as Codec<unknown, never>, count: length },
    read(memory, at) {
      const out: T[] = [];
      for (let index = 0; index < length; index += 1) {
        out.push(element.read(memory, at + index * step));
      }
      return out;
    },
    write(memory, at, value) {
      if (!Array.isArray(value) || value.length !== length) {
        throw new ValueError(`expected an array of ${length}, got ${describeValue(value)}`);
      }
      let index = 0;
      try {
        for (; index < length; index += 1) {
          element.write(memory, at + index * step, (value as readonly I[])[index]!);
        }
      } catch (error) {
        rethrowWithin(error, index);
      }
    },
  };
}

/**
 * Names for the values of an integer: reading gives the name, or the number where it has none;
 * writing takes either. If two names stand for one value, reading gives the first.
 */
export function enumeration<N extends string, V extends number | bigint>(
  base: Codec<V, number | bigint>,
  values: Readonly<Record<N, V>> | ReadonlyMap<N, V>,
  name = 'enum',
): Codec<N | V, N | number | bigint> {
  const entries: [N, V][] =
    values instanceof Map ? [...values] : (Object.entries(values) as [N, V][]);
  const byName = new Map<unknown, V>(entries);
  const byValue = new Map<number | bigint, N>();
  for (const [each, value] of entries) {
    if (!byValue.has(value)) {
      byValue.set(value, each);
    }
  }
  return {
    name,
    sizeBytes: base.sizeBytes,
    alignment: base.alignment,
    read(memory, at) {
      const value = base.read(memory, at);
      return byValue.get(value) ?? value;
    },
    write(memory, at, value) {
      const number = typeof value === 'string' ? byName.get(value) : value;
      if (number === undefined) {
        const known = entries.slice(0, 8).map(([each]) => each);
        const more = entries.length > known.length ? ', ...' : '';
        throw new ValueError(
          `expected ${name}, one of ${known.join(', ')}${more} or a number, got ${describeValue(value)}`,
        );
      }
      base.write(memory, at, number);
    },
  };
}
