/** The older storage of cgroups, which belongs to the programs attached to them. */

import type { Input } from '../codec/input.ts';
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
import type { TypedSource } from './typed-map.ts';

/**
 * `BPF_MAP_TYPE_CGROUP_STORAGE` (4.19; deprecated in favour of {@link CgroupStorage}): a value
 * for each cgroup that a program with this map is attached to, and each type of attachment. Programs
 * get to it by `bpf_get_local_storage`. User space reads and overwrites what is there; attaching and
 * detaching adds and removes.
 *
 * Keys of an object that are cgroups alone (`__u64`, 5.9) are bigints: the second type of the class.
 *
 * @example
 * const counts = app.map('counts', LegacyCgroupStorage<bigint>);
 * for (const [{ cgroup_inode_id }, count] of counts) console.log(cgroup_inode_id, count);
 */
export class LegacyCgroupStorage<V, K = AttachedKey, VI = Input<V>> extends AttachedStorage<
  K,
  V,
  VI
> {
  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.CGROUP_STORAGE];

  /** @internal */
  constructor(source: TypedSource<K, V>) {
    super(source, LegacyCgroupStorage.types);
  }

  /** Creates such storage. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create<V, VI = Input<V>>(
    options: AttachedOptions<V, VI>,
  ): LegacyCgroupStorage<V, AttachedKey, VI> {
    return handleOf<TypedSource<AttachedKey, V>, LegacyCgroupStorage<V, AttachedKey, VI>>(
      LegacyCgroupStorage,
      createAttached(BPF_MAP_TYPE.CGROUP_STORAGE, options),
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
  ): LegacyCgroupStorage<V, AttachedKey, VI> {
    return handleOf<TypedSource<AttachedKey, V>, LegacyCgroupStorage<V, AttachedKey, VI>>(
      LegacyCgroupStorage,
      openAttached(path, types, options),
    );
  }

  /** Opens storage by the kernel's id for it; see {@link LegacyCgroupStorage.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<V = unknown, VI = Input<V>>(
    id: number,
    types?: ValueType<V, VI>,
    options: OpenByIdOptions = {},
  ): LegacyCgroupStorage<V, AttachedKey, VI> {
    return handleOf<TypedSource<AttachedKey, V>, LegacyCgroupStorage<V, AttachedKey, VI>>(
      LegacyCgroupStorage,
      openAttached({ id }, types, options),
    );
  }
}
