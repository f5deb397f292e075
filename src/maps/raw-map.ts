/** A handle to a map in the kernel whose keys and values are bytes. */

import { SkepError } from '../errors.ts';
import type { Kernel, MapInfo, MapUsage, PinAccess } from '../kernel/kernel.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { mapTypeName } from '../uapi/map-types.ts';
import { checkPinPath, makePinDirectory, removeDirectories } from './pin-path.ts';

/** What {@link RawMap.info} tells. Sizes in bytes. */
export interface RawMapInfo extends MapInfo {
  /** The type as bpftool prints it. */
  readonly typeName: string;
}

/** When {@link RawMap.set} may write: always, only a new key, only a key that is there. */
export type UpdateMode = 'any' | 'noexist' | 'exist';

const UPDATE_FLAGS: Readonly<Record<UpdateMode, number>> = { any: 0, noexist: 1, exist: 2 };

/** How a handle is opened. */
export interface OpenOptions {
  /** The kernel to ask; the running one by default. */
  readonly kernel?: Kernel;
  readonly access?: PinAccess;
}

/**
 * An open map. It owns a file descriptor: {@link RawMap.close} it, or declare it with `using`. After
 * that every method throws `ERR_SKEP_CLOSED`, and nothing else that got the same number is touched.
 */
export class RawMap {
  /** The map's name in its object, or the kernel's name for it. */
  readonly name: string;
  readonly kernel: Kernel;
  #fd: number;
  #info: RawMapInfo | undefined;
  #pinPath: string | null;

  private constructor(
    kernel: Kernel,
    fd: number,
    name: string | undefined,
    pinPath: string | null,
  ) {
    this.kernel = kernel;
    this.#fd = fd;
    this.#pinPath = pinPath;
    this.name = name ?? this.info().name;
  }

  /**
   * Wraps a descriptor, which the handle then owns.
   *
   * @param pinPath where the map is pinned, if it is
   * @internal
   */
  static adopt(kernel: Kernel, fd: number, name?: string, pinPath: string | null = null): RawMap {
    try {
      return new RawMap(kernel, fd, name, pinPath);
    } catch (error) {
      kernel.close(fd);
      throw error;
    }
  }

  /**
   * Opens a pinned map.
   *
   * @throws SyscallError `ENOENT` if nothing is pinned there, `EINVAL` if it is no map
   */
  static openPinned(path: string, options: OpenOptions = {}): RawMap {
    checkPinPath(path);
    const kernel = options.kernel ?? linuxKernel();
    return RawMap.adopt(
      kernel,
      kernel.openPinnedMap(path, options.access ?? 'read-write'),
      undefined,
      path,
    );
  }

  /** Opens the map with this id. Needs CAP_SYS_ADMIN. @throws SyscallError `ENOENT` if there is none */
  static openById(id: number, options: Omit<OpenOptions, 'access'> = {}): RawMap {
    const kernel = options.kernel ?? linuxKernel();
    return RawMap.adopt(kernel, kernel.openMapById(id));
  }

  /** Whether {@link RawMap.close} was called. */
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
  info(): RawMapInfo {
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

  /**
   * The value of a key: a copy, of all CPUs' values one behind the other in per-CPU maps. Maps of
   * maps give the id of the inner map. Undefined if there is no such key.
   */
  get(key: Uint8Array): Uint8Array | undefined {
    const fd = this.fd;
    this.#checkKey(key);
    const value = new Uint8Array(this.kernel.valueBytes(fd));
    return this.kernel.lookup(fd, key, value, 0) ? value : undefined;
  }

  /**
   * Sets the value of a key. Maps of maps take the file descriptor of the inner map.
   *
   * @throws SyscallError `EEXIST` or `ENOENT` if `mode` forbids it, `E2BIG` if the map is full
   */
  set(key: Uint8Array, value: Uint8Array, mode: UpdateMode = 'any'): void {
    const fd = this.fd;
    this.#checkKey(key);
    const valueBytes = this.kernel.valueBytes(fd);
    if (value.length !== valueBytes) {
      throw new RangeError(
        `map "${this.name}": values have ${valueBytes} bytes, not ${value.length}`,
      );
    }
    const flags = UPDATE_FLAGS[mode];
    if (flags === undefined) {
      throw new TypeError(
        `map "${this.name}": the mode is "any", "noexist" or "exist", not "${mode}"`,
      );
    }
    this.kernel.update(fd, key, value, flags);
  }

  /** Removes a key; false if it is not there. */
  delete(key: Uint8Array): boolean {
    const fd = this.fd;
    this.#checkKey(key);
    return this.kernel.delete(fd, key);
  }

  /**
   * The keys, each a copy. A map that changes meanwhile may show a key twice, or not at all: if the
   * key reached is deleted, the kernel starts over.
   */
  *keys(): Generator<Uint8Array, void, undefined> {
    const size = this.info().keySize;
    let key: Uint8Array | null = null;
    for (;;) {
      const next = new Uint8Array(size);
      if (!this.kernel.nextKey(this.fd, key, next)) {
        return;
      }
      yield next;
      // The caller may have written into what it was given: go on from a copy.
      key = next.slice();
    }
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
    const fd = this.fd;
    const made = makePinDirectory(this.kernel, path);
    try {
      this.kernel.pin(fd, path);
    } catch (error) {
      removeDirectories(this.kernel, made);
      throw error;
    }
    this.#pinPath = path;
  }

  /**
   * Removes a pin of the map: the one at {@link RawMap.pinPath} if no path is given. The map stays
   * usable through this handle. False if there was none.
   */
  unpin(path: string | null = this.#pinPath): boolean {
    if (this.#fd < 0) {
      throw new SkepError('ERR_SKEP_CLOSED', `map "${this.name}" is closed`);
    }
    if (path === null) {
      return false;
    }
    checkPinPath(path);
    if (path === this.#pinPath) {
      this.#pinPath = null;
    }
    return this.kernel.unpin(path);
  }

  /** Closes the handle. The map lives on while it is pinned, or somebody else holds it. */
  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) {
      this.kernel.close(fd);
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
    return `RawMap "${this.name}"${this.closed ? ' (closed)' : ''}${shape}`;
  }

  #checkKey(key: Uint8Array): void {
    const { keySize } = this.info();
    if (!(key instanceof Uint8Array)) {
      throw new TypeError(`map "${this.name}": a key is a Uint8Array of ${keySize} bytes`);
    }
    if (key.length !== keySize) {
      throw new RangeError(`map "${this.name}": keys have ${keySize} bytes, not ${key.length}`);
    }
  }
}
