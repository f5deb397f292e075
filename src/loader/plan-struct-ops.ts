/**
 * The part of a plan that is about structs of functions (struct_ops): which are created, with which
 * values, and hence which of their programs are loaded.
 *
 * Rules: libbpf's `bpf_object_adjust_struct_ops_autoload`: a program is loaded if a struct that is
 * created has it.
 */

import { Memory, ValueError } from '../codec/codec.ts';
import { codecOf } from '../codec/from-btf.ts';
import { SkepError } from '../errors.ts';
import type { MapDefinition } from '../obj/map-definition.ts';
import type { ObjectFile } from '../obj/object.ts';
import { isFunctionPointer, type StructOpsValue, structOpsValue } from '../obj/struct-ops-value.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { BPF_PROG_TYPE, programTypeName } from '../uapi/program-types.ts';
import type { CheckedOptions, MapOptions } from './options.ts';

/** Which structs of functions are created. */
export interface StructOpsPlan {
  /** By map name. */
  readonly values: ReadonlyMap<string, StructOpsValue>;
  /** Why others are not, by map name. */
  readonly omitted: ReadonlyMap<string, string>;
  /** Names of the programs that those have. */
  readonly programs: ReadonlySet<string>;
}

/**
 * Plans structs of functions.
 *
 * @throws TypeError for options that do not fit; ValueError for a value that does not fit its member
 * @throws SkepError `ERR_SKEP_LOAD` for a struct to be created whose program the options leave out
 * @throws MapDefinitionError for a variable that cannot be read
 */
export function planStructOps(object: ObjectFile, options: CheckedOptions): StructOpsPlan {
  const values = new Map<string, StructOpsValue>();
  const omitted = new Map<string, string>();
  const programs = new Set<string>();
  checkMembers(object, options);
  for (const map of object.maps.values()) {
    const own = options.maps.get(map.name) ?? {};
    if (map.typeNumber !== BPF_MAP_TYPE.STRUCT_OPS) {
      continue;
    }
    const reason = omission(map, own, options);
    if (reason !== null) {
      omitted.set(map.name, reason);
      continue;
    }
    checkNoPlace(map.name, own);
    const value = withMembers(object, map, own.members ?? {});
    const functions = [...value.programs.values()];
    const missing = functions.find((name) => options.programs?.get(name)?.autoload === false);
    if (missing !== undefined) {
      if (own.create === true) {
        throw leftOut(map.name, missing);
      }
      omitted.set(map.name, `its program "${missing}" is left out by the options`);
      continue;
    }
    values.set(map.name, value);
    for (const program of functions) {
      programs.add(program);
    }
  }
  return { values, omitted, programs };
}

function omission(map: MapDefinition, own: MapOptions, options: CheckedOptions): string | null {
  if (own.create === false) {
    return 'left out by the options';
  }
  if (own.create === undefined && map.section.startsWith('?')) {
    return 'its section starts with "?": it is created if its option create is true';
  }
  return options.programs === null
    ? 'a struct of functions is made when programs are loaded'
    : null;
}

/** Only structs of functions have members to set. */
function checkMembers(object: ObjectFile, { maps }: CheckedOptions): void {
  for (const [name, { members }] of maps) {
    if (members !== undefined && object.maps.get(name)?.typeNumber !== BPF_MAP_TYPE.STRUCT_OPS) {
      throw new TypeError(
        `load options: map "${name}" is no struct of functions, so it has no members to set`,
      );
    }
  }
}

/** The kernel's struct is what a load finds out: a map that was made before cannot be compared. */
function checkNoPlace(name: string, { pin, replace }: MapOptions): void {
  if (typeof pin === 'string' || replace !== undefined) {
    throw new TypeError(
      `load options: map "${name}" is a struct of functions, which each load makes anew; it cannot be pinned or replaced by a load`,
    );
  }
}

/** The variable with the members that the options set. */
function withMembers(
  object: ObjectFile,
  map: MapDefinition,
  members: Readonly<Record<string, unknown>>,
): StructOpsValue {
  const value = structOpsValue(object, map);
  const programs = new Map(value.programs);
  for (const [name, given] of Object.entries(members)) {
    const index = value.struct.members.findIndex((member) => member.name === name);
    const member = value.struct.members[index];
    const place = `maps.${map.name}.members.${name}`;
    if (member === undefined || member.bitSize !== 0) {
      const known = value.struct.members.map((other) => other.name).join(', ');
      throw new TypeError(
        `load options: ${place}: struct ${value.struct.name} has no such member that can be set; it has ${known}`,
      );
    }
    if (!isFunctionPointer(object.btf!, member)) {
      const memory = new Memory(value.contents, object.byteOrder === 'little');
      const codec = codecOf(object.btf!, member.typeId);
      try {
        codec.write(memory, member.bitOffset / 8, given as never);
      } catch (error) {
        throw error instanceof ValueError
          ? error.within(name).within('members').within(map.name).within('maps')
          : error;
      }
    } else if (given === null) {
      programs.delete(index);
    } else {
      programs.set(index, checkedProgram(object, place, given));
    }
  }
  return { ...value, programs };
}

/** The name of a program that can be a function. */
function checkedProgram(object: ObjectFile, place: string, name: unknown): string {
  if (typeof name !== 'string') {
    throw new TypeError(`load options: ${place}: a function is the name of a program, or null`);
  }
  const program = object.programs.get(name);
  if (program === undefined || program.typeNumber !== BPF_PROG_TYPE.STRUCT_OPS) {
    const problem =
      program === undefined
        ? `the object has no program "${name}"`
        : `program "${name}" is of type ${programTypeName(program.typeNumber)}, not struct_ops`;
    throw new TypeError(`load options: ${place}: ${problem}`);
  }
  return name;
}

function leftOut(map: string, program: string): SkepError {
  return new SkepError(
    'ERR_SKEP_LOAD',
    `program "${program}" is left out by the options, but map "${map}" is to be created, which has it as a function; leave out both, or set that member to null by the option maps.${map}.members`,
  );
}
