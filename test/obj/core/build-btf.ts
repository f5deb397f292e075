/** BTF written by hand, for types that no compiler writes. Format: Documentation/bpf/btf.rst. */

import { Btf } from '../../../src/obj/btf/btf.ts';

const KIND = {
  int: 1,
  ptr: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  typedef: 8,
  func: 12,
  func_proto: 13,
} as const;

/** A member: its name, type, offset in bits, and the width of a bitfield. */
export type Member = readonly [name: string, type: number, bits?: number, width?: number];

/** Adds types one by one; ids count from 1. */
export class BtfBuilder {
  readonly #words: number[] = [];
  readonly #offsets = new Map([['', 0]]);
  #strings = '\0';
  #count = 0;

  /** @returns the id that the next type will have, for types that refer to it before it is there */
  get next(): number {
    return this.#count + 1;
  }

  int(name: string, bytes: number): number {
    return this.#add('int', name, 0, bytes, [bytes * 8]);
  }

  pointer(to: number): number {
    return this.#add('ptr', '', 0, to);
  }

  typedef(name: string, to: number): number {
    return this.#add('typedef', name, 0, to);
  }

  array(element: number, length: number): number {
    return this.#add('array', '', 0, 0, [element, element, length]);
  }

  struct(name: string, members: readonly Member[], bytes = 8): number {
    const words = members.flatMap(([member, type, bits = 0, width = 0]) => [
      this.#name(member),
      type,
      bits | (width << 24),
    ]);
    const flag = members.some(([, , , width = 0]) => width > 0) ? 1 << 31 : 0;
    return this.#add('struct', name, members.length | flag, bytes, words);
  }

  enum(name: string, values: readonly string[]): number {
    const words = values.flatMap((value, index) => [this.#name(value), index]);
    return this.#add('enum', name, values.length, 4, words);
  }

  prototype(returns: number, parameters: readonly number[]): number {
    const words = parameters.flatMap((type) => [0, type]);
    return this.#add('func_proto', '', parameters.length, returns, words);
  }

  build(section = 'test'): Btf {
    const strings = new TextEncoder().encode(this.#strings);
    const bytes = new Uint8Array(24 + this.#words.length * 4 + strings.length);
    const view = new DataView(bytes.buffer);
    const header = [0x1eb9f, 24, 0, this.#words.length * 4, this.#words.length * 4, strings.length];
    for (const [index, word] of [...header, ...this.#words].entries()) {
      view.setUint32(index * 4, word, true);
    }
    bytes.set(strings, 24 + this.#words.length * 4);
    return Btf.parse(bytes, section);
  }

  #add(
    kind: keyof typeof KIND,
    name: string,
    info: number,
    third: number,
    words: readonly number[] = [],
  ): number {
    this.#words.push(this.#name(name), info | (KIND[kind] << 24), third, ...words);
    this.#count += 1;
    return this.#count;
  }

  #name(text: string): number {
    let offset = this.#offsets.get(text);
    if (offset === undefined) {
      offset = this.#strings.length;
      this.#offsets.set(text, offset);
      this.#strings += `${text}\0`;
    }
    return offset;
  }
}
