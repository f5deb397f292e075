/** Arrays with one value per CPU. */

import type { Codec } from '../codec/codec.ts';
import type { Input } from '../codec/input.ts';
import { u32 } from '../codec/numbers.ts';
import { perCpu } from '../codec/per-cpu.ts';
import type { PerCpuValues } from '../codec/per-cpu-values.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import type { canBeInner } from './inner-map.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import {
  type CreateOptions,
  createTyped,
  handleOf,
  openIndexed,
  type ValueType,
} from './standalone.ts';
import { TypedMap, type TypedSource, type WriteOptions } from './typed-map.ts';

/**
 * `BPF_MAP_TYPE_PERCPU_ARRAY` (4.6): entries 0 to `length - 1`, each with one value for every
 * possible CPU. Entries cannot be removed.
 *
 * @example
 * using drops = PerCpuArray.create({ value: u64, maxEntries: 4 });
 * console.log(drops.get(3)?.sum());
 */
export class PerCpuArray<V, VI = Input<V>> extends TypedMap<
  number,
  PerCpuValues<V>,
  number,
  ArrayLike<VI>
> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.PERCPU_ARRAY];

  readonly #cpus: number;

  /** @internal The source's codec is that of one CPU's value. */
  constructor(source: TypedSource<number, V>) {
    const cpus = source.kernel.possibleCpus();
    super({ ...source, key: u32, value: perCpu(source.value, cpus) }, PerCpuArray.types);
    this.#cpus = cpus;
  }

  /**
   * Creates an array with one value per CPU.
   *
   * @param options `value` is one CPU's value
   * @throws SyscallError as `BPF_MAP_CREATE` does
   */
  static create<V, VI = Input<V>>(
    options: CreateOptions & { readonly value: Codec<V, VI> },
  ): PerCpuArray<V, VI> {
    checkCreate('PerCpuArray.create', options, 'value');
    const types = { key: u32, value: options.value };
    return handleOf<TypedSource<number, V>, PerCpuArray<V, VI>>(
      PerCpuArray,
      createTyped(BPF_MAP_TYPE.PERCPU_ARRAY, types, options),
    );
  }

  /**
   * Opens a pinned array with one value per CPU. Without types it goes by those that the kernel keeps with the map, which
   * only CAP_SYS_ADMIN may see, and by bytes where there are none.
   *
   * @param types `value` is one CPU's value
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its values have another
   *   size
   */
  static openPinned<V = unknown, VI = Input<V>>(
    path: string,
    types?: ValueType<V, VI>,
    options: OpenOptions = {},
  ): PerCpuArray<V, VI> {
    return handleOf<TypedSource<number, V>, PerCpuArray<V, VI>>(
      PerCpuArray,
      openIndexed(path, types, options),
    );
  }

  /** Opens an array with one value per CPU by the kernel's id for it; see {@link PerCpuArray.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<V = unknown, VI = Input<V>>(
    id: number,
    types?: ValueType<V, VI>,
    options: OpenByIdOptions = {},
  ): PerCpuArray<V, VI> {
    return handleOf<TypedSource<number, V>, PerCpuArray<V, VI>>(
      PerCpuArray,
      openIndexed({ id }, types, options),
    );
  }

  /** Number of entries. */
  get length(): number {
    return this.info().maxEntries;
  }

  /**
   * Sets the values of an entry, exactly one for each possible CPU, as {@link PerCpuValues} or an array. What programs write meanwhile is
   * lost.
   *
   * @throws ValueError if there are more or fewer, or one does not fit its type; nothing is written
   * @throws SyscallError `E2BIG` for an index that is not below `length`
   */
  override set(index: number, values: ArrayLike<VI>, options?: WriteOptions): this {
    return super.set(index, values, options);
  }

  /** Sets the same value for every CPU: `fill(index, 0n)` starts over. */
  fill(index: number, value: VI, options?: WriteOptions): this {
    return this.set(index, new Array<VI>(this.#cpus).fill(value), options);
  }
}
