/**
 * A load as one plain document: what `skep load --json` prints. Its shape is versioned by `format`.
 * Numbers of 64 bits are decimal strings; of contents only the number of bytes is given.
 */

import type { Omission, Plan } from '../loader/plan.ts';
import type { MapShape } from '../loader/shapes.ts';
import type { Step, StepEvent } from '../loader/steps.ts';
import { mapTypeName } from '../uapi/map-types.ts';

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

/** A step: its kind in `step`, and what that kind has. */
export interface DocumentedStep {
  readonly step: Step['step'];
  /** Name in the object; all kinds but `load-btf` have it. */
  readonly map?: string;
  /** `open-pin`, `pin`. */
  readonly path?: string;
  /** `create`, `create-template`: the name in the kernel. */
  readonly kernelName?: string;
  /** `create`, `create-template`, `open-pin`, `pin`. */
  readonly shape?: DocumentedShape;
  /** `open-pin`, `pin`: of the inner maps of a map of maps, else null. */
  readonly inner?: DocumentedShape | null;
  /** `write`: how many bytes. */
  readonly bytes?: number;
  /** `fill`. */
  readonly slots?: readonly { readonly index: number; readonly map: string }[];
}

/** A step that was run. */
export interface DocumentedEvent extends DocumentedStep {
  readonly outcome: StepEvent['outcome'];
  /** Why, if `outcome` is `refused`. */
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

/** The document of a load that has been run. */
export function loadDocument(
  file: string,
  events: readonly StepEvent[],
  maps: ReadonlyMap<string, LoadedHandle>,
  omitted: readonly Omission[],
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
