/**
 * Names of a BTF table to type ids. One open-addressed table of ids hashed by the bytes of their
 * names (FNV-1a): no JavaScript string is made for names that nobody asks for, which is what makes
 * an index over a kernel's 70,000 names cost milliseconds and not a tenth of a second.
 */

import type { Btf } from './btf.ts';

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** The names of a table's own types: split BTF has one beside that of its base. */
export class NameIndex {
  readonly #btf: Btf;
  /** Type ids, 0 where empty; a power of two long and at most two thirds full. */
  readonly #slots: Uint32Array;

  constructor(btf: Btf) {
    this.#btf = btf;
    const { words, starts, firstId } = btf;
    let named = 0;
    for (let index = firstId === 0 ? 1 : 0; index < starts.length; index += 1) {
      if (words[starts[index]!] !== 0) {
        named += 1;
      }
    }
    let length = 8;
    while (length * 2 < named * 3) {
      length *= 2;
    }
    this.#slots = new Uint32Array(length);
    this.#fill(length - 1);
  }

  /**
   * The lowest id with this name, 0 if there is none.
   *
   * @param kind `BTF_KIND_*`, or 0 for any
   */
  find(name: Uint8Array, kind: number): number {
    const { words, starts, firstId } = this.#btf;
    const mask = this.#slots.length - 1;
    let hash = FNV_OFFSET;
    for (let at = 0; at < name.length; at += 1) {
      hash = Math.imul(hash ^ name[at]!, FNV_PRIME);
    }
    // Ids were entered in order and never leave, so of equal names the lowest id comes first.
    for (let slot = spread(hash) & mask; this.#slots[slot] !== 0; slot = (slot + 1) & mask) {
      const id = this.#slots[slot]!;
      const start = starts[id - firstId]!;
      if (kind !== 0 && ((words[start + 1]! >>> 24) & 0x7f) !== kind) {
        continue;
      }
      if (isNamed(this.#btf, words[start]!, name)) {
        return id;
      }
    }
    return 0;
  }

  #fill(mask: number): void {
    const { words, starts, firstId, stringsStart } = this.#btf;
    const slots = this.#slots;
    const own = this.#btf.strings.bytes;
    for (let index = firstId === 0 ? 1 : 0; index < starts.length; index += 1) {
      let at = words[starts[index]!]!;
      if (at === 0) {
        continue;
      }
      let strings = own;
      if (at < stringsStart) {
        const place = placeOf(this.#btf, at);
        strings = place.strings.bytes;
        at -= place.stringsStart;
      } else {
        at -= stringsStart;
      }
      let hash = FNV_OFFSET;
      // Past the end `strings[at]` is undefined, which ends the loop as a NUL does.
      for (let byte = strings[at]; byte; byte = strings[at]) {
        hash = Math.imul(hash ^ byte, FNV_PRIME);
        at += 1;
      }
      let slot = spread(hash) & mask;
      while (slots[slot] !== 0) {
        slot = (slot + 1) & mask;
      }
      slots[slot] = firstId + index;
    }
  }
}

/** The table whose own strings have this offset among them. */
function placeOf(btf: Btf, offset: number): Btf {
  let owner = btf;
  while (offset < owner.stringsStart) {
    owner = owner.base!;
  }
  return owner;
}

/** FNV's low bits are weak for short names; fold the high ones in. */
function spread(hash: number): number {
  return hash ^ (hash >>> 15);
}

function isNamed(btf: Btf, nameOffset: number, name: Uint8Array): boolean {
  const owner = placeOf(btf, nameOffset);
  const strings = owner.strings.bytes;
  const offset = nameOffset - owner.stringsStart;
  for (let at = 0; at < name.length; at += 1) {
    if (strings[offset + at] !== name[at]) {
      return false;
    }
  }
  return strings[offset + name.length] === 0;
}
