/**
 * Inputs as recipes: the names of real objects and what is done to them. A recipe is a few hundred bytes
 * of JSON, gives the same bytes everywhere, and can be made smaller by leaving edits out.
 */

import { baseBytes, Draft } from './draft.ts';
import { applyEdit, BYTE_EDITS, EDITS, type Edit } from './edits.ts';
import { isElf } from './image.ts';
import { isBtf } from './types.ts';

/** One file of an input. */
export interface Part {
  /** Path of a fixture. */
  readonly base: string;
  readonly edits: readonly Edit[];
}

/** One input. */
export interface Recipe {
  /** Name of a target of targets.ts. */
  readonly target: string;
  /** The first is what is read; what others are for, the target says. */
  readonly parts: readonly Part[];
  /** What a target chooses by. */
  readonly seed: number;
}

/**
 * The bytes of a part. Edits of an object in parts come first, whatever their place in the list, then
 * those of bytes.
 *
 * @param bases what edits take pieces of other objects from
 */
export function bytesOf({ base, edits }: Part, bases: readonly string[]): Uint8Array {
  const real = baseBytes(base);
  const structural = edits.filter(([name]) => EDITS[name] !== undefined);
  let bytes: Uint8Array;
  if (structural.length === 0 || !(isElf(real) || isBtf(real))) {
    bytes = Uint8Array.from(real);
  } else {
    const draft = new Draft(real);
    for (const edit of structural) {
      applyEdit(draft, edit, bases);
    }
    bytes = draft.write();
  }
  for (const [name, a, b, c] of edits) {
    const change = BYTE_EDITS[name];
    if (change !== undefined) {
      bytes = change(bytes, a, b, c);
    }
  }
  return bytes;
}

/** Sizes of all parts together, in bytes. */
export function totalBytes(files: readonly Uint8Array[]): number {
  return files.reduce((sum, { length }) => sum + length, 0);
}
