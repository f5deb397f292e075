/** The steps of a load, as data: what a plan consists of, and what is reported as it runs. */

import type { StructOpsValue } from '../obj/struct-ops-value.ts';
import type { ProgramShape } from '../programs/program-shape.ts';
import { attachTypeName } from '../uapi/attach-types.ts';
import { mapFlagNames } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE, mapTypeName } from '../uapi/map-types.ts';
import { programTypeName } from '../uapi/program-types.ts';
import type { MapShape } from './shapes.ts';

interface OfMap {
  /** The map's name in the object. */
  readonly map: string;
}

interface OfProgram {
  /** The program's name in the object. */
  readonly program: string;
}

/** Loads the object's BTF; done when the first map or program that has types is made, if ever. */
export interface LoadBtfStep {
  readonly step: 'load-btf';
}

/** Uses the handle that the caller gave instead. */
export interface ReplaceStep extends OfMap {
  readonly step: 'replace';
  readonly shape: MapShape;
  readonly inner: MapShape | null;
}

/** Opens a pin. If there is one and it is compatible, the map's other steps are left out. */
export interface OpenPinStep extends OfMap {
  readonly step: 'open-pin';
  readonly path: string;
  readonly shape: MapShape;
  readonly inner: MapShape | null;
}

/** Creates the inner map that a map of maps takes its shape from. */
export interface CreateTemplateStep extends OfMap {
  readonly step: 'create-template';
  readonly kernelName: string;
  readonly shape: MapShape;
}

/** Creates a map. */
export interface CreateStep extends OfMap {
  readonly step: 'create';
  readonly kernelName: string;
  readonly shape: MapShape;
}

/**
 * Creates a map of a struct of functions (struct_ops), with the size that the struct has in the kernel.
 * Its programs are loaded next; nothing is registered.
 */
export interface CreateStructOpsStep extends OfMap {
  readonly step: 'create-struct-ops';
  readonly kernelName: string;
  /** As declared: values have the size of the object's own struct. */
  readonly shape: MapShape;
  /** The object's struct, with what the options changed. */
  readonly value: StructOpsValue;
}

/** Closes the inner map again: the kernel has copied what it needs of it. */
export interface CloseTemplateStep extends OfMap {
  readonly step: 'close-template';
}

/** Writes the initial contents of a data section. */
export interface WriteStep extends OfMap {
  readonly step: 'write';
  readonly contents: Uint8Array;
}

/** Fills slots of a map of maps. */
export interface FillStep extends OfMap {
  readonly step: 'fill';
  readonly slots: readonly { readonly index: number; readonly map: string }[];
  /** What the kernel compares the maps with. */
  readonly inner: MapShape | null;
}

/** Makes a data section read-only for system calls, so that the verifier knows its contents. */
export interface FreezeStep extends OfMap {
  readonly step: 'freeze';
}

/** Pins a map. If another process was faster, its map is used and ours closed. */
export interface PinStep extends OfMap {
  readonly step: 'pin';
  readonly path: string;
  readonly shape: MapShape;
  readonly inner: MapShape | null;
}

/** Writes what options of the running kernel are to `.kconfig`. */
export interface WriteOptionsStep extends OfMap {
  readonly step: 'write-options';
}

/** Maps an arena, which programs that use it depend on, and writes its globals to its first bytes. */
export interface PlaceStep extends OfMap {
  readonly step: 'place';
  /** null if there are none. */
  readonly contents: Uint8Array | null;
}

/** Loads a program. */
export interface LoadProgramStep extends OfProgram {
  readonly step: 'load-program';
  readonly attributes: ProgramShape;
}

/** Puts programs into slots of a program array. */
export interface FillProgramsStep extends OfMap {
  readonly step: 'fill-programs';
  readonly slots: readonly { readonly index: number; readonly program: string }[];
}

/** Pins a program. */
export interface PinProgramStep extends OfProgram {
  readonly step: 'pin-program';
  readonly path: string;
}

/** One step of a load. */
export type Step =
  | LoadBtfStep
  | ReplaceStep
  | OpenPinStep
  | CreateTemplateStep
  | CreateStep
  | CreateStructOpsStep
  | CloseTemplateStep
  | WriteStep
  | FillStep
  | FreezeStep
  | PinStep
  | WriteOptionsStep
  | PlaceStep
  | LoadProgramStep
  | FillProgramsStep
  | PinProgramStep;

