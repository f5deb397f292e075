/** Hashes with one value per CPU, and those that forget what was used least recently. */

import type { Input } from '../codec/input.ts';
import { perCpu } from '../codec/per-cpu.ts';
import type { PerCpuValues } from '../codec/per-cpu-values.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import type { canBeInner } from './inner-map.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { type CreateOptions, createTyped, handleOf, openTyped, type Types } from './standalone.ts';
import { TypedMap, type TypedSource, type WriteOptions } from './typed-map.ts';

/**
 * `BPF_MAP_TYPE_PERCPU_HASH` (4.6) and `BPF_MAP_TYPE_LRU_PERCPU_HASH` (4.10): a hash in which a
 * program sees the value of the CPU it runs on, and user space those of all.
 *
 * @example
 * using hits = PerCpuHashMap.create({ key: u32, value: u64, maxEntries: 16 });
 * hits.fill(80, 0n);
 * console.log(hits.get(80)?.sum());
 */
export class PerCpuHashMap<K, V, KI = Input<K>, VI = Input<V>> extends TypedMap<
  K,
  PerCpuValues<V>,
  KI,
  ArrayLike<VI>
> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [
    BPF_MAP_TYPE.PERCPU_HASH,
    BPF_MAP_TYPE.LRU_PERCPU_HASH,
  ];

  readonly #cpus: number;

  /** @internal The source's codec is that of one CPU's value. */
  constructor(source: TypedSource<K, V>) {
    const cpus = source.kernel.possibleCpus();
    super({ ...source, value: perCpu(source.value, cpus) }, PerCpuHashMap.types);
    this.#cpus = cpus;
  }

  /**
   * Creates a hash with one value per CPU.
   *
   * @param options `value` is one CPU's value; `lru: true` for a hash that drops old entries when it
   *   is full
   * @throws SyscallError as `BPF_MAP_CREATE` does
   */
  static create<K, V, KI = Input<K>, VI = Input<V>>(
    options: Types<K, V, KI, VI> & CreateOptions & { readonly lru?: boolean },
  ): PerCpuHashMap<K, V, KI, VI> {
    checkCreate('PerCpuHashMap.create', options, 'key', 'value');
    const type = options.lru === true ? BPF_MAP_TYPE.LRU_PERCPU_HASH : BPF_MAP_TYPE.PERCPU_HASH;
    const { key, value } = options;
    return handleOf<TypedSource<K, V>, PerCpuHashMap<K, V, KI, VI>>(
      PerCpuHashMap,
      createTyped(type, { key, value }, options),
    );
  }

  /**
   * Opens a pinned hash with one value per CPU. Without types it goes by those that the kernel keeps with the map, which
   * only CAP_SYS_ADMIN may see, and by bytes where there are none.
   *
   * @param types `value` is one CPU's value
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its keys or values have
   *   another size
   */
  static openPinned<K = unknown, V = unknown, KI = Input<K>, VI = Input<V>>(
    path: string,
    types?: Types<K, V, KI, VI>,
    options: OpenOptions = {},
  ): PerCpuHashMap<K, V, KI, VI> {
    return handleOf<TypedSource<K, V>, PerCpuHashMap<K, V, KI, VI>>(
      PerCpuHashMap,
      openTyped(path, types, options),
    );
  }

  /** Opens a hash with one value per CPU by the kernel's id for it; see {@link PerCpuHashMap.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<K = unknown, V = unknown, KI = Input<K>, VI = Input<V>>(
    id: number,
    types?: Types<K, V, KI, VI>,
    options: OpenByIdOptions = {},
  ): PerCpuHashMap<K, V, KI, VI> {
    return handleOf<TypedSource<K, V>, PerCpuHashMap<K, V, KI, VI>>(
      PerCpuHashMap,
      openTyped({ id }, types, options),
    );
  }

  /**
   * Sets the values of a key, exactly one for each possible CPU, as {@link PerCpuValues} or an array. What programs write meanwhile is
   * lost.
   *
   * @throws ValueError if there are more or fewer, or one does not fit its type; nothing is written
   * @throws SyscallError `EEXIST`, `ENOENT` if the mode forbids it; `E2BIG` if the map is full
   */
  override set(key: KI, values: ArrayLike<VI>, options?: WriteOptions): this {
    return super.set(key, values, options);
  }

  /** Sets the same value for every CPU: `fill(key, 0n)` starts to count. */
  fill(key: KI, value: VI, options?: WriteOptions): this {
    return this.set(key, new Array<VI>(this.#cpus).fill(value), options);
  }

  /** Removes a key; false if it is not there. */
  delete(key: KI): boolean {
    return this.removeKey(key);
  }

  /** Removes a key and gives its values, in one step (5.14); undefined if it is not there. */
  lookupAndDelete(key: KI): PerCpuValues<V> | undefined {
    return this.takeValue(key);
  }

  /** Removes every entry, in batches where the kernel has them; the number removed. */
  clear(): number {
    return this.removeAll();
  }
}
