/** Arrays of sockets that programs redirect data to. */

import { u32 } from '../codec/numbers.ts';
import { SyscallError } from '../errors.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import type { canBeInner } from './inner-map.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { openSlots, type SlotSource } from './slot-map.ts';
import {
  createSockets,
  SOCKET_REFUSALS,
  SocketMap,
  type SocketMapOptions,
} from './socket-slots.ts';
import { handleOf } from './standalone.ts';

/**
 * `BPF_MAP_TYPE_SOCKMAP` (4.14; reading cookies 5.7): slots 0 to `length - 1`, empty at first, each
 * for a socket: TCP that is connected or listens, UDP, Unix, vsock. Programs that are attached to the
 * map run on what its sockets receive and send.
 *
 * @example
 * using peers = app.map('peers', SockMap);
 * server.on('connection', (socket) => peers.set(0, socket));
 */
export class SockMap extends SocketMap<number> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.SOCKMAP];

  /** @internal */
  constructor(source: SlotSource<number>) {
    super({ ...source, key: u32 }, SockMap.types, SOCKET_REFUSALS);
  }

  /** Creates an array of sockets. Needs CAP_NET_ADMIN. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create(options: SocketMapOptions): SockMap {
    return handleOf<SlotSource<number>, SockMap>(
      SockMap,
      createSockets(BPF_MAP_TYPE.SOCKMAP, u32, options),
    );
  }

  /**
   * Opens a pinned array of sockets.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map
   */
  static openPinned(path: string, options: OpenOptions = {}): SockMap {
    return handleOf<SlotSource<number>, SockMap>(SockMap, openSlots(path, options));
  }

  /** Opens an array of sockets by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById(id: number, options: OpenByIdOptions = {}): SockMap {
    return handleOf<SlotSource<number>, SockMap>(SockMap, openSlots({ id }, options));
  }

  /** Number of slots, empty ones included. */
  get length(): number {
    return this.info().maxEntries;
  }

  /** Empties a slot; false if it was empty. */
  override delete(index: number): boolean {
    try {
      return super.delete(index);
    } catch (error) {
      // The kernel's word for an empty slot here (`__sock_map_delete`).
      if (error instanceof SyscallError && error.errnoName === 'EINVAL') return false;
      throw error;
    }
  }
}
