/** Groups of sockets that share a port, for programs that choose who gets a connection or packet. */

import { u32 } from '../codec/numbers.ts';
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

/** `reuseport_array_update_check` in `kernel/bpf/reuseport_array.c`. */
const REFUSALS = {
  ...SOCKET_REFUSALS,
  EINVAL: 'the socket must have SO_REUSEPORT from before it was bound, and be bound or listen',
  ENOTSUPP: 'only sockets of TCP and UDP share ports',
};

/**
 * `BPF_MAP_TYPE_REUSEPORT_SOCKARRAY` (4.19): slots 0 to `length - 1`, empty at first, each for a TCP
 * socket that listens or a UDP socket, bound with `SO_REUSEPORT`. The group's program chooses among
 * them by `bpf_sk_select_reuseport`.
 *
 * Node.js sets that option only from 23.1 on (`listen({ reusePort: true })`); sockets made elsewhere
 * go by their descriptor. A socket can be in one slot of one such map.
 *
 * @example
 * using workers = app.map('workers', ReusePortSockArray);
 * server.listen({ port: 80, reusePort: true }, () => workers.set(0, server));
 */
export class ReusePortSockArray extends SocketMap<number> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.REUSEPORT_SOCKARRAY];

  /** @internal */
  constructor(source: SlotSource<number>) {
    super({ ...source, key: u32 }, ReusePortSockArray.types, REFUSALS);
  }

  /** Creates an array of sockets. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create(options: SocketMapOptions): ReusePortSockArray {
    return handleOf<SlotSource<number>, ReusePortSockArray>(
      ReusePortSockArray,
      createSockets(BPF_MAP_TYPE.REUSEPORT_SOCKARRAY, u32, options),
    );
  }

  /**
   * Opens a pinned array of sockets.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map
   */
  static openPinned(path: string, options: OpenOptions = {}): ReusePortSockArray {
    return handleOf<SlotSource<number>, ReusePortSockArray>(
      ReusePortSockArray,
      openSlots(path, options),
    );
  }

  /** Opens an array of sockets by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById(id: number, options: OpenByIdOptions = {}): ReusePortSockArray {
    return handleOf<SlotSource<number>, ReusePortSockArray>(
      ReusePortSockArray,
      openSlots({ id }, options),
    );
  }

  /** Number of slots, empty ones included. */
  get length(): number {
    return this.info().maxEntries;
  }
}
