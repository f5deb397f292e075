/**
 * Whether members of structs have room in them: `btf_*_check_member` and `btf_*_check_kflag_member` of
 * `kernel/bpf/btf.c` (6.18).
 */

import type { Btf } from '../../obj/btf/btf.ts';
import { BTF_KIND } from '../../uapi/btf-kinds.ts';
import { type RawType, rawType } from './btf-rules.ts';

/** A member on its own. */
export interface RawMember {
  /** Its type behind typedefs and modifiers, and the bytes of that. */
  readonly typeId: number;
  readonly size: number;
  /** Its offset in bits, and where the struct has a flag for it, its bits in the highest byte. */
  readonly word: number;
}

const LARGEST_BITS = 128;
const ENUM_BITS = 32;
const REGULAR_BYTES: readonly number[] = [1, 2, 4, 8, 16];
const POINTER_BYTES = 8;

/** `btf_type_int_is_regular`: an integer that takes all of its bytes. */
export function isRegularInt(btf: Btf, id: number): boolean {
  const { kind, sizeOrType: size, rest } = rawType(btf, id);
  const data = kind === BTF_KIND.INT ? btf.words[rest]! : 0;
  return REGULAR_BYTES.includes(size) && (data & 0xff) === size * 8 && ((data >>> 16) & 0xff) === 0;
}

/** Why a member does not fit its struct, in the words of the kernel; null if it does. */
export function checkMember(btf: Btf, struct: RawType, member: RawMember): string | null {
  const type = rawType(btf, member.typeId);
  const bits = struct.hasFlag ? member.word >>> 24 : 0;
  const offset = struct.hasFlag ? member.word & 0xff_ffff : member.word;
  if (type.kind === BTF_KIND.INT) {
    return checkInt(btf, struct, type, { bits, offset });
  }
  const isEnum = type.kind === BTF_KIND.ENUM || type.kind === BTF_KIND.ENUM64;
  if (isEnum && struct.hasFlag) {
    if (bits > ENUM_BITS) {
      return 'Invalid member bitfield_size';
    }
    return (bits === 0 && offset % 8 !== 0) || !hasRoom(struct, offset, bits || ENUM_BITS)
      ? 'Member exceeds struct_size'
      : null;
  }
  if (bits !== 0) {
    return 'Invalid member bitfield_size';
  }
  if (offset % 8 !== 0) {
    return 'Member is not byte aligned';
  }
  const align = type.kind === BTF_KIND.FLOAT ? Math.min(POINTER_BYTES, type.sizeOrType) * 8 : 8;
  if (offset % align !== 0) {
    return 'Member is not properly aligned';
  }
  return hasRoom(struct, offset, member.size * 8) ? null : 'Member exceeds struct_size';
}

function checkInt(
  btf: Btf,
  struct: RawType,
  type: RawType,
  { bits, offset }: { readonly bits: number; readonly offset: number },
): string | null {
  const data = btf.words[type.rest]!;
  const whole = data & 0xff;
  let start = offset;
  if (!struct.hasFlag) {
    start += (data >>> 16) & 0xff;
  } else if (!isRegularInt(btf, type.id)) {
    return 'Invalid member base type';
  } else if (bits === 0 ? offset % 8 !== 0 : bits > whole) {
    return bits === 0 ? 'Invalid member offset' : 'Invalid member bitfield_size';
  }
  const copied = (bits || whole) + (start % 8);
  if (copied > LARGEST_BITS) {
    return `nr_copy_bits exceeds ${LARGEST_BITS}`;
  }
  return hasRoom(struct, start, bits || whole) ? null : 'Member exceeds struct_size';
}

function hasRoom(struct: RawType, offset: number, bits: number): boolean {
  return Math.ceil((offset + bits) / 8) <= struct.sizeOrType;
}
