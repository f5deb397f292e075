/**
 * An object's BTF in the kernel. What an older kernel does not know of it is found out only when the
 * kernel has refused the whole, and only for what the object has: on others it is one call.
 *
 * Rules: libbpf's `bpf_object__sanitize_and_load_btf`.
 */

import { SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Btf } from '../obj/btf/btf.ts';
import { encodeForKernel } from '../obj/btf-for-kernel.ts';
import { type BtfPart, partsOf } from '../obj/btf-for-kernel-older.ts';
import type { ObjectFile } from '../obj/object.ts';
import { answerOf } from '../probes/answer.ts';
import { features } from '../probes/features.ts';

/** Types that a kernel has taken. */
export interface ObjectBtf {
  /** The caller's to close. */
  readonly fd: number;
  /** What the kernel does not know, and older kinds stand for; empty if it took the types as they are. */
  readonly replaced: readonly BtfPart[];
}

/**
 * Gives an object's types to a kernel.
 *
 * @returns null if the object has none
 * @throws SyscallError if the kernel does not take them in any form: its first refusal
 * @throws ObjectError `ERR_SKEP_BTF` if they cannot be encoded
 */
export function loadObjectBtf(kernel: Kernel, object: ObjectFile): ObjectBtf | null {
  const { btf } = object;
  if (btf === undefined) {
    return null;
  }
  try {
    return { fd: kernel.loadBtf(encodeForKernel(object, btf)), replaced: [] };
  } catch (refusal) {
    const replaced = unknownParts(kernel, btf, refusal);
    if (replaced.length === 0) {
      throw refusal;
    }
    try {
      return { fd: kernel.loadBtf(encodeForKernel(object, btf, new Set(replaced))), replaced };
    } catch {
      throw refusal;
    }
  }
}

/** What of the types is the reason; empty if the kernel knows all of it, or takes no types at all. */
function unknownParts(kernel: Kernel, btf: Btf, refusal: unknown): BtfPart[] {
  const isAge = refusal instanceof SyscallError && answerOf(refusal).answer === 'no';
  const known = features(kernel);
  if (!isAge || known.feature('btf').answer === 'no') {
    return [];
  }
  return [...partsOf(btf)].filter((part) => known.feature(`btf ${part}`).answer === 'no');
}
