/**
 * Maps of keys and values as JavaScript values: what hashes, arrays and their relatives share.
 */

import { type Codec, Memory } from '../codec/codec.ts';
import type { Input } from '../codec/input.ts';
import { SkepError } from '../errors.ts';
import { mapTypeName } from '../uapi/map-types.ts';
import { EntryIterator } from './entry-iterator.ts';
import { EntryRoom } from './entry-room.ts';
import { MapHandle, type OwnedMap, type UpdateMode, updateFlags } from './map-handle.ts';
import { type EntryPart, misfit } from './misfit.ts';
import { refusedCall } from './refused-call.ts';
import { clear, type WalkedMap, walk, walkedMap } from './walk.ts';

/** `BPF_F_LOCK`: take the value's spin lock while it is copied. */
const LOCK = 4;

/** A map with the codecs of its keys and values. */
export interface TypedSource<K, V> extends OwnedMap {
  readonly key: Codec<K, never>;
  readonly value: Codec<V, never>;
}

/** How {@link TypedMap.get} reads. */
export interface ReadOptions {
  /** Hold the value's `bpf_spin_lock` while it is copied (5.1). */
  readonly lock?: boolean;
}

/** How {@link TypedMap.set} writes. */
export interface WriteOptions extends ReadOptions {
  /** `any` by default. */
  readonly mode?: UpdateMode;
}

/**
 * Reading, writing and walking. Iterating gives pairs, as JavaScript's `Map` does.
 *
 * @typeParam K what reading gives for keys
 * @typeParam V what reading gives for values
 * @typeParam KI what is taken for keys; a codec may take more than it gives: numbers for 64 bits
 * @typeParam VI what is taken for values
 */
