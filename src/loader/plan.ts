/**
 * A load as a list of steps, made without touching the kernel. Running it is `execute.ts`.
 *
 * The order: each regular map, its pin first; then each map of maps, with its inner template only
 * when there is no pin to open; then the slots, when every map exists; then the pins of maps of
 * maps, which must not be visible to others before they are filled; then programs, which need every
 * map; then the slots of program arrays and the pins of programs.
 */

import { SkepError } from '../errors.ts';
import { kernelName } from '../maps/create-map.ts';
import { checkPinPath, pinPathIn } from '../maps/pin-path.ts';
import type { DataSection } from '../obj/data.ts';
import type { ElfSection } from '../obj/elf.ts';
import type { MapDefinition } from '../obj/map-definition.ts';
import type { ObjectFile } from '../obj/object.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { dataKernelName } from './data-name.ts';
import { type InitialContents, initialContents } from './initial-globals.ts';
import { type CheckedOptions, checkOptions, type LoadOptions, type MapOptions } from './options.ts';
import {
  type ProgramOmission,
  type ProgramPlan,
  planPrograms,
  planSlots,
  programPin,
} from './plan-programs.ts';
import { planStructOps, type StructOpsPlan } from './plan-struct-ops.ts';
import { isOuter, type Machine, type MapShape, shapeOf } from './shapes.ts';
import type { LoadProgramStep, Step, WriteStep } from './steps.ts';

/** A map, or contents of one, left out, and why. */
export interface MapOmission {
  readonly map: string;
  readonly reason: string;
}

