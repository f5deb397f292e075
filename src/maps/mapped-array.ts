/** Arrays in memory: their entries are read and written without a system call. */

import { alignUp } from '../bytes/align.ts';
import type { Codec } from '../codec/codec.ts';
import type { Input } from '../codec/input.ts';
import { checkInteger, u32 } from '../codec/numbers.ts';
import { SkepError } from '../errors.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate, creationFlags } from './create-checks.ts';
import type { canBeInner } from './inner-map.ts';
import { LiveMemory } from './live-memory.ts';
import { MapHandle, type OpenByIdOptions, type OpenOptions } from './map-handle.ts';
import { misfit } from './misfit.ts';
import {
  type NumberArray,
  type NumberLayout,
  type NumberView,
  numberLayout,
} from './number-view.ts';
import {
  type CreateOptions,
  createTyped,
  handleOf,
  openIndexed,
  type ValueType,
} from './standalone.ts';
import { checkKind, checkSize, type TypedSource } from './typed-map.ts';

/** Entries start at multiples of this (`array_map_alloc`: `round_up(value_size, 8)`). */
const ENTRY_ALIGNMENT = 8;

/**
 * `BPF_MAP_TYPE_ARRAY` with the flag `BPF_F_MMAPABLE` (Linux 5.5), its memory mapped into this
 * process. It reads as `ArrayMap` does, from memory: what a program writes is seen at once. Where
 * values are plain numbers, or arrays of them, {@link MappedArray.numbers} is that memory as a typed
 * array.
 *
 * An array that is frozen is mapped for reading: decoding works, {@link MappedArray.set} and
 * {@link MappedArray.numbers} throw `ERR_SKEP_MAP_KIND`.
 *
 * @example
 * using counts = MappedArray.create({ value: u64, maxEntries: 1024 });
 * counts.set(3, 100n);
 * counts.numbers[3]; // 100n
 */
