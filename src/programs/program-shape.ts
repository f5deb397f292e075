/**
 * What a program of an object is loaded as: what its section says, and the caller's changes. Pure.
 *
 * Rules: libbpf's `libbpf_prepare_prog_load` and `bpf_object_load_prog`.
 */

import { SkepError } from '../errors.ts';
import { kernelName } from '../maps/create-map.ts';
import type { ProgramDefinition } from '../obj/programs.ts';
import { type ProgramSection, programSection, suggestSection } from '../obj/sections.ts';
import { attachTypeName, BPF_ATTACH_TYPE } from '../uapi/attach-types.ts';
import { BPF_PROG_TYPE, programTypeName } from '../uapi/program-types.ts';
import type { Program } from './program.ts';

/** What to do differently for one program. */
export interface ProgramOptions {
  /** Whether it is loaded: false leaves it out; true loads one whose section starts with `?`. */
  readonly autoload?: boolean;
  /** Instead of the type that its section implies: a name as bpftool prints it, or a number. */
  readonly type?: string | number;
  /** Instead of the expected attach type: a name as libbpf prints it (`cgroup_inet_ingress`), a number. */
  readonly attachType?: string | number;
  /** Instead of what follows the `/` in its section: the function, hook or struct that it is for. */
  readonly attachTo?: string;
  /** The program whose function `attachTo` names: for `freplace`, and for tracing other programs. */
  readonly attachProgram?: Program;
  /** Flags (`BPF_F_*`) besides those that its section implies. */
  readonly flags?: number;
  /** A path to pin it at; false for not pinning it. */
  readonly pin?: string | false;
}

/** The attributes of a program to be, less what only exists at run time. */
export interface ProgramShape {
  /** The program's name in the object. */
  readonly name: string;
  readonly kernelName: string;
  readonly section: string;
  /** `BPF_PROG_TYPE_*`. */
  readonly type: number;
  /** `BPF_*` attach type; 0 for none. */
  readonly attachType: number;
  /** Kernels before 4.17 may be told 0 instead. */
  readonly attachTypeOptional: boolean;
  /** `BPF_F_*`. */
  readonly flags: number;
  /** What it is for; null if nothing says. */
  readonly attachTo: string | null;
  /** Whether `attachTo` is looked up in BTF before it can be loaded. */
  readonly needsTarget: boolean;
}

const F_SLEEPABLE = 1 << 4;
const F_XDP_HAS_FRAGS = 1 << 5;

/** Types that have a target in BTF, where no section says so. */
const WITH_TARGET: ReadonlySet<number> = new Set([
  BPF_PROG_TYPE.TRACING,
  BPF_PROG_TYPE.LSM,
  BPF_PROG_TYPE.EXT,
]);

/** Attach types that are for many targets at once, which are named when the program is attached. */
const FOR_MANY: ReadonlySet<number> = new Set([
  BPF_ATTACH_TYPE.TRACE_FENTRY_MULTI,
  BPF_ATTACH_TYPE.TRACE_FEXIT_MULTI,
  BPF_ATTACH_TYPE.TRACE_FSESSION_MULTI,
]);

/**
 * The shape of a program.
 *
 * @throws SkepError `ERR_SKEP_LOAD` for a program whose type or target nothing says
 * @throws TypeError for a type that does not exist
 */
export function programShape(
  definition: ProgramDefinition,
  options: ProgramOptions = {},
): ProgramShape {
  const { name, section } = definition;
  const type =
    options.type === undefined
      ? definition.typeNumber
      : programTypeNumber(name, 'type', options.type, BPF_PROG_TYPE);
  if (type === BPF_PROG_TYPE.UNSPEC) {
    throw unknownType(definition);
  }
  // What a section says holds for the type that it implies.
  const marks = type === definition.typeNumber ? programSection(section) : null;
  const attachType =
    options.attachType === undefined
      ? (marks?.attachType ?? 0)
      : programTypeNumber(name, 'attachType', options.attachType, BPF_ATTACH_TYPE);
  const attachTo = options.attachTo ?? definition.attachTo;
  const needsTarget = marks?.attachBtf ?? (WITH_TARGET.has(type) && !FOR_MANY.has(attachType));
  if (needsTarget) {
    checkTarget(name, type, attachTo, options);
  }
  return {
    name,
    kernelName: kernelName(name),
    section,
    type,
    attachType,
    attachTypeOptional: options.attachType === undefined && (marks?.attachTypeOptional ?? false),
    flags: (options.flags ?? 0) | sectionFlags(type, marks),
    attachTo,
    needsTarget,
  };
}

/** A definition with the types and target that it is loaded with. */
export function reshaped(definition: ProgramDefinition, shape: ProgramShape): ProgramDefinition {
  return {
    ...definition,
    type: programTypeName(shape.type),
    typeNumber: shape.type,
    attachType: shape.attachType === 0 ? null : attachTypeName(shape.attachType),
    attachTypeNumber: shape.attachType,
    attachTo: shape.attachTo,
  };
}

function sectionFlags(type: number, marks: ProgramSection | null): number {
  if (marks === null) {
    return 0;
  }
  const frags = type === BPF_PROG_TYPE.XDP && marks.frags ? F_XDP_HAS_FRAGS : 0;
  return (marks.sleepable ? F_SLEEPABLE : 0) | frags;
}

function checkTarget(
  name: string,
  type: number,
  attachTo: string | null,
  { attachProgram }: ProgramOptions,
): void {
  if (attachTo === null) {
    throw new SkepError(
      'ERR_SKEP_LOAD',
      `program "${name}" is of type ${programTypeName(type)}, but nothing says what it is for; name that in its section (SEC("fentry/FUNCTION")) or by the option programs.${name}.attachTo`,
    );
  }
  if (type === BPF_PROG_TYPE.EXT && attachProgram === undefined) {
    throw new SkepError(
      'ERR_SKEP_LOAD',
      `program "${name}" replaces the function "${attachTo}" of another program; give that program by the option programs.${name}.attachProgram`,
    );
  }
}

function unknownType({ name, section }: ProgramDefinition): SkepError {
  const near = suggestSection(section);
  const suggestion = near === null ? '' : ` (did you mean "${near}"?)`;
  return new SkepError(
    'ERR_SKEP_LOAD',
    `program "${name}" is in section "${section}", which implies no type of program${suggestion}; rename the section, or give the option programs.${name}.type, or leave the program out by programs.${name}.autoload: false`,
  );
}

/** The number of a type that is given by its name or its number. */
function programTypeNumber(
  name: string,
  option: string,
  type: string | number,
  numbers: Readonly<Record<string, number>>,
): number {
  if (typeof type === 'number') {
    return type;
  }
  const key = type.toUpperCase();
  if (!Object.hasOwn(numbers, key) || type !== type.toLowerCase()) {
    throw new TypeError(`load options: programs.${name}.${option}: there is no type "${type}"`);
  }
  return numbers[key]!;
}
