/**
 * What the kernel asks of what types refer to: `btf_check_all_types` of `kernel/bpf/btf.c` (6.18), which follows
 * each type to where its size is known. Pointers end a walk over structs, and structs one over pointers, so
 * that only types that contain themselves are refused.
 */

import type { Btf } from '../../obj/btf/btf.ts';
import { sizeOfType, skipModifiers } from '../../obj/btf/layout.ts';
import { BTF_KIND } from '../../uapi/btf-kinds.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { checkMember, isRegularInt } from './btf-members.ts';
import { badType, isIdentifier, type RawType, rawType, type TypeRefusal } from './btf-rules.ts';

/** `MAX_RESOLVE_DEPTH`. */
const DEEPEST = 32;

const MODIFIERS: readonly number[] = [
  BTF_KIND.TYPEDEF,
  BTF_KIND.VOLATILE,
  BTF_KIND.CONST,
  BTF_KIND.RESTRICT,
  BTF_KIND.TYPE_TAG,
];
const STRUCTS: readonly number[] = [BTF_KIND.STRUCT, BTF_KIND.UNION];
/** `btf_type_needs_resolve`. */
const REFERRING: readonly number[] = [
  ...MODIFIERS,
  ...STRUCTS,
  BTF_KIND.PTR,
  BTF_KIND.ARRAY,
  BTF_KIND.VAR,
  BTF_KIND.FUNC,
  BTF_KIND.DECL_TAG,
  BTF_KIND.DATASEC,
];
/** `btf_type_is_resolve_source_only`: nothing may be of such a type. */
const SOURCES: readonly number[] = [BTF_KIND.VAR, BTF_KIND.DECL_TAG, BTF_KIND.DATASEC];
/** What a pointer, or a modifier, may lead to although it has no size. */
const POINTED_AT: readonly number[] = [BTF_KIND.UNKN, BTF_KIND.FWD, BTF_KIND.FUNC_PROTO];
/** What a tag may be about. */
const TAGGED: readonly number[] = [...STRUCTS, BTF_KIND.FUNC, BTF_KIND.VAR, BTF_KIND.TYPEDEF];
const WHOLE = 0xffff_ffff;

/** What a walk stops at: decided by the first pointer, struct or array on it. */
type Mode = 'undecided' | 'pointers' | 'structs';

/** Why types are refused for what they refer to; null if they are not. */
export function checkReferences(btf: Btf): TypeRefusal | null {
  const walk = new Walk(btf);
  for (let id = 1; id < btf.typeCount; id += 1) {
    const refusal = walk.check(id);
    if (refusal !== null) {
      return refusal;
    }
  }
  return null;
}

class Walk {
  readonly #btf: Btf;
  /** By id: 1 while a type is being followed, 2 when it was. */
  readonly #states: Uint8Array;
  /** By id of a prototype: its first argument without a name, null if all have one. Functions share them. */
  readonly #nameless = new Map<number, number | null>();

  constructor(btf: Btf) {
    this.#btf = btf;
    this.#states = new Uint8Array(btf.typeCount);
  }

  check(id: number): TypeRefusal | null {
    const refusal = this.#followOnce(id);
    if (refusal !== null || this.#btf.kindOf(id) !== BTF_KIND.FUNC_PROTO) {
      return refusal;
    }
    return this.#checkPrototype(rawType(this.#btf, id));
  }

  #followOnce(id: number): TypeRefusal | null {
    const isDone = !REFERRING.includes(this.#btf.kindOf(id)) || this.#states[id] === 2;
    return isDone ? null : this.#follow(id, 'undecided', 0);
  }

  #follow(id: number, given: Mode, depth: number): TypeRefusal | null {
    if (this.#states[id] === 1) {
      return badType(id, 'Loop detected', ERRNO.EEXIST);
    }
    if (depth >= DEEPEST) {
      return badType(id, 'Exceeded max resolving depth', ERRNO.E2BIG);
    }
    this.#states[id] = 1;
    const type = rawType(this.#btf, id);
    const mode = given === 'undecided' ? modeOf(type.kind) : given;
    for (const next of targetsOf(this.#btf, type)) {
      if (!this.#isEnd(next, mode) && this.#states[next] !== 2) {
        const refusal = this.#follow(next, mode, depth + 1);
        if (refusal !== null) {
          return refusal;
        }
      }
    }
    this.#states[id] = 2;
    return this.#checkTargets(type);
  }

  /** `env_type_is_resolve_sink`. */
  #isEnd(id: number, mode: Mode): boolean {
    const kind = this.#btf.kindOf(id);
    if (mode === 'undecided') {
      return !REFERRING.includes(kind);
    }
    if (mode === 'pointers') {
      return !MODIFIERS.includes(kind) && kind !== BTF_KIND.PTR;
    }
    const isInside = MODIFIERS.includes(kind) || STRUCTS.includes(kind);
    return !isInside && kind !== BTF_KIND.ARRAY;
  }

