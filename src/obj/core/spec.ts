/**
 * Access paths: `0:1:2` in a relocation, `a.b[2]` in C.
 *
 * Format: `struct bpf_core_relo` of include/uapi/linux/bpf.h. The numbers are positions: the first one of
 * an element, as pointers can be indexed, each further one of a member or an element of what the ones
 * before it lead to. Rules and limits: libbpf's `bpf_core_parse_spec`.
 */

import { ObjectError } from '../../errors.ts';
import type { Btf } from '../btf/btf.ts';
import type { CoreRelocation } from '../btf/ext.ts';
import { skipModifiers } from '../btf/layout.ts';
import { spellType } from '../btf/spell.ts';
import type { BtfComposite } from '../btf/types.ts';
import { subjectOf } from './kinds.ts';
import { sizeIn } from './sizes.ts';

/** Most steps of a path, those through anonymous members included (BPF_CORE_SPEC_MAX_LEN). */
export const MAX_STEPS = 64;
/** Offsets in bits are numbers of 32 bits. */
const MAX_BITS = 2 ** 32;

/** A step of a path that has a meaning: a member with a name, an element, an enumerator. */
export interface CoreStep {
  /** The struct, union or enum; the element itself for elements of arrays. Modifiers are skipped. */
  readonly typeId: number;
  readonly index: number;
  /** Of the member or enumerator; null for an element. */
  readonly name: string | null;
}

/** Where in a type something is. */
export interface CoreSpec {
  readonly btf: Btf;
  /** As in the relocation: a typedef remains one. */
  readonly rootTypeId: number;
  /** Empty for relocations about a type as a whole. */
  readonly steps: readonly CoreStep[];
  /** From the start of the type that the first step is in. */
  readonly bitOffset: number;
}

/** A path while it is walked. */
export interface SpecBuilder {
  readonly btf: Btf;
  readonly rootTypeId: number;
  readonly steps: CoreStep[];
  bitOffset: number;
}

/**
 * The path of a relocation in the types that it is written in.
 *
 * @throws ObjectError `ERR_SKEP_BTF` for a path that leads nowhere
 */
export function parseSpec(btf: Btf, relocation: CoreRelocation): CoreSpec {
  const { typeId, access, kindNumber } = relocation;
  const subject = subjectOf(kindNumber);
  const spec: SpecBuilder = { btf, rootTypeId: typeId, steps: [], bitOffset: 0 };
  if (subject === 'type') {
    if (access !== '0') {
      throw badPath(btf, relocation, 'a relocation about a type as a whole has the path "0"');
    }
    return spec;
  }
  const indices = parseIndices(btf, relocation);
  const first = indices[0]!;
  const root = skipModifiers(btf, typeId);
  if (subject === 'enumerator') {
    const type = btf.type(root);
    const value = type.kind === 'enum' || type.kind === 'enum64' ? type.values[first] : undefined;
    if (value === undefined || indices.length > 1) {
      throw badPath(btf, relocation, 'there is no such enumerator');
    }
    spec.steps.push({ typeId: root, index: first, name: value.name });
    return spec;
  }
  spec.steps.push({ typeId: root, index: first, name: null });
  addBits(spec, first * sizeIn(btf, root) * 8);
  let at = root;
  for (const index of indices.slice(1)) {
    at = step(spec, relocation, skipModifiers(btf, at), index);
  }
  return spec;
}

/** Adds to the offset of a path. @throws ObjectError `ERR_SKEP_BTF` if it does not fit 32 bits */
export function addBits(spec: SpecBuilder, bits: number): void {
  spec.bitOffset += bits;
  if (spec.bitOffset >= MAX_BITS) {
    throw spec.btf.error(
      `${spellType(spec.btf, spec.rootTypeId)}: an access at ${pathText(spec.steps)} is more than 512 MiB from the start`,
    );
  }
}

/** Goes one step down from a type without modifiers; returns the type that it leads to. */
function step(spec: SpecBuilder, relocation: CoreRelocation, id: number, index: number): number {
  const { btf } = spec;
  const type = btf.type(id);
  switch (type.kind) {
    case 'struct':
    case 'union': {
      // Anonymous members are no step: elsewhere their members may be in another one, or in none.
      const member = type.members[index];
      if (member === undefined) {
        throw badPath(
          btf,
          relocation,
          `${spellType(btf, id)} has ${type.members.length} members, not ${index + 1}`,
        );
      }
      if (member.name !== '') {
        spec.steps.push({ typeId: id, index, name: member.name });
      }
      addBits(spec, member.bitOffset);
      return member.typeId;
    }
    case 'array': {
      if (index >= type.length && !isFlexible(btf, spec.steps.at(-1)!, type.length)) {
        throw badPath(btf, relocation, `an array has ${type.length} elements, not ${index + 1}`);
      }
      const element = skipModifiers(btf, type.elementTypeId);
      spec.steps.push({ typeId: element, index, name: null });
      addBits(spec, index * sizeIn(btf, element) * 8);
      return element;
    }
    default:
      throw badPath(btf, relocation, `${spellType(btf, id)} has neither members nor elements`);
  }
}

/**
 * Whether an array without elements stands for any number: the last member of a struct.
 *
 * @param before the step that leads to the array
 */
export function isFlexible(btf: Btf, before: CoreStep, length: number): boolean {
  if (before.name === null || length > 0) {
    return false;
  }
  const { members } = btf.type(before.typeId) as BtfComposite;
  return before.index === members.length - 1;
}

/** Steps as C: `a.b[3]`; the element that a path starts in only if it is not the first. */
export function pathText(steps: readonly CoreStep[]): string {
  let text = '';
  for (const [position, { name, index }] of steps.entries()) {
    if (name !== null) {
      text += text === '' ? name : `.${name}`;
    } else if (position > 0 || index > 0) {
      text += `[${index}]`;
    }
  }
  return text;
}

/** A path as C, with the enum for an enumerator, '' for a type as a whole. */
export function accessText({ btf, steps }: CoreSpec): string {
  const first = steps[0];
  if (first === undefined) {
    return '';
  }
  const isEnumerator = steps.length === 1 && first.name !== null;
  return isEnumerator ? `${spellType(btf, first.typeId)}::${first.name}` : pathText(steps);
}

/** The numbers of a path. */
function parseIndices(btf: Btf, relocation: CoreRelocation): number[] {
  const { access } = relocation;
  if (!/^\d{1,10}(?::\d{1,10})*$/.test(access)) {
    throw badPath(btf, relocation, 'a path is made of numbers with colons between them');
  }
  const indices = access.split(':').map(Number);
  if (indices.length > MAX_STEPS) {
    throw badPath(btf, relocation, `it has more than ${MAX_STEPS} steps`);
  }
  if (indices.some((index) => index > 0x7fff_ffff)) {
    throw badPath(btf, relocation, 'an index does not fit 31 bits');
  }
  return indices;
}

function badPath(btf: Btf, { typeId, access, kind }: CoreRelocation, problem: string): ObjectError {
  const text = access.length > 80 ? `${access.slice(0, 80)}...` : access;
  return new ObjectError(
    'ERR_SKEP_BTF',
    `section .BTF.ext: the CO-RE relocation ${kind} of ${spellType(btf, typeId)} has the path "${text}": ${problem}`,
    { section: '.BTF.ext' },
  );
}
