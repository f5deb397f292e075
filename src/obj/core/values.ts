/**
 * The numbers that CO-RE puts into instructions: what each kind of relocation says of a member, a type or
 * an enumerator once it is found.
 *
 * Rules: libbpf's `bpf_core_calc_field_relo`, `bpf_core_calc_type_relo` and `bpf_core_calc_enumval_relo`
 * (relo_core.c), in their arithmetic of 32 and 64 bits.
 */

import { ObjectError } from '../../errors.ts';
import { BPF_CORE, coreKindName } from '../../uapi/core-kinds.ts';
import type { Btf } from '../btf/btf.ts';
import { MAX_TYPE_DEPTH, resolveType, skipModifiers } from '../btf/layout.ts';
import { spellType } from '../btf/spell.ts';
import type { BtfComposite, BtfMember, BtfType } from '../btf/types.ts';
import { sizeIn } from './sizes.ts';
import { accessText, type CoreSpec } from './spec.ts';

/** The answer to a relocation for one type. */
export interface CoreValue {
  /** 64 bits, unsigned. */
  readonly value: bigint;
  /** Whether the compiler is sure to have put the local value into the instruction. */
  readonly isCertain: boolean;
  /** What an instruction accesses at an offset; null for other kinds and for bitfields. */
  readonly access: AccessedType | null;
}

/** What is at an offset: arrays are accessed element by element. */
export interface AccessedType {
  readonly bytes: number;
  /** The type, typedefs skipped; the array and not its element for arrays. */
  readonly type: BtfType;
}

const EXISTS = { value: 1n, isCertain: true, access: null };

/**
 * The answer for something that was found.
 *
 * @param kind `BPF_CORE_*`, not TYPE_ID_LOCAL
 * @throws ObjectError `ERR_SKEP_PROGRAM` for what cannot be answered: a bitfield that no load of 64 bits
 *   covers, a question about an element that only members have an answer to
 */
export function coreValue(kind: number, spec: CoreSpec): CoreValue {
  switch (kind) {
    case BPF_CORE.FIELD_EXISTS:
    case BPF_CORE.TYPE_EXISTS:
    case BPF_CORE.TYPE_MATCHES:
    case BPF_CORE.ENUMVAL_EXISTS:
      return EXISTS;
    case BPF_CORE.TYPE_ID_TARGET:
      // Linkers renumber local types without looking into instructions.
      return { value: BigInt(spec.rootTypeId), isCertain: false, access: null };
    case BPF_CORE.TYPE_SIZE:
      return certain(sizeIn(spec.btf, spec.rootTypeId));
    case BPF_CORE.ENUMVAL_VALUE:
      return { value: enumeratorValue(spec), isCertain: true, access: null };
    default:
      return fieldValue(kind, spec);
  }
}

function certain(value: number): CoreValue {
  return { value: BigInt(value), isCertain: true, access: null };
}

/** As in BTF: 32 bits are extended with their sign whether the enum is signed or not. */
function enumeratorValue({ btf, steps }: CoreSpec): bigint {
  const { typeId, index } = steps[0]!;
  const type = btf.type(typeId);
  if (type.kind === 'enum') {
    return BigInt.asUintN(64, BigInt(type.values[index]!.value | 0));
  }
  if (type.kind === 'enum64') {
    return BigInt.asUintN(64, type.values[index]!.value);
  }
  throw btf.error(`type [${typeId}] is no enum`);
}

