/** Values that globals get before their maps exist: the load option `globals`. */

import { describeValue, Memory, ValueError } from '../codec/codec.ts';
import type { MapDifference } from '../errors.ts';
import type { DataSection } from '../obj/data.ts';
import type { ObjectFile } from '../obj/object.ts';
import { globalCodec } from './global-codec.ts';
import { describeUnknown, nameGlobals } from './global-names.ts';

/**
 * The contents that data sections start with, with these values in place of the object's own. Pure:
 * the object stays as it is.
 *
 * @param values by the names of `nameGlobals`
 * @returns by section, those with a value alone
 * @throws TypeError for a name that leads to no variable
 * @throws ValueError for a value that does not fit its variable, with its path from `globals` on
 */
export function initialContents(
  object: ObjectFile,
  values: Readonly<Record<string, unknown>>,
): ReadonlyMap<string, Uint8Array> {
  const contents = new Map<string, Uint8Array>();
  const given = Object.entries(values);
  if (given.length === 0) {
    return contents;
  }
  const names = nameGlobals(object.data.values());
  for (const [name, value] of given) {
    const global = names.globals.get(name);
    if (global === undefined) {
      throw new TypeError(`load options: globals: ${describeUnknown(name, names)}`);
    }
    const { section, variable } = global;
    let bytes = contents.get(section.name);
    if (bytes === undefined) {
      bytes = new Uint8Array(section.size);
      bytes.set(section.contents ?? []);
      contents.set(section.name, bytes);
    }
    const memory = new Memory(bytes, object.byteOrder === 'little');
    try {
      globalCodec(object, variable).write(memory, variable.offset, value);
    } catch (error) {
      throw error instanceof ValueError ? error.within(name).within('globals') : error;
    }
  }
  return contents;
}

/**
 * Those of the given values that a section does not have.
 *
 * @param found the section's contents
 */
export function constantDifferences(
  object: ObjectFile,
  section: DataSection,
  values: Readonly<Record<string, unknown>>,
  found: Uint8Array,
): MapDifference[] {
  const contents = initialContents(object, values).get(section.name);
  if (contents === undefined) {
    return [];
  }
  const littleEndian = object.byteOrder === 'little';
  const differences: MapDifference[] = [];
  const names = nameGlobals(object.data.values());
  for (const name of Object.keys(values)) {
    const { variable, section: own } = names.globals.get(name)!;
    const { offset, size } = variable;
    const differs = (byte: number, at: number) => byte !== found[offset + at];
    if (own === section && contents.subarray(offset, offset + size).some(differs)) {
      const codec = globalCodec(object, variable);
      const spell = (bytes: Uint8Array) =>
        describeValue(codec.read(new Memory(bytes, littleEndian), offset));
      differences.push({ field: name, wanted: spell(contents), found: spell(found) });
    }
  }
  return differences;
}
