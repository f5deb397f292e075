/**
 * CO-RE: what a program was compiled to know of kernel types, adjusted to the kernel that it runs on.
 * Every relocation gets an answer as data: what was asked, which types came into question, why each of
 * them does not fit if it does not, and the number for the instruction.
 *
 * Kinds: `enum bpf_core_relo_kind` of include/uapi/linux/bpf.h. Rules: libbpf's `bpf_core_calc_relo_insn`
 * (relo_core.c) and `bpf_core_find_cands` (libbpf.c).
 */

import { ObjectError } from '../../errors.ts';
import { BPF_CORE, type CoreKindName } from '../../uapi/core-kinds.ts';
import type { Btf } from '../btf/btf.ts';
import type { CoreRelocation } from '../btf/ext.ts';
import { spellType } from '../btf/spell.ts';
import { candidatesIn } from './candidates.ts';
import { type CoreSubject, subjectOf } from './kinds.ts';
import { matchSpec } from './match.ts';
import { setPointerBytes } from './sizes.ts';
import { accessText, type CoreSpec, parseSpec } from './spec.ts';
import { type CoreValue, coreValue } from './values.ts';

/** Types to look into. */
export interface CoreTarget {
  /** How reports call it: `vmlinux`, or the name of a module. */
  readonly name: string;
  /** Split BTF for a module: its own types are candidates, those of its base are not. */
  readonly btf: Btf;
}

/** A type that has the name and the kind of the local type. */
export interface CoreCandidate {
  /** Name of the {@link CoreTarget}. */
  readonly target: string;
  readonly typeId: number;
  /** As C. */
  readonly type: string;
  /** Why it does not fit; null if it does. */
  readonly failure: string | null;
}

/** What a load or store accesses, in the program's types and in the kernel's. */
export interface CoreAccess {
  /** Bytes that the instruction was compiled to access. */
  readonly originalBytes: number;
  readonly bytes: number;
  /** Why the instruction cannot be adjusted to that size; null if it can, or need not be. */
  readonly failure: string | null;
}

/** The answer to a relocation. */
export interface CoreResult {
  /** Undefined never happens for a result: unknown kinds are errors. */
  readonly kind: CoreKindName | undefined;
  /** As C: `struct task_struct___old`. */
  readonly localType: string;
  /** As C: `mm.owner`, `ring[2].head`, `enum state::RUNNING`; '' for a type as a whole. */
  readonly access: string;
  /** The path as in the object: `0:1:2`. */
  readonly spec: string;
  /** What goes into the instruction, 64 bits, unsigned; null if there is no answer: it is poisoned. */
  readonly value: bigint | null;
  /** What the compiler put there, as the local types say; null if that is not certain. */
  readonly original: bigint | null;
  /** For offsets of members that are no bitfields; else null. */
  readonly memory: CoreAccess | null;
  /** What came into question, in the order of the kernel's types. */
  readonly candidates: readonly CoreCandidate[];
  /** Why nothing was found, in one sentence; null if something was. */
  readonly failure: string | null;
}

/** A type that is still in question; each match rules out those that did not match. */
interface Open {
  readonly target: CoreTarget;
  readonly typeId: number;
  isRuledOut: boolean;
}

/** A candidate that fits, and what it says. */
interface Found {
  readonly open: Open;
  readonly spec: CoreSpec;
  readonly value: CoreValue;
}

/** A relocation while it is answered. */
interface Question {
  readonly relocation: CoreRelocation;
  readonly subject: CoreSubject;
  readonly local: CoreSpec;
  /** For messages, `field_exists of struct s, "a.b"`. */
  readonly text: string;
}

/**
 * Answers the relocations of one object. Keep one for all its programs: candidates and answers are
 * found once.
 *
 * As in libbpf, types that did not match where another did are out of question for further relocations
 * of the same local type, so that among several flavours of a type in a kernel the one that fits stays.
 */
export class CoreResolver {
  readonly #local: Btf;
  readonly #rest: Iterator<CoreTarget>;
  /** Targets asked for so far: the kernel first. */
  readonly #targets: CoreTarget[] = [];
  readonly #open = new Map<number, readonly Open[]>();
  readonly #results = new Map<string, CoreResult>();

  /**
   * @param local the types of the object
   * @param targets the kernel first, then its modules: iterated no further than types are found in what
   *   came before. Stays in use as long as this.
   */
  constructor(local: Btf, targets: Iterable<CoreTarget>) {
    this.#local = local;
    this.#rest = targets[Symbol.iterator]();
    setPointerBytes(local, 8);
  }

