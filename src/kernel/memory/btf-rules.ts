/**
 * What the kernel asks of each type before it looks at what the type refers to: `btf_*_check_meta` of
 * `kernel/bpf/btf.c` (6.18), with the words of its log.
 */

import type { Btf } from '../../obj/btf/btf.ts';
import { BTF_INT, BTF_KIND } from '../../uapi/btf-kinds.ts';
import { ERRNO } from '../../uapi/errno.ts';

/** Why types are refused. */
export interface TypeRefusal {
  readonly errno: number;
  readonly text: string;
}

/** A type as it stands in the table. */
export interface RawType {
  readonly id: number;
  readonly kind: number;
  readonly nameOffset: number;
  readonly count: number;
  readonly hasFlag: boolean;
  readonly sizeOrType: number;
  /** The place in the words of the table of what follows the common three. */
  readonly rest: number;
}

/** `BTF_INT_MASK`. */
const INT_MASK = 0x0fff_ffff;
const INT_ENCODINGS: readonly number[] = [0, BTF_INT.SIGNED, BTF_INT.CHAR, BTF_INT.BOOL];
/** `BITS_PER_U128`. */
const LARGEST_INT_BITS = 128;
/** `BTF_INFO_MASK`: the bits of the second word that mean something. */
const INFO_MASK = 0x9f00_ffff;
const ENUM_BYTES: readonly number[] = [1, 2, 4, 8];
/** `KSYM_NAME_LEN`: the most bytes of a name. */
const LONGEST_NAME = 512;
const FLOAT_BYTES: readonly number[] = [2, 4, 8, 12, 16];
/** `BTF_FUNC_GLOBAL`, `BTF_VAR_GLOBAL_ALLOCATED`: what is only declared is not for the kernel. */
const HIGHEST_LINKAGE = 1;

/** Kinds with a name that must be one; with one that may be; without. Others may be called anything. */
const NAMED: readonly number[] = [BTF_KIND.TYPEDEF, BTF_KIND.FWD, BTF_KIND.FUNC, BTF_KIND.VAR];
const MAY_BE_NAMED: readonly number[] = [
  BTF_KIND.STRUCT,
  BTF_KIND.UNION,
  BTF_KIND.ENUM,
  BTF_KIND.ENUM64,
];
const NAMELESS: readonly number[] = [
  BTF_KIND.PTR,
  BTF_KIND.CONST,
  BTF_KIND.VOLATILE,
  BTF_KIND.RESTRICT,
  BTF_KIND.ARRAY,
  BTF_KIND.FUNC_PROTO,
];
/** Kinds that have entries; a function has its linkage there. */
const COUNTED: readonly number[] = [
  BTF_KIND.STRUCT,
  BTF_KIND.UNION,
  BTF_KIND.ENUM,
  BTF_KIND.ENUM64,
  BTF_KIND.FUNC,
  BTF_KIND.FUNC_PROTO,
  BTF_KIND.DATASEC,
];
/** Kinds with a flag: bit fields, a union, signs, attributes. */
const FLAGGED: readonly number[] = [
  BTF_KIND.STRUCT,
  BTF_KIND.UNION,
  BTF_KIND.ENUM,
  BTF_KIND.ENUM64,
  BTF_KIND.FWD,
  BTF_KIND.DECL_TAG,
  BTF_KIND.TYPE_TAG,
];

/** A refusal with the usual number. */
export function badType(id: number, text: string, errno: number = ERRNO.EINVAL): TypeRefusal {
  return { errno, text: `type [${id}]: ${text}` };
}

/** Reads a type without decoding it. */
export function rawType(btf: Btf, id: number): RawType {
  const at = btf.starts[id]!;
  const info = btf.words[at + 1]!;
  return {
    id,
    kind: (info >>> 24) & 0x1f,
    nameOffset: btf.words[at]!,
    count: info & 0xffff,
    hasFlag: info >>> 31 === 1,
    sizeOrType: btf.words[at + 2]!,
    rest: at + 3,
  };
}

/** Why a type is refused for what stands in it; null if it is not. */
export function checkForm(btf: Btf, id: number): TypeRefusal | null {
  const type = rawType(btf, id);
  if ((btf.words[type.rest - 2]! & ~INFO_MASK) !== 0) {
    return badType(id, 'Invalid btf_info');
  }
  if (type.count !== 0 && !COUNTED.includes(type.kind)) {
    return badType(id, 'vlen != 0');
  }
  if (type.hasFlag && !FLAGGED.includes(type.kind)) {
    return badType(id, 'Invalid btf_info kind_flag');
  }
  return checkTypeName(btf, type) ?? checkKind(btf, type);
}

function checkTypeName(btf: Btf, { id, kind, nameOffset }: RawType): TypeRefusal | null {
  const isNameless = nameOffset === 0;
  const wrong =
    (NAMED.includes(kind) && (isNameless || !isIdentifier(btf, nameOffset))) ||
    (MAY_BE_NAMED.includes(kind) && !isNameless && !isIdentifier(btf, nameOffset)) ||
    (NAMELESS.includes(kind) && !isNameless) ||
    (kind === BTF_KIND.DATASEC && !isSectionName(btf, nameOffset)) ||
    (kind === BTF_KIND.TYPE_TAG && isNameless) ||
    (kind === BTF_KIND.DECL_TAG && isNameless);
  return wrong ? badType(id, 'Invalid name') : null;
}

