/**
 * Types that are loaded into the in-process kernel: `btf_parse_hdr` in `kernel/bpf/btf.c`, and the checks of
 * objects for what follows there.
 */

import { Btf } from '../../obj/btf/btf.ts';
import { checkBtf } from '../../obj/btf/check.ts';
import { sizeOfType } from '../../obj/btf/layout.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { refused } from '../refused.ts';

const HEADER_BYTES = 24;
const MAGIC_BYTES: readonly number[] = [0x9f, 0xeb];
/** What skep encodes, whatever kernel it is for. */
const HOST_IS_LITTLE = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/**
 * Reads types as the kernel does.
 *
 * @param littleEndian the byte order of its machine
 * @throws SyscallError with the reason; `ENOTSUPP` for a version to come
 */
export function parseTypes(bytes: Uint8Array, littleEndian: boolean): Btf {
  const refuse = (errno: number, reason: string, cause?: unknown) =>
    refused('BPF_BTF_LOAD', errno, 'BTF', reason, cause);
  let types: Btf;
  try {
    types = Btf.parse(bytes);
    checkBtf(types);
    for (const array of types.idsOfKind('array')) {
      // The kernel wants the size of each to fit 32 bits.
      sizeOfType(types, array);
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw refuse(isNewer(bytes) ? ERRNO.ENOTSUPP : ERRNO.EINVAL, reason, cause);
  }
  if (types.littleEndian !== littleEndian && types.littleEndian !== HOST_IS_LITTLE) {
    throw refuse(ERRNO.EINVAL, 'it has the byte order of another machine');
  }
  return types;
}

/** Whether it begins as BTF does, and is not of version 1 or has flags. */
function isNewer(bytes: Uint8Array): boolean {
  const [first = 0, second = 0, version, flags] = bytes;
  const isBtf = MAGIC_BYTES.includes(first) && MAGIC_BYTES.includes(second) && first !== second;
  return isBtf && bytes.length >= HEADER_BYTES && (version !== 1 || flags !== 0);
}
