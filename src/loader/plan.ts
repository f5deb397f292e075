/**
 * A load as a list of steps, made without touching the kernel. Running it is `execute.ts`.
 *
 * The order: each regular map, its pin first; then each map of maps, with its inner template only
 * when there is no pin to open; then the slots, when every map exists; then the pins of maps of
 * maps, which must not be visible to others before they are filled.
 */

import { SkepError } from '../errors.ts';
import { kernelName } from '../maps/create-map.ts';
import { checkPinPath } from '../maps/pin-path.ts';
import type { DataSection } from '../obj/data.ts';
import type { MapDefinition } from '../obj/map-definition.ts';
import type { ObjectFile } from '../obj/object.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { dataKernelName } from './data-name.ts';
import { initialContents } from './initial-globals.ts';
import { type CheckedOptions, checkOptions, type LoadOptions, type MapOptions } from './options.ts';
import { isOuter, type Machine, type MapShape, shapeOf } from './shapes.ts';
import type { Step } from './steps.ts';

/** A map, or contents of one, left out, and why. */
export interface Omission {
  readonly map: string;
  readonly reason: string;
}

/** What a load will do. */
export interface Plan {
  readonly steps: readonly Step[];
  readonly omitted: readonly Omission[];
}

/**
 * Plans a load. Pure: the same object, options and machine give the same plan.
 *
 * @throws TypeError for wrong options; ValueError for a value that does not fit its global
 * @throws SkepError `ERR_SKEP_LOAD` for an object that cannot be loaded on this machine,
 *   `ERR_SKEP_PIN_PATH` for a path that no BPF file system takes
 */
export function planLoad(object: ObjectFile, options: LoadOptions<object>, machine: Machine): Plan {
  const checked = checkOptions(options, new Set([...object.maps.keys(), ...object.data.keys()]));
  if ((object.byteOrder === 'little') !== machine.littleEndian) {
    throw new SkepError(
      'ERR_SKEP_LOAD',
      `the object is ${object.byteOrder}-endian, this machine is not; compile with -target bpf${machine.littleEndian ? 'el' : 'eb'}`,
    );
  }
  const planner = new Planner(object, checked, machine);
  return planner.plan();
}

class Planner {
  readonly #object: ObjectFile;
  readonly #options: CheckedOptions;
  readonly #machine: Machine;
  readonly #regular: Step[] = [];
  readonly #outer: Step[] = [];
  readonly #fills: Step[] = [];
  readonly #lastPins: Step[] = [];
  readonly #omitted: Omission[] = [];
  /** Pin paths and the maps that they are of. */
  readonly #paths = new Map<string, string>();
  /** What data sections start with, where the options say so. */
  readonly #initial: ReadonlyMap<string, Uint8Array>;

  constructor(object: ObjectFile, options: CheckedOptions, machine: Machine) {
    this.#object = object;
    this.#options = options;
    this.#machine = machine;
    this.#initial = initialContents(object, options.globals);
  }

  plan(): Plan {
    for (const map of this.#object.maps.values()) {
      this.#planMap(map);
    }
    for (const section of this.#object.data.values()) {
      this.#planData(section);
    }
    this.#planArenaGlobals();
    const steps = [...this.#regular, ...this.#outer, ...this.#fills, ...this.#lastPins];
    const needsBtf = steps.some((step) => 'shape' in step && step.shape.valueTypeId !== 0);
    return {
      steps: needsBtf ? [{ step: 'load-btf' }, ...steps] : steps,
      omitted: this.#omitted,
    };
  }

  #planMap(map: MapDefinition): void {
    const { name } = map;
    const options = this.#options.maps.get(name) ?? {};
    if (options.create === false) {
      this.#omitted.push({ map: name, reason: 'left out by the options' });
      return;
    }
    if (map.typeNumber === BPF_MAP_TYPE.STRUCT_OPS) {
      this.#omitted.push({ map: name, reason: 'struct_ops are loaded with their programs' });
      return;
    }
    checkLegacyTail(map);
    const shape = shapeOf(map, this.#machine, options);
    const inner = map.inner === null ? null : shapeOf(map.inner, this.#machine);
    if (options.replace !== undefined) {
      this.#regular.push({ step: 'replace', map: name, shape, inner });
      return;
    }
    const outer = isOuter(shape);
    const path = this.#pinPath(name, map.pinning, options);
    const steps = outer ? this.#outer : this.#regular;
    if (path !== null) {
      steps.push({ step: 'open-pin', map: name, path, shape, inner });
    }
    if (inner !== null) {
      steps.push({
        step: 'create-template',
        map: name,
        kernelName: kernelName(`${name}.inner`),
        shape: inner,
      });
    } else if (outer && path === null) {
      throw noInnerDefinition(name);
    }
    steps.push({ step: 'create', map: name, kernelName: kernelName(name), shape });
    if (inner !== null) {
      steps.push({ step: 'close-template', map: name });
    }
    if (outer) {
      this.#planSlots(map, shape, inner);
    } else if (map.slots.length > 0) {
      this.#omitted.push({
        map: name,
        reason: 'its initial programs are put in when programs are loaded',
      });
    }
    if (path !== null) {
      (outer ? this.#lastPins : steps).push({ step: 'pin', map: name, path, shape, inner });
    }
  }

  #planSlots(map: MapDefinition, shape: MapShape, inner: MapShape | null): void {
    const slots = map.slots.map(({ index, name }) => ({ index, map: name }));
    const last = slots[slots.length - 1];
    if (last === undefined) {
      return;
    }
    // Indices of an array, a number of keys in a hash.
    const isArray = shape.type === BPF_MAP_TYPE.ARRAY_OF_MAPS;
    const needed = isArray ? last.index + 1 : slots.length;
    if (needed > shape.maxEntries) {
      throw new SkepError(
        'ERR_SKEP_LOAD',
        `map "${map.name}" has room for ${shape.maxEntries} entries, but its initial values need ${needed}`,
      );
    }
    for (const slot of slots) {
      if (this.#options.maps.get(slot.map)?.create === false) {
        throw new SkepError(
          'ERR_SKEP_LOAD',
          `map "${slot.map}" is left out by the options, but slot ${slot.index} of "${map.name}" holds it`,
        );
      }
    }
    this.#fills.push({ step: 'fill', map: map.name, slots, inner });
  }

