/**
 * Maps of keys and values as JavaScript values: what hashes, arrays and their relatives share.
 */

import { type Codec, Memory } from '../codec/codec.ts';
import { SkepError } from '../errors.ts';
import { BPF_MAP_TYPE, mapTypeName } from '../uapi/map-types.ts';
import { EntryIterator } from './entry-iterator.ts';
import { MapHandle, type OwnedMap, type UpdateMode, updateFlags } from './map-handle.ts';
import { clear, walk } from './walk.ts';

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

/** Reading, writing and walking. Iterating gives pairs, as JavaScript's `Map` does. */
export abstract class TypedMap<K, V> extends MapHandle implements Iterable<[K, V]> {
  readonly #key: Codec<K, unknown>;
  readonly #value: Codec<V, unknown>;
  /** Room for one entry: both in one buffer, whose address the kernel's front remembers. */
  readonly #keyMemory: Memory;
  readonly #valueMemory: Memory;

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
    const buffer = new ArrayBuffer(keySize + valueBytes);
    const { littleEndian } = source.kernel;
    this.#keyMemory = new Memory(new Uint8Array(buffer, 0, keySize), littleEndian);
    this.#valueMemory = new Memory(new Uint8Array(buffer, keySize), littleEndian);
  }

  /** The value of a key; undefined if the key is not there. */
  get(key: K, options?: ReadOptions): V | undefined {
    const fd = this.fd;
    this.writeKey(key);
    const flags = options?.lock === true ? LOCK : 0;
    if (!this.kernel.lookup(fd, this.#keyMemory.bytes, this.#valueMemory.bytes, flags)) {
      return undefined;
    }
    return this.#value.read(this.#valueMemory, 0);
  }

  /**
   * Sets the value of a key.
   *
   * @throws ValueError if the key or the value does not fit its type; nothing is written
   * @throws SyscallError `EEXIST`, `ENOENT` if the mode forbids it; `E2BIG` if the map is full
   */
  set(key: K, value: V, options?: WriteOptions): this {
    const fd = this.fd;
    this.writeKey(key);
    this.#value.write(this.#valueMemory, 0, value);
    const lock = options?.lock === true ? LOCK : 0;
    const mode = options?.mode === undefined ? 0 : updateFlags(this.name, options.mode);
    this.kernel.update(fd, this.#keyMemory.bytes, this.#valueMemory.bytes, mode | lock);
    return this;
  }

  /** Whether there is such a key. Costs as much as {@link TypedMap.get}. */
  has(key: K): boolean {
    const fd = this.fd;
    this.writeKey(key);
    return this.kernel.lookup(fd, this.#keyMemory.bytes, this.#valueMemory.bytes, 0);
  }

  /** The keys. See {@link TypedMap.entries}. */
  *keys(): Generator<K, void, undefined> {
    for (const chunk of walk(this.#walked())) {
      const memory = new Memory(chunk.keys, this.kernel.littleEndian);
      for (let index = 0; index < chunk.count; index += 1) {
        yield this.#key.read(memory, index * this.#key.sizeBytes);
      }
    }
  }

  /** The values. See {@link TypedMap.entries}. */
  *values(): Generator<V, void, undefined> {
    const step = this.#valueMemory.bytes.length;
    for (const chunk of walk(this.#walked())) {
      const memory = new Memory(chunk.values, this.kernel.littleEndian);
      for (let index = 0; index < chunk.count; index += 1) {
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
      key: this.#key,
      value: this.#value,
      valueStep: this.#valueMemory.bytes.length,
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
  protected writeKey(key: K): Uint8Array {
    this.#key.write(this.#keyMemory, 0, key);
    return this.#keyMemory.bytes;
  }

  /** Removes an entry and gives its value. @internal */
  protected takeValue(key: K): V | undefined {
    const fd = this.fd;
    this.writeKey(key);
    if (!this.kernel.lookupAndDelete(fd, this.#keyMemory.bytes, this.#valueMemory.bytes, 0)) {
      return undefined;
    }
    return this.#value.read(this.#valueMemory, 0);
  }

  /** Removes all entries. @internal */
  protected removeAll(): number {
    return clear(this.#walked());
  }

  #walked() {
    const { keySize, maxEntries, type } = this.info();
    const map = this;
    return {
      kernel: this.kernel,
      name: this.name,
      get fd() {
        return map.fd;
      },
      keyBytes: keySize,
      valueBytes: this.#valueMemory.bytes.length,
      maxEntries,
      startsOver: type === BPF_MAP_TYPE.LPM_TRIE,
    };
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
