/**
 * Finds in a type of the kernel what a path names in a local type: the same members by name, wherever
 * they are, the same elements, the same enumerator.
 *
 * Rules: libbpf's `bpf_core_spec_match` and `bpf_core_match_member` (relo_core.c).
 */

import type { Btf } from '../btf/btf.ts';
import { skipModifiers } from '../btf/layout.ts';
import { spellType } from '../btf/spell.ts';
import type { BtfComposite, BtfEnum, BtfEnum64, BtfMember } from '../btf/types.ts';
import { areFieldsCompatible, areTypesCompatible } from './compatible.ts';
import type { CoreSubject } from './kinds.ts';
import { essentialName } from './names.ts';
import { sizeIn } from './sizes.ts';
import {
  addBits,
  type CoreSpec,
  isFlexible,
  MAX_STEPS,
  pathText,
  type SpecBuilder,
} from './spec.ts';
import { typeMismatch } from './type-match.ts';

/** What was found, or why nothing was. */
export type CoreMatch = CoreSpec | string;

/**
 * Matches a local path with a type of the kernel.
 *
 * @param subject what the relocation is about
 * @param isExact whether a type as a whole must match member by member
 * @returns the path in that type, or a reason
 * @throws ObjectError `ERR_SKEP_BTF` for types that nest too deeply, or have no size
 */
export function matchSpec(
  local: CoreSpec,
  subject: CoreSubject,
  isExact: boolean,
  target: Btf,
  targetId: number,
): CoreMatch {
  switch (subject) {
    case 'type':
      return matchType(local, isExact, target, targetId);
    case 'enumerator':
      return matchEnumerator(local, target, targetId);
    case 'field':
      return new FieldMatch(local, target, targetId).find();
  }
}

/** A type as a whole: its path is empty. */
function matchType(local: CoreSpec, isExact: boolean, target: Btf, targetId: number): CoreMatch {
  const { btf, rootTypeId } = local;
  const found = { btf: target, rootTypeId: targetId, steps: [], bitOffset: 0 };
  if (isExact) {
    return typeMismatch(btf, rootTypeId, target, targetId) ?? found;
  }
  return areTypesCompatible({ btf, id: rootTypeId }, { btf: target, id: targetId })
    ? found
    : `it is ${spelled(target, targetId)} there, ${spelled(btf, rootTypeId)} here`;
}

/** An enumerator by name, flavours aside; the first of several. */
function matchEnumerator(local: CoreSpec, target: Btf, targetId: number): CoreMatch {
  const id = skipModifiers(target, targetId);
  const type = target.type(id);
  if (type.kind !== 'enum' && type.kind !== 'enum64') {
    return `it is ${spelled(target, targetId)} there, no enum`;
  }
  const wanted = local.steps[0]!.name!;
  const index = enumerators(type).get(essentialName(wanted));
  if (index === undefined) {
    return `it has no enumerator "${wanted}"`;
  }
  const steps = [{ typeId: id, index, name: type.values[index]!.name }];
  return { btf: target, rootTypeId: targetId, steps, bitOffset: 0 };
}

const knownEnumerators = new WeakMap<object, ReadonlyMap<string, number>>();

/** The positions of enumerators by name, flavours aside: some enums have thousands. */
function enumerators(type: BtfEnum | BtfEnum64): ReadonlyMap<string, number> {
  let positions = knownEnumerators.get(type);
  if (positions === undefined) {
    positions = positionsOf(type.values, essentialName);
    knownEnumerators.set(type, positions);
  }
  return positions;
}

/** Structs with more members are looked through once, and names are then looked up. */
const MOST_MEMBERS_TO_SCAN = 300;
const knownMembers = new WeakMap<BtfComposite, ReadonlyMap<string, number>>();

/** The members of a wide struct by name, '' for the first without one. */
function membersOf(type: BtfComposite): ReadonlyMap<string, number> {
  let positions = knownMembers.get(type);
  if (positions === undefined) {
    positions = positionsOf(type.members, (name) => name);
    knownMembers.set(type, positions);
  }
  return positions;
}

/** Of several with one name the first. */
function positionsOf(
  list: readonly { readonly name: string }[],
  keyOf: (name: string) => string,
): ReadonlyMap<string, number> {
  const positions = new Map<string, number>();
  for (const [index, { name }] of list.entries()) {
    const key = keyOf(name);
    if (!positions.has(key)) {
      positions.set(key, index);
    }
  }
  return positions;
}

/** A type for a message: as C, and without typedefs if that is something else. */
function spelled(btf: Btf, id: number): string {
  const text = spellType(btf, id);
  const plain = spellType(btf, skipModifiers(btf, id));
  return text === plain ? `"${text}"` : `"${text}" (${plain})`;
}

/** A member that was found: in which struct, and how many steps that took. */
interface FoundMember {
  readonly structId: number;
  readonly index: number;
  readonly member: BtfMember;
  /** From the start of the struct that was searched. */
  readonly bitOffset: number;
  readonly steps: number;
}

