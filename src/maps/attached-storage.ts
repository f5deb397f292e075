/**
 * Storage of programs that are attached to cgroups: what the kinds with one value and with a value
 * per CPU share. The kernel makes an entry when a program is attached, and removes it with that.
 *
 * Semantics: Documentation/bpf/map_cgroup_storage.rst, `kernel/bpf/local_storage.c`.
 */

import { struct } from '../codec/by-hand.ts';
import { type Codec, Memory } from '../codec/codec.ts';
import type { Input } from '../codec/input.ts';
import { u32, u64 } from '../codec/numbers.ts';
import { checkCreate } from './create-checks.ts';
import { EntryRoom } from './entry-room.ts';
import { walkKeys } from './key-walk.ts';
import { MapHandle, type MapPlace, type OpenOptions } from './map-handle.ts';
import { type EntryPart, misfit } from './misfit.ts';
import { refusedCall } from './refused-call.ts';
import { type CreateOptions, createTyped, openTyped, type ValueType } from './standalone.ts';
import { checkKind, checkSize, type ReadOptions, type TypedSource } from './typed-map.ts';

/** `BPF_EXIST`: entries cannot be made here. */
const EXIST = 2;
const LOCK = 4;

/** `struct bpf_cgroup_storage_key`: a cgroup, and what the program is attached to in it. */
export interface AttachedKey {
  /** Id of the cgroup: the number of its directory's inode. */
  readonly cgroup_inode_id: bigint;
  /** `enum bpf_attach_type`. */
  readonly attach_type: number;
}

const ATTACHED_KEY = struct({ cgroup_inode_id: u64, attach_type: u32 });

/** How such storage is created. */
export interface AttachedOptions<V, VI = never>
  extends Omit<CreateOptions, 'maxEntries'>,
    ValueType<V, VI> {}

/** What both kinds do. `K` is {@link AttachedKey}, or a bigint for maps with the cgroup alone (5.9). */
export abstract class AttachedStorage<K, V, VI = Input<V>>
  extends MapHandle
  implements Iterable<[K, V]>
{
  readonly #key: Codec<K, unknown>;
  readonly #value: Codec<V, unknown>;
  readonly #room: EntryRoom;

  /** @internal */
  constructor(source: TypedSource<K, V>, types: readonly number[]) {
    super(source);
    this.#key = source.key as Codec<K, unknown>;
    this.#value = source.value as Codec<V, unknown>;
    const { keySize } = this.info();
    const valueBytes = source.kernel.valueBytes(source.fd);
    checkKind(this, types);
    checkSize(this, 'keys', this.#key, keySize);
    checkSize(this, 'values', this.#value, valueBytes);
    this.#room = new EntryRoom(keySize, valueBytes, source.kernel.littleEndian);
  }

  /** The value of a cgroup; undefined if no program with this map is attached to it. */
  get(key: K, options?: ReadOptions): V | undefined {
    void this.fd;
    const flags = options?.lock === true ? LOCK : 0;
    const room = this.#room.borrow();
    try {
      this.#key.write(room.key, 0, key);
      return this.kernel.lookup(this.fd, room.key.bytes, room.value.bytes, flags)
        ? this.#value.read(room.value, 0)
        : undefined;
    } catch (error) {
      throw refusedCall(misfit(error, this.name, 'key'), this.name, flags);
    } finally {
      room.busy = false;
    }
  }

  /** Whether a program with this map is attached to a cgroup. */
  has(key: K): boolean {
    void this.fd;
    const room = this.#room.borrow();
    try {
      this.#key.write(room.key, 0, key);
      return this.kernel.lookup(this.fd, room.key.bytes, room.value.bytes, 0);
    } catch (error) {
      throw refusedCall(misfit(error, this.name, 'key'), this.name);
    } finally {
      room.busy = false;
    }
  }

  /**
   * Sets the value of a cgroup that has one.
   *
   * @throws ValueError if the value does not fit its type; nothing is written
   * @throws SyscallError `ENOENT` if no program with this map is attached to the cgroup
   */
  set(key: K, value: VI, options?: ReadOptions): this {
    void this.fd;
    const lock = options?.lock === true ? LOCK : 0;
    const room = this.#room.borrow();
    let part: EntryPart = 'key';
    try {
      this.#key.write(room.key, 0, key);
      part = 'value';
      this.#value.write(room.value, 0, value);
      this.kernel.update(this.fd, room.key.bytes, room.value.bytes, EXIST | lock);
      return this;
    } catch (error) {
      throw refusedCall(misfit(error, this.name, part), this.name, lock);
    } finally {
      room.busy = false;
    }
  }

  /** The keys that have a value. */
  *keys(): Generator<K, void, undefined> {
    for (const [key] of this.entries()) {
      yield key;
    }
  }

  /** Pairs of keys and values. */
  *entries(): Generator<[K, V], void, undefined> {
    for (const key of walkKeys(this)) {
      // The program may have been detached since.
      const entry = this.#entry(key);
      if (entry !== undefined) {
        yield entry;
      }
    }
  }

  [Symbol.iterator](): Generator<[K, V], void, undefined> {
    return this.entries();
  }

  #entry(key: Uint8Array): [K, V] | undefined {
    const room = this.#room.borrow();
    try {
      return this.kernel.lookup(this.fd, key, room.value.bytes, 0)
        ? [
            this.#key.read(new Memory(key, this.kernel.littleEndian), 0),
            this.#value.read(room.value, 0),
          ]
        : undefined;
    } catch (error) {
      throw refusedCall(error, this.name);
    } finally {
      room.busy = false;
    }
  }
}

/** Creates storage of attached programs, with keys of cgroup and attach type. */
export function createAttached<V>(
  type: number,
  options: AttachedOptions<V>,
): TypedSource<AttachedKey, V> {
  checkCreate('create', options, 'value');
  const types = { key: ATTACHED_KEY, value: options.value };
  return createTyped(type, types, { ...options, maxEntries: 0 });
}

/** Opens storage of attached programs. @param types undefined: those that the kernel keeps with it */
export function openAttached<V>(
  place: MapPlace,
  types: ValueType<V> | undefined,
  options: OpenOptions,
): TypedSource<AttachedKey, V> {
  const both = types === undefined ? undefined : { key: ATTACHED_KEY, value: types.value };
  return openTyped(place, both, options);
}
