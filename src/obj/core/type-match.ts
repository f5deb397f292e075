/**
 * Whether two types match member by member, as `bpf_core_type_matches` asks: the local type may leave
 * members and enumerators out, but what it has must be the same in the kernel.
 *
 * Rules: libbpf's `__bpf_core_types_match` (relo_core.c). Unlike there, structs and prototypes that were
 * compared once are not compared again, so that types that contain each other many times over cost no
 * more than there are pairs of them.
 */

import { BTF_KIND } from '../../uapi/btf-kinds.ts';
import type { Btf } from '../btf/btf.ts';
import { MAX_TYPE_DEPTH, skipModifiers } from '../btf/layout.ts';
import { spellType } from '../btf/spell.ts';
import type { BtfComposite, BtfEnum, BtfEnum64, BtfPrototype } from '../btf/types.ts';
import { isEnumKind } from './candidates.ts';
import { essentialName } from './names.ts';

/** Null for types that match, else why they do not. */
type Mismatch = string | null;

/**
 * Why a type of the kernel does not match a local type of that name; null if it does.
 *
 * @throws ObjectError `ERR_SKEP_BTF` for types that nest too deeply
 */
export function typeMismatch(local: Btf, localId: number, target: Btf, targetId: number): Mismatch {
  return new TypeMatch(local, target).compare(localId, targetId, false, MAX_TYPE_DEPTH);
}

/** Of members with one name each is compared with each; nobody writes as many as that takes. */
const MAX_COMPARISONS = 100_000;

/** Where a comparison is: behind a pointer, structs are compared by name only. */
interface Place {
  readonly behindPointer: boolean;
  /** How many structs and prototypes deeper it may go. */
  readonly level: number;
}

class TypeMatch {
  readonly #local: Btf;
  readonly #target: Btf;
  /** Members that are being looked at, for messages. */
  readonly #path: string[] = [];
  /** How many types so far. */
  #compared = 0;
  /** What was compared: by ids, and whether behind a pointer. */
  readonly #known = new Map<string, Mismatch>();

  constructor(local: Btf, target: Btf) {
    this.#local = local;
    this.#target = target;
  }

