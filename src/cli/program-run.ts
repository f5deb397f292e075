/** `skep program run`: a test run of a loaded program, or of one of an object that is loaded for it. */

import { closeSync, openSync, readSync } from 'node:fs';
import { SkepError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { type LoadedObject, load } from '../loader/load.ts';
import { ObjectFile } from '../loader/object-file.ts';
import type { LoadOptions } from '../loader/options.ts';
import type { Program } from '../programs/program.ts';
import type { TestRun, TestRunOptions } from '../programs/test-run.ts';
import type { KernelChoice } from './kernel-choice.ts';
import { asUsage as asLoadUsage } from './load-options.ts';
import { naming } from './object-errors.ts';
import { openProgram } from './program-place.ts';
import { isOfKernel, namesOf } from './program-source.ts';
import { describeReturn } from './program-verdicts.ts';
import { print, printable, printJson } from './terminal.ts';
import { takeReference, UsageError, wrongWords } from './usage.ts';

/** Options of `skep program run`. */
export interface RunOptions {
  readonly data?: string;
  readonly context?: string;
  readonly repeat?: number;
  readonly cpu?: number;
  readonly flags?: number;
  readonly kernelConfig?: ReadonlyMap<string, string>;
  readonly json?: true;
}

/**
 * Runs a program.
 *
 * @throws UsageError for what cannot be run, or not on that
 * @throws SkepError as loading and running do
 */
export function runCommand(
  kernel: KernelChoice,
  words: readonly string[],
  options: RunOptions,
): void {
  const { reference, rest } = takeReference(words, 'program', 'PROGRAM');
  const run = runOptions(options);
  if (reference.by === 'path' && !isOfKernel(kernel, reference)) {
    runOfObject(kernel, reference.path, rest, options, run);
    return;
  }
  if (rest.length > 0) {
    throw wrongWords(words, 'PROGRAM', 'program');
  }
  if (options.kernelConfig !== undefined) {
    throw new UsageError('--kernel-config: the program is loaded already; it is for objects only');
  }
  const program = openProgram(kernel.open(), reference);
  try {
    runAndPrint(program, options, run);
  } finally {
    program.close();
  }
}

/** Loads what the run needs of an object, and unloads it again. */
function runOfObject(
  kernel: KernelChoice,
  file: string,
  rest: readonly string[],
  options: RunOptions,
  run: TestRunOptions,
): void {
  if (rest.length > 1) {
    throw new UsageError(`expected FILE NAME; got "${[file, ...rest].join(' ')}"`);
  }
  const object = naming(file, () => ObjectFile.open(file));
  const names = namesOf(object, file, rest[0]);
  const [name] = names;
  if (name === undefined || names.length > 1) {
    throw new UsageError(`${file} has ${names.length} programs; say which: ${names.join(', ')}`);
  }
  const loaded = loadForRun(kernel.open(), object, name, options.kernelConfig);
  try {
    runAndPrint(loaded.program(name), options, run);
  } finally {
    loaded.close();
  }
}

/** Loads a program with its maps, and the programs in slots of its maps; nothing of it is pinned. */
function loadForRun(
  kernel: Kernel,
  object: ObjectFile,
  name: string,
  kernelConfig: RunOptions['kernelConfig'] = new Map(),
): LoadedObject {
  const needed = new Set([name]);
  for (const { slots } of object.maps.values()) {
    for (const slot of slots) {
      if (slot.kind === 'program') {
        needed.add(slot.name);
      }
    }
  }
  // From entries, as a map may be called `__proto__`.
  const options: LoadOptions = {
    kernel,
    kernelConfig: Object.fromEntries(kernelConfig),
    programs: Object.fromEntries(
      Array.from(object.programs.keys(), (each) => [each, { autoload: needed.has(each) }]),
    ),
    maps: Object.fromEntries(
      Array.from(object.maps.values())
        .filter(({ pinning }) => pinning === 'by-name')
        .map((map) => [map.name, { pin: false as const }]),
    ),
  };
  return asLoadUsage(() => load(object, options));
}

function runAndPrint(program: Program, options: RunOptions, run: TestRunOptions): void {
  const { id, typeName } = program.info();
  const outcome = asUsage(() => program.run(run));
  if (options.json) {
    printJson({
      format: 1,
      program: { id, name: program.name, type: typeName },
      returnValue: outcome.returnValue,
      durationNanoseconds: outcome.duration,
      data: hexOf(outcome.data),
      context: hexOf(outcome.context),
    });
    return;
  }
  print(describeRun(typeName, outcome, options.repeat ?? 1));
}

function describeRun(
  typeName: string,
  { returnValue, duration, data, context }: TestRun,
  repeat: number,
) {
  const lines = [`returned  ${describeReturn(typeName, returnValue)}`];
  if (duration > 0) {
    lines.push(`took      ${duration} ns${repeat > 1 ? `, the mean of ${repeat} runs` : ''}`);
  }
  for (const [name, bytes] of [
    ['data', data],
    ['context', context],
  ] as const) {
    if (bytes !== null) {
      lines.push(`${name.padEnd(8)}  ${bytes.length} bytes`, ...hexDump(bytes));
    }
  }
  return `${lines.join('\n')}\n`;
}

const BYTES_A_LINE = 16;
/** Far more bytes of a packet or context than kernels take, which are a few pages. */
const MOST_INPUT = 1 << 20;

/** Lines of offset, bytes and characters, as `hexdump -C` has them. */
function hexDump(bytes: Uint8Array): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += BYTES_A_LINE) {
    const part = [...bytes.subarray(at, at + BYTES_A_LINE)];
    const digits = part.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = part
      .map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'))
      .join('');
    const offset = at.toString(16).padStart(4, '0');
    lines.push(`  ${offset}  ${digits.padEnd(BYTES_A_LINE * 3 - 1)}  ${text}`);
  }
  return lines;
}

