/** What the main thread and the thread that fuzzes say to each other. */

import type { Finding } from './judge.ts';
import type { Recipe } from './recipe.ts';

/** What the thread is to do. */
export interface Order {
  /** Where inputs are written: {@link STATE_WORDS} words, then the text of the input that runs. */
  readonly shared: SharedArrayBuffer;
  readonly seed: number;
  /** Names of targets. */
  readonly targets: readonly string[];
  /** Inputs to begin with. */
  readonly corpus: readonly Recipe[];
  /** Whether to run the corpus and end. */
  readonly isReplay: boolean;
  /** Whether to tell the corpus in the end. */
  readonly isSaving: boolean;
  /** Number of counters. */
  readonly blocks: number;
}

/** Words in front of the text of the input. */
export const STATE_WORDS = 3;
/** What they are: inputs so far, length of the text, 1 if it is time to end. */
export const STATE = { inputs: 0, length: 1, end: 2 } as const;

/** What the main thread is told. */
export type Report =
  | { readonly kind: 'finding'; readonly finding: Finding; readonly recipe: Recipe }
  | ({ readonly kind: 'progress' } & Progress)
  | ({ readonly kind: 'end' } & Progress & { readonly corpus: readonly Recipe[] });

/** How far it has come. */
export interface Progress {
  readonly inputs: number;
  readonly kept: number;
  /** Numbers of the blocks that were entered. */
  readonly reached: Uint32Array;
  /** Inputs that were refused, by code of the error. */
  readonly refused: Readonly<Record<string, number>>;
  /** The longest time and the bytes of that input. */
  readonly slowest: { readonly milliseconds: number; readonly bytes: number };
  /** The most memory that an input took at any time, in bytes. */
  readonly mostMemoryBytes: number;
}
