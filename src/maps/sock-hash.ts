/** Hashes of sockets that programs redirect data to. */

import type { Codec } from '../codec/codec.ts';
import type { Input } from '../codec/input.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import type { canBeInner } from './inner-map.ts';
import { type MapPlace, type OpenByIdOptions, type OpenOptions, openPlace } from './map-handle.ts';
import type { SlotSource } from './slot-map.ts';
import {
  createSockets,
  SOCKET_REFUSALS,
  SocketMap,
  type SocketMapOptions,
} from './socket-slots.ts';
import { handleOf, kernelCodecs } from './standalone.ts';

/** The type of keys. */
export interface KeyType<K, KI = never> {
  readonly key: Codec<K, KI>;
}

/**
 * `BPF_MAP_TYPE_SOCKHASH` (4.18; reading cookies 5.7): as {@link SockMap}, with keys of any type, such
 * as the addresses and ports of a connection.
 *
 * @example
 * using connections = SockHash.create({ key: u32, maxEntries: 1024 });
 * connections.set(socket.remotePort, socket);
 */
export class SockHash<K, KI = Input<K>> extends SocketMap<K, KI> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.SOCKHASH];

  /** @internal */
  constructor(source: SlotSource<K>) {
    super(source, SockHash.types, SOCKET_REFUSALS);
  }

  /** Creates a hash of sockets. Needs CAP_NET_ADMIN. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create<K, KI = Input<K>>(options: SocketMapOptions & KeyType<K, KI>): SockHash<K, KI> {
    checkCreate('SockHash.create', options, 'key');
    return handleOf<SlotSource<K>, SockHash<K, KI>>(
      SockHash,
      createSockets(BPF_MAP_TYPE.SOCKHASH, options.key, options),
    );
  }

  /**
   * Opens a pinned hash of sockets. Without types, keys are bytes: the kernel keeps none for it.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its keys have another size
   */
  static openPinned<K = unknown, KI = Input<K>>(
    path: string,
    types?: KeyType<K, KI>,
    options: OpenOptions = {},
  ): SockHash<K, KI> {
    return handleOf<SlotSource<K>, SockHash<K, KI>>(SockHash, openHash(path, types, options));
  }

  /** Opens a hash of sockets by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById<K = unknown, KI = Input<K>>(
    id: number,
    types?: KeyType<K, KI>,
    options: OpenByIdOptions = {},
  ): SockHash<K, KI> {
    return handleOf<SlotSource<K>, SockHash<K, KI>>(SockHash, openHash({ id }, types, options));
  }
}

function openHash<K>(
  place: MapPlace,
  types: KeyType<K> | undefined,
  options: OpenOptions,
): SlotSource<K> {
  const map = openPlace(place, options);
  return { ...map, key: (types ?? (kernelCodecs(map, options) as KeyType<K>)).key };
}
