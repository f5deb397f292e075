/** Arguments: what they look like, and the error for those that do not. */

import { InvalidArgumentError } from 'commander';

/** The command line asks for something that does not exist. Its message goes to stderr as it is. */
export class UsageError extends Error {
  static {
    UsageError.prototype.name = 'UsageError';
  }
}

/** An argument is not what its type takes. */
export class ArgumentError extends UsageError {
  /** The argument's name in the help: `KEY`, `VALUE`. */
  readonly argument: string;
  readonly problem: string;

  constructor(argument: string, problem: string) {
    super(`${argument}: ${problem}`);
    this.argument = argument;
    this.problem = problem;
  }
}

/** The command cannot do what was asked, for a reason that is no error of the library. */
export class CommandError extends Error {
  static {
    CommandError.prototype.name = 'CommandError';
  }
}

/** Entries and ids have 32 bits in the kernel. */
const U32_MAX = 0xffff_ffff;

/** A 32-bit number, decimal or with `0x`; undefined for anything else. */
export function parseU32(text: string): number | undefined {
  if (!/^(?:\d+|0[xX][\da-fA-F]+)$/.test(text)) {
    return undefined;
  }
  const number = Number(text);
  return number <= U32_MAX ? number : undefined;
}

/** Reads a number of entries. */
export function parseCount(text: string): number {
  const number = parseU32(text);
  if (number === undefined) {
    throw new InvalidArgumentError(notU32(text));
  }
  return number;
}

/** Collects the values of an option that may be repeated. */
export function collectWord(argument: string, before: readonly string[] = []): readonly string[] {
  return [...before, argument];
}

/** Collects `--type NAME=TYPE`, which may be given once for each program. */
export function collectType(
  argument: string,
  before: ReadonlyMap<string, string> = new Map(),
): ReadonlyMap<string, string> {
  const [name, type] = splitAssignment(argument, before, 'NAME=TYPE', 'Program');
  return new Map(before).set(name, type);
}

/** Collects `--attach-to NAME=TARGET`, which may be given once for each program. */
export function collectTarget(
  argument: string,
  before: ReadonlyMap<string, string> = new Map(),
): ReadonlyMap<string, string> {
  const [name, target] = splitAssignment(argument, before, 'NAME=TARGET', 'Program');
  return new Map(before).set(name, target);
}

/** Collects `--kernel-config NAME=VALUE`, which may be given once for each option of the kernel. */
export function collectKernelOption(
  argument: string,
  before: ReadonlyMap<string, string> = new Map(),
): ReadonlyMap<string, string> {
  const [name, value] = splitAssignment(argument, before, 'NAME=VALUE', 'Option');
  return new Map(before).set(name, value);
}

/** Programs by slot, by map. */
export type Slots = ReadonlyMap<string, ReadonlyMap<number, string>>;

/**
 * Collects `--slot MAP:INDEX=PROGRAM`, which may be given once for each slot. No brackets: shells have
 * a use for them.
 */
export function collectSlot(argument: string, before: Slots = new Map()): Slots {
  const [, map, digits, program] = /^(.+):([^:=]+)=(.+)$/.exec(argument) ?? [];
  if (map === undefined || digits === undefined || program === undefined) {
    throw new InvalidArgumentError('Expected MAP:INDEX=PROGRAM, or MAP:INDEX=none.');
  }
  const index = parseU32(digits);
  if (index === undefined) {
    throw new InvalidArgumentError(notU32(digits));
  }
  const slots = before.get(map);
  if (slots?.has(index) === true) {
    throw new InvalidArgumentError(`Slot ${index} of map "${map}" was given before.`);
  }
  return new Map(before).set(map, new Map(slots).set(index, program));
}

/** Reads the level of the verifier's log. */
export function parseLogLevel(text: string): number {
  if (!/^[0-7]$/.test(text)) {
    throw new InvalidArgumentError(
      `"${text}" is no level: 1, 2 for every instruction, 4 for numbers alone, or a sum of them.`,
    );
  }
  return Number(text);
}

/** Collects `--pin NAME=PATH`, which may be given once for each map. */
export function collectPath(
  argument: string,
  before: ReadonlyMap<string, string> = new Map(),
): ReadonlyMap<string, string> {
  const [name, path] = splitAssignment(argument, before, 'NAME=PATH');
  return new Map(before).set(name, path);
}

