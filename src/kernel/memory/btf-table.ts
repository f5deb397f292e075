/**
 * Types that are loaded into the in-process kernel: `btf_parse_hdr` in `kernel/bpf/btf.c`, and what it
 * asks of types.
 */

import { Btf } from '../../obj/btf/btf.ts';
import { checkBtf } from '../../obj/btf/check.ts';
import { sizeOfType } from '../../obj/btf/layout.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { refused } from '../refused.ts';
import { checkReferences } from './btf-resolve.ts';
import { checkForm, type TypeRefusal } from './btf-rules.ts';

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
  let refusal: TypeRefusal | null;
  try {
    types = Btf.parse(bytes);
    checkBtf(types);
    refusal = checkTypes(types);
    for (const array of types.idsOfKind('array')) {
      // The kernel wants the size of each to fit 32 bits.
      if (refusal === null) sizeOfType(types, array);
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw refuse(isNewer(bytes) ? ERRNO.ENOTSUPP : ERRNO.EINVAL, reason, cause);
  }
  if (refusal !== null) {
    throw refuse(refusal.errno, refusal.text);
  }
  if (types.littleEndian !== littleEndian && types.littleEndian !== HOST_IS_LITTLE) {
    throw refuse(ERRNO.EINVAL, 'it has the byte order of another machine');
  }
  return types;
}

/** What the kernel looks at, in its order: each type, then what they refer to. */
function checkTypes(types: Btf): TypeRefusal | null {
  if (types.typeCount <= 1) {
    return { errno: ERRNO.EINVAL, text: 'No type found' };
  }
  for (let id = 1; id < types.typeCount; id += 1) {
    const refusal = checkForm(types, id);
    if (refusal !== null) {
      return refusal;
    }
  }
  return checkReferences(types);
}

/** Whether it begins as BTF does, and is not of version 1 or has flags. */
function isNewer(bytes: Uint8Array): boolean {
  const [first = 0, second = 0, version, flags] = bytes;
  const isBtf = MAGIC_BYTES.includes(first) && MAGIC_BYTES.includes(second) && first !== second;
  return isBtf && bytes.length >= HEADER_BYTES && (version !== 1 || flags !== 0);
}