  #planData(section: DataSection): void {
    const { name } = section;
    const options = this.#options.maps.get(name) ?? {};
    const initial = this.#initial.get(name);
    if (initial !== undefined && (options.create === false || options.replace !== undefined)) {
      throw new TypeError(
        `load options: globals of section "${name}" cannot be set: its map is ${options.create === false ? 'left out' : 'replaced'}`,
      );
    }
    if (options.create === false) {
      this.#omitted.push({ map: name, reason: 'left out by the options' });
      return;
    }
    if (name === '.kconfig') {
      this.#omitted.push({
        map: name,
        reason: 'options of the kernel are read when programs are loaded',
      });
      return;
    }
    if (options.maxEntries !== undefined && options.maxEntries !== 1) {
      throw new TypeError(`load options: data section "${name}" has one entry, its contents`);
    }
    const shape = dataShape(section, options);
    if (options.replace !== undefined) {
      this.#regular.push({ step: 'replace', map: name, shape, inner: null });
      return;
    }
    const path = this.#pinPath(name, 'none', options);
    if (path !== null) {
      this.#regular.push({ step: 'open-pin', map: name, path, shape, inner: null });
    }
    this.#regular.push({
      step: 'create',
      map: name,
      kernelName: dataKernelName(this.#object.file, name),
      shape,
    });
    const contents = initial ?? section.contents;
    if (contents !== null) {
      this.#regular.push({ step: 'write', map: name, contents });
    }
    if (section.readOnly) {
      this.#regular.push({ step: 'freeze', map: name });
    }
    if (path !== null) {
      this.#regular.push({ step: 'pin', map: name, path, shape, inner: null });
    }
  }

  /** Globals of an arena: their addresses only matter to programs, which place them. */
  #planArenaGlobals(): void {
    const section = this.#object.elf.sections.find(({ name }) => name === '.addr_space.1');
    if (section === undefined || section.size === 0) {
      return;
    }
    for (const map of this.#object.maps.values()) {
      const bytes = map.maxEntries * this.#machine.pageSize;
      if (map.typeNumber === BPF_MAP_TYPE.ARENA && bytes < section.size) {
        throw new SkepError(
          'ERR_SKEP_LOAD',
          `map "${map.name}" has ${map.maxEntries} pages (${bytes} bytes), too few for the globals of the arena (${section.size} bytes)`,
        );
      }
    }
    this.#omitted.push({
      map: section.name,
      reason: 'globals of an arena are placed when programs are loaded',
    });
  }

  #pinPath(name: string, pinning: MapDefinition['pinning'], options: MapOptions): string | null {
    const all = this.#options.pinAll && this.#object.maps.has(name);
    const declared = all || pinning === 'by-name' ? `${this.#options.pinDirectory}/${name}` : null;
    const given = options.pin === false ? null : (options.pin ?? declared);
    if (given === null) {
      return null;
    }
    const path = checkPinPath(given);
    const other = this.#paths.get(path);
    if (other !== undefined) {
      throw new SkepError(
        'ERR_SKEP_PIN_PATH',
        `maps "${other}" and "${name}" cannot both be pinned at ${path}`,
      );
    }
    this.#paths.set(path, name);
    return path;
  }
}

/** A map of maps can be found at its pin, or replaced, but not created, without a template. */
export function noInnerDefinition(map: string): SkepError {
  return new SkepError(
    'ERR_SKEP_LOAD',
    `map "${map}" is a map of maps without an inner definition, so it cannot be created; declare __array(values, ...) or replace it with an existing map`,
  );
}

function dataShape(section: DataSection, options: MapOptions): MapShape {
  return {
    type: BPF_MAP_TYPE.ARRAY,
    keySize: 4,
    valueSize: section.size,
    maxEntries: 1,
    flags: options.flags ?? section.flags,
    optionalFlags: options.flags === undefined ? BPF_F.MMAPABLE : 0,
    numaNode: 0,
    mapExtra: 0n,
    keyTypeId: 0,
    valueTypeId: section.typeId,
  };
}

/** Fields that other loaders appended to legacy definitions mean something that we do not do. */
function checkLegacyTail(map: MapDefinition): void {
  if (map.legacyTail?.some((byte) => byte !== 0)) {
    throw new SkepError(
      'ERR_SKEP_LOAD',
      `map "${map.name}" of section "${map.section}" has ${map.legacyTail.length} bytes behind the fields of a legacy definition, and they are not zero; declare it in .maps, or replace it with an existing map`,
    );
  }
}
