/** Values that globals get before their maps exist: the load option `globals`. */

import { describeValue, Memory, ValueError } from '../codec/codec.ts';
import { type MapDifference, SkepError } from '../errors.ts';
import type { DataSection, DataVariable } from '../obj/data.ts';
import type { ObjectFile } from '../obj/object.ts';
import { globalCodec } from './global-codec.ts';
import { describeUnknown, nameGlobals } from './global-names.ts';

/** `INT_MAX`: larger values no array has (`array_map_alloc_check` in `kernel/bpf/arraymap.c`). */
const MOST_BYTES = 0x7fff_ffff;

/** What a section starts with: its own contents, with values in their place. */
export class InitialContents {
  readonly #section: DataSection;
  readonly #values: { readonly offset: number; readonly bytes: Uint8Array }[] = [];
  #bytes: Uint8Array | undefined;

  /** @throws SkepError `ERR_SKEP_LOAD` for a section that no map can hold */
  constructor(section: DataSection) {
    if (section.size > MOST_BYTES) {
      throw noRoom(section, `a map takes ${MOST_BYTES}`);
    }
    this.#section = section;
  }

  /**
   * Puts a value in.
   *
   * @param variable of this section
   * @throws ValueError for a value that does not fit
   */
  set(object: ObjectFile, variable: DataVariable, value: unknown): void {
    const bytes = allocate(this.#section, variable.size);
    const memory = new Memory(bytes, object.byteOrder === 'little');
    globalCodec(object, variable).write(memory, 0, value);
    this.#values.push({ offset: variable.offset, bytes });
  }

  /**
   * All bytes of the section, put together when they are first asked for: a `.bss` is as large as it
   * says, in a file of any size, and the kernel may refuse its map before.
   *
   * @throws SkepError `ERR_SKEP_LOAD` if there is too little memory
   */
  get bytes(): Uint8Array {
    if (this.#bytes === undefined) {
      const bytes = allocate(this.#section, this.#section.size);
      bytes.set(this.#section.contents ?? []);
      for (const value of this.#values) {
        bytes.set(value.bytes, value.offset);
      }
      this.#bytes = bytes;
    }
    return this.#bytes;
  }
}

function allocate(section: DataSection, size: number): Uint8Array {
  try {
    return new Uint8Array(size);
  } catch (cause) {
    throw cause instanceof RangeError
      ? noRoom(section, 'there is too little memory', cause)
      : cause;
  }
}

function noRoom({ name, size }: DataSection, reason: string, cause?: unknown): SkepError {
  const message = `globals in section "${name}" cannot be set: all its ${size} bytes are written at once, and ${reason}; leave them out of option globals, or make the section smaller`;
  return new SkepError('ERR_SKEP_LOAD', message, { cause });
}

/**
 * The contents that data sections start with, with these values in place of the object's own. Pure:
 * the object stays as it is.
 *
 * @param values by the names of `nameGlobals`
 * @returns by section, those with a value alone
 * @throws TypeError for a name that leads to no variable
 * @throws ValueError for a value that does not fit its variable, with its path from `globals` on
 * @throws SkepError `ERR_SKEP_LOAD` for a section that is too large to be written as a whole
 */
export function initialContents(
  object: ObjectFile,
  values: Readonly<Record<string, unknown>>,
): ReadonlyMap<string, InitialContents> {
  const contents = new Map<string, InitialContents>();
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
    const own = contents.get(section.name) ?? new InitialContents(section);
    contents.set(section.name, own);
    try {
      own.set(object, variable, value);
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
  const contents = initialContents(object, values).get(section.name)?.bytes;
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
