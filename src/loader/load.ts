/** Loading an object: its maps created or found again, pinned, filled. */

import type { BtfCodecOptions } from '../codec/from-btf.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { MapHandle } from '../maps/map-handle.ts';
import type { NumberView } from '../maps/number-view.ts';
import { PerfEventArray, perfOptions } from '../maps/perf-event-array.ts';
import { RawMap } from '../maps/raw-map.ts';
import { RingBuffer } from '../maps/ring-buffer.ts';
import { handleOf } from '../maps/standalone.ts';
import type { TypedSource } from '../maps/typed-map.ts';
import { type UserRecordOptions, UserRingBuffer } from '../maps/user-ring-buffer.ts';
import { ObjectFile } from '../obj/object.ts';
import { codecsOf } from './codecs.ts';
import { Execution } from './execute.ts';
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
 * An object in the kernel. It owns a handle for each map; {@link LoadedObject.close} them all, or
 * declare it with `using`. Maps that are pinned live on.
 *
 * @typeParam G the values of its globals, if their types are known
 */
export class LoadedObject<G extends object = Globals> {
  readonly object: ObjectFile;
  readonly kernel: Kernel;
  /** Handles by name; maps of data sections go by their section's name. */
  readonly maps: ReadonlyMap<string, RawMap>;
  /** Maps of the object that were not created, and why. */
  readonly omitted: readonly Omission[];

  /** Those that are open: whoever closes one before the object need not keep it in memory. */
  readonly #typed = new Set<MapHandle>();
  readonly #forget = (handle: MapHandle): void => {
    this.#typed.delete(handle);
  };
  #globals: GlobalVariables | undefined;

  /** @internal */
  constructor(
    object: ObjectFile,
    kernel: Kernel,
    maps: ReadonlyMap<string, RawMap>,
    omitted: readonly Omission[],
  ) {
    this.object = object;
    this.kernel = kernel;
    this.maps = maps;
    this.omitted = omitted;
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
    for (const open of [this.#globals, ...this.#typed, ...this.maps.values()]) {
      try {
        open?.close();
      } catch (error) {
        errors.push(error);
      }
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
 * Creates the maps of an object, or finds them at their pins, fills the slots of maps of maps, and
 * pins what is to be pinned. Either all of it happens, or nothing is left.
 *
 * @typeParam G the values of the object's globals, if their types are known
 * @throws TypeError for wrong options; ValueError for a value that does not fit its global
 * @throws SkepError `ERR_SKEP_LOAD`, `ERR_SKEP_PIN_PATH`, `ERR_SKEP_PIN_MISMATCH`,
 *   `ERR_SKEP_SYSCALL`, `ERR_SKEP_NO_KERNEL`
 */
export function load<G extends object = Globals>(
  object: ObjectFile,
  options: LoadOptions<NoInfer<G>> = {},
): LoadedObject<G> {
  checkObject(object);
  const kernel = options.kernel ?? linuxKernel();
  const plan = planLoad(object, options, kernel);
  const names = new Set([...object.maps.keys(), ...object.data.keys()]);
  const execution = new Execution(
    kernel,
    object,
    checkOptions(options, names),
    options.onStep ?? (() => {}),
  );
  const maps = new Map<string, RawMap>();
  for (const [name, { fd, pinPath }] of execution.run(plan)) {
    maps.set(name, RawMap.adopt({ kernel, fd, name, pinPath }));
  }
  return new LoadedObject(object, kernel, maps, plan.omitted);
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
