/**
 * A table of NUL-terminated strings addressed by byte offset: `.strtab`, `.shstrtab` and the
 * string section of BTF have this form.
 */

import { decodeAscii, decodeText } from './text.ts';

/**
 * A table is none if it has a run of so many bytes without a NUL, at a multiple of that: to find the end
 * of a name again and again for thousands of names that end there would take for ever.
 */
const LONGEST_BYTES = 0x1_0000;
/**
 * Names that are decoded one by one have their own bytes nearly always, and share the end of another
 * name at most: all of them together have at most so many times the bytes of the table, and some.
 */
const MOST_SHARING = 16;
const SHARED_BYTES = 0x10_0000;

/** Tables up to this many bytes are turned into one JavaScript string and sliced. */
const WHOLE_TABLE_BYTES = 1 << 20;
/** The few names of one up to this many bytes are read byte by byte, which costs less than decoding it. */
const TINY_TABLE_BYTES = 64;
/** Up to this many bytes at once, as most names will be asked for. */
const SMALL_TABLE_BYTES = 1 << 14;
/**
 * Larger ones once the names that were asked for took an eighth of the time of the whole: of an object
 * with thousands of types a dozen names are needed mostly.
 */
const PATIENCE = 1 / 8;
/** To find and keep a name takes about as long as decoding so many bytes of a whole table. */
const NAME_BYTES = 128;

/**
 * Reads names from a string table. A table of plain ASCII is decoded once, and names are slices of
 * that one string; in a large one (a kernel's BTF), or where there are other characters, each name is
 * decoded when asked for, and kept. One of middle size starts with the latter. Of a tiny one nothing is kept.
 */
export class StringTable {
  readonly bytes: Uint8Array;
  /** undefined: not decoded yet; null: decode name by name. */
  #whole: string | null | undefined;
  #names: Map<number, string> | undefined;
  /** Characters that may still be decoded. */
  #left: number;
  /** What names may still take, as {@link NAME_BYTES}, before the whole table is decoded. */
  #patience: number;
  readonly #isTable: boolean;

  /** The table keeps a view of `bytes`, not a copy. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#left = bytes.length * MOST_SHARING + SHARED_BYTES;
    this.#patience = bytes.length <= SMALL_TABLE_BYTES ? 0 : bytes.length * PATIENCE;
    this.#isTable = bytes.length < LONGEST_BYTES || hasEnds(bytes);
    if (bytes.length > WHOLE_TABLE_BYTES || bytes.length <= TINY_TABLE_BYTES) {
      this.#whole = null;
    }
  }

  /**
   * The string at `offset`; undefined if the offset is outside or no NUL follows it, or if strings are
   * so long, or have so many names in them, that no compiler wrote them.
   */
  at(offset: number): string | undefined {
    if (offset < 0 || offset >= this.bytes.length || !this.#isTable) {
      return undefined;
    }
    if (this.#whole === undefined && this.#patience <= 0) {
      this.#whole = decodeAscii(this.bytes);
    }
    const whole = this.#whole;
    if (typeof whole === 'string') {
      const end = whole.indexOf('\0', offset);
      return end === -1 ? undefined : whole.slice(offset, end);
    }
    if (this.bytes.length <= TINY_TABLE_BYTES) {
      return readName(this.bytes, offset);
    }
    return this.#names?.get(offset) ?? this.#decode(offset);
  }

  /** Whether a string starts, or goes on, at `offset`. */
  has(offset: number): boolean {
    const { bytes } = this;
    return (
      this.#isTable &&
      offset < bytes.length &&
      (bytes[bytes.length - 1] === 0 || this.at(offset) !== undefined)
    );
  }

  /** Whether the string at `offset` is `text`. */
  is(offset: number, text: string): boolean {
    const whole = this.#whole;
    if (typeof whole !== 'string') {
      return this.at(offset) === text;
    }
    return whole.startsWith(text, offset) && whole.charCodeAt(offset + text.length) === 0;
  }

  #decode(offset: number): string | undefined {
    const end = this.bytes.indexOf(0, offset);
    this.#left -= end - offset;
    this.#patience -= end - offset + NAME_BYTES;
    if (end === -1 || this.#left < 0) {
      return undefined;
    }
    const name = decodeText(this.bytes, offset, end);
    this.#names ??= new Map();
    this.#names.set(offset, name);
    return name;
  }
}

function readName(bytes: Uint8Array, offset: number): string | undefined {
  for (let end = offset; end < bytes.length; end += 1) {
    if (bytes[end] === 0) {
      return decodeText(bytes, offset, end);
    }
  }
  return undefined;
}

/** Whether there is a NUL in each part of a table of {@link LONGEST_BYTES}, a shorter rest aside. */
function hasEnds(bytes: Uint8Array): boolean {
  for (let start = 0; start + LONGEST_BYTES <= bytes.length; start += LONGEST_BYTES) {
    const end = bytes.indexOf(0, start);
    if (end === -1 || end >= start + LONGEST_BYTES) {
      return false;
    }
  }
  return true;
}
