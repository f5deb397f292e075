/** Values that live with sockets. */

import type { Input } from '../codec/input.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import type { canBeInner } from './inner-map.ts';
import {
  createStorage,
  LocalStorage,
  openStorage,
  type StorageOptions,
  type StorageSource,
} from './local-storage.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { type SocketLike, socketFd } from './socket-like.ts';
import { handleOf, type ValueType } from './standalone.ts';

/**
 * `BPF_MAP_TYPE_SK_STORAGE` (5.2): a value per socket, which ends with the socket.
 * Programs get to it by `bpf_sk_storage_get`.
 *
 * @example
 * using marks = app.map('marks', SkStorage<number>);
 * marks.set(socket, 7); // a socket of node:net or node:dgram, or a descriptor
 */
export class SkStorage<V, VI = Input<V>> extends LocalStorage<SocketLike, V, VI> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.SK_STORAGE];

  /** @internal */
  constructor(source: StorageSource<V>) {
    super(source, SkStorage.types);
  }

  /** Creates storage for sockets. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create<V, VI = Input<V>>(options: StorageOptions<V, VI>): SkStorage<V, VI> {
    return handleOf<StorageSource<V>, SkStorage<V, VI>>(
      SkStorage,
      createStorage(BPF_MAP_TYPE.SK_STORAGE, options),
    );
  }

  /**
   * Opens the storage of sockets at a pin. Without types it goes by the one that the kernel keeps with
   * it, which only CAP_SYS_ADMIN may see.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its values have another
   *   size
   */
  static openPinned<V = unknown, VI = Input<V>>(
    path: string,
    types?: ValueType<V, VI>,
    options: OpenOptions = {},
  ): SkStorage<V, VI> {
    return handleOf<StorageSource<V>, SkStorage<V, VI>>(
      SkStorage,
      openStorage(path, types, options),
    );
  }

  /** Opens storage by the kernel's id for it; see {@link SkStorage.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<V = unknown, VI = Input<V>>(
    id: number,
    types?: ValueType<V, VI>,
    options: OpenByIdOptions = {},
  ): SkStorage<V, VI> {
    return handleOf<StorageSource<V>, SkStorage<V, VI>>(
      SkStorage,
      openStorage({ id }, types, options),
    );
  }

  /** @internal */
  protected override withOwner<T>(socket: SocketLike, use: (fd: number) => T): T {
    return use(socketFd(socket));
  }
}
