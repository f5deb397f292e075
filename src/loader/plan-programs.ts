/**
 * The part of a plan that is about programs: which are loaded and how, what goes into program arrays once
 * they are, and where they are pinned.
 */

import { SkepError } from '../errors.ts';
import { pinPathIn } from '../maps/pin-path.ts';
import type { MapDefinition } from '../obj/map-definition.ts';
import type { ObjectFile } from '../obj/object.ts';
import { type ProgramOptions, programShape } from '../programs/program-shape.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { BPF_PROG_TYPE } from '../uapi/program-types.ts';
import type { CheckedOptions, MapOptions } from './options.ts';
import type { FillProgramsStep, LoadProgramStep } from './steps.ts';

/** A program left out, and why. */
export interface ProgramOmission {
  readonly program: string;
  readonly reason: string;
}

/** Which programs are loaded. */
export interface ProgramPlan {
  readonly loads: readonly LoadProgramStep[];
  readonly omitted: readonly ProgramOmission[];
}

/**
 * Plans programs, in the order of the object.
 *
 * @param functions names of those that are functions of a struct (struct_ops) that is created
 * @throws SkepError `ERR_SKEP_LOAD` for a program whose type or target nothing says
 */
export function planPrograms(
  object: ObjectFile,
  options: ReadonlyMap<string, ProgramOptions>,
  functions: ReadonlySet<string>,
): ProgramPlan {
  const loads: LoadProgramStep[] = [];
  const omitted: ProgramOmission[] = [];
  for (const definition of object.programs.values()) {
    const { name } = definition;
    const own = options.get(name) ?? {};
    const isFunction = definition.typeNumber === BPF_PROG_TYPE.STRUCT_OPS && own.type === undefined;
    // What is in a struct is loaded with it, whatever its section starts with.
    if (!(own.autoload ?? (definition.autoload || isFunction))) {
      const reason =
        own.autoload === undefined
          ? 'its section starts with "?": it is loaded if its option autoload is true'
          : 'left out by the options';
      omitted.push({ program: name, reason });
      continue;
    }
    const attributes = programShape(definition, own);
    if (attributes.type === BPF_PROG_TYPE.STRUCT_OPS && !functions.has(name)) {
      if (own.autoload === true) {
        throw noStruct(name);
      }
      omitted.push({ program: name, reason: 'no struct of functions that is created has it' });
      continue;
    }
    loads.push({ step: 'load-program', program: name, attributes });
  }
  return { loads, omitted };
}

/**
 * What goes into a program array when programs are loaded; null for nothing.
 *
 * @param loaded names of the programs that are
 * @throws TypeError for slots of another kind of map; SkepError `ERR_SKEP_LOAD` for a slot that there is
 *   not, or a program that is not loaded
 */
export function planSlots(
  map: MapDefinition,
  maxEntries: number,
  options: MapOptions,
  loaded: ReadonlySet<string>,
): FillProgramsStep | null {
  const isProgramArray = map.typeNumber === BPF_MAP_TYPE.PROG_ARRAY;
  if (options.slots !== undefined && !isProgramArray) {
    throw new TypeError(
      `load options: map "${map.name}" is no program array, so no programs go into its slots`,
    );
  }
  if (!isProgramArray) {
    return null;
  }
  const programs = new Map(map.slots.map(({ index, name }) => [index, name]));
  for (const [index, program] of Object.entries(options.slots ?? {})) {
    if (program === null) {
      programs.delete(Number(index));
    } else {
      programs.set(Number(index), program);
    }
  }
  const slots = [...programs]
    .map(([index, program]) => ({ index, program }))
    .sort((a, b) => a.index - b.index);
  for (const { index, program } of slots) {
    if (!loaded.has(program)) {
      throw slotError(
        map,
        `is to hold program "${program}", which is not loaded; load it, or leave the slot empty by the option maps.${map.name}.slots: { ${index}: null }`,
        index,
      );
    }
    if (index >= maxEntries) {
      throw slotError(map, `does not exist: it has ${maxEntries}`, index);
    }
  }
  return slots.length === 0 ? null : { step: 'fill-programs', map: map.name, slots };
}

/** Where a program is pinned; null for nowhere. */
export function programPin(program: string, options: CheckedOptions): string | null {
  const own = options.programs?.get(program)?.pin;
  if (own === false) {
    return null;
  }
  return own ?? (options.pinPrograms === null ? null : pinPathIn(options.pinPrograms, program));
}

/** The kernel verifies such a program for a member of a struct. */
function noStruct(name: string): SkepError {
  return new SkepError(
    'ERR_SKEP_LOAD',
    `program "${name}" is a function of a struct (struct_ops), but no struct that is created has it; put it into one, or have that created by its option create`,
  );
}

function slotError({ name }: MapDefinition, problem: string, index: number): SkepError {
  return new SkepError('ERR_SKEP_LOAD', `slot ${index} of map "${name}" ${problem}`);
}
