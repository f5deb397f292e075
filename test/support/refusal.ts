/** What is refused, as the error that says so. */

import { expect } from 'vitest';
import { SkepError } from '../../src/errors.ts';

/** The typed error of something that has to be refused. */
export function refusal(run: () => unknown): SkepError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(SkepError);
    return error as SkepError;
  }
  throw new Error('it was not refused');
}