function checkKind(btf: Btf, type: RawType): TypeRefusal | null {
  const { id, kind, sizeOrType, rest } = type;
  switch (kind) {
    case BTF_KIND.INT:
      return checkInt(id, sizeOrType, btf.words[rest]!);
    case BTF_KIND.ARRAY:
      return sizeOrType === 0 ? null : badType(id, 'size != 0');
    case BTF_KIND.FWD:
      return sizeOrType === 0 ? null : badType(id, 'type != 0');
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
      return checkMembers(btf, type);
    case BTF_KIND.ENUM:
    case BTF_KIND.ENUM64:
      return checkEnumerators(btf, type);
    case BTF_KIND.FLOAT:
      return FLOAT_BYTES.includes(sizeOrType) ? null : badType(id, 'Invalid type_size');
    case BTF_KIND.FUNC:
      return type.count <= HIGHEST_LINKAGE ? null : badType(id, 'Invalid func linkage');
    case BTF_KIND.VAR:
      if (sizeOrType === 0) {
        return badType(id, 'Invalid type_id');
      }
      return btf.words[rest]! <= HIGHEST_LINKAGE ? null : badType(id, 'Linkage not supported');
    case BTF_KIND.DATASEC:
      return checkSection(btf, type);
    default:
      return null;
  }
}

function checkInt(id: number, size: number, data: number): TypeRefusal | null {
  if ((data & ~INT_MASK) !== 0) {
    return badType(id, `Invalid int_data:${data.toString(16)}`);
  }
  const bits = (data & 0xff) + ((data >>> 16) & 0xff);
  if (bits > LARGEST_INT_BITS) {
    return badType(id, `nr_bits exceeds ${LARGEST_INT_BITS}`);
  }
  if (Math.ceil(bits / 8) > size) {
    return badType(id, 'nr_bits exceeds type_size');
  }
  return INT_ENCODINGS.includes(data >>> 24)
    ? null
    : badType(id, 'Unsupported encoding', ERRNO.ENOTSUPP);
}

function checkMembers(btf: Btf, type: RawType): TypeRefusal | null {
  const { id, kind, count, sizeOrType: size, hasFlag, rest } = type;
  let before = 0;
  for (let at = rest; at < rest + count * 3; at += 3) {
    const [name, typeId, word] = [btf.words[at]!, btf.words[at + 1]!, btf.words[at + 2]!];
    const offset = hasFlag ? word & 0xff_ffff : word;
    if (name !== 0 && !isIdentifier(btf, name)) {
      return badType(id, `Invalid member name_offset:${name}`);
    }
    if (typeId === 0) {
      return badType(id, 'Invalid type_id');
    }
    if ((kind === BTF_KIND.UNION && offset !== 0) || before > offset) {
      return badType(id, 'Invalid member bits_offset');
    }
    if (Math.ceil(offset / 8) > size) {
      return badType(id, 'Member bits_offset exceeds its struct size');
    }
    before = offset;
  }
  return null;
}

function checkEnumerators(btf: Btf, type: RawType): TypeRefusal | null {
  const { id, kind, count, sizeOrType: size, rest } = type;
  if (!ENUM_BYTES.includes(size)) {
    return badType(id, 'Unexpected size');
  }
  const each = kind === BTF_KIND.ENUM ? 2 : 3;
  for (let at = rest; at < rest + count * each; at += each) {
    if (!isIdentifier(btf, btf.words[at]!)) {
      return badType(id, 'Invalid name');
    }
  }
  return null;
}

function checkSection(btf: Btf, type: RawType): TypeRefusal | null {
  const { id, count, sizeOrType: size, rest } = type;
  if (size === 0) {
    return badType(id, 'size == 0');
  }
  let end = 0;
  for (let at = rest; at < rest + count * 3; at += 3) {
    const [typeId, offset, bytes] = [btf.words[at]!, btf.words[at + 1]!, btf.words[at + 2]!];
    if (typeId === 0) {
      return badType(id, 'Invalid type_id');
    }
    if (offset < end || offset >= size) {
      return badType(id, 'Invalid offset');
    }
    if (bytes === 0 || bytes > size) {
      return badType(id, 'Invalid size');
    }
    end = offset + bytes;
    if (end > size) {
      return badType(id, 'Invalid offset+size');
    }
  }
  return null;
}

/** `btf_name_valid_identifier`. */
export function isIdentifier(btf: Btf, offset: number): boolean {
  const { bytes } = btf.strings;
  return !isDigit(bytes[offset]!) && isNameOf(bytes, offset, isLetterOrDigit);
}

/** `btf_name_valid_section`. */
function isSectionName(btf: Btf, offset: number): boolean {
  return isNameOf(btf.strings.bytes, offset, isPrintable);
}

/** Whether a name is of such characters only, has some, and not too many of them. */
function isNameOf(bytes: Uint8Array, offset: number, fits: (byte: number) => boolean): boolean {
  let at = offset;
  while (at < offset + LONGEST_NAME && fits(bytes[at]!)) {
    at += 1;
  }
  return at > offset && bytes[at] === 0;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** `isalnum`, `_` and `.`. */
function isLetterOrDigit(byte: number): boolean {
  const letter = byte | 0x20;
  const isLetter = letter >= 0x61 && letter <= 0x7a;
  return isLetter || isDigit(byte) || byte === 0x5f || byte === 0x2e;
}

function isPrintable(byte: number): boolean {
  return byte >= 0x20 && byte <= 0x7e;
}