export abstract class TypedMap<K, V, KI = Input<K>, VI = Input<V>>
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

  /** The value of a key; undefined if the key is not there. */
  get(key: KI, options?: ReadOptions): V | undefined {
    // First, so that a closed handle is told from a bad key; and again behind the key's getters.
    void this.fd;
    const flags = options?.lock === true ? LOCK : 0;
    const room = this.#room.borrow();
    try {
      this.#key.write(room.key, 0, key);
      return this.kernel.lookup(this.fd, room.key.bytes, room.value.bytes, flags)
        ? this.#value.read(room.value, 0)
        : undefined;
    } catch (error) {
      throw this.#refusal(error, 'key', flags);
    } finally {
      room.busy = false;
    }
  }

  /**
   * Sets the value of a key.
   *
   * @throws ValueError if the key or the value does not fit its type; nothing is written
   * @throws SyscallError `EEXIST`, `ENOENT` if the mode forbids it; `E2BIG` if the map is full
   */
  set(key: KI, value: VI, options?: WriteOptions): this {
    void this.fd;
    const lock = options?.lock === true ? LOCK : 0;
    const mode = options?.mode === undefined ? 0 : updateFlags(this.name, options.mode);
    const room = this.#room.borrow();
    let part: EntryPart = 'key';
    try {
      this.#key.write(room.key, 0, key);
      part = 'value';
      this.#value.write(room.value, 0, value);
      this.kernel.update(this.fd, room.key.bytes, room.value.bytes, mode | lock);
      return this;
    } catch (error) {
      throw this.#refusal(error, part, lock);
    } finally {
      room.busy = false;
    }
  }

  /** Whether there is such a key. Costs as much as {@link TypedMap.get}. */
  has(key: KI): boolean {
    void this.fd;
    const room = this.#room.borrow();
    try {
      this.#key.write(room.key, 0, key);
      return this.kernel.lookup(this.fd, room.key.bytes, room.value.bytes, 0);
    } catch (error) {
      throw this.#refusal(error, 'key');
    } finally {
      room.busy = false;
    }
  }

  /** The keys. See {@link TypedMap.entries}. */
  *keys(): Generator<K, void, undefined> {
    for (const chunk of walk(this.#walked())) {
      const memory = new Memory(chunk.keys, this.kernel.littleEndian);
      for (let index = 0; index < chunk.count; index += 1) {
        // The handle may have been closed since the last step.
        void this.fd;
        yield this.#key.read(memory, index * this.#key.sizeBytes);
      }
    }
  }

  /** The values. See {@link TypedMap.entries}. */
  *values(): Generator<V, void, undefined> {
    const step = this.#room.value.bytes.length;
    for (const chunk of walk(this.#walked())) {
      const memory = new Memory(chunk.values, this.kernel.littleEndian);
      for (let index = 0; index < chunk.count; index += 1) {
        void this.fd;
        yield this.#value.read(memory, index * step);
      }
    }
  }

  /**
   * Pairs of keys and values, read some hundred at a time: what changes during the walk may be seen
   * or not, but no key is seen twice. Removing entries while walking is fine.
   */
  entries(): IterableIterator<[K, V], undefined> {
    return new EntryIterator(walk(this.#walked()), {
      map: this,
      key: this.#key,
      value: this.#value,
      valueStep: this.#room.value.bytes.length,
      littleEndian: this.kernel.littleEndian,
    });
  }

  [Symbol.iterator](): IterableIterator<[K, V], undefined> {
    return this.entries();
  }

  /** All entries now, as a list of pairs. */
  snapshot(): [K, V][] {
    return [...this.entries()];
  }

  /** Number of entries now. Reads them all. */
  count(): number {
    let count = 0;
    for (const chunk of walk(this.#walked())) {
      count += chunk.count;
    }
    return count;
  }

  /** Encodes a key where the next call takes it from. @internal */
  protected writeKey(key: KI): Uint8Array {
    return this.#room.encodeKey(this.#key, key);
  }

  /** Removes an entry; false if it is not there. @internal */
  protected removeKey(key: KI): boolean {
    void this.fd;
    try {
      const encoded = this.writeKey(key);
      return this.kernel.delete(this.fd, encoded);
    } catch (error) {
      throw this.#refusal(error, 'key');
    }
  }

  /** Removes an entry and gives its value. @internal */
  protected takeValue(key: KI): V | undefined {
    void this.fd;
    const room = this.#room.borrow();
    try {
      this.#key.write(room.key, 0, key);
      return this.kernel.lookupAndDelete(this.fd, room.key.bytes, room.value.bytes, 0)
        ? this.#value.read(room.value, 0)
        : undefined;
    } catch (error) {
      throw this.#refusal(error, 'key');
    } finally {
      room.busy = false;
    }
  }

  /** Removes all entries. @internal */
  protected removeAll(): number {
    return clear(this.#walked());
  }

  /** What is to be thrown: an error that tells the map, and which of the two it is about. */
  #refusal(error: unknown, part: EntryPart, flags = 0): unknown {
    return refusedCall(misfit(error, this.name, part), this.name, flags);
  }

  #walked(): WalkedMap {
    return walkedMap(this, this.#room.value.bytes.length);
  }
}

/** Refuses a handle of the wrong class. */
export function checkKind(map: MapHandle, types: readonly number[]): void {
  const { type, typeName } = map.info();
  if (!types.includes(type)) {
    const wanted = types.map(mapTypeName).join(' or ');
    throw new SkepError(
      'ERR_SKEP_MAP_KIND',
      `map "${map.name}" is a ${typeName}; ${map.constructor.name} is for ${wanted}`,
    );
  }
}

/** Refuses a codec of another size than the kernel's keys or values. */
export function checkSize(
  map: MapHandle,
  what: string,
  codec: Codec<unknown, never>,
  bytes: number,
): void {
  if (codec.sizeBytes !== bytes) {
    throw new SkepError(
      'ERR_SKEP_MAP_KIND',
      `map "${map.name}": ${what} have ${bytes} bytes, but ${codec.name} has ${codec.sizeBytes}`,
    );
  }
}
