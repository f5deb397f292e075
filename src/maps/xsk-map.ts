/** AF_XDP sockets that XDP hands packets to. */

import { bytes } from '../codec/aggregates.ts';
import { u32 } from '../codec/numbers.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { type FdLike, fdOf } from './fd-like.ts';
import type { canBeInner } from './inner-map.ts';
import {
  type OpenByIdOptions,
  type OpenOptions,
  type UpdateMode,
  updateFlags,
} from './map-handle.ts';
import { openSlots, SlotMap, type SlotSource } from './slot-map.ts';
import { type CreateOptions, createTyped, handleOf } from './standalone.ts';

/** `xsk_map_update_elem` in `net/xdp/xskmap.c`. */
const REFUSALS = {
  EBADF: 'the descriptor is not open',
  ENOTSOCK: 'the descriptor is no socket',
  EOPNOTSUPP: 'the socket is not of the family AF_XDP',
};

/**
 * `BPF_MAP_TYPE_XSKMAP` (4.18): slots 0 to `length - 1`, empty at first, each for an AF_XDP socket
 * that `bpf_redirect_map` hands packets to; by custom the slot is the number of a receive queue.
 *
 * Node.js cannot make such sockets: they come from another library, by their descriptor. The kernel
 * does not tell what is in the slots, so there is no `get`. A socket that is closed leaves its slots.
 *
 * @example
 * using sockets = app.map('sockets', XskMap);
 * sockets.set(0, socket.fd);
 */
export class XskMap extends SlotMap<number> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.XSKMAP];

  /** @internal */
  constructor(source: SlotSource<number>) {
    super({ ...source, key: u32 }, XskMap.types, REFUSALS);
  }

  /** Creates a map of AF_XDP sockets. Needs CAP_NET_ADMIN. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create(options: CreateOptions): XskMap {
    const types = { key: u32, value: bytes(4) };
    return handleOf<SlotSource<number>, XskMap>(
      XskMap,
      createTyped(BPF_MAP_TYPE.XSKMAP, types, options),
    );
  }

  /**
   * Opens a pinned map of AF_XDP sockets.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map
   */
  static openPinned(path: string, options: OpenOptions = {}): XskMap {
    return handleOf<SlotSource<number>, XskMap>(XskMap, openSlots(path, options));
  }

  /** Opens a map of AF_XDP sockets by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById(id: number, options: OpenByIdOptions = {}): XskMap {
    return handleOf<SlotSource<number>, XskMap>(XskMap, openSlots({ id }, options));
  }

  /** Number of slots, empty ones included. */
  get length(): number {
    return this.info().maxEntries;
  }

  /**
   * Puts a socket into a slot. Its descriptor stays the caller's, who must keep it open.
   *
   * @param socket the descriptor of an AF_XDP socket, or an object with one as its `fd`
   * @throws SyscallError `EOPNOTSUPP`, `ENOTSOCK` for what is no such socket; `EEXIST`, `ENOENT` if
   *   the mode forbids it; `E2BIG` for an index that is not below `length`
   */
  set(index: number, socket: FdLike, options: { readonly mode?: UpdateMode } = {}): this {
    void this.fd;
    const flags = updateFlags(this.name, options.mode ?? 'any');
    this.put(index, [fdOf(socket, 'an AF_XDP socket')], flags);
    return this;
  }

  /**
   * Empties a slot. True for every slot there is, also for one that was empty: the kernel does not
   * tell.
   *
   * @throws SyscallError `EINVAL` for an index that is not below `length`
   */
  override delete(index: number): boolean {
    return super.delete(index);
  }
}
