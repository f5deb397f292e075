/** Loading an object: its maps created or found again, pinned, filled. */

import type { Kernel } from '../kernel/kernel.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { MapHandle } from '../maps/map-handle.ts';
import { RawMap } from '../maps/raw-map.ts';
import { handleOf } from '../maps/standalone.ts';
import type { TypedSource } from '../maps/typed-map.ts';
import { ObjectFile } from '../obj/object.ts';
import { codecsOf } from './codecs.ts';
import { Execution } from './execute.ts';
import { innerTemplateOf } from './inner-template.ts';
import { checkOptions, type LoadOptions } from './options.ts';
import { type Omission, type Plan, planLoad } from './plan.ts';

/** A class of handles, such as `HashMap` or `HashMap<number, Stats>`. */
export type MapKind<M extends MapHandle> = new (source: never) => M;

/**
 * An object in the kernel. It owns a handle for each map; {@link LoadedObject.close} them all, or
 * declare it with `using`. Maps that are pinned live on.
 */
export class LoadedObject {
  readonly object: ObjectFile;
  readonly kernel: Kernel;
  /** Handles by name; maps of data sections go by their section's name. */
  readonly maps: ReadonlyMap<string, RawMap>;
  /** Maps of the object that were not created, and why. */
  readonly omitted: readonly Omission[];

  readonly #typed: MapHandle[] = [];

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
   * @throws RangeError if the object has no such map
   * @throws SkepError `ERR_SKEP_MAP_KIND` if the map is of another kind
   */
  map<M extends MapHandle>(name: string, kind: MapKind<M>): M {
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
      fd: this.kernel.duplicate(raw.fd),
      name,
      pinPath: raw.pinPath,
      ...codecsOf(this.object, name, raw.info()),
      inner: innerTemplateOf(this.object, name, this.kernel, this.maps),
    };
    const handle = handleOf(kind as new (source: TypedSource<unknown, unknown>) => M, source);
    this.#typed.push(handle);
    return handle;
  }

  /** Closes every handle. Closing twice does nothing. */
  close(): void {
    for (const map of this.#typed) {
      map.close();
    }
    for (const map of this.maps.values()) {
      map.close();
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
 * @throws TypeError for wrong options
 * @throws SkepError `ERR_SKEP_LOAD`, `ERR_SKEP_PIN_PATH`, `ERR_SKEP_PIN_MISMATCH`,
 *   `ERR_SKEP_SYSCALL`, `ERR_SKEP_NO_KERNEL`
 */
export function load(object: ObjectFile, options: LoadOptions = {}): LoadedObject {
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
export function plan(object: ObjectFile, options: LoadOptions = {}): Plan {
  checkObject(object);
  return planLoad(object, options, options.kernel ?? linuxKernel());
}

function checkObject(object: ObjectFile): void {
  if (!(object instanceof ObjectFile)) {
    throw new TypeError('expected an ObjectFile: ObjectFile.open(path) makes one');
  }
}