/** A map or a program left out, and why. */
export type Omission = MapOmission | ProgramOmission;

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
  const checked = checkOptions(options, object);
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
  readonly #loads: readonly LoadProgramStep[];
  readonly #programFills: Step[] = [];
  readonly #structOps: StructOpsPlan;
  readonly #omitted: Omission[] = [];
  /** Names of the programs that are loaded. */
  readonly #loaded: ReadonlySet<string>;
  /** Pin paths and what they are of. */
  readonly #paths = new Map<string, string>();
  /** What data sections start with, where the options say so. */
  readonly #initial: ReadonlyMap<string, InitialContents>;

  constructor(object: ObjectFile, options: CheckedOptions, machine: Machine) {
    this.#object = object;
    this.#options = options;
    this.#machine = machine;
    this.#initial = initialContents(object, options.globals);
    checkKernelConfig(object, options);
    this.#structOps = planStructOps(object, options);
    const functions = this.#structOps.programs;
    const programs =
      options.programs === null ? NO_PROGRAMS : planPrograms(object, options.programs, functions);
    this.#loads = programs.loads;
    this.#omitted.push(...programs.omitted);
    this.#loaded = new Set(programs.loads.map(({ program }) => program));
  }

  plan(): Plan {
    for (const map of this.#object.maps.values()) {
      this.#planMap(map);
    }
    for (const section of this.#object.data.values()) {
      this.#planData(section);
    }
    this.#checkArenas();
    const steps = [
      ...this.#regular,
      ...this.#outer,
      ...this.#fills,
      ...this.#lastPins,
      ...this.#loads,
      ...this.#programFills,
      ...this.#programPins(),
    ];
    const needsBtf =
      (this.#loads.length > 0 && this.#object.btf !== undefined) ||
      steps.some((step) => 'shape' in step && step.shape.valueTypeId !== 0);
    return {
      steps: needsBtf ? [{ step: 'load-btf' }, ...steps] : steps,
      omitted: this.#omitted,
    };
  }

  #planMap(map: MapDefinition): void {
    const { name } = map;
    const options = this.#options.maps.get(name) ?? {};
    if (map.typeNumber === BPF_MAP_TYPE.STRUCT_OPS) {
      this.#planStruct(map, options);
      return;
    }
    if (options.create === false) {
      this.#omitted.push({ map: name, reason: 'left out by the options' });
      return;
    }
    checkLegacyTail(map);
    const shape = shapeOf(map, this.#machine, options);
    const inner = map.inner === null ? null : shapeOf(map.inner, this.#machine);
    this.#planProgramSlots(map, shape, options);
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
    }
    this.#planArena(map, path);
    if (path !== null) {
      (outer ? this.#lastPins : steps).push({ step: 'pin', map: name, path, shape, inner });
    }
  }

  /** A struct of functions. Its value size is the object's; a load finds out the kernel's. */
  #planStruct(map: MapDefinition, options: MapOptions): void {
    const { name } = map;
    const value = this.#structOps.values.get(name);
    if (value === undefined) {
      this.#omitted.push({ map: name, reason: this.#structOps.omitted.get(name)! });
      return;
    }
    const shape = shapeOf(map, this.#machine, options);
    this.#planProgramSlots(map, shape, options);
    const step = 'create-struct-ops';
    this.#regular.push({ step, map: name, kernelName: kernelName(name), shape, value });
  }

  #planProgramSlots(map: MapDefinition, shape: MapShape, options: MapOptions): void {
    if (this.#options.programs === null) {
      if (map.slots.some(({ kind }) => kind === 'program')) {
        this.#omitted.push({
          map: map.name,
          reason: 'its initial programs are put in when programs are loaded',
        });
      }
      return;
    }
    for (const { index, name } of map.slots) {
      if (options.slots?.[index] === null) {
        const reason = `slot ${index} is left as it is, without program "${name}"`;
        this.#omitted.push({ map: map.name, reason });
      }
    }
    const fill = planSlots(map, shape.maxEntries, options, this.#loaded);
    if (fill !== null) {
      this.#programFills.push(fill);
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
    if (name === '.kconfig' && this.#options.programs === null) {
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
    if (name === '.kconfig') {
      this.#regular.push({ step: 'write-options', map: name });
    } else if (initial !== undefined) {
      this.#regular.push(writeStep(name, initial));
    } else if (section.contents !== null) {
      this.#regular.push({ step: 'write', map: name, contents: section.contents });
    }
    if (section.readOnly) {
      this.#regular.push({ step: 'freeze', map: name });
    }
    if (path !== null) {
      this.#regular.push({ step: 'pin', map: name, path, shape, inner: null });
    }
  }

  #arenaGlobals(): ElfSection | undefined {
    const section = this.#object.elf.sections.find(({ name }) => name === '.addr_space.1');
    return section === undefined || section.size === 0 ? undefined : section;
  }

  /** As they will be: options may have made one smaller than it is declared, or left it out. */
  #checkArenas(): void {
    const section = this.#arenaGlobals();
    const size = section?.size ?? 0;
    const { pageSize } = this.#machine;
    for (const step of this.#regular) {
      if (step.step !== 'create' || step.shape.type !== BPF_MAP_TYPE.ARENA) {
        continue;
      }
      const { maxEntries } = step.shape;
      if (maxEntries * pageSize < size) {
        const needed = Math.ceil(size / pageSize);
        throw new SkepError(
          'ERR_SKEP_LOAD',
          `map "${step.map}" has ${maxEntries} pages (${maxEntries * pageSize} bytes), too few for the globals of the arena (${size} bytes): it needs ${needed} (max_entries, or option maxEntries of the map)`,
        );
      }
    }
    const isPlaced = this.#regular.some(({ step }) => step === 'place');
    if (section !== undefined && this.#options.programs === null && !isPlaced) {
      this.#omitted.push({
        map: section.name,
        reason: 'globals of an arena are placed when programs are loaded',
      });
    }
  }

  /**
   * An arena is mapped for its programs, its globals placed. Before it is pinned: whoever finds it there
   * takes it as it is, also if this load is killed right behind the pin.
   */
  #planArena({ name, typeNumber, mapExtra }: MapDefinition, path: string | null): void {
    if (typeNumber !== BPF_MAP_TYPE.ARENA || (this.#loads.length === 0 && path === null)) {
      return;
    }
    const section = this.#arenaGlobals();
    const contents = section === undefined ? null : this.#object.elf.data(section);
    // The verifier wants the address of an arena: it has one, or is given one by being mapped.
    if (mapExtra === 0n || contents !== null) {
      this.#regular.push({ step: 'place', map: name, contents });
    }
  }

  #programPins(): Step[] {
    return this.#loads.flatMap(({ program }) => {
      const given = programPin(program, this.#options);
      return given === null
        ? []
        : [{ step: 'pin-program', program, path: this.#ownPath(given, `program "${program}"`) }];
    });
  }

  #pinPath(name: string, pinning: MapDefinition['pinning'], options: MapOptions): string | null {
    const all = this.#options.pinAll && this.#object.maps.has(name);
    const isDeclared = all || pinning === 'by-name';
    if (options.pin === false || (options.pin === undefined && !isDeclared)) {
      return null;
    }
    const given = options.pin ?? pinPathIn(this.#options.pinDirectory, name);
    return this.#ownPath(given, `map "${name}"`);
  }

  /** @param what whose path it is: `map "flows"` */
  #ownPath(given: string, what: string): string {
    const path = checkPinPath(given);
    const other = this.#paths.get(path);
    if (other !== undefined) {
      throw new SkepError(
        'ERR_SKEP_PIN_PATH',
        `${other} and ${what} cannot both be pinned at ${path}`,
      );
    }
    this.#paths.set(path, what);
    return path;
  }
}

/** Its contents are put together when they are asked for. */
function writeStep(map: string, initial: InitialContents): WriteStep {
  return {
    step: 'write',
    map,
    get contents() {
      return initial.bytes;
    },
  };
}

const NO_PROGRAMS: ProgramPlan = { loads: [], omitted: [] };

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

/** @throws TypeError for options of the kernel that would go nowhere */
function checkKernelConfig(object: ObjectFile, { kernelConfig, maps }: CheckedOptions): void {
  const [name] = Object.keys(kernelConfig);
  if (name === undefined) {
    return;
  }
  if (!object.data.has('.kconfig')) {
    throw new TypeError(
      `load options: kernelConfig: the object has no kernel option "${name}"; it has none`,
    );
  }
  const { create, replace } = maps.get('.kconfig') ?? {};
  if (create === false || replace !== undefined) {
    throw new TypeError(
      `load options: kernelConfig cannot be given: the map of section ".kconfig" is ${create === false ? 'left out' : 'replaced'}`,
    );
  }
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