  /** `btf_*_resolve`, behind the walk. */
  #checkTargets(type: RawType): TypeRefusal | null {
    const btf = this.#btf;
    const { id, kind, sizeOrType: target, rest } = type;
    if (MODIFIERS.includes(kind) || kind === BTF_KIND.PTR) {
      if (SOURCES.includes(btf.kindOf(target))) {
        return badType(id, 'Invalid type_id');
      }
      const behind = this.#behind(target);
      // A function that was followed stands for its prototype; one that was not is none.
      const isFunction = btf.kindOf(behind) === BTF_KIND.FUNC && this.#states[behind] === 2;
      const fits = isFunction || this.#hasSize(target) || POINTED_AT.includes(btf.kindOf(behind));
      return fits ? null : badType(id, 'Invalid type_id');
    }
    if (STRUCTS.includes(kind)) {
      return this.#checkStruct(type);
    }
    switch (kind) {
      case BTF_KIND.ARRAY: {
        const [element, index] = [btf.words[rest]!, btf.words[rest + 1]!];
        const isIndex = this.#isValue(index) && isRegularInt(btf, this.#behind(index));
        return this.#isValue(element) && isIndex ? null : badType(id, 'Invalid elem or index');
      }
      case BTF_KIND.VAR:
        return this.#isValue(target) ? null : badType(id, 'Invalid type_id');
      case BTF_KIND.DATASEC:
        return this.#checkVariables(type);
      case BTF_KIND.FUNC:
        return this.#checkFunction(type);
      case BTF_KIND.DECL_TAG:
        return this.#checkTag(type);
      default:
        return null;
    }
  }

  #checkStruct(type: RawType): TypeRefusal | null {
    for (let at = type.rest; at < type.rest + type.count * 3; at += 3) {
      const member = this.#btf.words[at + 1]!;
      if (!this.#isValue(member)) {
        return badType(type.id, 'Invalid member');
      }
      const text = checkMember(this.#btf, type, {
        typeId: this.#behind(member),
        size: sizeOfType(this.#btf, member),
        word: this.#btf.words[at + 2]!,
      });
      if (text !== null) {
        return badType(type.id, text);
      }
    }
    return null;
  }

  #checkVariables({ id, rest, count }: RawType): TypeRefusal | null {
    for (let at = rest; at < rest + count * 3; at += 3) {
      const variable = this.#btf.words[at]!;
      if (this.#btf.kindOf(variable) !== BTF_KIND.VAR) {
        return badType(id, 'Not a VAR kind member');
      }
      if (!this.#hasSize(variable) || this.#btf.words[at + 2]! < sizeOfType(this.#btf, variable)) {
        return badType(id, 'Invalid size');
      }
    }
    return null;
  }

  /** `btf_func_check`: what has a type has a name. */
  #checkFunction({ id, sizeOrType: prototype }: RawType): TypeRefusal | null {
    let nameless = this.#nameless.get(prototype);
    if (nameless === undefined) {
      nameless = this.#firstNameless(rawType(this.#btf, prototype));
      this.#nameless.set(prototype, nameless);
    }
    return nameless === null ? null : badType(id, `Invalid arg#${nameless + 1}`);
  }

  #firstNameless({ rest, count }: RawType): number | null {
    for (let index = 0; index < count; index += 1) {
      const at = rest + index * 2;
      if (this.#btf.words[at] === 0 && this.#btf.words[at + 1] !== 0) {
        return index;
      }
    }
    return null;
  }

  #checkTag({ id, sizeOrType: target, rest }: RawType): TypeRefusal | null {
    const type = target === 0 ? null : rawType(this.#btf, target);
    if (type === null || !TAGGED.includes(type.kind)) {
      return badType(id, 'Invalid type_id');
    }
    const component = this.#btf.words[rest]!;
    if (component === WHOLE) {
      return null;
    }
    const count = type.kind === BTF_KIND.FUNC ? rawType(this.#btf, type.sizeOrType).count : 0;
    const parts = STRUCTS.includes(type.kind) ? type.count : count;
    return component < parts ? null : badType(id, 'Invalid component_idx');
  }

  #checkPrototype({ id, sizeOrType: returned, rest, count }: RawType): TypeRefusal | null {
    const fits = (typeId: number) => this.#followOnce(typeId) === null && this.#isValue(typeId);
    if (returned !== 0 && !fits(returned)) {
      return badType(id, 'Invalid return type');
    }
    for (let index = 0; index < count; index += 1) {
      const [name, typeId] = [
        this.#btf.words[rest + index * 2]!,
        this.#btf.words[rest + index * 2 + 1]!,
      ];
      // The last one may be the rest of them: `...`.
      const isRest = typeId === 0 && index === count - 1 && name === 0;
      const isNamed = name === 0 || isIdentifier(this.#btf, name);
      if (!isRest && (typeId === 0 || !isNamed || !fits(typeId))) {
        return badType(id, `Invalid arg#${index + 1}`);
      }
    }
    return null;
  }

  /** Whether something can be of this type. */
  #isValue(id: number): boolean {
    return id !== 0 && !SOURCES.includes(this.#btf.kindOf(id)) && this.#hasSize(id);
  }

  #hasSize(id: number): boolean {
    try {
      sizeOfType(this.#btf, id);
      return true;
    } catch {
      return false;
    }
  }

  #behind(id: number): number {
    return skipModifiers(this.#btf, id);
  }
}

function modeOf(kind: number): Mode {
  if (kind === BTF_KIND.PTR) {
    return 'pointers';
  }
  return STRUCTS.includes(kind) || kind === BTF_KIND.ARRAY ? 'structs' : 'undecided';
}

/** Ids of the types that a type is followed to. */
function targetsOf(btf: Btf, { kind, sizeOrType, rest, count }: RawType): number[] {
  if (STRUCTS.includes(kind)) {
    return Array.from({ length: count }, (_, index) => btf.words[rest + index * 3 + 1]!);
  }
  if (kind === BTF_KIND.DATASEC) {
    return Array.from({ length: count }, (_, index) => btf.words[rest + index * 3]!);
  }
  if (kind === BTF_KIND.ARRAY) {
    return [btf.words[rest + 1]!, btf.words[rest]!];
  }
  return [sizeOrType];
}
