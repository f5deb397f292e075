/**
 * Maps whose values are other objects: maps of maps, program arrays. What is stored is the id, which
 * is what look-ups give; the kernel's front turns the descriptor of an update into it.
 *
 * `bpf_fd_array_map_update_elem`, `bpf_fd_htab_map_update_elem` in `kernel/bpf/arraymap.c`, `hashtab.c`.
 */

import { ERRNO } from '../../uapi/errno.ts';
import type { BatchCursor } from '../kernel.ts';
import { indexOf, nextIndex } from './array-store.ts';
import type { HashStore } from './hash-store.ts';
import type { KernelObject } from './objects.ts';
import { PerfEventObject } from './perf-event.ts';
import { genericLookupBatch, Store } from './store.ts';

const ID_BYTES = 4;

/** Holds and releases objects by id. */
export interface Holder {
  hold(id: number): void;
  release(id: number): void;
}

/** A store that keeps ids. */
export abstract class ObjectStore extends Store {
  /** What an update would be refused for before the descriptor is even looked at: 0 if for nothing. */
  abstract refusalBeforeValue(key: Uint8Array, flags: number): number;
}

export interface SlotOptions {
  readonly maxEntries: number;
  readonly littleEndian: boolean;
  /** Whether there are batches: in arrays of maps. */
  readonly batches: boolean;
  /** Whether the slots are emptied when no user holds the map: in program arrays. */
  readonly cleared: boolean;
}

/** Slots by index, empty ones among them. */
export class SlotStore extends ObjectStore {
  readonly #options: SlotOptions;
  readonly #holder: Holder;
  readonly #ids = new Map<number, number>();

  constructor(options: SlotOptions, holder: Holder) {
    super();
    this.#options = options;
    this.#holder = holder;
  }

  override refusalBeforeValue(key: Uint8Array, flags: number): number {
    if (flags !== 0) {
      return -ERRNO.EINVAL;
    }
    return this.#index(key) >= this.#options.maxEntries ? -ERRNO.E2BIG : 0;
  }

