/**
 * Sizes of BTF types as a C compiler for BPF lays them out. Pointers are 8 bytes
 * whatever the host. Every walk is bounded, so cycles in hostile BTF end in an error.
 */

import { BTF_KIND } from '../../uapi/btf-kinds.ts';
import type { Btf } from './btf.ts';
import type { BtfType } from './types.ts';

/** Longest chain of typedefs, modifiers and arrays that is followed (libbpf: MAX_RESOLVE_DEPTH). */
export const MAX_TYPE_DEPTH = 32;

const POINTER_BYTES = 8;
const MAX_SIZE = 0xffff_ffff;

/**
 * Strips `const`, `volatile`, `restrict`, type tags and typedefs.
 *
 * @returns the id of the first type that is none of these, 0 for void
 * @throws ObjectError `ERR_SKEP_BTF` if the chain is longer than {@link MAX_TYPE_DEPTH} (a cycle)
 */
export function skipModifiers(btf: Btf, id: number): number {
  let at = id;
  for (let depth = 0; depth <= MAX_TYPE_DEPTH; depth += 1) {
    switch (btf.kindOf(at)) {
      case BTF_KIND.TYPEDEF:
      case BTF_KIND.VOLATILE:
      case BTF_KIND.CONST:
      case BTF_KIND.RESTRICT:
      case BTF_KIND.TYPE_TAG:
        at = btf.sizeOrType(at);
        break;
      default:
        return at;
    }
  }
  throw btf.error(
    `type [${id}] is a chain of more than ${MAX_TYPE_DEPTH} typedefs or modifiers; do they form a cycle?`,
  );
}

/** {@link skipModifiers}, decoded. */
export function resolveType(btf: Btf, id: number): BtfType {
  return btf.type(skipModifiers(btf, id));
}

/**
 * Size of a type in bytes, through typedefs and arrays (libbpf's `btf__resolve_size`).
 *
 * @param pointerBytes size of a pointer, for the types of a 32-bit kernel
 * @throws ObjectError `ERR_SKEP_BTF` for types without a size (void, a function, a struct that is
 *   only declared), arrays over 4 GiB, and chains longer than {@link MAX_TYPE_DEPTH}
 */
export function sizeOfType(btf: Btf, id: number, pointerBytes = POINTER_BYTES): number {
  let at = id;
  let elements = 1;
  for (let depth = 0; depth < MAX_TYPE_DEPTH; depth += 1) {
    switch (btf.kindOf(at)) {
      case BTF_KIND.INT:
      case BTF_KIND.STRUCT:
      case BTF_KIND.UNION:
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64:
      case BTF_KIND.FLOAT:
      case BTF_KIND.DATASEC:
        return checkedSize(btf, id, elements * btf.sizeOrType(at));
      case BTF_KIND.PTR:
        return checkedSize(btf, id, elements * pointerBytes);
      case BTF_KIND.TYPEDEF:
      case BTF_KIND.VOLATILE:
      case BTF_KIND.CONST:
      case BTF_KIND.RESTRICT:
      case BTF_KIND.TYPE_TAG:
      case BTF_KIND.DECL_TAG:
      case BTF_KIND.VAR:
        at = btf.sizeOrType(at);
        break;
      case BTF_KIND.ARRAY: {
        const array = btf.type(at);
        if (array.kind === 'array') {
          elements = checkedSize(btf, id, elements * array.length);
          at = array.elementTypeId;
        }
        break;
      }
      default:
        throw btf.error(unsized(btf, at));
    }
  }
  throw btf.error(`type [${id}] nests more than ${MAX_TYPE_DEPTH} deep; does it contain itself?`);
}

function checkedSize(btf: Btf, id: number, size: number): number {
  if (size > MAX_SIZE) {
    throw btf.error(`type [${id}] is larger than 4 GiB`);
  }
  return size;
}

function unsized(btf: Btf, id: number): string {
  const type = btf.type(id);
  switch (type.kind) {
    case 'void':
      return 'void has no size';
    case 'fwd':
      return `${type.of} ${type.name} is only declared in this BTF, not defined; use it in the source (a variable of that type is enough) so that the compiler emits its definition`;
    default:
      return `type [${id}] (${type.kind}${type.name === '' ? '' : ` ${type.name}`}) has no size`;
  }
}
