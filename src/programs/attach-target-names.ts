/** Names in the kernel's BTF that are near to one that is not there: for messages only. */

import { nearest } from '../bytes/nearest.ts';
import { encodeText } from '../bytes/text.ts';
import type { Btf } from '../obj/btf/btf.ts';
import type { BtfKindName } from '../obj/btf/types.ts';

/** Names that differ more in length are not compared: a kernel has 60,000 functions. */
const MAX_LENGTH_DIFFERENCE = 2;

/**
 * The name of a type, without its prefix, that `name` was most likely meant to be; undefined if none is
 * near. Only names that begin as it does are compared, by their first two characters.
 *
 * @param btf of a kernel; no split BTF
 */
export function nearestName(
  btf: Btf,
  kind: BtfKindName,
  prefix: string,
  name: string,
): string | undefined {
  const start = encodeText(prefix + name.slice(0, 2));
  const candidates: string[] = [];
  for (const id of btf.idsOfKind(kind)) {
    if (isNamedFrom(btf, id, start)) {
      const candidate = btf.nameOf(id).slice(prefix.length);
      if (Math.abs(candidate.length - name.length) <= MAX_LENGTH_DIFFERENCE) {
        candidates.push(candidate);
      }
    }
  }
  return nearest(name, candidates);
}

/** Whether a type's name begins so; no string is made of it. */
function isNamedFrom(btf: Btf, id: number, start: Uint8Array): boolean {
  const { bytes } = btf.strings;
  const at = btf.words[btf.starts[id]!]!;
  for (let index = 0; index < start.length; index += 1) {
    if (bytes[at + index] !== start[index]) {
      return false;
    }
  }
  return true;
}