export class MappedArray<V, VI = Input<V>> extends MapHandle implements Iterable<[number, V]> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.ARRAY];

  /** Number of entries. */
  readonly length: number;
  readonly #value: Codec<V, unknown>;
  /** From one entry to the next, in bytes. */
  readonly #stride: number;
  readonly #layout: NumberLayout | null;
  #memory: LiveMemory;
  /** All entries as numbers, whether they may be written or not; null if they are no numbers. */
  #numbers: NumberArray | null = null;
  /** Entries lie so many numbers apart; 0 if a value is not a single number. */
  readonly #scalarStep: number;

  /** @internal */
  constructor(source: TypedSource<number, V>) {
    super(source);
    const info = this.info();
    checkKind(this, MappedArray.types);
    checkSize(this, 'values', source.value, info.valueSize);
    if ((info.flags & BPF_F.MMAPABLE) === 0) {
      throw new SkepError(
        'ERR_SKEP_MAP_KIND',
        `map "${this.name}" was created without BPF_F_MMAPABLE, so it has no memory to share; use ArrayMap`,
      );
    }
    this.#value = source.value as Codec<V, unknown>;
    this.length = info.maxEntries;
    this.#stride = alignUp(info.valueSize, ENTRY_ALIGNMENT);
    this.#layout = numberLayout(source.value);
    this.#scalarStep = this.#layout?.isScalar === true ? this.step : 0;
    this.#memory = this.#map();
  }

  /**
   * Creates an array in memory.
   *
   * @throws SyscallError as `BPF_MAP_CREATE` does; `EINVAL` before Linux 5.5
   */
  static create<V, VI = Input<V>>(
    options: CreateOptions & { readonly value: Codec<V, VI> },
  ): MappedArray<V, VI> {
    checkCreate('MappedArray.create', options, 'value');
    const flags = creationFlags(options.flags, BPF_F.MMAPABLE);
    return handleOf<TypedSource<number, V>, MappedArray<V, VI>>(
      MappedArray,
      createTyped(BPF_MAP_TYPE.ARRAY, { key: u32, value: options.value }, { ...options, flags }),
    );
  }

  /**
   * Opens a pinned array that was created with `BPF_F_MMAPABLE`. Without types it goes by those that
   * the kernel keeps with the map, which only CAP_SYS_ADMIN may see, and by bytes where there are
   * none. The kernel shares memory only with descriptors that can both read and write.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, its values have another
   *   size, or it has no memory to share
   * @throws SyscallError `EINVAL` with access `'read-only'`, `EACCES` with `'write-only'`
   */
  static openPinned<V = unknown, VI = Input<V>>(
    path: string,
    types?: ValueType<V, VI>,
    options: OpenOptions = {},
  ): MappedArray<V, VI> {
    return handleOf<TypedSource<number, V>, MappedArray<V, VI>>(
      MappedArray,
      openIndexed(path, types, options),
    );
  }

  /** Opens one by the kernel's id for it; see {@link MappedArray.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<V = unknown, VI = Input<V>>(
    id: number,
    types?: ValueType<V, VI>,
    options: OpenByIdOptions = {},
  ): MappedArray<V, VI> {
    return handleOf<TypedSource<number, V>, MappedArray<V, VI>>(
      MappedArray,
      openIndexed({ id }, types, options),
    );
  }

  /** Whether entries can be written from here. */
  get writable(): boolean {
    this.#memory.checkMapped();
    return this.#memory.writable;
  }

  /**
   * The memory as a typed array, of all entries one behind the other: no copy, and shared with
   * programs. Entry `i` begins at `numbers[i * step]` (see {@link MappedArray.step}). Numbers are not
   * checked when they are written. Its length is 0 once the handle is closed.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if values are no plain numbers, or the memory is read-only
   */
  get numbers(): NumberView<V> {
    this.#numberLayout();
    this.#memory.checkMapped();
    this.#memory.checkWritable();
    return this.#numbers as NumberView<V>;
  }

  /**
   * How far the entries of {@link MappedArray.numbers} lie apart, in numbers. The kernel rounds each
   * entry up to 8 bytes: 1 for numbers of 64 bits, 2 for single ones of 32 bits.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if values are no plain numbers
   */
  get step(): number {
    return this.#stride / this.#numberLayout().kind.BYTES_PER_ELEMENT;
  }

  /**
   * A copy of {@link MappedArray.numbers}, which read-only arrays give too.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if values are no plain numbers
   */
  copyNumbers(): NumberView<V> {
    this.#numberLayout();
    this.#memory.checkMapped();
    return this.#numbers!.slice() as NumberView<V>;
  }

  /**
   * The value of an entry, decoded; undefined for an index that no entry has.
   *
   * @throws ValueError for what is no index: a whole number of 32 bits
   */
  get(index: number): V | undefined {
    if (this.#scalarStep > 0 && Number.isInteger(index)) {
      const value = this.#numbers![index * this.#scalarStep];
      if (value !== undefined) {
        return value as V;
      }
    }
    return this.has(index) ? this.#read(Number(index)) : undefined;
  }

  /**
   * Sets the value of an entry.
   *
   * @throws ValueError if the value does not fit its type, or the index is none; nothing is written
   * @throws RangeError for an index that no entry has
   * @throws SkepError `ERR_SKEP_MAP_KIND` if the memory is read-only
   */
  set(index: number, value: VI): this {
    this.#memory.checkMapped();
    if (!this.has(index)) {
      throw new RangeError(
        `map "${this.name}" has entries 0 to ${this.length - 1}, not ${String(index)}`,
      );
    }
    try {
      this.#memory.write(this.#value, Number(index) * this.#stride, value);
    } catch (error) {
      throw misfit(error, this.name, 'value');
    }
    return this;
  }

  /**
   * Whether there is such an entry: from 0 to `length - 1`.
   *
   * @throws ValueError for what is no index: a whole number of 32 bits
   */
  has(index: number): boolean {
    this.#memory.checkMapped();
    try {
      return checkInteger(index, 0, 0xffff_ffff, 'u32') < this.length;
    } catch (error) {
      throw misfit(error, this.name, 'key');
    }
  }

  /** The indices. */
  *keys(): Generator<number, void, undefined> {
    for (let index = 0; index < this.length; index += 1) {
      this.#memory.checkMapped();
      yield index;
    }
  }

  /** The values, each as it is when the walk reaches it. */
  *values(): Generator<V, void, undefined> {
    for (let index = 0; index < this.length; index += 1) {
      yield this.#read(index);
    }
  }

  /** Pairs of indices and values, each as it is when the walk reaches it. */
  *entries(): Generator<[number, V], void, undefined> {
    for (let index = 0; index < this.length; index += 1) {
      yield [index, this.#read(index)];
    }
  }

  [Symbol.iterator](): Generator<[number, V], void, undefined> {
    return this.entries();
  }

  /** All entries now, as a list of pairs. */
  snapshot(): [number, V][] {
    return [...this.entries()];
  }

  /** Number of entries, all of which are there: as {@link MappedArray.length}. */
  count(): number {
    this.#memory.checkMapped();
    return this.length;
  }

  /**
   * Refuses writes by system calls, and by memory, from now on; programs still write. What
   * {@link MappedArray.numbers} gave before has length 0 afterwards, and is not given any more.
   *
   * @throws SyscallError `EBUSY` if another process, or another handle, has the memory for writing
   */
  override freeze(): void {
    const fd = this.fd;
    // The kernel does not freeze what may still be written by a mapping.
    this.#memory.unmap();
    try {
      this.kernel.freeze(fd);
    } finally {
      this.#memory = this.#map();
    }
  }

  /** Closes the handle and ends the mapping. */
  override close(): void {
    this.#memory.unmap();
    super.close();
  }

  #read(index: number): V {
    return this.#memory.read(this.#value, index * this.#stride);
  }

  #map(): LiveMemory {
    const length = alignUp(this.#stride * this.length, this.kernel.pageSize);
    const memory = LiveMemory.map(this.kernel, this.fd, this.name, length);
    if (this.#layout !== null) {
      this.#numbers = memory.readOnlyNumbers(this.#layout, 0, this.length * this.step);
    }
    return memory;
  }

  #numberLayout(): NumberLayout {
    if (this.#layout === null) {
      throw new SkepError(
        'ERR_SKEP_MAP_KIND',
        `map "${this.name}": values are ${this.#value.name}, which no typed array can stand for; use get() and set()`,
      );
    }
    return this.#layout;
  }
}
