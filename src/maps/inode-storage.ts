/** Values that live with files. */

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
 * `BPF_MAP_TYPE_INODE_STORAGE` (5.10): a value per inode, which ends when the kernel drops the
 * inode from memory, at the latest with the file. Programs get to it by `bpf_inode_storage_get`.
 *
 * Needs a kernel with BPF LSM (`CONFIG_BPF_LSM`), where that is enabled (`bpf` among
 * `/sys/kernel/security/lsm`); otherwise creating fails with `EINVAL`, or setting with `EBADF`.
 *
 * Files go by their path, which is opened without reading it, or by a descriptor. A file that nobody
 * holds open may be dropped from memory at any time, and its value with it.
 *
 * @example
 * using labels = app.map('labels', InodeStorage<number>);
 * labels.set('/etc/passwd', 1);
 */
export class InodeStorage<V, VI = Input<V>> extends LocalStorage<PathOrFd, V, VI> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.INODE_STORAGE];

  /** @internal */
  constructor(source: StorageSource<V>) {
    super(source, InodeStorage.types);
  }

  /** Creates storage for files. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create<V, VI = Input<V>>(options: StorageOptions<V, VI>): InodeStorage<V, VI> {
    return handleOf<StorageSource<V>, InodeStorage<V, VI>>(
      InodeStorage,
      createStorage(BPF_MAP_TYPE.INODE_STORAGE, options),
    );
  }

  /**
   * Opens the storage of files at a pin. Without types it goes by the one that the kernel keeps with
   * it, which only CAP_SYS_ADMIN may see.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its values have another
   *   size
   */
  static openPinned<V = unknown, VI = Input<V>>(
    path: string,
    types?: ValueType<V, VI>,
    options: OpenOptions = {},
  ): InodeStorage<V, VI> {
    return handleOf<StorageSource<V>, InodeStorage<V, VI>>(
      InodeStorage,
      openStorage(path, types, options),
    );
  }

  /** Opens storage by the kernel's id for it; see {@link InodeStorage.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<V = unknown, VI = Input<V>>(
    id: number,
    types?: ValueType<V, VI>,
    options: OpenByIdOptions = {},
  ): InodeStorage<V, VI> {
    return handleOf<StorageSource<V>, InodeStorage<V, VI>>(
      InodeStorage,
      openStorage({ id }, types, options),
    );
  }

  /** @internal */
  protected override withOwner<T>(file: PathOrFd, use: (fd: number) => T): T {
    return withFd(file, 'any', 'a file', use);
  }
}