  /**
   * Compares two types of any kind.
   *
   * @param level how many structs and prototypes deeper it may go; chains of pointers and arrays have a
   *   limit of their own
   */
  compare(local: number, target: number, isBehindPointer: boolean, level: number): Mismatch {
    if (level <= 0) {
      throw this.#tooDeep(local);
    }
    this.#compared += 1;
    if (this.#compared > MAX_COMPARISONS) {
      throw this.#local.error(
        `type [${local}] takes more than ${MAX_COMPARISONS} comparisons of members with one name`,
      );
    }
    let localId = local;
    let targetId = target;
    let behindPointer = isBehindPointer;
    for (let depth = 0; depth < MAX_TYPE_DEPTH; depth += 1) {
      localId = skipModifiers(this.#local, localId);
      targetId = skipModifiers(this.#target, targetId);
      const ends = this.#compareHere(localId, targetId, { behindPointer, level });
      if (ends !== undefined) {
        return ends;
      }
      // A pointer, an array, a prototype: go on with what it points to, consists of, returns.
      const kind = this.#local.kindOf(localId);
      behindPointer ||= kind === BTF_KIND.PTR;
      const isArray = kind === BTF_KIND.ARRAY;
      localId = isArray ? this.#local.arrayElement(localId) : this.#local.sizeOrType(localId);
      targetId = isArray ? this.#target.arrayElement(targetId) : this.#target.sizeOrType(targetId);
    }
    throw this.#tooDeep(local);
  }

  /** Compares two types themselves; undefined if the answer is that of the type behind them. */
  #compareHere(localId: number, targetId: number, place: Place): Mismatch | undefined {
    const local = this.#local.type(localId);
    const target = this.#target.type(targetId);
    // After typedefs: `u32` matches `__u32`, but `int` does not match `long` of the same size.
    if (!areNamesEqual(local.name, target.name)) {
      return this.#different(localId, targetId);
    }
    const kind = this.#local.kindOf(localId);
    const isSameKind = kind === this.#target.kindOf(targetId);
    switch (local.kind) {
      case 'fwd':
        if (target.kind === 'fwd') {
          return local.of === target.of ? null : this.#different(localId, targetId);
        }
        return place.behindPointer && target.kind === local.of
          ? null
          : this.#different(localId, targetId);
      case 'enum':
      case 'enum64':
        return isEnumKind(this.#target.kindOf(targetId))
          ? this.#compareEnums(local, target as BtfEnum | BtfEnum64)
          : this.#different(localId, targetId);
      case 'struct':
      case 'union':
        return this.#compareComposites(local, targetId, place);
      case 'void':
      case 'int':
        return isSameKind && (local.kind === 'void' || this.#areIntegersEqual(localId, targetId))
          ? null
          : this.#different(localId, targetId);
      case 'ptr':
        return isSameKind ? undefined : this.#different(localId, targetId);
      case 'array':
        return target.kind === 'array' && target.length === local.length
          ? undefined
          : this.#different(localId, targetId);
      case 'func_proto':
        return target.kind === 'func_proto'
          ? this.#compareParameters(local, target, place)
          : this.#different(localId, targetId);
      default:
        // Floats among them: libbpf gives up on every other kind.
        return `${this.#subject()}${local.kind} types are not compared`;
    }
  }

  /** By size and sign; `char` and `bool` are told apart by name. */
  #areIntegersEqual(localId: number, targetId: number): boolean {
    const isSigned = (btf: Btf, id: number) => ((btf.detailOf(id) >>> 24) & 1) === 1;
    return (
      this.#local.sizeOrType(localId) === this.#target.sizeOrType(targetId) &&
      isSigned(this.#local, localId) === isSigned(this.#target, targetId)
    );
  }

  /** Numbers may differ: programs ask for them. Enums of 32 bits match those of 64 only if their sizes do. */
  #compareEnums(local: BtfEnum | BtfEnum64, target: BtfEnum | BtfEnum64): Mismatch {
    if (local.sizeBytes !== target.sizeBytes) {
      return `${this.#subject()}it has ${target.sizeBytes} bytes there, ${local.sizeBytes} here`;
    }
    if (local.values.length > target.values.length) {
      return `${this.#subject()}it has fewer enumerators there (${target.values.length}) than here (${local.values.length})`;
    }
    const names = new Set(target.values.map(({ name }) => essentialName(name)));
    const missing = local.values.find(({ name }) => !names.has(essentialName(name)));
    return missing === undefined
      ? null
      : `${this.#subject()}it has no enumerator "${missing.name}"`;
  }

  /** Behind a pointer the kind is all that counts, and a declaration is as good as a definition. */
  #compareComposites(local: BtfComposite, targetId: number, place: Place): Mismatch {
    const target = this.#target.type(targetId);
    const isSameKind = target.kind === local.kind;
    if (place.behindPointer) {
      const isDeclared = target.kind === 'fwd' && target.of === local.kind;
      return isSameKind || isDeclared ? null : this.#different(local.id, targetId);
    }
    if (!isSameKind) {
      return this.#different(local.id, targetId);
    }
    return this.#once(local.id, targetId, place, () =>
      this.#compareMembers(local, target as BtfComposite, place),
    );
  }

  /** Every local member must be there; of several with one name, such as none, any will do. */
  #compareMembers(local: BtfComposite, target: BtfComposite, { level }: Place): Mismatch {
    if (local.members.length > target.members.length) {
      return `${this.#subject()}it has fewer members there (${target.members.length}) than here (${local.members.length})`;
    }
    const byName = new Map<string, number[]>();
    for (const { name, typeId } of target.members) {
      const key = essentialName(name);
      const sameName = byName.get(key) ?? [];
      byName.set(key, sameName);
      sameName.push(typeId);
    }
    for (const { name, typeId } of local.members) {
      const sameName = byName.get(essentialName(name)) ?? [];
      this.#path.push(name);
      let mismatch: Mismatch = `there is no member "${this.#path.join('.')}"`;
      for (const targetType of sameName) {
        mismatch = this.compare(typeId, targetType, false, level - 1);
        if (mismatch === null) {
          break;
        }
      }
      this.#path.pop();
      if (mismatch !== null) {
        return mismatch;
      }
    }
    return null;
  }

  /** Undefined if the parameters match: the result is still to be compared. */
  #compareParameters(
    local: BtfPrototype,
    target: BtfPrototype,
    place: Place,
  ): Mismatch | undefined {
    if (local.parameters.length !== target.parameters.length) {
      return this.#different(local.id, target.id);
    }
    const mismatch = this.#once(local.id, target.id, place, () => {
      for (const [index, { typeId }] of local.parameters.entries()) {
        const targetType = target.parameters[index]!.typeId;
        const own = this.compare(typeId, targetType, place.behindPointer, place.level - 1);
        if (own !== null) {
          return own;
        }
      }
      return null;
    });
    return mismatch ?? undefined;
  }

  /** Compares structs or prototypes, or says what came of it before. */
  #once(localId: number, targetId: number, place: Place, compare: () => Mismatch): Mismatch {
    const key = `${localId}:${targetId}:${place.behindPointer}`;
    let known = this.#known.get(key);
    if (known === undefined) {
      known = compare();
      this.#known.set(key, known);
    }
    return known;
  }

  #different(localId: number, targetId: number): string {
    return `${this.#subject()}it is ${quote(this.#target, targetId)} there, ${quote(this.#local, localId)} here`;
  }

  /** The member that is being looked at, to begin a message with; '' for the type itself. */
  #subject(): string {
    const path = this.#path.filter((name) => name !== '');
    return path.length === 0 ? '' : `member "${path.join('.')}": `;
  }

  #tooDeep(id: number): Error {
    return this.#local.error(
      `type [${id}] nests more than ${MAX_TYPE_DEPTH} deep, too deep to be compared; does it contain itself?`,
    );
  }
}

function quote(btf: Btf, id: number): string {
  return `"${spellType(btf, id)}"`;
}

/** Flavours aside; what has no name matches only what has none. */
function areNamesEqual(local: string, target: string): boolean {
  return local === target || (target !== '' && essentialName(local) === essentialName(target));
}
