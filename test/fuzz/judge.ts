/** Runs one input and says what came of it: read, refused with a typed error, or a finding. */

import { bytesOf, type Recipe, totalBytes } from './recipe.ts';
import { isTyped, TARGETS } from './targets.ts';

/** What is wrong, and by what the same is recognised when it comes again. */
export interface Finding {
  readonly signature: string;
  readonly message: string;
}

/** What came of an input. */
export interface Outcome {
  /** The code of the error that it was refused with; null if it was read. */
  readonly code: string | null;
  readonly finding: Finding | null;
  readonly milliseconds: number;
  /** Size of all its files. */
  readonly bytes: number;
}

/**
 * Time of the CPU that reading may take: so many milliseconds for any input, and more for each byte.
 * V8 compiles and collects in it, which takes more than reading does.
 */
const MILLISECONDS = 200;
const MILLISECONDS_PER_BYTE = 0.01;
/** A time is believed when it was too long as often as this. */
const TRIES = 4;

/** What an input of a size may take, in milliseconds. */
export function timeLimit(bytes: number): number {
  return MILLISECONDS + bytes * MILLISECONDS_PER_BYTE;
}

const OWN_NAMES = Object.getOwnPropertyNames(Object.prototype).length;

/** Runs an input once. Nothing is thrown but for a mistake in the recipe. */
export function judgeOnce({ target, parts, seed }: Recipe): Outcome {
  const { run, parts: bases } = TARGETS[target]!;
  const files = parts.map((part, index) => bytesOf(part, bases[index]!));
  const bytes = totalBytes(files);
  const start = process.cpuUsage();
  let code: string | null = null;
  let finding: Finding | null = null;
  try {
    run(files, seed);
  } catch (error) {
    if (isTyped(error)) {
      code = (error as { readonly code: string }).code;
    } else {
      finding = describe(error);
    }
  }
  const { user, system } = process.cpuUsage(start);
  const milliseconds = (user + system) / 1000;
  return { code, finding: finding ?? pollution(), milliseconds, bytes };
}

/** Runs an input; again, if it took too long, to see whether it was the input or the machine. */
export function judge(recipe: Recipe): Outcome {
  let outcome = judgeOnce(recipe);
  for (let tries = 1; outcome.finding === null && isSlow(outcome); tries += 1) {
    if (tries === TRIES) {
      const { milliseconds, bytes } = outcome;
      const message = `${milliseconds.toFixed(0)} ms for ${bytes} bytes, at most ${timeLimit(bytes).toFixed(0)} are allowed`;
      return { ...outcome, finding: { signature: `slow ${recipe.target}`, message } };
    }
    const again = judgeOnce(recipe);
    outcome = again.milliseconds < outcome.milliseconds ? again : outcome;
  }
  return outcome;
}

function isSlow({ milliseconds, bytes }: Outcome): boolean {
  return milliseconds > timeLimit(bytes);
}

/** Whether a name of the input has become a property of all objects. */
function pollution(): Finding | null {
  const names = Object.getOwnPropertyNames(Object.prototype);
  if (names.length === OWN_NAMES) {
    return null;
  }
  for (const name of names.slice(OWN_NAMES)) {
    Reflect.deleteProperty(Object.prototype, name);
  }
  return { signature: 'pollution', message: `Object.prototype got ${names.slice(OWN_NAMES)}` };
}

function describe(error: unknown): Finding {
  if (!(error instanceof Error)) {
    return { signature: String(error), message: String(error) };
  }
  const frames = (error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line) && /\/(?:src|test)\//.test(line))
    .map((line) => line.trim().replace(/\(?(?:file:\/\/)?\/\S*\/((?:src|test)\/[^:?]+).*$/, '$1'));
  // Of a stack that overflowed the last frames are anywhere in the circle.
  const isOverflow = error instanceof RangeError && error.message.includes('call stack');
  const where = isOverflow ? [...new Set(frames)].sort() : frames;
  return {
    signature: `${error.name}: ${error.message.replace(/\d+/g, 'N').slice(0, 80)} ${where.slice(0, 2).join(' < ')}`,
    message: `${error.name}: ${error.message}\n${frames.slice(0, 8).join('\n')}`,
  };
}