  override lookup(key: Uint8Array, value: Uint8Array): number {
    const id = this.#ids.get(this.#index(key));
    if (id === undefined) {
      return -ERRNO.ENOENT;
    }
    writeId(value, id, this.#options.littleEndian);
    return 0;
  }

  override update(key: Uint8Array, value: Uint8Array): number {
    const index = this.#index(key);
    const before = this.#ids.get(index);
    const id = indexOf(value, this.#options.littleEndian);
    this.#ids.set(index, id);
    this.#holder.hold(id);
    if (before !== undefined) {
      this.#holder.release(before);
    }
    return 0;
  }

  override delete(key: Uint8Array): number {
    const index = this.#index(key);
    if (index >= this.#options.maxEntries) {
      return -ERRNO.E2BIG;
    }
    const id = this.#ids.get(index);
    if (id === undefined) {
      return -ERRNO.ENOENT;
    }
    this.#ids.delete(index);
    this.#holder.release(id);
    return 0;
  }

  override nextKey(key: Uint8Array | null, next: Uint8Array): number {
    return nextIndex(key, next, this.#options);
  }

  override lookupBatch(
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number {
    if (!this.#options.batches) {
      return -ERRNO.ENOTSUPP;
    }
    const sizes = { keyBytes: ID_BYTES, valueBytes: ID_BYTES };
    return genericLookupBatch(this, sizes, cursor, keys, values, count);
  }

  override get updatesBatches(): boolean {
    return this.#options.batches;
  }

  override releasedByUsers(): void {
    if (this.#options.cleared) {
      this.destroy();
    }
  }

  override destroy(): void {
    const ids = [...this.#ids.values()];
    this.#ids.clear();
    for (const id of ids) {
      this.#holder.release(id);
    }
  }

  #index(key: Uint8Array): number {
    return indexOf(key, this.#options.littleEndian);
  }
}

/** The events of CPUs. Look-ups are not for user space. */
export class EventStore extends Store {
  readonly #options: Pick<SlotOptions, 'maxEntries' | 'littleEndian'> & { readonly kept: boolean };
  readonly #events = new Map<number, { readonly event: PerfEventObject; readonly by: object }>();

  /**
   * @param options.kept whether events stay when the file is closed by which they came
   *   (`BPF_F_PRESERVE_ELEMS`)
   */
  constructor(options: {
    readonly maxEntries: number;
    readonly littleEndian: boolean;
    readonly kept: boolean;
  }) {
    super();
    this.#options = options;
  }

  /** The event of an index, if there is one. */
  event(index: number): PerfEventObject | undefined {
    return this.#events.get(index)?.event;
  }

  /** @param by the file of the map through which it comes */
  put(key: Uint8Array, object: KernelObject | undefined, flags: number, by: object): number {
    const index = indexOf(key, this.#options.littleEndian);
    if (flags !== 0) {
      return -ERRNO.EINVAL;
    }
    if (index >= this.#options.maxEntries) {
      return -ERRNO.E2BIG;
    }
    if (!(object instanceof PerfEventObject)) {
      return -ERRNO.EBADF;
    }
    object.hold(false);
    this.event(index)?.release(false);
    this.#events.set(index, { event: object, by });
    return 0;
  }

  override delete(key: Uint8Array): number {
    const index = indexOf(key, this.#options.littleEndian);
    if (index >= this.#options.maxEntries) {
      return -ERRNO.E2BIG;
    }
    const event = this.event(index);
    if (event === undefined) {
      return -ERRNO.ENOENT;
    }
    this.#events.delete(index);
    event.release(false);
    return 0;
  }

  override nextKey(key: Uint8Array | null, next: Uint8Array): number {
    return nextIndex(key, next, this.#options);
  }

  override fileClosed(file: object): void {
    for (const [index, { event, by }] of this.#options.kept ? [] : this.#events) {
      if (by === file) {
        this.#events.delete(index);
        event.release(false);
      }
    }
  }

  override destroy(): void {
    for (const { event } of this.#events.values()) {
      event.release(false);
    }
    this.#events.clear();
  }
}

/** A hash of ids. */
export class HashOfObjects extends ObjectStore {
  readonly #hash: HashStore;
  readonly #littleEndian: boolean;
  readonly #holder: Holder;
  readonly #before = new Uint8Array(ID_BYTES);

  constructor(hash: HashStore, littleEndian: boolean, holder: Holder) {
    super();
    this.#hash = hash;
    this.#littleEndian = littleEndian;
    this.#holder = holder;
  }

  override refusalBeforeValue(): number {
    return 0;
  }

  override lookup(key: Uint8Array, value: Uint8Array): number {
    return this.#hash.lookup(key, value);
  }

  override update(key: Uint8Array, value: Uint8Array, flags: number): number {
    const replaced = this.#hash.lookup(key, this.#before) === 0;
    const before = indexOf(this.#before, this.#littleEndian);
    const result = this.#hash.update(key, value, flags);
    if (result === 0) {
      this.#holder.hold(indexOf(value, this.#littleEndian));
      if (replaced) {
        this.#holder.release(before);
      }
    }
    return result;
  }

  override delete(key: Uint8Array): number {
    const found = this.#hash.lookup(key, this.#before);
    if (found < 0) {
      return found;
    }
    const id = indexOf(this.#before, this.#littleEndian);
    this.#hash.delete(key);
    this.#holder.release(id);
    return 0;
  }

  override nextKey(key: Uint8Array | null, next: Uint8Array): number {
    return this.#hash.nextKey(key, next);
  }

  override lookupBatch(
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number {
    return this.#hash.lookupBatch(cursor, keys, values, count);
  }

  override takeBatch(
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number {
    const read = this.#hash.takeBatch(cursor, keys, values, count);
    for (let index = 0; index < read; index += 1) {
      this.#holder.release(indexOf(values.subarray(index * ID_BYTES), this.#littleEndian));
    }
    return read;
  }

  override get updatesBatches(): boolean {
    return true;
  }

  override destroy(): void {
    const ids = [...this.#hash.values()].map((value) => indexOf(value, this.#littleEndian));
    for (const id of ids) {
      this.#holder.release(id);
    }
  }
}

function writeId(value: Uint8Array, id: number, littleEndian: boolean): void {
  new DataView(value.buffer, value.byteOffset, ID_BYTES).setUint32(0, id, littleEndian);
}
