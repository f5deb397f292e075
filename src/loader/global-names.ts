/** The names that an object's global variables go by. */

import { nearest } from '../bytes/nearest.ts';
import type { DataSection, DataVariable } from '../obj/data.ts';

/** A variable and where it lies. */
export interface Global {
  readonly section: DataSection;
  readonly variable: DataVariable;
}

/** All variables of some sections. */
export interface GlobalNames {
  /** By the name that leads to exactly one of them. */
  readonly globals: ReadonlyMap<string, Global>;
  /** Names that several variables have, and the longer ones that tell them apart. */
  readonly shared: ReadonlyMap<string, readonly string[]>;
}

/**
 * Names variables. A name is used as it is if it is the only one; static variables of different
 * sources, linked into one object, may share theirs, and go by `.data:name`, or, if that is not enough,
 * by their offset in bytes: `.data:name@16`.
 */
export function nameGlobals(sections: Iterable<DataSection>): GlobalNames {
  const byName = new Map<string, Global[]>();
  for (const section of sections) {
    // Its variables are options of the kernel, which nobody sets.
    if (section.name === '.kconfig') {
      continue;
    }
    for (const variable of section.variables) {
      const same = byName.get(variable.name);
      if (same === undefined) {
        byName.set(variable.name, [{ section, variable }]);
      } else {
        same.push({ section, variable });
      }
    }
  }
  const globals = new Map<string, Global>();
  const shared = new Map<string, readonly string[]>();
  for (const [name, same] of byName) {
    if (same.length === 1) {
      globals.set(name, same[0]!);
      continue;
    }
    const names = same.map((global) => longName(global, same));
    shared.set(name, names);
    names.forEach((long, index) => {
      globals.set(long, same[index]!);
    });
  }
  return { globals, shared };
}

/** Says what is wrong with a name that leads to no variable. */
export function describeUnknown(name: string, { globals, shared }: GlobalNames): string {
  const longer = shared.get(name);
  if (longer !== undefined) {
    return `there are several globals "${name}": ${longer.join(', ')}`;
  }
  if (globals.size === 0) {
    return `the object has no globals, so no "${name}"`;
  }
  const near = nearest(name, globals.keys());
  const list = [...globals.keys()];
  const known = list.length > 12 ? `${list.slice(0, 12).join(', ')}, ...` : list.join(', ');
  const hint = near === undefined ? `it has ${known}` : `did you mean "${near}"?`;
  return `the object has no global "${name}"; ${hint}`;
}

function longName({ section, variable }: Global, same: readonly Global[]): string {
  const name = `${section.name}:${variable.name}`;
  const isEnough = same.filter((other) => other.section === section).length === 1;
  return isEnough ? name : `${name}@${variable.offset}`;
}
