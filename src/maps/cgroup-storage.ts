/** Values that live with cgroups. */

import type { Input } from '../codec/input.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { type PathOrFd, withFd } from './fd-like.ts';
import type { canBeInner } from './inner-map.ts';
import {
  createStorage,
  LocalStorage,
  openStorage,
  type StorageOptions,
  type StorageSource,
} from './local-storage.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { handleOf, type ValueType } from './standalone.ts';

/**
 * `BPF_MAP_TYPE_CGRP_STORAGE` (6.2): a value per cgroup, which ends with the cgroup. Programs
 * of any type get to it by `bpf_cgrp_storage_get`. The older storage of cgroups, which belongs to the
 * programs attached to them, is {@link LegacyCgroupStorage}.
 *
 * @example
 * using quotas = app.map('quotas', CgroupStorage<bigint>);
 * quotas.set('/sys/fs/cgroup/system.slice', 1000n);
 */
export class CgroupStorage<V, VI = Input<V>> extends LocalStorage<PathOrFd, V, VI> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.CGRP_STORAGE];

  /** @internal */
  constructor(source: StorageSource<V>) {
    super(source, CgroupStorage.types);
  }

  /** Creates storage for cgroups. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create<V, VI = Input<V>>(options: StorageOptions<V, VI>): CgroupStorage<V, VI> {
    return handleOf<StorageSource<V>, CgroupStorage<V, VI>>(
      CgroupStorage,
      createStorage(BPF_MAP_TYPE.CGRP_STORAGE, options),
    );
  }

  /**
   * Opens the storage of cgroups at a pin. Without types it goes by the one that the kernel keeps with
   * it, which only CAP_SYS_ADMIN may see.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its values have another
   *   size
   */
  static openPinned<V = unknown, VI = Input<V>>(
    path: string,
    types?: ValueType<V, VI>,
    options: OpenOptions = {},
  ): CgroupStorage<V, VI> {
    return handleOf<StorageSource<V>, CgroupStorage<V, VI>>(
      CgroupStorage,
      openStorage(path, types, options),
    );
  }

  /** Opens storage by the kernel's id for it; see {@link CgroupStorage.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<V = unknown, VI = Input<V>>(
    id: number,
    types?: ValueType<V, VI>,
    options: OpenByIdOptions = {},
  ): CgroupStorage<V, VI> {
    return handleOf<StorageSource<V>, CgroupStorage<V, VI>>(
      CgroupStorage,
      openStorage({ id }, types, options),
    );
  }

  /** @internal */
  protected override withOwner<T>(cgroup: PathOrFd, use: (fd: number) => T): T {
    return withFd(cgroup, 'directory', 'the directory of a cgroup', use);
  }
}
