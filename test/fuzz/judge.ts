/** Runs one input and says what came of it: read, refused with a typed error, or a finding. */

import { collectGarbage, MemoryWatch } from './peak.ts';
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
  /** The most memory that it took at any time, in bytes. */
  readonly memoryBytes: number;
  /** Addresses that it took at any time, above those that there ever were before, in bytes. */
  readonly addressBytes: number;
  /** Size of all its files. */
  readonly bytes: number;
}

/**
 * Time of the CPU that reading may take: so many milliseconds for any input, and more for each byte.
 * V8 compiles and collects in it, which takes more than reading does.
 */
const MILLISECONDS = 200;
const MILLISECONDS_PER_BYTE = 0.01;
/** Memory that reading may take: so much for any input, and more for each byte. */
const MEMORY_BYTES = 64 << 20;
const MEMORY_BYTES_PER_BYTE = 2048;
/** Addresses on top of that. The system gives them out by the 64 MiB, and only those written to cost. */
const ADDRESS_BYTES = 256 << 20;
/** Too much time or memory is believed when it was too much as often as this. */
const TRIES = 4;

/** What an input of a size may take, in milliseconds. */
export function timeLimit(bytes: number): number {
  return MILLISECONDS + bytes * MILLISECONDS_PER_BYTE;
}

/** What an input of a size may take, in bytes. */
export function memoryLimit(bytes: number): number {
  return MEMORY_BYTES + bytes * MEMORY_BYTES_PER_BYTE;
}

const OWN_NAMES = Object.getOwnPropertyNames(Object.prototype).length;

/** Runs an input once. Nothing is thrown but for a mistake in the recipe. */
function judgeOnce({ target, parts, seed }: Recipe, watch: MemoryWatch): Outcome {
  const { run, parts: bases } = TARGETS[target]!;
  const files = parts.map((part, index) => bytesOf(part, bases[index]!));
  const bytes = totalBytes(files);
  watch.begin();
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
  const { memory, addresses } = watch.end();
  return {
    ...{ code, finding: finding ?? pollution(), milliseconds, bytes },
    ...{ memoryBytes: memory, addressBytes: addresses },
  };
}

/**
 * Runs an input; again, if it took too much time or memory, to see whether it was the input, or the
 * machine and the garbage of others.
 */
export function judge(recipe: Recipe): Outcome {
  const watch = new MemoryWatch();
  let outcome = judgeOnce(recipe, watch);
  for (let tries = 1; outcome.finding === null; tries += 1) {
    const excess = excessOf(outcome, recipe.target);
    if (excess === null) {
      break;
    }
    if (tries === TRIES) {
      return { ...outcome, finding: excess };
    }
    collectGarbage();
    const again = judgeOnce(recipe, watch);
    outcome = {
      ...again,
      milliseconds: Math.min(again.milliseconds, outcome.milliseconds),
      memoryBytes: Math.min(again.memoryBytes, outcome.memoryBytes),
    };
  }
  return outcome;
}

/** What an input took too much of. */
function excessOf(outcome: Outcome, target: string): Finding | null {
  const { milliseconds, memoryBytes, addressBytes, bytes } = outcome;
  const most = memoryLimit(bytes);
  if (memoryBytes > most || addressBytes > most + ADDRESS_BYTES) {
    const taken =
      memoryBytes > most ? `${memoryBytes} bytes of memory` : `${addressBytes} bytes of addresses`;
    const message = `${taken} for ${bytes} bytes, at most ${most} are allowed`;
    return { signature: `memory ${target}`, message };
  }
  if (milliseconds > timeLimit(bytes)) {
    const message = `${milliseconds.toFixed(0)} ms for ${bytes} bytes, at most ${timeLimit(bytes).toFixed(0)} are allowed`;
    return { signature: `slow ${target}`, message };
  }
  return null;
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
