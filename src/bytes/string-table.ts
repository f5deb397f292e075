/**
 * A table of NUL-terminated strings addressed by byte offset: `.strtab`, `.shstrtab` and the
 * string section of BTF have this form.
 */

import { decodeAscii, decodeText } from './text.ts';

/** Tables up to this many bytes are turned into one JavaScript string and sliced. */
const WHOLE_TABLE_BYTES = 1 << 20;

/**
 * Reads names from a string table. A table of plain ASCII is decoded once, and names are slices of
 * that one string; in a large one (a kernel's BTF), or where there are other characters, each name is
 * decoded when asked for, and kept.
 */
export class StringTable {
  readonly bytes: Uint8Array;
  /** undefined: not decoded yet; null: decode name by name. */
  #whole: string | null | undefined;
  #names: Map<number, string> | undefined;

  /** The table keeps a view of `bytes`, not a copy. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    if (bytes.length > WHOLE_TABLE_BYTES) {
      this.#whole = null;
    }
  }

  /** The string at `offset`, or undefined if the offset is outside or no NUL follows it. */
  at(offset: number): string | undefined {
    if (offset < 0 || offset >= this.bytes.length) {
      return undefined;
    }
    if (this.#whole === undefined) {
      this.#whole = decodeAscii(this.bytes);
    }
    if (this.#whole !== null) {
      const end = this.#whole.indexOf('\0', offset);
      return end === -1 ? undefined : this.#whole.slice(offset, end);
    }
    return this.#names?.get(offset) ?? this.#decode(offset);
  }

  /** Whether a string starts, or goes on, at `offset`. */
  has(offset: number): boolean {
    const { bytes } = this;
    return (
      offset < bytes.length && (bytes[bytes.length - 1] === 0 || this.at(offset) !== undefined)
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
    if (end === -1) {
      return undefined;
    }
    const name = decodeText(this.bytes, offset, end);
    this.#names ??= new Map();
    this.#names.set(offset, name);
    return name;
  }
}
