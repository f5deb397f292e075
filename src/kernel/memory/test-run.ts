/** Programs of tests: what they do when they are run in the in-process kernel. */

import type { TestRunRequest } from '../program-calls.ts';

/** What a program of a test leaves behind when it is run. */
export interface TestRunAnswer {
  /** What it returns: 32 bits. */
  readonly returnValue: number;
  /** The packet as it leaves it; as it came by default. */
  readonly data?: Uint8Array;
  /** The context as it leaves it; as it came by default. */
  readonly context?: Uint8Array;
  /** Of one run; 0 by default. */
  readonly durationNanoseconds?: number;
}

/** A program of a test: what is run instead of instructions. Called once, however often it is to repeat. */
export type TestRunFunction = (request: TestRunRequest) => TestRunAnswer;

/**
 * What a function of a test has answered.
 *
 * @param name the program's
 * @throws TypeError for what is no answer, such as that of an asynchronous function
 */
export function checkAnswer(answer: unknown, name: string): TestRunAnswer {
  const what = `the function of onTestRun for program "${name}"`;
  if (answer instanceof Promise) {
    throw new TypeError(
      `${what} is asynchronous; a test run is a call, and needs its answer at once`,
    );
  }
  const given = typeof answer === 'object' ? (answer as Partial<TestRunAnswer> | null) : null;
  if (!Number.isInteger(given?.returnValue)) {
    throw new TypeError(`${what} answers with an object whose returnValue is an integer`);
  }
  for (const part of ['data', 'context'] as const) {
    const bytes: unknown = given?.[part];
    if (bytes !== undefined && !(bytes instanceof Uint8Array)) {
      throw new TypeError(`${what} answers with ${part} that is a Uint8Array, or with none`);
    }
  }
  return given as TestRunAnswer;
}
