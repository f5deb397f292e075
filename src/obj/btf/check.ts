/**
 * Checks every reference of a BTF table without decoding it: names, type ids, the target of
 * functions. What an object is refused for is what libbpf refuses it for (`btf_sanity_check`).
 */

import { BTF_KIND } from '../../uapi/btf-kinds.ts';
import type { Btf } from './btf.ts';

/** Kinds whose third word is a type id and not a size. */
const REFERS = new Uint8Array(32);
for (const kind of [
  BTF_KIND.PTR,
  BTF_KIND.TYPEDEF,
  BTF_KIND.VOLATILE,
  BTF_KIND.CONST,
  BTF_KIND.RESTRICT,
  BTF_KIND.FUNC,
  BTF_KIND.FUNC_PROTO,
  BTF_KIND.VAR,
  BTF_KIND.DECL_TAG,
  BTF_KIND.TYPE_TAG,
]) {
  REFERS[kind] = 1;
}

/** By kind, the words of an entry behind the common ones; 0 for kinds without entries. */
const ENTRY_WORDS = new Uint8Array(32);
/** Which word of an entry is a name, and which a type id; -1 for none. */
const ENTRY_NAME = new Int8Array(32);
const ENTRY_TYPE = new Int8Array(32);
for (const [kind, words, name, type] of [
  [BTF_KIND.STRUCT, 3, 0, 1],
  [BTF_KIND.UNION, 3, 0, 1],
  [BTF_KIND.ENUM, 2, 0, -1],
  [BTF_KIND.ENUM64, 3, 0, -1],
  [BTF_KIND.FUNC_PROTO, 2, 0, 1],
  [BTF_KIND.DATASEC, 3, -1, 0],
] as const) {
  ENTRY_WORDS[kind] = words;
  ENTRY_NAME[kind] = name;
  ENTRY_TYPE[kind] = type;
}

/**
 * Of split BTF, what is its own; its base is not looked at.
 *
 * @throws ObjectError `ERR_SKEP_BTF` naming the first type that refers to what is not there
 */
export function checkBtf(btf: Btf): void {
  const { words, starts, typeCount, firstId } = btf;
  const stringBytes = stringsEnd(btf);
  for (let id = Math.max(firstId, 1); id < typeCount; id += 1) {
    const at = starts[id - firstId]!;
    const info = words[at + 1]!;
    const kind = (info >>> 24) & 0x7f;
    if (words[at]! >= stringBytes) {
      throw badName(btf, id, words[at]!);
    }
    if (REFERS[kind] === 1 && words[at + 2]! >= typeCount) {
      throw badType(btf, id, words[at + 2]!);
    }
    if (kind === BTF_KIND.FUNC && btf.kindOf(words[at + 2]!) !== BTF_KIND.FUNC_PROTO) {
      throw btf.error(`type [${id}] is a function, but type [${words[at + 2]}] is no prototype`);
    }
    if (kind === BTF_KIND.ARRAY) {
      if (words[at + 3]! >= typeCount) throw badType(btf, id, words[at + 3]!);
      if (words[at + 4]! >= typeCount) throw badType(btf, id, words[at + 4]!);
    }
    if (ENTRY_WORDS[kind]! > 0) {
      checkEntries(btf, id, kind, at + 3, info & 0xffffff);
    }
  }
}

function checkEntries(btf: Btf, id: number, kind: number, start: number, count: number): void {
  const { words, typeCount } = btf;
  const each = ENTRY_WORDS[kind]!;
  const name = ENTRY_NAME[kind]!;
  const type = ENTRY_TYPE[kind]!;
  const stringBytes = stringsEnd(btf);
  for (let at = start; at < start + count * each; at += each) {
    if (name !== -1 && words[at + name]! >= stringBytes) {
      throw badName(btf, id, words[at + name]!);
    }
    if (type !== -1 && words[at + type]! >= typeCount) {
      throw badType(btf, id, words[at + type]!);
    }
  }
}

/** The first offset behind all strings. */
function stringsEnd(btf: Btf): number {
  return btf.stringsStart + btf.strings.bytes.length;
}

function badName(btf: Btf, id: number, offset: number) {
  return btf.error(
    `type [${id}] has a name at offset ${offset}, outside the strings (${stringsEnd(btf)} bytes)`,
  );
}

function badType(btf: Btf, id: number, target: number) {
  return btf.error(`type [${id}] refers to type [${target}], but ids end at ${btf.typeCount - 1}`);
}