/** One search for a path. */
class FieldMatch {
  readonly #local: CoreSpec;
  readonly #found: SpecBuilder;
  /** The type that the path has led to so far. */
  #at: number;
  /** Steps taken, those through anonymous members included. */
  #steps = 0;

  constructor(local: CoreSpec, btf: Btf, targetId: number) {
    this.#local = local;
    this.#found = { btf, rootTypeId: targetId, steps: [], bitOffset: 0 };
    this.#at = targetId;
  }

  /** Follows the local path step by step. */
  find(): CoreMatch {
    for (const [position, { name }] of this.#local.steps.entries()) {
      this.#at = skipModifiers(this.#found.btf, this.#at);
      const problem = name === null ? this.#element(position) : this.#member(position, name);
      if (problem !== null) {
        return problem;
      }
    }
    return this.#found;
  }

  /** Goes on to a member; null, or why there is none. */
  #member(position: number, name: string): string | null {
    const { btf } = this.#found;
    const local = this.#local.steps[position]!;
    const type = btf.type(this.#at);
    if (type.kind !== 'struct' && type.kind !== 'union') {
      return `${this.#where(position)} is ${spelled(btf, this.#at)} there, which has no members`;
    }
    const found = this.#search(type, name, this.#steps, new Set());
    const path = pathText(this.#local.steps.slice(0, position + 1));
    if (found === undefined) {
      return `it has no member "${path}"`;
    }
    const localType = this.#local.btf.type(local.typeId) as BtfComposite;
    const localId = localType.members[local.index]!.typeId;
    const targetId = found.member.typeId;
    if (!areFieldsCompatible({ btf: this.#local.btf, id: localId }, { btf, id: targetId })) {
      return `its member "${path}" is ${spelled(btf, targetId)} there, ${spelled(this.#local.btf, localId)} here`;
    }
    this.#found.steps.push({ typeId: found.structId, index: found.index, name });
    addBits(this.#found, found.bitOffset);
    this.#steps = found.steps;
    this.#at = targetId;
    return null;
  }

  /**
   * Looks for a member by name, in anonymous members too, in the order of declaration.
   *
   * @param searched structs without it; each is searched once, however often it is contained
   */
  #search(
    type: BtfComposite,
    name: string,
    steps: number,
    searched: Set<number>,
  ): FoundMember | undefined {
    const { btf } = this.#found;
    searched.add(type.id);
    if (type.members.length > MOST_MEMBERS_TO_SCAN && !membersOf(type).has('')) {
      const index = membersOf(type).get(name);
      if (index === undefined) {
        return undefined;
      }
      this.#checkSteps(type, steps);
      const member = type.members[index]!;
      return { structId: type.id, index, member, bitOffset: member.bitOffset, steps: steps + 1 };
    }
    for (const [index, member] of type.members.entries()) {
      this.#checkSteps(type, steps);
      if (member.name === name) {
        const { bitOffset } = member;
        return { structId: type.id, index, member, bitOffset, steps: steps + 1 };
      }
      if (member.name !== '') {
        continue;
      }
      const inner = btf.type(skipModifiers(btf, member.typeId));
      if ((inner.kind !== 'struct' && inner.kind !== 'union') || searched.has(inner.id)) {
        continue;
      }
      const found = this.#search(inner, name, steps + 1, searched);
      if (found !== undefined) {
        return { ...found, bitOffset: member.bitOffset + found.bitOffset };
      }
    }
    return undefined;
  }

  #checkSteps(type: BtfComposite, steps: number): void {
    if (steps >= MAX_STEPS) {
      throw this.#found.btf.error(
        `type [${type.id}] is more than ${MAX_STEPS} members deep in another`,
      );
    }
  }

  /** Goes on to an element; null, or why there is none. */
  #element(position: number): string | null {
    const { btf } = this.#found;
    const { index } = this.#local.steps[position]!;
    // The first step is not into an array: the type itself is what is pointed at.
    if (position > 0) {
      const type = btf.type(this.#at);
      if (type.kind !== 'array') {
        return `${this.#where(position)} is ${spelled(btf, this.#at)} there, no array`;
      }
      if (index >= type.length && !isFlexible(btf, this.#found.steps.at(-1)!, type.length)) {
        return `${this.#where(position)} has ${type.length} elements there, and element ${index} is asked for`;
      }
      this.#at = skipModifiers(btf, type.elementTypeId);
    }
    if (this.#steps >= MAX_STEPS) {
      throw btf.error(`type [${this.#at}] is more than ${MAX_STEPS} members deep in another`);
    }
    this.#found.steps.push({ typeId: this.#at, index, name: null });
    this.#steps += 1;
    addBits(this.#found, index * sizeIn(btf, this.#at) * 8);
    return null;
  }

  /** What the steps before this one lead to, for a message. */
  #where(position: number): string {
    const path = pathText(this.#local.steps.slice(0, position));
    return path === '' ? 'it' : `its member "${path}"`;
  }
}
