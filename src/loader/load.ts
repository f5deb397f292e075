/** Loading an object: its maps created or found again, pinned, filled; its programs loaded. */

import type { BtfCodecOptions } from '../codec/from-btf.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { MapHandle } from '../maps/map-handle.ts';
import type { NumberView } from '../maps/number-view.ts';
import { PerfEventArray, perfOptions } from '../maps/perf-event-array.ts';
import { RawMap } from '../maps/raw-map.ts';
import { RingBuffer } from '../maps/ring-buffer.ts';
import { handleOf } from '../maps/standalone.ts';
import { StructOps } from '../maps/struct-ops.ts';
import type { TypedSource } from '../maps/typed-map.ts';
import { type UserRecordOptions, UserRingBuffer } from '../maps/user-ring-buffer.ts';
import { ObjectFile } from '../obj/object.ts';
import { contextCodec } from '../programs/context-codec.ts';
import { Program } from '../programs/program.ts';
import type { KernelStructOps } from '../programs/struct-ops.ts';
import { codecsOf } from './codecs.ts';
import { Execution, type Loaded } from './execute.ts';
import { type Globals, GlobalVariables } from './globals.ts';
import { innerTemplateOf } from './inner-template.ts';
import { checkOptions, type LoadOptions } from './options.ts';
import { type Omission, type Plan, planLoad } from './plan.ts';
import {
  type ObjectPerfOptions,
  type ObjectRecordOptions,
  resolveRecordOptions,
} from './record-types.ts';

/** A class of handles, such as `HashMap` or `HashMap<number, Stats>`. */
export type MapKind<M extends MapHandle> = new (source: never) => M;

/**
 * An object in the kernel. It owns a handle for each map and each program; {@link LoadedObject.close}
 * them all, or declare it with `using`. What is pinned lives on.
 *
 * @typeParam G the values of its globals, if their types are known
 */
export class LoadedObject<G extends object = Globals> {
  readonly object: ObjectFile;
  readonly kernel: Kernel;
  /** Handles by name; maps of data sections go by their section's name. */
  readonly maps: ReadonlyMap<string, RawMap>;
  /** Handles of the programs that were loaded, by name. */
  readonly programs: ReadonlyMap<string, Program>;
  /** Maps and programs of the object that were left out, and why. */
  readonly omitted: readonly Omission[];

