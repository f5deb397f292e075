/** Arguments: what they look like, and the error for those that do not. */

import { InvalidArgumentError } from 'commander';

/** The command line asks for something that does not exist. Its message goes to stderr as it is. */
export class UsageError extends Error {
  static {
    UsageError.prototype.name = 'UsageError';
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
    throw new InvalidArgumentError(
      `"${text}" is no number from 0 to ${U32_MAX}, decimal or with 0x.`,
    );
  }
  return new Map(before).set(name, number);
}

/** Splits at the first `=`: names of maps have none, paths may. */
function splitAssignment(
  argument: string,
  before: ReadonlyMap<string, unknown>,
  form: string,
): [name: string, value: string] {
  const at = argument.indexOf('=');
  const name = argument.slice(0, at);
  const value = argument.slice(at + 1);
  if (at <= 0 || value === '') {
    throw new InvalidArgumentError(`Expected ${form}.`);
  }
  if (before.has(name)) {
    throw new InvalidArgumentError(`Map "${name}" was given before.`);
  }
  return [name, value];
}

/** A map of the kernel, as named on the command line. */
export type MapReference =
  | { readonly by: 'path'; readonly path: string }
  | { readonly by: 'id'; readonly id: number };

/**
 * Reads `MAP` from the front of words: the path of a pin, or `id N`.
 *
 * @param after how many words must follow
 * @returns the map, and the words that follow
 * @throws UsageError if there are more or fewer words
 */
export function parseMapReference(
  words: readonly string[],
  after: number,
): { readonly map: MapReference; readonly rest: readonly string[] } {
  const byId = words[0] === 'id';
  const length = byId ? 2 : 1;
  if (words.length !== length + after) {
    const form = after === 0 ? 'MAP' : 'MAP PATH';
    throw new UsageError(
      `expected ${form}, where MAP is the path of a pin, or "id" and a number; got "${words.join(' ')}"`,
    );
  }
  const rest = words.slice(length);
  if (!byId) {
    return { map: { by: 'path', path: words[0]! }, rest };
  }
  const id = parseU32(words[1]!);
  if (id === undefined) {
    throw new UsageError(`"${words[1]}" is no id of a map; ids are numbers, as "map list" shows`);
  }
  return { map: { by: 'id', id }, rest };
}