/** A step about a program, when all maps are there. */
export type ProgramStep = LoadProgramStep | FillProgramsStep | PinProgramStep;

/** What became of a step. */
export interface StepEvent {
  readonly step: Step;
  /**
   * `done`; `absent`: there was no pin, so the map is created; `reused`: an existing map is used;
   * `refused`: the kernel did not take the BTF, and maps and programs go without types.
   */
  readonly outcome: 'done' | 'absent' | 'reused' | 'refused';
  /** Why, if `refused`; what was left out, if a map or program was made with less than it declares. */
  readonly reason?: string;
}

/** One line that says what a step does. */
export function describeStep(step: Step): string {
  switch (step.step) {
    case 'load-btf':
      return 'load the BTF of the object';
    case 'replace':
      return `use the given map for "${step.map}"`;
    case 'open-pin':
      return `open "${step.map}" at ${step.path}, or else:`;
    case 'create-template':
      return `create the inner template of "${step.map}": ${describeShape(step.shape)}`;
    case 'create':
      return `create "${step.map}": ${describeShape(step.shape)}`;
    case 'create-struct-ops':
      return `create "${step.map}": struct ${describeStruct(step)}`;
    case 'close-template':
      return `close the inner template of "${step.map}"`;
    case 'write':
      return `write ${step.contents.length} bytes to "${step.map}"`;
    case 'fill':
      return `fill "${step.map}": ${step.slots.map(({ index, map }) => `[${index}] = ${map}`).join(', ')}`;
    case 'freeze':
      return `freeze "${step.map}"`;
    case 'pin':
      return `pin "${step.map}" at ${step.path}`;
    case 'write-options':
      return `write options of the kernel to "${step.map}"`;
    case 'place':
      return step.contents === null
        ? `map "${step.map}" into memory`
        : `map "${step.map}" into memory and write ${step.contents.length} bytes to it`;
    case 'load-program':
      return `load program "${step.program}": ${describeProgram(step.attributes)}`;
    case 'fill-programs':
      return `fill "${step.map}": ${step.slots.map(({ index, program }) => `[${index}] = ${program}`).join(', ')}`;
    case 'pin-program':
      return `pin program "${step.program}" at ${step.path}`;
  }
}

/** The struct's name and its functions: `tcp_congestion_ops, ssthresh = my_ssthresh`. */
function describeStruct({ value: { struct, programs } }: CreateStructOpsStep): string {
  const functions = Array.from(
    programs,
    ([index, program]) => `${struct.members[index]!.name} = ${program}`,
  );
  return [struct.name, ...functions].join(', ');
}

/** A program's type, attach type and target in words: `tracing, trace_fentry, for vfs_read`. */
function describeProgram({ type, attachType, attachTo }: ProgramShape): string {
  const parts = [programTypeName(type)];
  // Some types have one attach type, of the same name.
  if (attachType !== 0 && attachTypeName(attachType) !== parts[0]) {
    parts.push(attachTypeName(attachType));
  }
  if (attachTo !== null) {
    parts.push(`for ${attachTo}`);
  }
  return parts.join(', ');
}

/** A shape in words: `hash, key 4 bytes, value 8 bytes, 1024 entries, flags NO_PREALLOC`. */
export function describeShape(shape: MapShape): string {
  const { type, keySize, valueSize, maxEntries } = shape;
  const flags = mapFlagNames(shape.flags);
  const isRing = type === BPF_MAP_TYPE.RINGBUF || type === BPF_MAP_TYPE.USER_RINGBUF;
  const parts = [mapTypeName(type)];
  if (keySize > 0) {
    parts.push(`key ${count(keySize, 'byte')}`);
  }
  if (valueSize > 0) {
    parts.push(`value ${count(valueSize, 'byte')}`);
  }
  if (isRing) {
    parts.push(count(maxEntries, 'byte'));
  } else if (type === BPF_MAP_TYPE.ARENA) {
    parts.push(count(maxEntries, 'page'));
  } else if (maxEntries > 0) {
    parts.push(maxEntries === 1 ? '1 entry' : `${maxEntries} entries`);
  }
  if (flags.length > 0) {
    parts.push(`flags ${flags.join(' | ')}`);
  }
  return parts.join(', ');
}

function count(number: number, unit: string): string {
  return `${number} ${unit}${number === 1 ? '' : 's'}`;
}
