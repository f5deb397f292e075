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