  /**
   * Answers a relocation.
   *
   * @throws ObjectError `ERR_SKEP_BTF` for a relocation that makes no sense in the object's own types,
   *   or types that cannot be followed; `ERR_SKEP_PROGRAM` for one that cannot be answered although a
   *   type was found: candidates disagree, or a bitfield is too wide
   */
  resolve(relocation: CoreRelocation): CoreResult {
    const { typeId, access, kindNumber } = relocation;
    const key = `${typeId}:${kindNumber}:${access}`;
    let result = this.#results.get(key);
    if (result === undefined) {
      result = this.#answer(relocation);
      this.#results.set(key, result);
    }
    return result;
  }

  /** Answers a relocation that was not asked before. */
  #answer(relocation: CoreRelocation): CoreResult {
    const { typeId, kindNumber } = relocation;
    const subject = subjectOf(kindNumber);
    if (subject === undefined) {
      throw badRelocation(`kind ${kindNumber} of CO-RE relocations is not known`);
    }
    const local = parseSpec(this.#local, relocation);
    if (kindNumber === BPF_CORE.TYPE_ID_LOCAL) {
      return this.#result(relocation, local, { value: BigInt(typeId) });
    }
    const text = describe(relocation, local);
    if (this.#local.nameOf(typeId) === '') {
      throw badRelocation(
        `${text} is about a type without a name, which cannot be found in a kernel; give it one`,
      );
    }
    const question = { relocation, subject, local, text };
    const original = coreValue(kindNumber, local);
    const open = this.#candidates(typeId);
    const candidates: CoreCandidate[] = [];
    const found: Found[] = [];
    for (const one of open) {
      candidates.push(this.#ask(question, one, found));
    }
    if (found.length > 0) {
      const fitting = new Set(found.map((match) => match.open));
      for (const one of open) {
        one.isRuledOut ||= !fitting.has(one);
      }
    }
    return this.#conclude(question, original, candidates, found[0]);
  }

  /** Asks one candidate; if it fits and agrees with those before it, it is added to `found`. */
  #ask(question: Question, open: Open, found: Found[]): CoreCandidate {
    const { target, typeId } = open;
    const type = spellType(target.btf, typeId);
    const candidate = { target: target.name, typeId, type };
    if (open.isRuledOut) {
      return { ...candidate, failure: 'it did not fit another relocation of this type' };
    }
    const { kindNumber } = question.relocation;
    const isExact = kindNumber === BPF_CORE.TYPE_MATCHES;
    const match = matchSpec(question.local, question.subject, isExact, target.btf, typeId);
    if (typeof match === 'string') {
      return { ...candidate, failure: match };
    }
    const value = coreValue(kindNumber, match);
    const first = found[0];
    if (
      first !== undefined &&
      (first.spec.bitOffset !== match.bitOffset || first.value.value !== value.value)
    ) {
      throw ambiguous(question, first, { open, spec: match, value });
    }
    found.push({ open, spec: match, value });
    return { ...candidate, failure: null };
  }

