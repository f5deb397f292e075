/** The older storage of cgroups, with a value per CPU. */

import type { Input } from '../codec/input.ts';
import { perCpu } from '../codec/per-cpu.ts';
import type { PerCpuValues } from '../codec/per-cpu-values.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import {
  type AttachedKey,
  type AttachedOptions,
  AttachedStorage,
  createAttached,
  openAttached,
} from './attached-storage.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { handleOf, type ValueType } from './standalone.ts';
import type { ReadOptions, TypedSource } from './typed-map.ts';

/**
 * `BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE` (4.20; deprecated): as {@link LegacyCgroupStorage}, with a value
 * for each possible CPU. The type given to `create` and `openPinned` is that of one CPU's value.
 *
 * @example
 * const counts = app.map('counts', LegacyPerCpuCgroupStorage<bigint>);
 * for (const [, perCpu] of counts) console.log(perCpu.sum());
 */
export class LegacyPerCpuCgroupStorage<V, K = AttachedKey, VI = Input<V>> extends AttachedStorage<
  K,
  PerCpuValues<V>,
  ArrayLike<VI>
> {
  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.PERCPU_CGROUP_STORAGE];

  /** @internal The source's codec is that of one CPU's value. */
  constructor(source: TypedSource<K, V>) {
    super(
      { ...source, value: perCpu(source.value, source.kernel.possibleCpus()) },
      LegacyPerCpuCgroupStorage.types,
    );
  }

  /** Creates such storage. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create<V, VI = Input<V>>(
    options: AttachedOptions<V, VI>,
  ): LegacyPerCpuCgroupStorage<V, AttachedKey, VI> {
    return handleOf<TypedSource<AttachedKey, V>, LegacyPerCpuCgroupStorage<V, AttachedKey, VI>>(
      LegacyPerCpuCgroupStorage,
      createAttached(BPF_MAP_TYPE.PERCPU_CGROUP_STORAGE, options),
    );
  }

  /**
   * Opens such storage at a pin. Without types it goes by those that the kernel keeps with it, which
   * only CAP_SYS_ADMIN may see.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its keys or values have
   *   another size
   */
  static openPinned<V = unknown, VI = Input<V>>(
    path: string,
    types?: ValueType<V, VI>,
    options: OpenOptions = {},
  ): LegacyPerCpuCgroupStorage<V, AttachedKey, VI> {
    return handleOf<TypedSource<AttachedKey, V>, LegacyPerCpuCgroupStorage<V, AttachedKey, VI>>(
      LegacyPerCpuCgroupStorage,
      openAttached(path, types, options),
    );
  }

  /** Opens storage by the kernel's id for it; see {@link LegacyPerCpuCgroupStorage.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<V = unknown, VI = Input<V>>(
    id: number,
    types?: ValueType<V, VI>,
    options: OpenByIdOptions = {},
  ): LegacyPerCpuCgroupStorage<V, AttachedKey, VI> {
    return handleOf<TypedSource<AttachedKey, V>, LegacyPerCpuCgroupStorage<V, AttachedKey, VI>>(
      LegacyPerCpuCgroupStorage,
      openAttached({ id }, types, options),
    );
  }

  /**
   * Sets the values of a cgroup that has some, exactly one for each possible CPU.
   *
   * @throws as {@link LegacyCgroupStorage.set}
   */
  override set(key: K, values: ArrayLike<VI>, options?: ReadOptions): this {
    return super.set(key, values, options);
  }
}
