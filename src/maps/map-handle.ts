/**
 * What every handle to a map has: an owned file descriptor, what the kernel says of the map, pins,
 * and an end.
 */

import { dirname } from 'node:path';
import type { BtfCodecOptions } from '../codec/from-btf.ts';
import { SkepError, SyscallError } from '../errors.ts';
import type { Kernel, MapInfo, MapUsage, PinAccess } from '../kernel/kernel.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { mapTypeName } from '../uapi/map-types.ts';
import { checkOptionNames } from './create-checks.ts';
import { closedInTime } from './leaks.ts';
import { checkPinPath, pinAt } from './pin-path.ts';

/** What {@link MapHandle.info} tells. Sizes in bytes. */
export interface DescribedMap extends MapInfo {
  /** The type as bpftool prints it. */
  readonly typeName: string;
}

/** When an entry may be written: always, only for a new key, only for a key that is there. */
export type UpdateMode = 'any' | 'noexist' | 'exist';

/** `BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST`. */
const UPDATE_FLAGS: Readonly<Record<UpdateMode, number>> = { any: 0, noexist: 1, exist: 2 };

/** How a handle is opened. What is said of types holds where the kernel is asked for them. */
export interface OpenOptions extends BtfCodecOptions {
  /** The kernel to ask; the running one by default. */
  readonly kernel?: Kernel;
  readonly access?: PinAccess;
}

const OPEN_OPTIONS: readonly (keyof OpenOptions)[] = ['kernel', 'access', 'characters'];

/** How a handle is opened by its id: the kernel opens it for reading and writing. */
export type OpenByIdOptions = Omit<OpenOptions, 'access'>;

/** An open map that a handle takes over. */
export interface OwnedMap {
  readonly kernel: Kernel;
  /** The handle's from now on. */
  readonly fd: number;
  /** The map's name in its object; the kernel's name for it by default. */
  readonly name?: string | undefined;
  /** Where it is pinned, if it is. */
  readonly pinPath?: string | null;
  /** Told once that the handle was closed. */
  readonly onClose?: ((handle: MapHandle) => void) | undefined;
}

/**
 * An open map. It owns a file descriptor: {@link MapHandle.close} it, or declare it with `using`.
 * After that every method throws `ERR_SKEP_CLOSED`, and nothing else that got the same number is
 * touched. The garbage collector closes none; `reportLeaks` tells of those that were forgotten.
 */
export abstract class MapHandle {
  /** The map's name in its object, or the kernel's name for it. */
  readonly name: string;
  readonly kernel: Kernel;
  #fd: number;
  #info: DescribedMap | undefined;
  #pinPath: string | null;
  readonly #onClose: ((handle: MapHandle) => void) | undefined;

  /** @internal */
  protected constructor(map: OwnedMap) {
    this.kernel = map.kernel;
    this.#fd = map.fd;
    this.#pinPath = map.pinPath ?? null;
    this.#onClose = map.onClose;
    this.name = map.name ?? this.info().name;
  }

  /** Whether {@link MapHandle.close} was called. */
  get closed(): boolean {
    return this.#fd < 0;
  }

  /** The file descriptor, which stays this handle's. */
  get fd(): number {
    if (this.#fd < 0) {
      throw new SkepError('ERR_SKEP_CLOSED', `map "${this.name}" is closed`);
    }
    return this.#fd;
  }

  /** Where the map was pinned by this handle, or found; null if it is not known to be pinned. */
  get pinPath(): string | null {
    return this.#pinPath;
  }

  /** What the kernel says of the map; asked once, since nothing of it changes. */
  info(): DescribedMap {
    const fd = this.fd;
    if (this.#info === undefined) {
      const info = this.kernel.mapInfo(fd);
      this.#info = { ...info, typeName: mapTypeName(info.type) };
    }
    return this.#info;
  }

  /** The memory that the map takes and whether it is frozen, as of now. */
  usage(): MapUsage {
    return this.kernel.mapUsage(this.fd);
  }

  /** Refuses writes by system calls from now on; programs still write. Linux 5.2. */
  freeze(): void {
    this.kernel.freeze(this.fd);
  }

