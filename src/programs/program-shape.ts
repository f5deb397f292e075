/**
 * What a program of an object is loaded as: what its section says, and the caller's changes. Pure.
 *
 * Rules: libbpf's `libbpf_prepare_prog_load` and `bpf_object_load_prog`.
 */

import { byLowerCase, namedNumber } from '../bytes/named-number.ts';
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

const PROGRAM_TYPES = byLowerCase(BPF_PROG_TYPE);
const ATTACH_TYPES = byLowerCase(BPF_ATTACH_TYPE);

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

/** Types whose target has a name that only attaching looks up. */
const WITH_PLACE: ReadonlySet<number> = new Set([
  BPF_PROG_TYPE.KPROBE,
  BPF_PROG_TYPE.TRACEPOINT,
  BPF_PROG_TYPE.RAW_TRACEPOINT,
  BPF_PROG_TYPE.RAW_TRACEPOINT_WRITABLE,
]);

/**
 * The shape of a program.
 *
 * @throws SkepError `ERR_SKEP_LOAD` for a program whose type or target nothing says
 * @throws TypeError for a type that does not exist, and for a target of a type that has none
 */
export function programShape(
  definition: ProgramDefinition,
  options: ProgramOptions = {},
): ProgramShape {
  const { name, section } = definition;
  const type =
    options.type === undefined
      ? definition.typeNumber
      : namedNumber(options.type, PROGRAM_TYPES, {
          where: `load options: programs.${name}.type: `,
          what: 'program type',
        });
  if (type === BPF_PROG_TYPE.UNSPEC) {
    throw unknownType(definition);
  }
  // What a section says holds for the type that it implies.
  const marks = type === definition.typeNumber ? programSection(section) : null;
  const attachType =
    options.attachType === undefined
      ? (marks?.attachType ?? 0)
      : namedNumber(options.attachType, ATTACH_TYPES, {
          where: `load options: programs.${name}.attachType: `,
          what: 'attach type',
        });
  const attachTo = options.attachTo ?? definition.attachTo;
  const needsTarget = marks?.attachBtf ?? (WITH_TARGET.has(type) && !FOR_MANY.has(attachType));
  if (needsTarget) {
    checkTarget(name, type, attachTo, options);
  } else {
    checkNoTarget(name, type, options);
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

/** @throws TypeError for what would change nothing */
function checkNoTarget(
  name: string,
  type: number,
  { attachTo, attachProgram }: ProgramOptions,
): void {
  const where = `load options: programs.${name}`;
  const typeName = programTypeName(type);
  if (attachProgram !== undefined) {
    throw new TypeError(
      `${where}.attachProgram: a program of type ${typeName} is for no function of another program; leave it out`,
    );
  }
  // Of tracing programs for many functions, which they are is said when they are attached.
  if (attachTo !== undefined && !WITH_PLACE.has(type) && !WITH_TARGET.has(type)) {
    throw new TypeError(
      `${where}.attachTo: a program of type ${typeName} has no target when it is loaded; leave it out`,
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
