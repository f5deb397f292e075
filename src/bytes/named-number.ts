/** Numbers that callers may give by name, looked up in a table such as those of `src/uapi`. */

import { nearest } from './nearest.ts';

/** Where a name was given, and what it is of, for the error. */
export interface NameContext {
  /** In front of the message: `load options: programs.entry.type: `; '' for nothing. */
  readonly where: string;
  /** `program type`. */
  readonly what: string;
}

/**
 * The number of a name. Numbers are taken as they are: the kernel may know more than a table does.
 *
 * @throws TypeError for a name that the table does not have, with the one that is nearest
 */
export function namedNumber(
  given: string | number,
  numbers: ReadonlyMap<string, number>,
  { where, what }: NameContext,
): number {
  if (typeof given === 'number') {
    return given;
  }
  if (typeof given !== 'string') {
    throw new TypeError(`${where}a ${what} is given by its name or number, not as ${typeof given}`);
  }
  const number = numbers.get(given);
  if (number === undefined) {
    const near = nearest(given, numbers.keys());
    const hint = near === undefined ? '' : `; did you mean "${near}"?`;
    throw new TypeError(`${where}there is no ${what} "${given}"${hint}`);
  }
  return number;
}

/** A table of the kernel's constants by the names that bpftool prints, which are in lower case. */
export function byLowerCase(table: Readonly<Record<string, number>>): ReadonlyMap<string, number> {
  return new Map(Object.entries(table).map(([name, number]) => [name.toLowerCase(), number]));
}