  /**
   * Pins the map at an absolute path on a BPF file system, so that it outlives the process. Missing
   * directories are made.
   *
   * @throws SkepError `ERR_SKEP_PIN_PATH` for a path that cannot hold pins, with the remedy
   * @throws SyscallError `EEXIST` if something is there already
   */
  pin(path: string): void {
    this.#pinPath = pinAt(this.kernel, this.fd, path);
  }

  /**
   * Removes a pin of the map: the one at {@link MapHandle.pinPath} if no path is given. The map stays
   * usable through this handle. False if there was none.
   */
  unpin(path: string | null = this.#pinPath): boolean {
    if (this.#fd < 0) {
      throw new SkepError('ERR_SKEP_CLOSED', `map "${this.name}" is closed`);
    }
    if (path === null) {
      return false;
    }
    const place = checkPinPath(path);
    if (place === this.#pinPath) {
      this.#pinPath = null;
    } else {
      this.#checkOwnPin(place);
    }
    return this.kernel.unpin(place);
  }

  /** Refuses to remove what is another map's. */
  #checkOwnPin(path: string): void {
    if (this.kernel.fileSystem(dirname(path)) !== 'bpf') {
      // No pin at all, which is for the kernel's front to say.
      return;
    }
    let fd: number;
    try {
      fd = this.kernel.openPinnedMap(path, 'read-only');
    } catch (error) {
      if (error instanceof SyscallError && error.errnoName === 'ENOENT') {
        return;
      }
      throw error;
    }
    const { id } = this.kernel.mapInfo(fd);
    this.kernel.close(fd);
    if (id !== this.info().id) {
      throw new SkepError(
        'ERR_SKEP_PIN_PATH',
        `what is pinned at "${path}" is another map than "${this.name}"; unpin it by a handle of its own`,
      );
    }
  }

  /** Closes the handle. The map lives on while it is pinned, or somebody else holds it. */
  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) {
      closedInTime(this);
      this.kernel.close(fd);
      this.#onClose?.(this);
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const info = this.#info;
    const shape =
      info === undefined
        ? ''
        : ` { ${info.typeName}, key ${info.keySize} bytes, value ${info.valueSize} bytes, ${info.maxEntries} entries }`;
    return `${this.constructor.name} "${this.name}"${this.closed ? ' (closed)' : ''}${shape}`;
  }
}

/**
 * The flags of an update.
 *
 * @throws TypeError for a mode that does not exist
 */
export function updateFlags(name: string, mode: UpdateMode): number {
  // What it nearly always is, without a look-up by name.
  if (mode === 'any') {
    return UPDATE_FLAGS.any;
  }
  if (!Object.hasOwn(UPDATE_FLAGS, mode)) {
    throw new TypeError(`map "${name}": the mode is "any", "noexist" or "exist", not "${mode}"`);
  }
  return UPDATE_FLAGS[mode];
}

/** Where a map is found: at the path of a pin, or by the kernel's id for it. */
export type MapPlace = string | { readonly id: number };

/**
 * Opens the map at a pin, or with an id, which needs CAP_SYS_ADMIN.
 *
 * @throws SyscallError `ENOENT` if there is none, `EINVAL` if what is pinned is no map
 */
export function openPlace(place: MapPlace, options: OpenOptions): OwnedMap {
  if (typeof place !== 'object' || place === null) {
    return openPin(place, options);
  }
  checkOptionNames('opening a map', options, OPEN_OPTIONS);
  const kernel = options.kernel ?? linuxKernel();
  return { kernel, fd: kernel.openMapById(place.id) };
}

/** Opens the map at a pin. @throws SyscallError `ENOENT` if there is none, `EINVAL` if it is no map */
export function openPin(path: string, options: OpenOptions): OwnedMap {
  checkOptionNames('opening a map', options, OPEN_OPTIONS);
  const place = checkPinPath(path);
  const kernel = options.kernel ?? linuxKernel();
  const fd = kernel.openPinnedMap(place, options.access ?? 'read-write');
  return { kernel, fd, pinPath: place };
}
