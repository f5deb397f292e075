/** A handle to a map in the kernel whose keys and values are bytes. */

import type { canBeInner } from './inner-map.ts';
import { walkKeys } from './key-walk.ts';
import { watchForLeak } from './leaks.ts';
import {
  MapHandle,
  type OpenByIdOptions,
  type OpenOptions,
  type OwnedMap,
  openPin,
  openPlace,
  type UpdateMode,
  updateFlags,
} from './map-handle.ts';
import { refusedCall } from './refused-call.ts';
import { walk, walkedMap } from './walk.ts';

/** An open map of any type, its keys and values as bytes. */
export class RawMap extends MapHandle implements Iterable<[Uint8Array, Uint8Array]> {
  declare readonly [canBeInner]: true;
  /** Asked once, since nothing of a map changes. */
  #keyBytes: number | undefined;
  #valueBytes: number | undefined;

  /**
   * Takes a map over, and closes it if that fails.
   *
   * @internal
   */
  static adopt(map: OwnedMap): RawMap {
    let handle: RawMap;
    try {
      handle = new RawMap(map);
    } catch (error) {
      map.kernel.close(map.fd);
      throw error;
    }
    watchForLeak(handle, RawMap.adopt);
    return handle;
  }

  /**
   * Opens a pinned map.
   *
   * @throws SyscallError `ENOENT` if nothing is pinned there, `EINVAL` if it is no map
   */
  static openPinned(path: string, options: OpenOptions = {}): RawMap {
    return RawMap.adopt(openPin(path, options));
  }

  /** Opens the map with this id. Needs CAP_SYS_ADMIN. @throws SyscallError `ENOENT` if there is none */
  static openById(id: number, options: OpenByIdOptions = {}): RawMap {
    return RawMap.adopt(openPlace({ id }, options));
  }

  /**
   * The value of a key: a copy, of all CPUs' values one behind the other in per-CPU maps. Maps of
   * maps give the id of the inner map. Undefined if there is no such key.
   *
   * @param into where to put it, instead of memory of its own; what is behind the value stays
   * @throws RangeError if `into` is shorter than a value
   */
  get(key: Uint8Array, into?: Uint8Array): Uint8Array | undefined {
    const fd = this.fd;
    this.#checkKey(key);
    const value = into ?? new Uint8Array(this.#valueSize(fd));
    try {
      return this.kernel.lookup(fd, key, value, 0) ? value : undefined;
    } catch (error) {
      throw refusedCall(error, this.name);
    }
  }

  /** Whether there is such a key. Costs as much as {@link RawMap.get}. */
  has(key: Uint8Array): boolean {
    return this.get(key) !== undefined;
  }

  /**
   * Sets the value of a key. Maps of maps take the file descriptor of the inner map.
   *
   * @throws SyscallError `EEXIST` or `ENOENT` if `mode` forbids it, `E2BIG` if the map is full
   */
  set(key: Uint8Array, value: Uint8Array, mode: UpdateMode = 'any'): void {
    const fd = this.fd;
    this.#checkKey(key);
    const valueBytes = this.#valueSize(fd);
    if (!(value instanceof Uint8Array)) {
      throw new TypeError(`map "${this.name}": a value is a Uint8Array of ${valueBytes} bytes`);
    }
    if (value.length !== valueBytes) {
      throw new RangeError(
        `map "${this.name}": values have ${valueBytes} bytes, not ${value.length}`,
      );
    }
    const flags = updateFlags(this.name, mode);
    try {
      this.kernel.update(fd, key, value, flags);
    } catch (error) {
      throw refusedCall(error, this.name);
    }
  }

  /** Removes a key; false if it is not there. */
  delete(key: Uint8Array): boolean {
    const fd = this.fd;
    this.#checkKey(key);
    try {
      return this.kernel.delete(fd, key);
    } catch (error) {
      throw refusedCall(error, this.name);
    }
  }

  /**
   * The keys, each once and each a copy. Removing a key that was given is fine; other changes during
   * the walk may be seen or not.
   *
   * @throws SkepError `ERR_SKEP_ITERATION` if the map changes so fast that the walk cannot end
   */
  keys(): Generator<Uint8Array, void, undefined> {
    return walkKeys(this);
  }

  /**
   * Pairs of keys and values, each a copy, read some hundred at a time; values as {@link RawMap.get}
   * gives them. No key comes twice. Removing a key that was given is fine; other changes during the
   * walk may be seen or not.
   *
   * @throws SkepError `ERR_SKEP_ITERATION` if the map changes so fast that the walk cannot end
   */
  *entries(): Generator<[Uint8Array, Uint8Array], void, undefined> {
    const { keySize } = this.info();
    const valueBytes = this.#valueSize(this.fd);
    for (const { keys, values, count } of walk(walkedMap(this, valueBytes))) {
      for (let index = 0; index < count; index += 1) {
        // The handle may have been closed since the last step.
        void this.fd;
        yield [
          keys.slice(index * keySize, (index + 1) * keySize),
          values.slice(index * valueBytes, (index + 1) * valueBytes),
        ];
      }
    }
  }

  [Symbol.iterator](): Generator<[Uint8Array, Uint8Array], void, undefined> {
    return this.entries();
  }

  #valueSize(fd: number): number {
    this.#valueBytes ??= this.kernel.valueBytes(fd);
    return this.#valueBytes;
  }

  #checkKey(key: Uint8Array): void {
    this.#keyBytes ??= this.info().keySize;
    const keySize = this.#keyBytes;
    if (!(key instanceof Uint8Array)) {
      throw new TypeError(`map "${this.name}": a key is a Uint8Array of ${keySize} bytes`);
    }
    if (key.length !== keySize) {
      throw new RangeError(`map "${this.name}": keys have ${keySize} bytes, not ${key.length}`);
    }
  }
}
