/** The types of a map that is in the kernel, from the BTF that the kernel keeps with it. */

import type { Codec } from '../codec/codec.ts';
import { type BtfCodecOptions, codecOf } from '../codec/from-btf.ts';
import type { Kernel, MapInfo } from '../kernel/kernel.ts';
import { Btf } from '../obj/btf/btf.ts';
import { BTF_KIND } from '../uapi/btf-kinds.ts';

/** How a map's keys and values look; null where the kernel knows no type. */
export interface LiveTypes {
  readonly key: Codec<unknown, unknown> | null;
  /** Of one CPU's value in per-CPU maps. */
  readonly value: Codec<unknown, unknown> | null;
}

/**
 * Asks the kernel for the types that a map was created with. Needs CAP_SYS_ADMIN.
 *
 * @throws SyscallError `EPERM` without it
 * @throws ObjectError `ERR_SKEP_BTF` for a type that has no values
 */
export function liveTypes(kernel: Kernel, info: MapInfo, options: BtfCodecOptions = {}): LiveTypes {
  if (info.btfId === 0) {
    return { key: null, value: null };
  }
  const btf = Btf.parse(kernel.readBtf(info.btfId), `the kernel's BTF ${info.btfId}`);
  const codec = (typeId: number) => (typeId === 0 ? null : codecOf(btf, typeId, options));
  return {
    key: codec(info.keyTypeId),
    // A data section's value is the section as a whole, which is no type of a value.
    value: btf.kindOf(info.valueTypeId) === BTF_KIND.DATASEC ? null : codec(info.valueTypeId),
  };
}
