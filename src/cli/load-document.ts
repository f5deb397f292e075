/**
 * A load as one plain document: what `skep load --json` prints. Its shape is versioned by `format`.
 * Numbers of 64 bits are decimal strings; of contents only the number of bytes is given.
 */

import type { Omission, Plan } from '../loader/plan.ts';
import type { MapShape } from '../loader/shapes.ts';
import type { Step, StepEvent } from '../loader/steps.ts';
import type { ProgramShape } from '../programs/program-shape.ts';
import { attachTypeName } from '../uapi/attach-types.ts';
import { mapTypeName } from '../uapi/map-types.ts';
import { programTypeName } from '../uapi/program-types.ts';

/** What a map is created as, or must be like. Sizes in bytes; names as in an inspection. */
export interface DocumentedShape {
  readonly type: string;
  readonly typeNumber: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly numaNode: number;
  /** A decimal string. */
  readonly mapExtra: string;
  /** BTF ids in the object, 0 for none. */
  readonly keyTypeId: number;
  readonly valueTypeId: number;
}

/** What a program is loaded as; names as in an inspection. */
export interface DocumentedAttributes {
  readonly section: string;
  readonly type: string;
  readonly typeNumber: number;
  /** null for none. */
  readonly attachType: string | null;
  readonly attachTypeNumber: number;
  /** The function, hook or struct that it is for; null for none. */
  readonly attachTo: string | null;
  readonly flags: number;
}

/** A step: its kind in `step`, and what that kind has. */
export interface DocumentedStep {
  readonly step: Step['step'];
  /** Name in the object; all kinds but `load-btf` have it, or `program`. */
  readonly map?: string;
  /** `load-program`, `pin-program`: name in the object. */
  readonly program?: string;
  /** `open-pin`, `pin`, `pin-program`. */
  readonly path?: string;
  /** `create`, `create-template`, `create-struct-ops`, `load-program`: the name in the kernel. */
  readonly kernelName?: string;
  /** `create`, `create-template`, `create-struct-ops` (as declared), `open-pin`, `pin`. */
  readonly shape?: DocumentedShape;
  /** `open-pin`, `pin`: of the inner maps of a map of maps, else null. */
  readonly inner?: DocumentedShape | null;
  /** `load-program`. */
  readonly attributes?: DocumentedAttributes;
  /** `create-struct-ops`: programs by the members of the struct that point to them. */
  readonly functions?: readonly { readonly member: string; readonly program: string }[];
  /** `write`, `place`: how many bytes. */
  readonly bytes?: number;
  /** `fill`: maps; `fill-programs`: programs. */
  readonly slots?: readonly {
    readonly index: number;
    readonly map?: string;
    readonly program?: string;
  }[];
}

/** A step that was run. */
export interface DocumentedEvent extends DocumentedStep {
  readonly outcome: StepEvent['outcome'];
  /** Why, if `outcome` is `refused`; else what was left out. */
  readonly reason?: string;
}

/** A map after the load. */
export interface DocumentedMap {
  /** Name in the object. */
  readonly name: string;
  readonly id: number;
  readonly type: string;
  /** null: it is gone when the command ends. */
  readonly pinPath: string | null;
  /** Whether it was there before. */
  readonly reused: boolean;
}

/** A program after the load. */
export interface DocumentedProgram {
  /** Name in the object. */
  readonly name: string;
  readonly id: number;
  readonly type: string;
  readonly tag: string;
  /** null: it was verified, and is gone when the command ends. */
  readonly pinPath: string | null;
}

/** `skep load --plan --json`. */
export interface PlanDocument {
  readonly format: 1;
  readonly file: string;
  readonly plan: readonly DocumentedStep[];
  readonly omitted: readonly Omission[];
}

/** `skep load --json`. */
export interface LoadDocument {
  readonly format: 1;
  readonly file: string;
  readonly steps: readonly DocumentedEvent[];
  readonly maps: readonly DocumentedMap[];
  readonly programs: readonly DocumentedProgram[];
  readonly omitted: readonly Omission[];
}