function hexOf(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : `0x${Buffer.from(bytes).toString('hex')}`;
}

function runOptions(options: RunOptions): TestRunOptions {
  const { data, context, repeat, cpu, flags } = options;
  return {
    ...(data === undefined ? {} : { data: readBytes('--data', data) }),
    ...(context === undefined ? {} : { context: readBytes('--context', context) }),
    ...(repeat === undefined ? {} : { repeat }),
    ...(cpu === undefined ? {} : { cpu }),
    ...(flags === undefined ? {} : { flags }),
  };
}

/**
 * Bytes of an argument: hexadecimal digits, or what is in a file behind `@`; `@-` is standard input.
 *
 * @throws UsageError for what are no digits; SkepError `ERR_SKEP_FILE` for a file that cannot be read
 */
function readBytes(option: string, text: string): Uint8Array {
  if (text.startsWith('@')) {
    const file = text.slice(1);
    try {
      return readInput(file);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new SkepError('ERR_SKEP_FILE', `${file} cannot be read: ${reason}`, { cause });
    }
  }
  const digits = text.replace(/^0[xX]/, '').replace(/[\s:]/g, '');
  if (!/^(?:[\da-fA-F]{2})*$/.test(digits)) {
    throw new UsageError(
      `${option}: "${printable(text)}" is neither pairs of hexadecimal digits nor @FILE`,
    );
  }
  return new Uint8Array(Buffer.from(digits, 'hex'));
}

/** All of a file, which may be one without an end. */
function readInput(file: string): Uint8Array {
  const fd = file === '-' ? 0 : openSync(file, 'r');
  try {
    const bytes = new Uint8Array(MOST_INPUT + 1);
    let total = 0;
    let length: number;
    do {
      length = readSync(fd, bytes, total, bytes.length - total, null);
      total += length;
    } while (length > 0 && total < bytes.length);
    if (total > MOST_INPUT) {
      throw new Error(`it gives more than ${MOST_INPUT} bytes, which no test run takes`);
    }
    return bytes.slice(0, total);
  } finally {
    if (fd !== 0) {
      closeSync(fd);
    }
  }
}

/** Options that a program of this type does not take are wrong usage. */
function asUsage<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const isWrong = error instanceof TypeError || error instanceof RangeError;
    if (isWrong && error.message.startsWith('run: ')) {
      throw new UsageError(error.message.slice('run: '.length), { cause: error });
    }
    throw error;
  }
}
