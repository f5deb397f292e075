/**
 * Which types may stand for each other, loosely: the two relations of CO-RE that only look at kinds.
 *
 * Rules: libbpf's `bpf_core_fields_are_compat` and `__bpf_core_types_are_compat` (relo_core.c).
 */

import { BTF_KIND } from '../../uapi/btf-kinds.ts';
import type { Btf } from '../btf/btf.ts';
import { MAX_TYPE_DEPTH, skipModifiers } from '../btf/layout.ts';
import { areKindsCompatible } from './candidates.ts';
import { essentialName } from './names.ts';

/** A type of a table. */
export interface TypeIn {
  readonly btf: Btf;
  readonly id: number;
}

/** The two types, without typedefs and modifiers. */
function skipBoth(local: TypeIn, target: TypeIn): [number, number] {
  return [skipModifiers(local.btf, local.id), skipModifiers(target.btf, target.id)];
}

/**
 * Whether a member of one type may be accessed as if it were of the other: structs and unions, pointers,
 * integers of any size, floats; arrays by their elements; enums and declarations by their names.
 *
 * @throws ObjectError `ERR_SKEP_BTF` for arrays that nest too deeply
 */
export function areFieldsCompatible(local: TypeIn, target: TypeIn): boolean {
  let [localId, targetId] = skipBoth(local, target);
  for (let depth = 0; depth <= MAX_TYPE_DEPTH; depth += 1) {
    const kind = local.btf.kindOf(localId);
    const targetKind = target.btf.kindOf(targetId);
    if (isComposite(kind) && isComposite(targetKind)) {
      return true;
    }
    if (!areKindsCompatible(kind, targetKind)) {
      return false;
    }
    switch (kind) {
      case BTF_KIND.PTR:
      case BTF_KIND.FLOAT:
        return true;
      case BTF_KIND.FWD:
      case BTF_KIND.ENUM:
      case BTF_KIND.ENUM64: {
        const name = essentialName(local.btf.nameOf(localId));
        const targetName = essentialName(target.btf.nameOf(targetId));
        return name === '' || targetName === '' || name === targetName;
      }
      case BTF_KIND.INT:
        return areWholeIntegers(local.btf, localId, target.btf, targetId);
      case BTF_KIND.ARRAY:
        localId = skipModifiers(local.btf, local.btf.arrayElement(localId));
        targetId = skipModifiers(target.btf, target.btf.arrayElement(targetId));
        break;
      default:
        return false;
    }
  }
  throw tooDeep(local);
}

/** Whether a kind (`BTF_KIND_*`) is a struct or a union. */
function isComposite(kind: number): boolean {
  return kind === BTF_KIND.STRUCT || kind === BTF_KIND.UNION;
}

/** Old compilers described bitfields as integers that start at a bit; those are never compatible. */
function areWholeIntegers(local: Btf, localId: number, target: Btf, targetId: number): boolean {
  return bitOffsetOf(local, localId) === 0 && bitOffsetOf(target, targetId) === 0;
}

/** Bits 16 to 23 of what an integer says of itself. */
function bitOffsetOf(btf: Btf, id: number): number {
  return (btf.detailOf(id) >>> 16) & 0xff;
}

/**
 * Whether two types are the same as far as `bpf_core_type_exists` cares: of the same kind, followed
 * through pointers, arrays, parameters and results, names and sizes aside.
 *
 * @throws ObjectError `ERR_SKEP_BTF` for types that nest too deeply
 */
export function areTypesCompatible(local: TypeIn, target: TypeIn): boolean {
  if (!areKindsCompatible(local.btf.kindOf(local.id), target.btf.kindOf(target.id))) {
    return false;
  }
  return new Comparison(local, target).compare(local.id, target.id, MAX_TYPE_DEPTH);
}

/** One comparison for `type_exists`. */
class Comparison {
  readonly #local: TypeIn;
  readonly #target: TypeIn;
  /** Prototypes that turned out compatible: each pair is looked at once, however often it is met. */
  readonly #known = new Set<string>();

  constructor(local: TypeIn, target: TypeIn) {
    this.#local = local;
    this.#target = target;
  }

  /** @param level how many prototypes deeper it may go */
  compare(local: number, target: number, level: number): boolean {
    const { btf } = this.#local;
    const { btf: targetBtf } = this.#target;
    let localId = local;
    let targetId = target;
    for (let depth = 0; depth < MAX_TYPE_DEPTH; depth += 1) {
      localId = skipModifiers(btf, localId);
      targetId = skipModifiers(targetBtf, targetId);
      const kind = btf.kindOf(localId);
      if (!areKindsCompatible(kind, targetBtf.kindOf(targetId))) {
        return false;
      }
      switch (kind) {
        case 0:
        case BTF_KIND.STRUCT:
        case BTF_KIND.UNION:
        case BTF_KIND.ENUM:
        case BTF_KIND.ENUM64:
        case BTF_KIND.FWD:
          return true;
        case BTF_KIND.INT:
          return areWholeIntegers(btf, localId, targetBtf, targetId);
        case BTF_KIND.PTR:
          localId = btf.sizeOrType(localId);
          targetId = targetBtf.sizeOrType(targetId);
          break;
        case BTF_KIND.ARRAY:
          localId = btf.arrayElement(localId);
          targetId = targetBtf.arrayElement(targetId);
          break;
        case BTF_KIND.FUNC_PROTO:
          if (!this.#compareParameters(localId, targetId, level)) {
            return false;
          }
          // The result is compared as a tail.
          localId = btf.sizeOrType(localId);
          targetId = targetBtf.sizeOrType(targetId);
          break;
        default:
          return false;
      }
    }
    throw tooDeep(this.#local);
  }

  /** As many parameters, each compatible. */
  #compareParameters(localId: number, targetId: number, level: number): boolean {
    const local = this.#local.btf.type(localId);
    const target = this.#target.btf.type(targetId);
    if (local.kind !== 'func_proto' || target.kind !== 'func_proto') {
      return false;
    }
    if (local.parameters.length !== target.parameters.length) {
      return false;
    }
    const pair = `${localId}:${targetId}`;
    if (this.#known.has(pair)) {
      return true;
    }
    for (const [index, { typeId }] of local.parameters.entries()) {
      if (level <= 0) {
        throw tooDeep(this.#local);
      }
      if (!this.compare(typeId, target.parameters[index]!.typeId, level - 1)) {
        return false;
      }
    }
    this.#known.add(pair);
    return true;
  }
}

function tooDeep({ btf, id }: TypeIn): Error {
  return btf.error(
    `type [${id}] nests more than ${MAX_TYPE_DEPTH} deep, too deep to be compared; does it contain itself?`,
  );
}