/** What is asked about a member with a name. */
function fieldValue(kind: number, spec: CoreSpec): CoreValue {
  const last = spec.steps.at(-1)!;
  if (last.name === null) {
    return elementValue(kind, spec, last.typeId);
  }
  const { btf, bitOffset } = spec;
  const member = (btf.type(last.typeId) as BtfComposite).members[last.index]!;
  const type = resolveType(btf, member.typeId);
  const isBitfield = member.bitSize > 0;
  const bytes = isBitfield ? bitfieldBytes(kind, spec, member, type) : sizeIn(btf, type.id);
  const bits = isBitfield ? member.bitSize : bytes * 8;
  const start = isBitfield
    ? Math.floor(Math.floor(bitOffset / 8) / bytes) * bytes
    : Math.floor(bitOffset / 8);
  // About bitfields the compiler may decide otherwise, except for signs and the shift to the right.
  switch (kind) {
    case BPF_CORE.FIELD_BYTE_OFFSET:
      return {
        value: BigInt(start),
        isCertain: !isBitfield,
        access: isBitfield ? null : { bytes: elementBytes(btf, type), type },
      };
    case BPF_CORE.FIELD_BYTE_SIZE:
      return { ...certain(bytes), isCertain: !isBitfield };
    case BPF_CORE.FIELD_SIGNED:
      return certain(isSigned(btf, type) ? 1 : 0);
    case BPF_CORE.FIELD_LSHIFT_U64: {
      const shift = btf.littleEndian
        ? 64 - (bitOffset + bits - start * 8)
        : (8 - bytes) * 8 + (bitOffset - start * 8);
      return { ...certain(shift >>> 0), isCertain: !isBitfield };
    }
    default:
      return certain((64 - bits) >>> 0);
  }
}

/** Elements have an offset and a size; they are no bitfields, so that nobody asks for more. */
function elementValue(kind: number, spec: CoreSpec, typeId: number): CoreValue {
  const { btf } = spec;
  const type = btf.type(typeId);
  switch (kind) {
    case BPF_CORE.FIELD_BYTE_OFFSET:
      return {
        ...certain(Math.floor(spec.bitOffset / 8)),
        access: { bytes: elementBytes(btf, type), type },
      };
    case BPF_CORE.FIELD_BYTE_SIZE:
      return certain(sizeIn(btf, typeId));
    default:
      throw unanswerable(kind, spec, 'an element of an array has no answer to that');
  }
}

/** Bytes of a type, of its innermost elements for arrays. */
function elementBytes(btf: Btf, type: BtfType): number {
  let at = type;
  for (let depth = 0; at.kind === 'array'; depth += 1) {
    if (depth > MAX_TYPE_DEPTH) {
      throw btf.error(`type [${type.id}] nests more than ${MAX_TYPE_DEPTH} arrays`);
    }
    at = btf.type(skipModifiers(btf, at.elementTypeId));
  }
  return sizeIn(btf, at.id);
}

/** Bytes of the load that covers a bitfield: those of its type, or more if it crosses their border. */
function bitfieldBytes(kind: number, spec: CoreSpec, member: BtfMember, type: BtfType): number {
  if (
    (type.kind !== 'int' && type.kind !== 'enum' && type.kind !== 'enum64') ||
    type.sizeBytes === 0
  ) {
    throw spec.btf.error(
      `a bitfield "${member.name}" is of type [${type.id}], which is no integer`,
    );
  }
  const byte = Math.floor(spec.bitOffset / 8);
  let bytes = type.sizeBytes;
  while (spec.bitOffset + member.bitSize - Math.floor(byte / bytes) * bytes * 8 > bytes * 8) {
    if (bytes >= 8) {
      throw unanswerable(kind, spec, 'no load of 64 bits covers the bitfield');
    }
    bytes *= 2;
  }
  return bytes;
}

/** Enums say it by their kind flag, integers by their encoding; nothing else has a sign. */
function isSigned(btf: Btf, type: BtfType): boolean {
  switch (type.kind) {
    case 'enum':
    case 'enum64':
      return type.signed;
    case 'int':
      return ((btf.detailOf(type.id) >>> 24) & 1) === 1;
    default:
      return false;
  }
}

function unanswerable(kind: number, spec: CoreSpec, problem: string): ObjectError {
  return new ObjectError(
    'ERR_SKEP_PROGRAM',
    `CO-RE: ${coreKindName(kind)} of "${accessText(spec)}" in ${spellType(spec.btf, spec.rootTypeId)}: ${problem}`,
  );
}
