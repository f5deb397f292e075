/** Global variables of a loaded object as properties of a JavaScript object. */

import type { Codec } from '../codec/codec.ts';
import { SkepError } from '../errors.ts';
import { LiveMemory } from '../maps/live-memory.ts';
import { type NumberArray, numberLayout } from '../maps/number-view.ts';
import type { RawMap } from '../maps/raw-map.ts';
import type { ObjectFile } from '../obj/object.ts';
import { globalCodec } from './global-codec.ts';
import { describeUnknown, type Global, type GlobalNames, nameGlobals } from './global-names.ts';
import { openSection, type SectionMemory } from './section-memory.ts';

/** Values of global variables by name, where their types are not known. */
export type Globals = Record<string, unknown>;

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/** One variable, its codec made and its section opened. */
interface Place {
  get(): unknown;
  set(value: unknown): void;
}

/** The globals of a loaded object. Sections are opened when one of their variables is first used. */
export class GlobalVariables {
  /**
   * A property for each variable, which reads and writes the section. There are no others, and none
   * can be added.
   */
  readonly record: Globals;
  readonly #object: ObjectFile;
  readonly #maps: ReadonlyMap<string, RawMap>;
  readonly #names: GlobalNames;
  readonly #sections = new Map<string, SectionMemory>();
  #closed = false;

  /** @param maps of the loaded object; they stay the caller's */
  constructor(object: ObjectFile, maps: ReadonlyMap<string, RawMap>) {
    this.#object = object;
    this.#maps = maps;
    this.#names = nameGlobals(object.data.values());
    this.record = this.#makeRecord();
  }

  /**
   * A typed array over a variable's memory.
   *
   * @throws RangeError if there is no such variable
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is no plain number and no array of such, or is not
   *   in memory that may be written
   */
  numbers(name: string): NumberArray {
    const global = this.#names.globals.get(name);
    if (global === undefined) {
      throw new RangeError(describeUnknown(name, this.#names));
    }
    const { section, variable } = global;
    const codec = globalCodec(this.#object, variable);
    const layout = numberLayout(codec);
    if (layout === null || variable.offset % layout.kind.BYTES_PER_ELEMENT !== 0) {
      throw noView(name, `it is ${codec.name}, which no typed array can stand for`);
    }
    if (section.readOnly) {
      throw noView(name, `it is constant: section ${section.name} gives copies only`);
    }
    const memory = this.#open(section.name);
    if (!(memory instanceof LiveMemory)) {
      throw noView(name, `section ${section.name} is not mapped into memory`);
    }
    return memory.numbers(layout, variable.offset, layout.count);
  }

  /** Ends the mappings. Every use of a variable throws `ERR_SKEP_CLOSED` afterwards. */
  close(): void {
    this.#closed = true;
    for (const memory of this.#sections.values()) {
      if (memory instanceof LiveMemory) {
        memory.unmap();
      }
    }
  }

  #makeRecord(): Globals {
    const record: Globals = Object.create(null);
    for (const [name, global] of this.#names.globals) {
      const { section } = global;
      if (this.#maps.has(section.name)) {
        this.#define(record, name, global);
      } else {
        refuse(record, name, `global "${name}": section ${section.name} was not loaded`);
      }
    }
    for (const name of this.#names.shared.keys()) {
      refuse(record, name, describeUnknown(name, this.#names));
    }
    Object.defineProperty(record, INSPECT, {
      value: () => (this.#closed ? '[globals of an object that is closed]' : { ...record }),
    });
    return Object.preventExtensions(record);
  }

  #define(record: Globals, name: string, global: Global): void {
    const { section } = global;
    let place: Place | undefined;
    Object.defineProperty(record, name, {
      enumerable: true,
      get: () => {
        place ??= this.#place(global);
        return place.get();
      },
      set: (value: unknown) => {
        if (section.readOnly) {
          throw new TypeError(
            `global "${name}" is constant (section ${section.name}); the load option globals sets it before it is`,
          );
        }
        place ??= this.#place(global);
        place.set(value);
      },
    });
  }

  #place({ section, variable }: Global): Place {
    const { offset } = variable;
    const codec = globalCodec(this.#object, variable);
    const memory = this.#open(section.name);
    return (
      numberPlace(memory, codec, offset) ?? {
        get: () => memory.read(codec, offset),
        set: (value) => memory.write(codec, offset, value),
      }
    );
  }

  #open(section: string): SectionMemory {
    let memory = this.#sections.get(section);
    if (memory === undefined) {
      if (this.#closed) {
        throw new SkepError('ERR_SKEP_CLOSED', `map "${section}" is closed`);
      }
      memory = openSection(this.#maps.get(section)!);
      this.#sections.set(section, memory);
    }
    return memory;
  }
}

/** A single number in memory is read straight from a typed array: a few nanoseconds. */
function numberPlace(
  memory: SectionMemory,
  codec: Codec<unknown, unknown>,
  offset: number,
): Place | null {
  const layout = numberLayout(codec);
  if (
    !(memory instanceof LiveMemory) ||
    layout === null ||
    !layout.isScalar ||
    offset % codec.sizeBytes !== 0
  ) {
    return null;
  }
  const view = memory.readOnlyNumbers(layout, offset, 1);
  return {
    get() {
      const value = view[0];
      if (value === undefined) {
        memory.checkMapped();
      }
      return value;
    },
    set: (value) => memory.write(codec, offset, value),
  };
}

/** A property that says why it has no value. It does not show up when properties are listed. */
function refuse(record: Globals, name: string, problem: string): void {
  const fail = () => {
    throw new TypeError(problem);
  };
  Object.defineProperty(record, name, { enumerable: false, get: fail, set: fail });
}

function noView(name: string, problem: string): SkepError {
  return new SkepError('ERR_SKEP_MAP_KIND', `global "${name}": ${problem}`);
}