/** Collects `--max-entries NAME=N`, which may be given once for each map. */
export function collectNumber(
  argument: string,
  before: ReadonlyMap<string, number> = new Map(),
): ReadonlyMap<string, number> {
  const [name, text] = splitAssignment(argument, before, 'NAME=N');
  const number = parseU32(text);
  if (number === undefined) {
    throw new InvalidArgumentError(notU32(text));
  }
  return new Map(before).set(name, number);
}

function notU32(text: string): string {
  return `"${text}" is no number from 0 to ${U32_MAX}, decimal or with 0x.`;
}

/** Splits at the first `=`: names of maps and programs have none, paths may. */
function splitAssignment(
  argument: string,
  before: ReadonlyMap<string, unknown>,
  form: string,
  kind = 'Map',
): [name: string, value: string] {
  const at = argument.indexOf('=');
  const name = argument.slice(0, at);
  const value = argument.slice(at + 1);
  if (at <= 0 || value === '') {
    throw new InvalidArgumentError(`Expected ${form}.`);
  }
  if (before.has(name)) {
    throw new InvalidArgumentError(`${kind} "${name}" was given before.`);
  }
  return [name, value];
}

/** An object of the kernel, as named on the command line. */
export type Reference =
  | { readonly by: 'path'; readonly path: string }
  | { readonly by: 'id'; readonly id: number }
  | { readonly by: 'name'; readonly name: string };

/** A map of the kernel, as named on the command line. */
export type MapReference = Reference;

/** What kinds of objects are named so. */
export type ReferenceKind = 'map' | 'program';

/** What MAP is, and PROGRAM, for messages. */
const FORMS = 'the path of a pin, id:N or name:NAME';

/**
 * Reads MAP from the front of words: the path of a pin, `id:N` or `name:NAME`; `id N` and `name NAME`
 * in two words do as well. Paths of pins start with a slash, so there is no mistaking them.
 *
 * @param form what the command expects, e.g. `MAP KEY`
 * @returns the map, and the words that follow
 * @throws UsageError if there is no map
 */
export function takeMap(
  words: readonly string[],
  form: string,
): { readonly map: MapReference; readonly rest: readonly string[] } {
  const { reference, rest } = takeReference(words, 'map', form);
  return { map: reference, rest };
}

/**
 * Reads MAP, and as many words behind it.
 *
 * @throws UsageError if there are more or fewer
 */
export function parseMapReference(
  words: readonly string[],
  after: number,
  form = after === 0 ? 'MAP' : 'MAP PATH',
): { readonly map: MapReference; readonly rest: readonly string[] } {
  const taken = takeMap(words, form);
  if (taken.rest.length !== after) {
    throw wrongWords(words, form);
  }
  return taken;
}

/**
 * Reads MAP or PROGRAM from the front of words, as {@link takeMap} does.
 *
 * @throws UsageError if there is none
 */
export function takeReference(
  words: readonly string[],
  kind: ReferenceKind,
  form: string,
): { readonly reference: Reference; readonly rest: readonly string[] } {
  const [first, second] = words;
  if ((first === 'id' || first === 'name') && second !== undefined) {
    return { reference: parseWord(`${first}:${second}`, kind), rest: words.slice(2) };
  }
  if (first === undefined || first === 'id' || first === 'name') {
    throw wrongWords(words, form, kind);
  }
  return { reference: parseWord(first, kind), rest: words.slice(1) };
}

/** Reads MAP in one word. @throws UsageError for an id that is no number */
export function parseMapWord(word: string): MapReference {
  return parseWord(word, 'map');
}

function parseWord(word: string, kind: ReferenceKind): Reference {
  const [, by, rest] = /^(id|name):(.*)$/s.exec(word) ?? [];
  if (by === undefined) {
    return { by: 'path', path: word };
  }
  if (by === 'name') {
    return { by, name: rest! };
  }
  const id = parseU32(rest!);
  if (id === undefined) {
    throw new UsageError(
      `"${rest}" is no id of a ${kind}; ids are numbers, as "${kind} list" shows`,
    );
  }
  return { by: 'id', id };
}

/** The error for too many words, or too few. */
export function wrongWords(
  words: readonly string[],
  form: string,
  kind: ReferenceKind = 'map',
): UsageError {
  const got = words.join(' ');
  return new UsageError(`expected ${form}, where ${kind.toUpperCase()} is ${FORMS}; got "${got}"`);
}
