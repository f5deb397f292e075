/**
 * Names of a BTF table to type ids. One open-addressed table of ids hashed by the bytes of their
 * names (FNV-1a): no JavaScript string is made for names that nobody asks for, which is what makes
 * an index over a kernel's 70,000 names cost milliseconds and not a tenth of a second.
 */

import type { Btf } from './btf.ts';
import { LONG_NAME, LongNames } from './long-names.ts';

/** Another one in each process, so that no file can have names that collide in all of them. */
const FNV_OFFSET = Math.floor(Math.random() * 0x1_0000_0000);
const FNV_PRIME = 0x01000193;
/** 2^32 divided by the golden ratio: what is multiplied by it is spread over all 32 bits. */
const GOLDEN = 0x9e3779b1;
/** Slots for each name: few enough that an index over a kernel's names stays below 400 KiB. */
const SLOTS_PER_NAME = 1.25;
/**
 * Of types with one name and kind only the first is ever found, and hostile BTF has thousands: once a
 * name has met so many others, it is left out if it is there. Looking sooner would cost more than the
 * whole index, as the names are all over the memory.
 */
const MANY_PROBES = 64;

/** The names of a table's own types: split BTF has one beside that of its base. */
export class NameIndex {
  readonly #btf: Btf;
  /** Type ids, 0 where empty; one in five is, and more where names are long. */
  readonly #slots: Uint32Array;
  #long: LongNames | undefined;

  constructor(btf: Btf) {
    this.#btf = btf;
    const { words, starts, firstId } = btf;
    let named = 0;
    for (let index = firstId === 0 ? 1 : 0; index < starts.length; index += 1) {
      if (words[starts[index]!] !== 0) {
        named += 1;
      }
    }
    this.#slots = new Uint32Array(Math.ceil(named * SLOTS_PER_NAME) + 1);
    this.#fill();
  }

  /**
   * The lowest id with this name, 0 if there is none.
   *
   * @param kind `BTF_KIND_*`, or 0 for any
   */
  find(name: Uint8Array, kind: number): number {
    const { words, starts, firstId } = this.#btf;
    if (name.length > LONG_NAME) {
      const isIt = (id: number): boolean => isNamed(this.#btf, words[starts[id - firstId]!]!, name);
      return this.#long?.find(name, kind, isIt) ?? 0;
    }
    const slots = this.#slots;
    let hash = FNV_OFFSET;
    for (let at = 0; at < name.length; at += 1) {
      hash = Math.imul(hash ^ name[at]!, FNV_PRIME);
    }
    // Ids were entered in order and never leave, so of equal names the lowest id comes first.
    for (
      let slot = slotOf(hash, slots.length);
      slots[slot] !== 0;
      slot = next(slot, slots.length)
    ) {
      const id = slots[slot]!;
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

  #fill(): void {
    const { words, starts, firstId, stringsStart } = this.#btf;
    const slots = this.#slots;
    const { length } = slots;
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
      const start = at;
      const tooLong = start + LONG_NAME;
      let hash = FNV_OFFSET;
      // Past the end `strings[at]` is undefined, which ends the loop as a NUL does.
      let byte = strings[at];
      while (byte && at < tooLong) {
        hash = Math.imul(hash ^ byte, FNV_PRIME);
        at += 1;
        byte = strings[at];
      }
      if (byte) {
        this.#long ??= new LongNames();
        const kind = (words[starts[index]! + 1]! >>> 24) & 0x7f;
        this.#long.add(strings, start, kind, firstId + index);
        continue;
      }
      let slot = slotOf(hash, length);
      let probes = 0;
      while (slots[slot] !== 0) {
        probes += 1;
        if (probes > MANY_PROBES && isSame(this.#btf, slots[slot]!, firstId + index)) {
          break;
        }
        slot = next(slot, length);
      }
      if (slots[slot] === 0) {
        slots[slot] = firstId + index;
      }
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

/** Where to look first. FNV's bits are weak for short names, so that it takes all of them. */
function slotOf(hash: number, length: number): number {
  const spread = Math.imul(hash ^ (hash >>> 15), GOLDEN) >>> 0;
  return Math.floor(spread * (length / 0x1_0000_0000));
}

function next(slot: number, length: number): number {
  return slot + 1 === length ? 0 : slot + 1;
}

/** Whether two types of a table are of one kind and have one name. */
function isSame(btf: Btf, one: number, other: number): boolean {
  const { words, starts, firstId, stringsStart } = btf;
  const first = starts[one - firstId]!;
  const second = starts[other - firstId]!;
  if (((words[first + 1]! ^ words[second + 1]!) & 0x7f00_0000) !== 0) {
    return false;
  }
  let at = words[first]!;
  let otherAt = words[second]!;
  if (at === otherAt) {
    return true;
  }
  if (at < stringsStart || otherAt < stringsStart) {
    // Names that the base has too: modules are small.
    return btf.string(at) === btf.string(otherAt);
  }
  const { bytes } = btf.strings;
  at -= stringsStart;
  otherAt -= stringsStart;
  while (bytes[at] === bytes[otherAt]) {
    // Past the end both are undefined, for ever.
    if (!bytes[at]) {
      return true;
    }
    at += 1;
    otherAt += 1;
  }
  return false;
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
