/**
 * Local storage: values that live with a thing of the kernel (a socket, file, task, cgroup) and end
 * with it. What the kinds share; user space names the thing by a file descriptor, which is the key.
 */

import type { Codec, Memory } from '../codec/codec.ts';
import type { Input } from '../codec/input.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { BPF_F, BPF_UPDATE } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate, creationFlags } from './create-checks.ts';
import { kernelName } from './create-map.ts';
import { EntryRoom } from './entry-room.ts';
import {
  MapHandle,
  type MapPlace,
  type OpenOptions,
  type OwnedMap,
  openPlace,
  updateFlags,
} from './map-handle.ts';
import { misfit } from './misfit.ts';
import { refusedCall } from './refused-call.ts';
import { type CreateOptions, kernelCodecs, type ValueType } from './standalone.ts';
import { STORAGE_TYPES, storageBtf } from './storage-btf.ts';
import { checkKind, checkSize, type ReadOptions, type WriteOptions } from './typed-map.ts';

const TYPES: readonly number[] = [
  BPF_MAP_TYPE.SK_STORAGE,
  BPF_MAP_TYPE.INODE_STORAGE,
  BPF_MAP_TYPE.TASK_STORAGE,
  BPF_MAP_TYPE.CGRP_STORAGE,
];

/** Whether maps of this type are local storage. */
export function isStorage(type: number): boolean {
  return TYPES.includes(type);
}

/** Local storage with the codec of its values. */
export interface StorageSource<V> extends OwnedMap, ValueType<V> {}

/** How local storage is created. It has no number of entries: there is one for each thing. */
export interface StorageOptions<V, VI = never>
  extends Omit<CreateOptions, 'maxEntries'>,
    ValueType<V, VI> {}

/**
 * A value per thing of the kernel, for things `O`. The kernel does not tell which things have one, so
 * there are no walks.
 */
export abstract class LocalStorage<O, V, VI = Input<V>> extends MapHandle {
  readonly #value: Codec<V, unknown>;
  readonly #room: EntryRoom;

  /** @internal */
  constructor(source: StorageSource<V>, types: readonly number[]) {
    super(source);
    this.#value = source.value as Codec<V, unknown>;
    const { keySize, valueSize } = this.info();
    checkKind(this, types);
    checkSize(this, 'values', this.#value, valueSize);
    this.#room = new EntryRoom(keySize, valueSize, source.kernel.littleEndian);
  }

  /**
   * The value that a thing has; undefined if it has none.
   *
   * @throws SyscallError `EBADF` for a descriptor that is not of such a thing
   */
  get(owner: O, options?: ReadOptions): V | undefined {
    const flags = options?.lock === true ? BPF_UPDATE.LOCK : 0;
    return this.#with(owner, flags, (fd, key, value) =>
      this.kernel.lookup(fd, key, value.bytes, flags) ? this.#value.read(value, 0) : undefined,
    );
  }

  /** Whether a thing has a value. @throws SyscallError `EBADF` as {@link LocalStorage.get} */
  has(owner: O): boolean {
    return this.#with(owner, 0, (fd, key, value) => this.kernel.lookup(fd, key, value.bytes, 0));
  }

  /**
   * Gives a thing a value, which it keeps for as long as it and the map exist.
   *
   * @throws ValueError if the value does not fit its type; nothing is written
   * @throws SyscallError `EBADF` for a descriptor that is not of such a thing; `EEXIST`, `ENOENT` if
   *   the mode forbids it
   */
  set(owner: O, value: VI, options?: WriteOptions): this {
    void this.fd;
    const lock = options?.lock === true ? BPF_UPDATE.LOCK : 0;
    const mode = updateFlags(this.name, options?.mode ?? 'any');
    const room = this.#room.borrow();
    try {
      this.#value.write(room.value, 0, value);
      this.#withKey(owner, room, (fd, key) =>
        this.kernel.update(fd, key, room.value.bytes, mode | lock),
      );
      return this;
    } catch (error) {
      throw refusedCall(misfit(error, this.name, 'value'), this.name, lock);
    } finally {
      room.busy = false;
    }
  }

  /**
   * Takes the value of a thing away; false if it has none.
   *
   * @throws SyscallError `EBADF` for a descriptor that is not of such a thing
   */
  delete(owner: O): boolean {
    return this.#with(owner, 0, (fd, key) => this.kernel.delete(fd, key));
  }

  /** Calls `use` with a descriptor of the thing, which is open only for that long. @internal */
  protected abstract withOwner<T>(owner: O, use: (fd: number) => T): T;

  /** Makes a call with room of its own. */
  #with<T>(owner: O, flags: number, call: (fd: number, key: Uint8Array, value: Memory) => T): T {
    void this.fd;
    const room = this.#room.borrow();
    try {
      return this.#withKey(owner, room, (fd, key) => call(fd, key, room.value));
    } catch (error) {
      throw refusedCall(error, this.name, flags);
    } finally {
      room.busy = false;
    }
  }

  #withKey<T>(owner: O, room: EntryRoom, call: (fd: number, key: Uint8Array) => T): T {
    return this.withOwner(owner, (ownerFd) => {
      room.key.view.setInt32(0, ownerFd, this.kernel.littleEndian);
      // Only now: finding the owner's descriptor may run getters, which may have closed the map.
      return call(this.fd, room.key.bytes);
    });
  }
}

/** Creates local storage: with types, and with the flag `BPF_F_NO_PREALLOC`, as the kernel demands. */
export function createStorage<V>(type: number, options: StorageOptions<V>): StorageSource<V> {
  checkCreate('create', options, 'value');
  const flags = creationFlags(options.flags, BPF_F.NO_PREALLOC);
  const kernel: Kernel = options.kernel ?? linuxKernel();
  const { value, name } = options;
  const btf = kernel.loadBtf(storageBtf(value.sizeBytes, kernel.littleEndian));
  try {
    const fd = kernel.createMap({
      type,
      keySize: 4,
      valueSize: value.sizeBytes,
      maxEntries: 0,
      flags,
      name: kernelName(name ?? ''),
      numaNode: 0,
      mapExtra: 0n,
      innerMapFd: null,
      btf: { fd: btf, ...STORAGE_TYPES },
    });
    return { kernel, fd, value, name };
  } finally {
    kernel.close(btf);
  }
}

/** Opens local storage. @param types undefined: the type that the kernel keeps with it */
export function openStorage<V>(
  place: MapPlace,
  types: ValueType<V> | undefined,
  options: OpenOptions,
): StorageSource<V> {
  const map = openPlace(place, options);
  return { ...map, value: (types ?? (kernelCodecs(map, options) as ValueType<V>)).value };
}
