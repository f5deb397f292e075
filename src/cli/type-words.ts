/** Types of keys and values as words of a command line: their codecs, and BTF for the kernel. */

import { bytes, text } from '../codec/aggregates.ts';
import type { Codec } from '../codec/codec.ts';
import {
  bool,
  f32,
  f64,
  i8,
  i16,
  i32,
  i64,
  i128,
  u8,
  u16,
  u32,
  u64,
  u128,
} from '../codec/numbers.ts';
import { lpmKey } from '../maps/lpm-key-codec.ts';
import { UsageError } from './usage.ts';

/** A type, as far as a word can say. Sizes in bytes. */
export interface WordType {
  readonly word: string;
  readonly sizeBytes: number;
  readonly form: 'integer' | 'signed' | 'bool' | 'float' | 'bytes' | 'text' | 'trie';
}

const INTEGER_BYTES: Readonly<Record<string, number>> = { 8: 1, 16: 2, 32: 4, 64: 8, 128: 16 };

/** Kinds and encodings of `include/uapi/linux/btf.h`. */
const KIND = { INT: 1, ARRAY: 3, STRUCT: 4, FLOAT: 16 } as const;
const ENCODING = { UNSIGNED: 0, SIGNED: 1, CHAR: 2, BOOL: 4 } as const;

/**
 * Reads a type: `u8` to `u128`, `i8` to `i128`, `f32`, `f64`, `bool`, `bytes:N`, `text:N`, and for
 * the keys of tries `lpm:N`, with N bytes of data behind the prefix length.
 *
 * @param option its option, for the message
 * @throws UsageError for any other word
 */
export function parseTypeWord(word: string, option: string): WordType {
  const [, letter, bits] = /^([uif])(8|16|32|64|128)$/.exec(word) ?? [];
  if (letter === 'f' && (bits === '32' || bits === '64')) {
    return { word, sizeBytes: Number(bits) / 8, form: 'float' };
  }
  if (letter === 'u' || letter === 'i') {
    return { word, sizeBytes: INTEGER_BYTES[bits!]!, form: letter === 'u' ? 'integer' : 'signed' };
  }
  if (word === 'bool') {
    return { word, sizeBytes: 1, form: 'bool' };
  }
  const [, form, digits] = /^(bytes|text|lpm):([1-9]\d{0,8})$/.exec(word) ?? [];
  const length = Number(digits);
  switch (form) {
    case 'bytes':
    case 'text':
      return { word, sizeBytes: length, form };
    case 'lpm':
      return { word, sizeBytes: 4 + length, form: 'trie' };
    default:
      throw new UsageError(
        `${option}: "${word}" is no type; types are u8 to u128, i8 to i128, f32, f64, bool, bytes:N, text:N, and lpm:N for keys of tries`,
      );
  }
}

const NUMBERS: Readonly<Record<string, unknown>> = {
  ...{ u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64, bool },
};

/** The codec of a type. */
export function codecOfType({ word, form, sizeBytes }: WordType): Codec<unknown, unknown> {
  switch (form) {
    case 'bytes':
      return bytes(sizeBytes) as Codec<unknown, unknown>;
    case 'text':
      return text(sizeBytes) as Codec<unknown, unknown>;
    case 'trie':
      return lpmKey(sizeBytes - 4) as Codec<unknown, unknown>;
    default:
      return NUMBERS[word] as Codec<unknown, unknown>;
  }
}

/** BTF with the types of a map. */
export interface MapBtf {
  readonly bytes: Uint8Array;
  readonly keyTypeId: number;
  readonly valueTypeId: number;
}

/** The types as BTF, in the machine's byte order. */
export function encodeTypes(
  key: WordType | null,
  value: WordType | null,
  littleEndian: boolean,
): MapBtf {
  const builder = new BtfBuilder();
  const keyTypeId = key === null ? 0 : builder.add(key);
  const valueTypeId = value === null ? 0 : builder.add(value);
  return { bytes: builder.build(littleEndian), keyTypeId, valueTypeId };
}

/** Collects types. Format: `Documentation/bpf/btf.rst`. */
class BtfBuilder {
  readonly #words: number[] = [];
  #strings = '\0';
  /** Type 0 is void. */
  #lastId = 0;

  add({ word, sizeBytes, form }: WordType): number {
    switch (form) {
      case 'float':
        return this.#type(KIND.FLOAT, word, sizeBytes);
      case 'bytes':
        return this.#array(this.#integer('unsigned char', 1, ENCODING.UNSIGNED), sizeBytes);
      case 'text':
        return this.#array(this.#integer('char', 1, ENCODING.CHAR), sizeBytes);
      case 'trie':
        return this.#trieKey(sizeBytes);
      case 'bool':
        return this.#integer('bool', 1, ENCODING.BOOL);
      default:
        return this.#integer(
          word,
          sizeBytes,
          form === 'signed' ? ENCODING.SIGNED : ENCODING.UNSIGNED,
        );
    }
  }

  build(littleEndian: boolean): Uint8Array {
    const HEADER_BYTES = 24;
    const typeBytes = this.#words.length * 4;
    const bytes = new Uint8Array(HEADER_BYTES + typeBytes + this.#strings.length);
    const view = new DataView(bytes.buffer);
    // Magic, version and flags; then offsets and lengths behind the header.
    view.setUint16(0, 0xeb9f, littleEndian);
    view.setUint8(2, 1);
    [HEADER_BYTES, 0, typeBytes, typeBytes, this.#strings.length].forEach((word, index) => {
      view.setUint32(4 + index * 4, word, littleEndian);
    });
    this.#words.forEach((word, index) => {
      view.setUint32(HEADER_BYTES + index * 4, word, littleEndian);
    });
    // Names are ASCII.
    bytes.set(Buffer.from(this.#strings, 'latin1'), HEADER_BYTES + typeBytes);
    return bytes;
  }

  #integer(name: string, sizeBytes: number, encoding: number): number {
    return this.#type(KIND.INT, name, sizeBytes, [(encoding << 24) | (sizeBytes * 8)]);
  }

  #array(elementId: number, length: number): number {
    const index = this.#integer('u32', 4, ENCODING.UNSIGNED);
    return this.#type(KIND.ARRAY, '', 0, [elementId, index, length]);
  }

  /** As `struct bpf_lpm_trie_key`: the kernel wants a struct (`trie_check_btf`). */
  #trieKey(sizeBytes: number): number {
    const length = this.#integer('u32', 4, ENCODING.UNSIGNED);
    const byte = this.#integer('unsigned char', 1, ENCODING.UNSIGNED);
    const data = this.#array(byte, sizeBytes - 4);
    const members = [this.#name('prefixlen'), length, 0, this.#name('data'), data, 32];
    return this.#type(KIND.STRUCT, 'lpm_key', sizeBytes, members, 2);
  }

  #type(kind: number, name: string, size: number, rest: readonly number[] = [], count = 0): number {
    this.#words.push(this.#name(name), (kind << 24) | count, size, ...rest);
    this.#lastId += 1;
    return this.#lastId;
  }

  #name(name: string): number {
    if (name === '') {
      return 0;
    }
    const at = this.#strings.length;
    this.#strings += `${name}\0`;
    return at;
  }
}
