/**
 * Type ids by names that are too long to be hashed for each type that has them: a damaged or hostile
 * table lets a thousand types share one name of 30,000 bytes, or lets each of them begin one byte
 * further into it. The hash of a name is a polynomial over its bytes, so that those of all names that
 * end at one NUL come from a single walk back from there, and a table costs what its strings are long.
 */

/** A name with more bytes than this belongs here. */
export const LONG_NAME = 256;

const PRIME = 0x7fff_ffff;
/**
 * Where the polynomial is taken: another place in each process, so that no file can have names that
 * collide in all of them. Below 2^21, as the product with a hash of 31 bits has to be exact.
 */
const POINT = 0x10_0000 + Math.floor(Math.random() * 0x10_0000);
/** Kinds are numbers below this. */
const KINDS = 32;

/** The ids of a table's types whose names are long. */
export class LongNames {
  /** Ids in order, by hash times `KINDS` plus kind: with equal names they differ in nothing else. */
  readonly #ids = new Map<number, number[]>();
  /** By strings: for each offset the hash of the name that starts there plus one, 0 until it is known. */
  readonly #hashes = new Map<Uint8Array, Uint32Array>();

  /** @param at where the name starts in `strings` */
  add(strings: Uint8Array, at: number, kind: number, id: number): void {
    const key = this.#hashAt(strings, at) * KINDS + kind;
    const ids = this.#ids.get(key);
    if (ids === undefined) {
      this.#ids.set(key, [id]);
    } else {
      ids.push(id);
    }
  }

  /**
   * The lowest id with this name, 0 if there is none.
   *
   * @param kind `BTF_KIND_*`, or 0 for any
   * @param isNamed whether the type with this id has the name
   */
  find(name: Uint8Array, kind: number, isNamed: (id: number) => boolean): number {
    let hash = 0;
    for (let at = name.length - 1; at >= 0; at -= 1) {
      hash = step(hash, name[at]!);
    }
    let lowest = 0;
    for (let one = kind || 1; one < (kind === 0 ? KINDS : kind + 1); one += 1) {
      const id = this.#ids.get(hash * KINDS + one)?.find(isNamed) ?? 0;
      if (id !== 0 && (lowest === 0 || id < lowest)) {
        lowest = id;
      }
    }
    return lowest;
  }

  #hashAt(strings: Uint8Array, at: number): number {
    let hashes = this.#hashes.get(strings);
    if (hashes === undefined) {
      hashes = new Uint32Array(strings.length);
      this.#hashes.set(strings, hashes);
    }
    let end = at;
    while (end < strings.length && strings[end] !== 0 && hashes[end] === 0) {
      end += 1;
    }
    let hash = Math.max((hashes[end] ?? 0) - 1, 0);
    for (let back = end - 1; back >= at; back -= 1) {
      hash = step(hash, strings[back]!);
      hashes[back] = hash + 1;
    }
    return hash;
  }
}

function step(hash: number, byte: number): number {
  return (hash * POINT + byte) % PRIME;
}
