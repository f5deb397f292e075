/**
 * Which types of a kernel a local type may stand for: those of its kind with its name, flavours aside.
 *
 * Rule: libbpf's `bpf_core_add_cands`, which looks at every type for every root type. Here one pass over
 * a table makes an index, by names without flavours, of what programs ask about: structs, unions, enums,
 * typedefs, a fifth of a kernel's types; its functions are not among them.
 */

import { encodeText } from '../../bytes/text.ts';
import { BTF_KIND } from '../../uapi/btf-kinds.ts';
import type { Btf } from '../btf/btf.ts';
import { essentialName } from './names.ts';

const UNDERSCORE = 0x5f;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** By kind, whether its types are in the index: what has a name and is more than a declaration of code. */
const INDEXED = new Uint8Array(128);
for (const kind of [
  BTF_KIND.INT,
  BTF_KIND.STRUCT,
  BTF_KIND.UNION,
  BTF_KIND.ENUM,
  BTF_KIND.FWD,
  BTF_KIND.TYPEDEF,
  BTF_KIND.FLOAT,
  BTF_KIND.ENUM64,
]) {
  INDEXED[kind] = 1;
}

/** Whether two kinds (`BTF_KIND_*`) are one for CO-RE: equal, or both an enum of some width. */
export function areKindsCompatible(one: number, other: number): boolean {
  return one === other || (isEnumKind(one) && isEnumKind(other));
}

/** Whether a kind (`BTF_KIND_*`) is an enum of either width. */
export function isEnumKind(kind: number): boolean {
  return kind === BTF_KIND.ENUM || kind === BTF_KIND.ENUM64;
}

const indices = new WeakMap<Btf, CandidateIndex>();

/**
 * The ids of the candidates in a table, ascending; of split BTF only its own types, as those of its base
 * were looked at before. The first call for a table looks at all its types, the others at a few names.
 *
 * @param kind of the local type, `BTF_KIND_*`, typedefs not skipped
 * @param name of the local type, with or without a flavour
 */
export function candidatesIn(btf: Btf, kind: number, name: string): number[] {
  let index = indices.get(btf);
  if (index === undefined) {
    index = new CandidateIndex(btf);
    indices.set(btf, index);
  }
  return index.find(essentialName(name)).filter((id) => areKindsCompatible(btf.kindOf(id), kind));
}

/** Type ids by the hashes of their names without flavours: lists, so that many of one name cost no more. */
class CandidateIndex {
  readonly #btf: Btf;
  /** Ids, ascending. */
  readonly #ids: Uint32Array;
  /** By hash, one more than a position in {@link #ids}; 0 for none. A power of two long. */
  readonly #first: Uint32Array;
  /** By position, the next one of the same hash in the same form. */
  readonly #next: Uint32Array;

  constructor(btf: Btf) {
    this.#btf = btf;
    this.#ids = indexedTypes(btf);
    let length = 8;
    while (length < this.#ids.length) {
      length *= 2;
    }
    this.#first = new Uint32Array(length);
    this.#next = new Uint32Array(this.#ids.length);
    this.#fill(length - 1);
  }

  /** The types of this name, ascending; flavours are left out of theirs. */
  find(essential: string): number[] {
    const found: number[] = [];
    let place = this.#first[hashText(essential) & (this.#first.length - 1)]!;
    while (place !== 0) {
      const id = this.#ids[place - 1]!;
      if (essentialName(this.#btf.nameOf(id)) === essential) {
        found.push(id);
      }
      place = this.#next[place - 1]!;
    }
    return found;
  }

  #fill(mask: number): void {
    const { words, starts, firstId, stringsStart } = this.#btf;
    const strings = this.#btf.strings.bytes;
    const [ids, first, next] = [this.#ids, this.#first, this.#next];
    // Each becomes the first of its list: backwards, so that lists ascend.
    for (let place = ids.length; place > 0; place -= 1) {
      const id = ids[place - 1]!;
      const offset = words[starts[id - firstId]!]!;
      // A name among those of the base has to be read there; modules are small.
      const plain = offset < stringsStart ? undefined : hashPlain(strings, offset - stringsStart);
      const slot = (plain ?? hashText(essentialName(this.#btf.nameOf(id)))) & mask;
      next[place - 1] = first[slot]!;
      first[slot] = place;
    }
  }
}

/** The ids of the types that belong into the index, ascending. */
function indexedTypes(btf: Btf): Uint32Array {
  const { words, starts, firstId } = btf;
  const ids = new Uint32Array(starts.length);
  let count = 0;
  for (let index = firstId === 0 ? 1 : 0; index < starts.length; index += 1) {
    const start = starts[index]!;
    if (INDEXED[(words[start + 1]! >>> 24) & 0x7f] === 1 && words[start] !== 0) {
      ids[count] = firstId + index;
      count += 1;
    }
  }
  // A copy: a part of it would keep the whole, which is four times as much.
  return ids.slice(0, count);
}

/** The hash of a name as it is stored; undefined if there may be a flavour in it. */
function hashPlain(strings: Uint8Array, offset: number): number | undefined {
  let hash = FNV_OFFSET;
  let underscores = 0;
  let at = offset;
  // Past the end `strings[at]` is undefined, which ends the loop as a NUL does.
  for (let byte = strings[at]; byte; byte = strings[at]) {
    underscores = byte === UNDERSCORE ? underscores + 1 : 0;
    if (underscores === 3) {
      return undefined;
    }
    hash = Math.imul(hash ^ byte, FNV_PRIME);
    at += 1;
  }
  return hash ^ (hash >>> 15);
}

/** The hash of a name, the same as that of its bytes. */
function hashText(name: string): number {
  let hash = FNV_OFFSET;
  for (const byte of encodeText(name)) {
    hash = Math.imul(hash ^ byte, FNV_PRIME);
  }
  return hash ^ (hash >>> 15);
}
