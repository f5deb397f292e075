/**
 * BTF taken apart into types of 32-bit words and strings, and put together again. Like image.ts it
 * shares no code with skep and checks nothing.
 *
 * Format: `Documentation/bpf/btf.rst`.
 */

import { joined, textAt, viewOf } from './image.ts';

const HEADER_BYTES = 24;

/** Numbers of kinds that the edits speak of. */
export const KIND = {
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  TYPEDEF: 8,
  CONST: 10,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  ENUM64: 19,
} as const;

/** How many words an entry of a kind has; kinds without entries have none here. */
export const ENTRY_WORDS: Readonly<Record<number, number>> = {
  [KIND.STRUCT]: 3,
  [KIND.UNION]: 3,
  [KIND.ENUM]: 2,
  [KIND.FUNC_PROTO]: 2,
  [KIND.DATASEC]: 3,
  [KIND.ENUM64]: 3,
};

/** Words behind the common three, by kind: INT, ARRAY, VAR, DECL_TAG. */
const FIXED_WORDS: Readonly<Record<number, number>> = { 1: 1, 3: 3, 14: 1, 17: 1 };

/** Whether bytes start as BTF does, in either byte order. */
export function isBtf(bytes: Uint8Array): boolean {
  return (
    bytes.length >= HEADER_BYTES &&
    ((bytes[0] === 0x9f && bytes[1] === 0xeb) || (bytes[0] === 0xeb && bytes[1] === 0x9f))
  );
}

/** The types of one table, by id less one. */
export class Types {
  readonly littleEndian: boolean;
  readonly types: number[][] = [];
  strings: Uint8Array;

  /** Takes well-formed BTF apart. */
  constructor(bytes: Uint8Array) {
    const view = viewOf(bytes);
    this.littleEndian = view.getUint16(0, true) === 0xeb9f;
    // Another edit may have put something else into the section: what is not there is zero.
    const word = (at: number) =>
      at + 4 <= bytes.length ? view.getUint32(at, this.littleEndian) : 0;
    const start = word(4) + word(8);
    const end = Math.min(start + word(12), bytes.length);
    for (let at = start; at + 12 <= end; ) {
      const info = word(at + 4);
      const kind = (info >>> 24) & 0x1f;
      const count = 3 + (FIXED_WORDS[kind] ?? 0) + (ENTRY_WORDS[kind] ?? 0) * (info & 0xffff);
      if (at + count * 4 > end) {
        break;
      }
      this.types.push(Array.from({ length: count }, (_, index) => word(at + index * 4)));
      at += count * 4;
    }
    const strings = word(4) + word(16);
    this.strings = bytes.slice(strings, strings + word(20));
  }

  kindOf(type: readonly number[]): number {
    return (type[1]! >>> 24) & 0x1f;
  }

  nameOf(type: readonly number[]): string {
    return textAt(this.strings, type[0]!);
  }

  /** Adds a string; its offset. */
  addString(text: Uint8Array): number {
    const offset = this.strings.length;
    this.strings = joined(this.strings, text, Uint8Array.of(0));
    return offset;
  }

  /** Adds a type; its id. */
  add(kind: number, vlen: number, words: readonly number[], name = 0, flag = 0): number {
    this.types.push([name, ((flag << 31) | (kind << 24) | vlen) >>> 0, ...words]);
    return this.types.length;
  }

  /** The words of a type that are ids of types, by position. */
  references(type: readonly number[]): number[] {
    const kind = this.kindOf(type);
    if (kind === KIND.ARRAY) {
      return [3, 4];
    }
    const each = ENTRY_WORDS[kind];
    const own = [2, 8, 9, 10, 11, 12, 13, 14, 17, 18].includes(kind) ? [2] : [];
    if (each === undefined || kind === KIND.ENUM || kind === KIND.ENUM64) {
      return own;
    }
    const first = kind === KIND.DATASEC ? 3 : 4;
    for (let at = first; at < type.length; at += each) {
      own.push(at);
    }
    return own;
  }

  /** The words of a type that are names, by position. */
  nameWords(type: readonly number[]): number[] {
    const kind = this.kindOf(type);
    const each = kind === KIND.DATASEC ? undefined : ENTRY_WORDS[kind];
    const own = [0];
    for (let at = 3; each !== undefined && at < type.length; at += each) {
      own.push(at);
    }
    return own;
  }

  /** Puts the table together. */
  write(): Uint8Array {
    const words = this.types.reduce((sum, { length }) => sum + length, 0);
    const bytes = new Uint8Array(HEADER_BYTES + words * 4 + this.strings.length);
    const view = viewOf(bytes);
    view.setUint16(0, 0xeb9f, this.littleEndian);
    bytes[2] = 1;
    const header = [HEADER_BYTES, 0, words * 4, words * 4, this.strings.length];
    header.forEach((value, index) => {
      view.setUint32(4 + index * 4, value, this.littleEndian);
    });
    let at = HEADER_BYTES;
    for (const type of this.types) {
      for (const word of type) {
        view.setUint32(at, word, this.littleEndian);
        at += 4;
      }
    }
    bytes.set(this.strings, at);
    return bytes;
  }
}
