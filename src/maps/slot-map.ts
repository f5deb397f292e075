/**
 * Maps whose entries are things of the kernel: programs, cgroups, devices, sockets, stacks.
 *
 * What is written names the thing as this process knows it, by a file descriptor or an index; what
 * is read names it as everybody knows it, by an id or a cookie, since a descriptor would be another
 * process's. So an entry is not a value of one type that is stored and fetched.
 */

import { type Codec, Memory } from '../codec/codec.ts';
import type { Input } from '../codec/input.ts';
import { u32 } from '../codec/numbers.ts';
import { SkepError, SyscallError } from '../errors.ts';
import { refused } from '../kernel/refused.ts';
import { EntryRoom } from './entry-room.ts';
import { walkKeys } from './key-walk.ts';
import {
  MapHandle,
  type MapPlace,
  type OpenOptions,
  type OwnedMap,
  openPlace,
} from './map-handle.ts';
import { misfit } from './misfit.ts';
import { refusedCall } from './refused-call.ts';
import { checkKind, checkSize } from './typed-map.ts';

/** A map with the codec of its keys. */
export interface SlotSource<K> extends OwnedMap {
  readonly key: Codec<K, never>;
}

/** What the kernel means by refusing to write an entry, by the name of the errno. */
export type Refusals = Readonly<Record<string, string>>;

/** What such maps share: keys, room for an entry as the kernel moves it, and what a refusal means. */
export abstract class SlotMap<K, KI = Input<K>> extends MapHandle {
  /** Room for one entry's value. @internal */
  protected readonly slot: DataView;
  /** Bytes of a value: some kinds of map have values of 4 or 8. @internal */
  protected readonly slotBytes: number;
  readonly #key: Codec<K, unknown>;
  /** Decoding what is in a slot runs no code of others, so calls share its value. */
  readonly #room: EntryRoom;
  readonly #value: Uint8Array;
  readonly #refusals: Refusals;

  /** @internal */
  constructor(source: SlotSource<K>, types: readonly number[], refusals: Refusals) {
    super(source);
    this.#key = source.key as Codec<K, unknown>;
    this.#refusals = refusals;
    const { keySize, valueSize } = this.info();
    checkKind(this, types);
    checkSize(this, 'keys', this.#key, keySize);
    this.#room = new EntryRoom(keySize, valueSize, source.kernel.littleEndian);
    this.#value = this.#room.value.bytes;
    this.slot = this.#room.value.view;
    this.slotBytes = valueSize;
  }

  /** Empties a slot; false if it was empty. */
  delete(key: KI): boolean {
    // First, so that a closed handle is told from a bad key; and again behind the key's getters.
    void this.fd;
    const encoded = this.writeKey(key);
    try {
      return this.kernel.delete(this.fd, encoded);
    } catch (error) {
      throw refusedCall(error, this.name);
    }
  }

  /** Encodes a key where the next call takes it from. @internal */
  protected writeKey(key: KI): Uint8Array {
    try {
      return this.#room.encodeKey(this.#key, key);
    } catch (error) {
      throw misfit(error, this.name, 'key');
    }
  }

  /** The key that bytes stand for. @internal */
  protected readKey(key: Uint8Array): K {
    return this.#key.read(new Memory(key, this.kernel.littleEndian), 0);
  }

  /** Sets an entry to whole numbers, which fill the value 4 bytes at a time. @internal */
  protected put(key: KI, words: readonly number[], flags = 0): void {
    void this.fd;
    const encoded = this.writeKey(key);
    for (let index = 0; index * 4 < this.slotBytes; index += 1) {
      this.slot.setUint32(index * 4, words[index] ?? 0, this.kernel.littleEndian);
    }
    try {
      this.kernel.update(this.fd, encoded, this.#value, flags);
    } catch (error) {
      throw this.#explained(error);
    }
  }

  /** Reads an entry into {@link SlotMap.slot}; false if there is none. @internal */
  protected find(key: Uint8Array): boolean {
    try {
      return this.kernel.lookup(this.fd, key, this.#value, 0);
    } catch (error) {
      throw refusedCall(error, this.name);
    }
  }

  /** Reads an entry into {@link SlotMap.slot} and removes it; false if there is none. @internal */
  protected take(key: Uint8Array): boolean {
    try {
      return this.kernel.lookupAndDelete(this.fd, key, this.#value, 0);
    } catch (error) {
      throw refusedCall(error, this.name);
    }
  }

  #explained(error: unknown): unknown {
    const hint = error instanceof SyscallError ? this.#refusals[error.errnoName] : undefined;
    return error instanceof SyscallError && hint !== undefined
      ? refused(error.command, error.errno, `map "${this.name}"`, hint, error)
      : refusedCall(error, this.name);
  }
}

/** Those that the kernel also tells the contents of. Iterating gives pairs, as `Map` does. */
export abstract class ReadableSlotMap<K, R, KI = Input<K>>
  extends SlotMap<K, KI>
  implements Iterable<[K, R]>
{
  /** What is in a slot; undefined if it is empty. */
  get(key: KI): R | undefined {
    // First, so that a closed handle is told from a bad key.
    void this.fd;
    return this.find(this.writeKey(key)) ? this.readSlot() : undefined;
  }

  /** Whether there is something in a slot. */
  has(key: KI): boolean {
    void this.fd;
    return this.find(this.writeKey(key));
  }

  /** The keys of the slots that are not empty. */
  *keys(): Generator<K, void, undefined> {
    for (const key of this.#occupied()) {
      yield this.readKey(key);
    }
  }

  /** What is in the slots. */
  *values(): Generator<R, void, undefined> {
    for (const [, value] of this.entries()) {
      yield value;
    }
  }

  /** Pairs of keys and what is in their slots. What changes meanwhile may be seen or not. */
  *entries(): Generator<[K, R], void, undefined> {
    for (const key of this.#occupied()) {
      // The slot first, as decoding a key may run code of others.
      const value = this.readSlot();
      yield [this.readKey(key), value];
    }
  }

  [Symbol.iterator](): Generator<[K, R], void, undefined> {
    return this.entries();
  }

  /** All entries now, as a list of pairs. */
  snapshot(): [K, R][] {
    return [...this.entries()];
  }

  /** Number of slots that are not empty now. Reads them all. */
  count(): number {
    let count = 0;
    for (const _ of this.#occupied()) {
      count += 1;
    }
    return count;
  }

  /** Empties every slot; the number that were not empty. */
  clear(): number {
    let removed = 0;
    for (const key of this.#occupied()) {
      removed += this.kernel.delete(this.fd, key) ? 1 : 0;
    }
    return removed;
  }

  /** What {@link SlotMap.slot} holds. @internal */
  protected abstract readSlot(): R;

  /** Keys of slots that are not empty, whose value is then in {@link SlotMap.slot}. */
  *#occupied(): Generator<Uint8Array, void, undefined> {
    for (const key of walkKeys(this)) {
      if (this.find(key)) {
        yield key;
      }
    }
  }
}

/** Opens a map of slots whose keys are indices. */
export function openSlots(place: MapPlace, options: OpenOptions): SlotSource<number> {
  return { ...openPlace(place, options), key: u32 };
}

/** The error for a use that the values of a map are too small for. */
export function tooNarrow(map: MapHandle, consequence: string): SkepError {
  const { valueSize } = map.info();
  return new SkepError(
    'ERR_SKEP_MAP_KIND',
    `map "${map.name}" has values of ${valueSize} bytes, so ${consequence}; create it with values of 8`,
  );
}
