/**
 * Sizes as CO-RE needs them: those of the kernel that the types are of, which may have pointers of 32
 * bits. BTF does not say; libbpf's `determine_ptr_size` takes the size of `long`, which is that of a
 * pointer on all that Linux runs on.
 */

import { BTF_KIND } from '../../uapi/btf-kinds.ts';
import type { Btf } from '../btf/btf.ts';
import { sizeOfType } from '../btf/layout.ts';

/** How compilers call `long` and `unsigned long`. */
const LONG = new Set([
  'long unsigned int',
  'long int',
  'unsigned long',
  'long',
  'int long',
  'long unsigned',
  'unsigned long int',
  'unsigned int long',
  'long int unsigned',
  'int unsigned long',
  'int long unsigned',
]);

const pointerSizes = new WeakMap<Btf, number>();

/** Bytes of a pointer: 4 or 8; 8 if the table has no `long`. */
export function pointerBytes(btf: Btf): number {
  let bytes = pointerSizes.get(btf);
  if (bytes === undefined) {
    bytes = btf.base === undefined ? sizeOfLong(btf) : pointerBytes(btf.base);
    pointerSizes.set(btf, bytes);
  }
  return bytes;
}

/** Says what is known of a table: the types of BPF programs have pointers of 8 bytes. */
export function setPointerBytes(btf: Btf, bytes: 4 | 8): void {
  pointerSizes.set(btf, bytes);
}

function sizeOfLong(btf: Btf): number {
  // Compilers describe the types they know first, so that this ends early.
  for (let id = 1; id < btf.typeCount; id += 1) {
    if (btf.kindOf(id) === BTF_KIND.INT) {
      const bytes = btf.sizeOrType(id);
      if ((bytes === 4 || bytes === 8) && LONG.has(btf.nameOf(id))) {
        return bytes;
      }
    }
  }
  return 8;
}

/**
 * Size of a type in bytes.
 *
 * @throws ObjectError `ERR_SKEP_BTF` for types without a size
 */
export function sizeIn(btf: Btf, id: number): number {
  return sizeOfType(btf, id, pointerBytes(btf));
}