  /** Those that are open: whoever closes one before the object need not keep it in memory. */
  readonly #typed = new Set<MapHandle>();
  readonly #forget = (handle: MapHandle): void => {
    this.#typed.delete(handle);
  };
  /** The memory of arenas, which the kernel maps once: their handles share it. */
  readonly #arenas: ReadonlyMap<string, ArrayBuffer>;
  readonly #structOps: ReadonlyMap<string, KernelStructOps>;
  #globals: GlobalVariables | undefined;

  /** @internal Takes over what was loaded. */
  constructor(object: ObjectFile, kernel: Kernel, loaded: Loaded, omitted: readonly Omission[]) {
    this.object = object;
    this.kernel = kernel;
    this.#arenas = loaded.arenas;
    this.#structOps = loaded.structOps;
    const maps = new Map<string, RawMap>();
    for (const [name, { fd, pinPath }] of loaded.maps) {
      maps.set(name, RawMap.adopt({ kernel, fd, name, pinPath }));
    }
    this.maps = maps;
    const programs = new Map<string, Program>();
    for (const [name, { fd, pinPath }] of loaded.programs) {
      const context = () => contextCodec(object, name);
      programs.set(name, Program.adopt({ kernel, fd, name, pinPath, context }));
    }
    this.programs = programs;
    this.omitted = omitted;
  }

  /**
   * A program of the object by its name. The handle stays the object's, which closes it.
   *
   * @throws RangeError if the object has no such program, or it was not loaded
   *
   * @example
   * app.program('entry').run({ data: packet }).returnValue;
   */
  program(name: string): Program {
    const program = this.programs.get(name);
    if (program === undefined) {
      const known = [...this.programs.keys()].join(', ') || 'none';
      const problem = this.object.programs.has(name)
        ? `program "${name}" was not loaded`
        : `the object has no program "${name}"`;
      throw new RangeError(`${problem}; loaded: ${known}`);
    }
    return program;
  }

  /**
   * A typed handle to a map: its keys and values are decoded by the object's own BTF, or are bytes
   * where the object declares only sizes. It is closed with the object, or before by its owner.
   *
   * @param kind the class of handle, with types if they are known: `HashMap<number, Stats>`
   * @param options `characters: 'bytes'` for `char` arrays that hold no text: all their bytes, also of
   *   inner maps
   * @throws RangeError if the object has no such map
   * @throws SkepError `ERR_SKEP_MAP_KIND` if the map is of another kind
   */
  map<M extends MapHandle>(name: string, kind: MapKind<M>, options: BtfCodecOptions = {}): M {
    return this.#open(name, kind, {}, options);
  }

  /**
   * A ring buffer of the object (5.8), to be read by `for await`. Records are decoded by the type that
   * the map declares as its `value`, or that the options name; otherwise they are bytes. Like every
   * handle it is closed with the object, or before by its owner.
   *
   * @throws RangeError if the object has no such map, or no such type
   * @throws SkepError `ERR_SKEP_MAP_KIND` if the map is no ring buffer
   */
  ringBuffer<T = unknown>(name: string, options: ObjectRecordOptions<T> = {}): RingBuffer<T> {
    return this.#open(name, RingBuffer<T>, resolveRecordOptions(this.object, options));
  }

  /**
   * A perf event array of the object, which starts to receive records now. They are bytes unless the
   * options say more. Like every handle it is closed with the object, or before by its owner.
   *
   * @throws RangeError if the object has no such map, or no such type
   * @throws SkepError `ERR_SKEP_MAP_KIND` if the map is no perf event array
   * @throws SyscallError if the kernel gives no perf events (needs CAP_PERFMON)
   */
  perfEventArray<T = unknown>(name: string, options: ObjectPerfOptions<T> = {}): PerfEventArray<T> {
    const types = { ...perfOptions(options), ...resolveRecordOptions(this.object, options) };
    return this.#open(name, PerfEventArray<T>, types).start();
  }

  /**
   * A user ring buffer of the object (6.1), which sends records to programs. They are encoded by the
   * type that the map declares as its `value`, or that the options name; otherwise they are bytes.
   *
   * @throws RangeError if the object has no such map, or no such type
   * @throws SkepError `ERR_SKEP_MAP_KIND` if the map is no user ring buffer
   */
  userRingBuffer<T = unknown>(
    name: string,
    options: Pick<ObjectRecordOptions<unknown>, 'type'> & UserRecordOptions<T> = {},
  ): UserRingBuffer<T> {
    const types = resolveRecordOptions(this.object, options as ObjectRecordOptions<unknown>);
    return this.#open(name, UserRingBuffer<T>, types);
  }

  /**
   * A struct of functions (struct_ops) of the object, to be registered in the kernel. Closing the handle,
   * or the object, undoes that.
   *
   * @throws RangeError if the object has no such struct, or it was not created
   *
   * @example
   * using registration = app.structOps('my_control').register();
   */
  structOps(name: string): StructOps {
    const prepared = this.#structOps.get(name);
    if (prepared === undefined) {
      const known = [...this.#structOps.keys()].join(', ') || 'none';
      throw new RangeError(`no struct of functions "${name}" was created; there is ${known}`);
    }
    const raw = this.maps.get(name)!;
    const functions = prepared.functions.map(({ offset, program }) => ({
      offset,
      program: this.program(program),
    }));
    const handle = handleOf(StructOps, {
      kernel: this.kernel,
      name,
      value: prepared.value,
      functions,
      onClose: this.#forget,
      // Last: whatever fails above leaves no descriptor.
      fd: this.kernel.duplicate(raw.fd),
    });
    this.#typed.add(handle);
    return handle;
  }

  #open<M extends MapHandle>(
    name: string,
    kind: MapKind<M>,
    types: object,
    options: BtfCodecOptions = {},
  ): M {
    const raw = this.maps.get(name);
    if (raw === undefined) {
      const known = [...this.maps.keys()].join(', ') || 'none';
      throw new RangeError(`the loaded object has no map "${name}"; it has ${known}`);
    }
    if (!(kind?.prototype instanceof MapHandle)) {
      throw new TypeError('expected a class of map handles, such as HashMap');
    }
    const source = {
      kernel: this.kernel,
      name,
      pinPath: raw.pinPath,
      ...codecsOf(this.object, name, raw.info(), options),
      inner: innerTemplateOf(this.object, name, this.kernel, this.maps, options),
      ...types,
      memory: this.#arenas.get(name),
      onClose: this.#forget,
      // Last: whatever fails above leaves no descriptor.
      fd: this.kernel.duplicate(raw.fd),
    };
    const handle = handleOf(kind as new (source: TypedSource<unknown, unknown>) => M, source);
    this.#typed.add(handle);
    return handle;
  }

  /**
   * The object's global variables by name. Reading one decodes it, as it is now; structs and arrays are
   * copies. Assigning to one writes it, whole. Both go to memory that programs share, without a
   * system call, where the kernel maps the section (see docs/globals.md for where it does not).
   * Constants (`.rodata`) can be read only. There are no other properties, and none can be added.
   *
   * @throws ValueError (on assignment) for a value that does not fit; nothing is written
   * @throws TypeError (on assignment) for constants and for names that do not exist
   * @throws SkepError (on either) `ERR_SKEP_CLOSED` after {@link LoadedObject.close}
   */
  get globals(): G {
    this.#globals ??= new GlobalVariables(this.object, this.maps);
    return this.#globals.record as G;
  }

  /**
   * A global that is a number, or an array of numbers, as a typed array over the memory that programs
   * share: no copy. Its length is 0 after {@link LoadedObject.close}.
   *
   * @throws RangeError if there is no such global
   * @throws SkepError `ERR_SKEP_MAP_KIND` for other types, for constants, and for sections that are
   *   not in memory
   */
  globalNumbers<K extends keyof G & string>(name: K): NumberView<G[K]> {
    this.#globals ??= new GlobalVariables(this.object, this.maps);
    return this.#globals.numbers(name) as NumberView<G[K]>;
  }

  /**
   * Closes every handle, and unmaps the globals. Closing twice does nothing. If something fails, the
   * rest is closed all the same, and the first error is thrown.
   */
  close(): void {
    const errors: unknown[] = [];
    const handles = [...this.#typed, ...this.programs.values(), ...this.maps.values()];
    for (const open of [this.#globals, ...handles]) {
      try {
        open?.close();
      } catch (error) {
        errors.push(error);
      }
    }
    for (const memory of this.#arenas.values()) {
      this.kernel.unmapMemory(memory);
    }
    if (errors.length > 0) {
      throw errors[0];
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * Creates the maps of an object, or finds them at their pins, fills the slots of maps of maps, pins what
 * is to be pinned, and loads the object's programs. Either all of it happens, or nothing is left.
 *
 * @typeParam G the values of the object's globals, if their types are known
 * @throws TypeError for wrong options; ValueError for a value that does not fit its global
 * @throws VerifierError if the verifier refuses a program
 * @throws SkepError `ERR_SKEP_LOAD`, `ERR_SKEP_PIN_PATH`, `ERR_SKEP_PIN_MISMATCH`,
 *   `ERR_SKEP_SYSCALL`, `ERR_SKEP_NO_KERNEL`; ObjectError for code that cannot be linked
 */
export function load<G extends object = Globals>(
  object: ObjectFile,
  options: LoadOptions<NoInfer<G>> = {},
): LoadedObject<G> {
  checkObject(object);
  const kernel = options.kernel ?? linuxKernel();
  const plan = planLoad(object, options, kernel);
  const execution = new Execution(
    kernel,
    object,
    checkOptions(options, object),
    options.onStep ?? (() => {}),
  );
  return new LoadedObject(object, kernel, execution.run(plan), plan.omitted);
}

/**
 * What {@link load} would do, without doing it. Only the number of CPUs and the page size are asked
 * of the kernel.
 *
 * @throws as {@link load} does before it starts
 */
export function plan<G extends object = Globals>(
  object: ObjectFile,
  options: LoadOptions<NoInfer<G>> = {},
): Plan {
  checkObject(object);
  return planLoad(object, options, options.kernel ?? linuxKernel());
}

function checkObject(object: ObjectFile): void {
  if (!(object instanceof ObjectFile)) {
    throw new TypeError('expected an ObjectFile: ObjectFile.open(path) makes one');
  }
}
