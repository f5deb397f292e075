/**
 * A copy of a type table that can be changed in place and added to, for BTF as the kernel takes it.
 *
 * Format: Documentation/bpf/btf.rst. A type is its words: name, information, size or type, and what its
 * kind has behind these three.
 */

import { encodeText } from '../bytes/text.ts';
import { BTF_KIND } from '../uapi/btf-kinds.ts';
import type { Btf } from './btf/btf.ts';

/** `static` and `global` of functions and variables. */
export const LINKAGE_STATIC = 0;
export const LINKAGE_GLOBAL = 1;

/** How many entries a type has, or a function's linkage, in the information. */
export const VLEN_MASK = 0xffffff;

const HEADER_BYTES = 24;
/** All types that are added are integers and variables. */
const ADDED_WORDS = 4;

/** The information of a type, without its flag. */
export function kindInfo(kind: number, count: number): number {
  return kind * 2 ** 24 + count;
}

/** Names that are added have some bytes, and those of the table at most once more. */
const MOST_ADDED_BYTES = 0x1_0000;

/** A type table that is being changed. */
export class BtfWriter {
  readonly btf: Btf;
  readonly #words: Uint32Array;
  readonly #added: number[] = [];
  readonly #names = new Map<string, number>();
  #addedStrings = '';
  /** Bytes of these strings. */
  #addedBytes = 0;
  #int = 0;
  #byte = 0;
  #variable = 0;

  constructor(btf: Btf) {
    this.btf = btf;
    this.#words = btf.words.slice();
  }

  /** Number of types, with `void` and what was added. */
  get typeCount(): number {
    return this.btf.typeCount + this.#added.length / ADDED_WORDS;
  }

  get(id: number, word: number): number {
    const { starts, typeCount } = this.btf;
    return id < typeCount
      ? this.#words[starts[id]! + word]!
      : this.#added[(id - typeCount) * ADDED_WORDS + word]!;
  }

  set(id: number, word: number, value: number): void {
    const { starts, typeCount } = this.btf;
    if (id < typeCount) {
      this.#words[starts[id]! + word] = value;
    } else {
      this.#added[(id - typeCount) * ADDED_WORDS + word] = value;
    }
  }

  /** The kind of a type as it is now. */
  kindOf(id: number): number {
    return (this.get(id, 1) >>> 24) & 0x1f;
  }

  /** Number of a type's entries as it is now; of a function, its linkage. */
  count(id: number): number {
    return this.get(id, 1) & VLEN_MASK;
  }

  /** Offset of a string that the object does not have. */
  addName(name: string): number {
    let offset = this.#names.get(name);
    if (offset === undefined) {
      offset = this.btf.strings.bytes.length + this.#addedBytes;
      this.#addedStrings += `${name}\0`;
      this.#addedBytes += encodeText(name).length + 1;
      if (this.#addedBytes > this.btf.strings.bytes.length + MOST_ADDED_BYTES) {
        throw this.btf.error('the names of its sections share their bytes');
      }
      this.#names.set(name, offset);
    }
    return offset;
  }

  /** Offset of a name for what the kernel wants named. */
  placeholderName(): number {
    return this.addName('unnamed');
  }

  /** Id of a 1-byte integer type. */
  placeholderByte(): number {
    if (this.#byte === 0) {
      this.#byte = this.#add([this.placeholderName(), kindInfo(BTF_KIND.INT, 0), 1, 8]);
    }
    return this.#byte;
  }

  /** Id of a 4-byte integer type. */
  placeholderInt(): number {
    if (this.#int === 0) {
      this.#int = this.#add([this.placeholderName(), kindInfo(BTF_KIND.INT, 0), 4, 32]);
    }
    return this.#int;
  }

  /** Id of a global variable of that type. */
  placeholderVariable(): number {
    if (this.#variable === 0) {
      const type = this.placeholderInt();
      this.#variable = this.#add([
        this.placeholderName(),
        kindInfo(BTF_KIND.VAR, 0),
        type,
        LINKAGE_GLOBAL,
      ]);
    }
    return this.#variable;
  }

  /** The blob: header, types, strings. */
  finish(): Uint8Array {
    const strings = this.btf.strings.bytes;
    const more = encodeText(this.#addedStrings);
    const typeBytes = (this.#words.length + this.#added.length) * 4;
    const stringBytes = strings.length + more.length;
    const out = new Uint8Array(HEADER_BYTES + typeBytes + stringBytes);
    const words = new Uint32Array(out.buffer, 0, (HEADER_BYTES + typeBytes) / 4);
    // Magic, version and flags are a 16-bit and two 8-bit fields: written by themselves.
    new Uint16Array(out.buffer, 0, 1)[0] = 0xeb9f;
    out[2] = 1;
    words.set([HEADER_BYTES, 0, typeBytes, typeBytes, stringBytes], 1);
    words.set(this.#words, HEADER_BYTES / 4);
    words.set(this.#added, HEADER_BYTES / 4 + this.#words.length);
    out.set(strings, HEADER_BYTES + typeBytes);
    out.set(more, HEADER_BYTES + typeBytes + strings.length);
    return out;
  }

  #add(words: readonly [number, number, number, number]): number {
    const id = this.typeCount;
    this.#added.push(...words);
    return id;
  }
}
