/** Compares the time that inputs take with the time that a tenth of them takes. */

import { expect } from 'vitest';
import { SkepError } from '../../src/errors.ts';

/** Ten times as much may take so many times as long; a square would take a hundred. */
const MOST_GROWTH = 20;
/** Below this many milliseconds there is nothing to compare. */
const LEAST = 8;
const TRIES = 3;

/** Does it, and takes errors for what is refused as an answer. */
export function answer(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(SkepError);
  }
}

/**
 * The shortest time of some tries, in milliseconds, as others have the machine, too; one try is enough
 * if it is short enough.
 */
function timeOf(run: () => unknown, enough = 0): number {
  let least = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < TRIES && least > enough; tries += 1) {
    const start = performance.now();
    answer(run);
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

/** Compares an input with one that has ten times as much of everything. */
export function grows<T>(
  count: number,
  build: (count: number) => T,
  run: (input: T) => unknown,
): void {
  const small = build(count);
  const large = build(count * 10);
  const before = timeOf(() => run(small));
  const most = Math.max(before, LEAST) * MOST_GROWTH;
  expect(
    timeOf(() => run(large), most),
    `${before} ms for a tenth of it`,
  ).toBeLessThan(most);
}

/** So many of something. */
export const times = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, index) => make(index));
