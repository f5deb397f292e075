/** Values that live with tasks. */

import type { Input } from '../codec/input.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { type FdLike, fdOf } from './fd-like.ts';
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
 * `BPF_MAP_TYPE_TASK_STORAGE` (5.11): a value per task, which ends with the task. Programs get
 * to it by `bpf_task_storage_get`.
 *
 * Tasks go by a pidfd (pidfd_open(2), 5.3), which Node.js cannot make: it comes from elsewhere. It
 * names the first thread of a process, or with `PIDFD_THREAD` (6.9) any thread.
 *
 * @example
 * using states = app.map('states', TaskStorage<bigint>);
 * states.get(pidfd);
 */
export class TaskStorage<V, VI = Input<V>> extends LocalStorage<FdLike, V, VI> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.TASK_STORAGE];

  /** @internal */
  constructor(source: StorageSource<V>) {
    super(source, TaskStorage.types);
  }

  /** Creates storage for tasks. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create<V, VI = Input<V>>(options: StorageOptions<V, VI>): TaskStorage<V, VI> {
    return handleOf<StorageSource<V>, TaskStorage<V, VI>>(
      TaskStorage,
      createStorage(BPF_MAP_TYPE.TASK_STORAGE, options),
    );
  }

  /**
   * Opens the storage of tasks at a pin. Without types it goes by the one that the kernel keeps with
   * it, which only CAP_SYS_ADMIN may see.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its values have another
   *   size
   */
  static openPinned<V = unknown, VI = Input<V>>(
    path: string,
    types?: ValueType<V, VI>,
    options: OpenOptions = {},
  ): TaskStorage<V, VI> {
    return handleOf<StorageSource<V>, TaskStorage<V, VI>>(
      TaskStorage,
      openStorage(path, types, options),
    );
  }

  /** Opens storage by the kernel's id for it; see {@link TaskStorage.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<V = unknown, VI = Input<V>>(
    id: number,
    types?: ValueType<V, VI>,
    options: OpenByIdOptions = {},
  ): TaskStorage<V, VI> {
    return handleOf<StorageSource<V>, TaskStorage<V, VI>>(
      TaskStorage,
      openStorage({ id }, types, options),
    );
  }

  /** @internal */
  protected override withOwner<T>(task: FdLike, use: (fd: number) => T): T {
    return use(fdOf(task, 'a task (a pidfd)'));
  }
}
