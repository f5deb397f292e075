/**
 * The index of a BTF table and the check of all its references in one walk, for an object that is
 * opened: nothing else takes longer where there are many types. A table that is not sound is not
 * explained here, but left to `Btf.parse` and `checkBtf`, which say what is wrong.
 */

import { BTF_KIND } from '../../uapi/btf-kinds.ts';
import { growStarts, keepStarts, takeStarts } from './starts.ts';

/** In the place of the next type: what was looked at is not sound. */
const BROKEN = -1;

/** What the walk finds out, and may not exceed. */
interface References {
  /** Bytes of the strings. */
  readonly names: number;
  /** The greatest id that is referred to: whether it exists is known when all types were counted. */
  type: number;
}

/**
 * The members of structs, which are most of a table, are looked at in a loop of their own: it takes a
 * third of the time of one that is told where names and types stand.
 *
 * @param words the type section of a table that stands alone
 * @param names bytes of its strings
 * @returns where each type starts, by id; undefined if a type is not whole or of no known kind, or
 *   refers to a type or name that does not exist, or if a function comes before its prototype, which
 *   compilers do not write, or has none
 */
export function indexSound(words: Uint32Array, names: number): Uint32Array | undefined {
  const end = words.length;
  const starts = takeStarts(end);
  const { first } = starts;
  let { array } = starts;
  array[first] = 0;
  let count = 1;
  let at = 0;
  const references: References = { names, type: 0 };
  let type = 0;
  while (at + 3 <= end) {
    if (first + count === array.length) array = growStarts(starts);
    array[first + count] = at;
    count += 1;
    if (words[at]! >= names) return undefined;
    const kind = (words[at + 1]! >>> 24) & 0x7f;
    if (kind === BTF_KIND.STRUCT || kind === BTF_KIND.UNION) {
      let member = at + 3;
      at = member + (words[at + 1]! & 0xffffff) * 3;
      if (at > end) return undefined;
      for (; member < at; member += 3) {
        if (words[member]! >= names) return undefined;
        if (words[member + 1]! > type) type = words[member + 1]!;
      }
    } else if (kind === BTF_KIND.FUNC) {
      const target = words[at + 2]!;
      if (target === 0 || target >= count) return undefined;
      const targetInfo = words[array[first + target]! + 1]!;
      if (((targetInfo >>> 24) & 0x7f) !== BTF_KIND.FUNC_PROTO) return undefined;
      at += 3;
    } else {
      at = pass(words, at, kind, references);
      if (at === BROKEN) return undefined;
    }
  }
  const isSound = at === end && type < count && references.type < count;
  return isSound ? keepStarts(starts, count) : undefined;
}

/** Looks at a type of another kind; returns where the next one starts, or {@link BROKEN}. */
function pass(words: Uint32Array, at: number, kind: number, references: References): number {
  const entries = words[at + 1]! & 0xffffff;
  const entry = at + 3;
  switch (kind) {
    case BTF_KIND.INT:
      return entry + 1;
    case BTF_KIND.FWD:
    case BTF_KIND.FLOAT:
      return entry;
    case BTF_KIND.VAR:
    case BTF_KIND.DECL_TAG:
      references.type = Math.max(references.type, words[at + 2]!);
      return entry + 1;
    case BTF_KIND.PTR:
    case BTF_KIND.TYPEDEF:
    case BTF_KIND.VOLATILE:
    case BTF_KIND.CONST:
    case BTF_KIND.RESTRICT:
    case BTF_KIND.TYPE_TAG:
      references.type = Math.max(references.type, words[at + 2]!);
      return entry;
    case BTF_KIND.ARRAY:
      if (entry + 3 > words.length) return BROKEN;
      references.type = Math.max(references.type, words[entry]!, words[entry + 1]!);
      return entry + 3;
    case BTF_KIND.FUNC_PROTO:
      references.type = Math.max(references.type, words[at + 2]!);
      return passNames(words, entry, entries, 2, references) === BROKEN
        ? BROKEN
        : passTypes(words, entry, 1, entries, 2, references);
    case BTF_KIND.ENUM:
      return passNames(words, entry, entries, 2, references);
    case BTF_KIND.ENUM64:
      return passNames(words, entry, entries, 3, references);
    case BTF_KIND.DATASEC:
      return passTypes(words, entry, 0, entries, 3, references);
    default:
      return BROKEN;
  }
}

/** Looks at one word of each entry, a name; returns where the entries end, or {@link BROKEN}. */
function passNames(
  words: Uint32Array,
  from: number,
  count: number,
  step: number,
  { names }: References,
): number {
  const end = from + count * step;
  if (end > words.length) return BROKEN;
  for (let at = from; at < end; at += step) {
    if (words[at]! >= names) return BROKEN;
  }
  return end;
}

/** The same for ids of types, which are word `word` of each. */
function passTypes(
  words: Uint32Array,
  from: number,
  word: number,
  count: number,
  step: number,
  references: References,
): number {
  const end = from + count * step;
  if (end > words.length) return BROKEN;
  let greatest = references.type;
  for (let at = from + word; at < end; at += step) {
    if (words[at]! > greatest) greatest = words[at]!;
  }
  references.type = greatest;
  return end;
}