/** The document of a plan. */
export function planDocument(file: string, plan: Plan): PlanDocument {
  return { format: 1, file, plan: plan.steps.map(documentStep), omitted: plan.omitted };
}

/** What is told of the handle of a map, whatever its class. */
interface LoadedHandle {
  readonly pinPath: string | null;
  info(): { readonly id: number; readonly typeName: string };
}

/** What is told of the handle of a program. */
interface LoadedProgramHandle {
  readonly pinPath: string | null;
  info(): { readonly id: number; readonly typeName: string; readonly tag: string };
}

/** What a load leaves. */
interface LoadedHandles {
  readonly maps: ReadonlyMap<string, LoadedHandle>;
  readonly programs: ReadonlyMap<string, LoadedProgramHandle>;
  readonly omitted: readonly Omission[];
}

/** The document of a load that has been run. */
export function loadDocument(
  file: string,
  events: readonly StepEvent[],
  { maps, programs, omitted }: LoadedHandles,
): LoadDocument {
  const reused = reusedMaps(events);
  return {
    format: 1,
    file,
    steps: events.map(({ step, outcome, reason }) => ({
      ...documentStep(step),
      outcome,
      ...(reason === undefined ? {} : { reason }),
    })),
    maps: Array.from(maps, ([name, map]) => ({
      name,
      id: map.info().id,
      type: map.info().typeName,
      pinPath: map.pinPath,
      reused: reused.has(name),
    })),
    programs: Array.from(programs, ([name, program]) => {
      const { id, typeName: type, tag } = program.info();
      return { name, id, type, tag, pinPath: program.pinPath };
    }),
    omitted,
  };
}

/** The maps that were there before a load. */
export function reusedMaps(events: readonly StepEvent[]): ReadonlySet<string> {
  return new Set(
    events.flatMap(({ step, outcome }) =>
      outcome === 'reused' && 'map' in step ? [step.map] : [],
    ),
  );
}

function documentStep(step: Step): DocumentedStep {
  switch (step.step) {
    case 'create':
    case 'create-template':
      return { ...step, shape: documentShape(step.shape) };
    case 'create-struct-ops': {
      const { value, shape, ...rest } = step;
      const functions = Array.from(value.programs, ([index, program]) => ({
        member: value.struct.members[index]!.name,
        program,
      }));
      return { ...rest, shape: documentShape(shape), functions };
    }
    case 'open-pin':
    case 'pin':
    case 'replace': {
      const inner = step.inner === null ? null : documentShape(step.inner);
      return { ...step, shape: documentShape(step.shape), inner };
    }
    case 'fill':
      return { step: step.step, map: step.map, slots: step.slots };
    case 'write':
      return { step: step.step, map: step.map, bytes: step.contents.length };
    case 'place':
      return { step: step.step, map: step.map, bytes: step.contents?.length ?? 0 };
    case 'load-program':
      return {
        step: step.step,
        program: step.program,
        kernelName: step.attributes.kernelName,
        attributes: documentProgram(step.attributes),
      };
    default:
      return { ...step };
  }
}

function documentShape(shape: MapShape): DocumentedShape {
  return {
    type: mapTypeName(shape.type),
    typeNumber: shape.type,
    keySize: shape.keySize,
    valueSize: shape.valueSize,
    maxEntries: shape.maxEntries,
    flags: shape.flags,
    numaNode: shape.numaNode,
    mapExtra: shape.mapExtra.toString(),
    keyTypeId: shape.keyTypeId,
    valueTypeId: shape.valueTypeId,
  };
}

function documentProgram(shape: ProgramShape): DocumentedAttributes {
  return {
    section: shape.section,
    type: programTypeName(shape.type),
    typeNumber: shape.type,
    // 0 is an attach type too, but only sections of that kind imply it.
    attachType: shape.attachType === 0 ? null : attachTypeName(shape.attachType),
    attachTypeNumber: shape.attachType,
    attachTo: shape.attachTo,
    flags: shape.flags,
  };
}
