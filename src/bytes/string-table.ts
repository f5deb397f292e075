/**
 * A table of NUL-terminated strings addressed by byte offset: `.strtab`, `.shstrtab` and the
 * string section of BTF have this form.
 */

import { decodeLatin1, decodeText } from './text.ts';

/** Tables up to this many bytes are turned into one JavaScript string and sliced. */
const WHOLE_TABLE_BYTES = 1 << 20;

/**
 * Reads names from a string table, in one of two ways. Of `most` names will be asked for: the table
 * is decoded once, and names are slices of that one string, which costs a fraction of decoding each
 * by itself. Or `few` will: each is decoded when asked for, and kept.
 */
export class StringTable {
  readonly bytes: Uint8Array;
  /** undefined: not decoded yet; null: decode name by name. */
  #whole: string | null | undefined;
  readonly #names = new Map<number, string>();

  /** The table keeps a view of `bytes`, not a copy. */
  constructor(bytes: Uint8Array, asked: 'most' | 'few') {
    this.bytes = bytes;
    if (asked === 'few' || bytes.length > WHOLE_TABLE_BYTES) {
      this.#whole = null;
    }
  }

  /** The string at `offset`, or undefined if the offset is outside or no NUL follows it. */
  at(offset: number): string | undefined {
    if (offset < 0 || offset >= this.bytes.length) {
      return undefined;
    }
    if (this.#whole === undefined) {
      this.#whole = isAscii(this.bytes) ? decodeLatin1(this.bytes) : null;
    }
    if (this.#whole !== null) {
      const end = this.#whole.indexOf('\0', offset);
      return end === -1 ? undefined : this.#whole.slice(offset, end);
    }
    return this.#names.get(offset) ?? this.#decode(offset);
  }

  #decode(offset: number): string | undefined {
    const end = this.bytes.indexOf(0, offset);
    if (end === -1) {
      return undefined;
    }
    const name = decodeText(this.bytes, offset, end);
    this.#names.set(offset, name);
    return name;
  }
}

function isAscii(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at += 1) {
    if (bytes[at]! >= 0x80) {
      return false;
    }
  }
  return true;
}