  /** The result of a search; without `found`, what no candidate at all means for the kind. */
  #conclude(
    question: Question,
    original: CoreValue,
    candidates: readonly CoreCandidate[],
    found: Found | undefined,
  ): CoreResult {
    const { relocation, local } = question;
    const value = found === undefined ? valueOfNothing(relocation.kindNumber) : found.value.value;
    return this.#result(relocation, local, {
      value,
      original: original.isCertain ? original.value : null,
      memory: found === undefined ? null : accessOf(original, found.value, local, found.spec),
      candidates,
      failure: found === undefined ? this.#whyNothing(question, candidates) : null,
    });
  }

  #result(
    { kind, access }: CoreRelocation,
    local: CoreSpec,
    answer: Pick<CoreResult, 'value'> & Partial<CoreResult>,
  ): CoreResult {
    return {
      kind,
      localType: spellType(this.#local, local.rootTypeId),
      access: accessText(local),
      spec: access,
      original: null,
      memory: null,
      candidates: [],
      failure: null,
      ...answer,
    };
  }

  /** The candidates for a local type, found once: those of the kernel, or else those of all modules. */
  #candidates(typeId: number): readonly Open[] {
    let open = this.#open.get(typeId);
    if (open === undefined) {
      open = this.#search(typeId);
      this.#open.set(typeId, open);
    }
    return open;
  }

  /** Looks a local type up in the targets. */
  #search(typeId: number): Open[] {
    const kind = this.#local.kindOf(typeId);
    const name = this.#local.nameOf(typeId);
    const open: Open[] = [];
    for (let index = 0; ; index += 1) {
      // Modules are only asked for what the kernel itself does not have, but then all of them.
      const target = index === 1 && open.length > 0 ? undefined : this.#target(index);
      if (target === undefined) {
        return open;
      }
      for (const id of candidatesIn(target.btf, kind, name)) {
        open.push({ target, typeId: id, isRuledOut: false });
      }
    }
  }

  /** A target by position; undefined if there are not that many. */
  #target(index: number): CoreTarget | undefined {
    if (index === this.#targets.length) {
      const next = this.#rest.next();
      if (next.done !== true) {
        this.#targets.push(next.value);
      }
    }
    return this.#targets[index];
  }

  /** One sentence for people. */
  #whyNothing({ local }: Question, candidates: readonly CoreCandidate[]): string {
    const type = spellType(this.#local, local.rootTypeId);
    if (candidates.length === 0) {
      const [kernel, ...modules] = this.#targets;
      if (kernel === undefined) {
        return 'there are no types of a kernel to look into';
      }
      const places =
        modules.length === 0
          ? `${kernel.name} has no`
          : `neither ${kernel.name} nor any of its ${modules.length} modules has a`;
      return `${places} type like ${type}`;
    }
    return candidates
      .map((one) => `${one.type} (${one.target} [${one.typeId}]) does not fit: ${one.failure}`)
      .join('; ');
  }
}

/** The answer if no type fits: most kinds have none, questions for existence do. */
function valueOfNothing(kind: number): bigint | null {
  switch (kind) {
    case BPF_CORE.FIELD_EXISTS:
    case BPF_CORE.ENUMVAL_EXISTS:
    case BPF_CORE.TYPE_EXISTS:
    case BPF_CORE.TYPE_MATCHES:
    case BPF_CORE.TYPE_SIZE:
    case BPF_CORE.TYPE_ID_TARGET:
      return 0n;
    default:
      return null;
  }
}

/**
 * Whether a load or store can be made to access another number of bytes: pointers can, and unsigned
 * integers, as both are extended with zeros.
 */
function accessOf(
  original: CoreValue,
  found: CoreValue,
  local: CoreSpec,
  spec: CoreSpec,
): CoreAccess | null {
  const from = original.access;
  const to = found.access;
  if (from === null || to === null) {
    // Of a bitfield on one side only, libbpf knows no size.
    return from === to
      ? null
      : {
          originalBytes: from?.bytes ?? 0,
          bytes: to?.bytes ?? 0,
          failure: `"${accessText(local)}" is a bitfield ${to === null ? 'there' : 'here'} only`,
        };
  }
  const arePointers = from.type.kind === 'ptr' && to.type.kind === 'ptr';
  const areUnsigned =
    from.type.kind === 'int' &&
    to.type.kind === 'int' &&
    from.type.encoding !== 'signed' &&
    to.type.encoding !== 'signed';
  const fits = from.bytes === to.bytes || arePointers || areUnsigned;
  return {
    originalBytes: from.bytes,
    bytes: to.bytes,
    failure: fits
      ? null
      : `"${accessText(local)}" is ${spellType(spec.btf, to.type.id)} of ${to.bytes} bytes there, ${spellType(local.btf, from.type.id)} of ${from.bytes} here; only pointers and unsigned integers can be read in another size`,
  };
}

/** What a relocation asks, for messages. */
function describe({ kind }: CoreRelocation, local: CoreSpec): string {
  const access = accessText(local);
  const type = spellType(local.btf, local.rootTypeId);
  return `${kind} of ${type}${access === '' ? '' : `, "${access}"`}`;
}

function badRelocation(problem: string): ObjectError {
  return new ObjectError('ERR_SKEP_BTF', `section .BTF.ext: ${problem}`, { section: '.BTF.ext' });
}

function ambiguous({ text }: Question, one: Found, other: Found): ObjectError {
  const say = ({ open: { target, typeId }, spec, value }: Found) =>
    `${spellType(target.btf, typeId)} (${target.name} [${typeId}]) says ${value.value}${spec.bitOffset % 8 === 0 ? '' : ` and bit ${spec.bitOffset}`}`;
  return new ObjectError(
    'ERR_SKEP_PROGRAM',
    `CO-RE: ${text} is ambiguous: ${say(one)}, ${say(other)}; name a flavour's members so that only one of them fits`,
  );
}
