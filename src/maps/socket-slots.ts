/** Maps of sockets: what arrays, hashes and groups of listening sockets share. */

import { bytes } from '../codec/aggregates.ts';
import type { Codec } from '../codec/codec.ts';
import type { Input } from '../codec/input.ts';
import { checkCreate } from './create-checks.ts';
import { type UpdateMode, updateFlags } from './map-handle.ts';
import { ReadableSlotMap, type Refusals, type SlotSource, tooNarrow } from './slot-map.ts';
import { type SocketLike, socketFd } from './socket-like.ts';
import { type CreateOptions, createTyped } from './standalone.ts';

/** How maps of sockets are created. */
export interface SocketMapOptions extends CreateOptions {
  /**
   * Whether the kernel tells the sockets' cookies: true by default. Without them nothing can be read,
   * as in maps with values of 4 bytes, which is all that kernels before 5.7 have.
   */
  readonly cookies?: boolean;
}

/** `sock_map_update_elem_sys` in `net/core/sock_map.c`. */
export const SOCKET_REFUSALS: Refusals = {
  EBADF: 'the descriptor is not open',
  ENOTSOCK: 'the descriptor is no socket',
  EOPNOTSUPP:
    'the socket is of a kind or in a state that such maps do not take: TCP must be connected or listening',
  EBUSY: 'the socket is in such a map already',
};

/**
 * Sockets by key. They go in by their descriptor and come out as their cookie: the number that the
 * kernel knows a socket by, which programs see as `bpf_get_socket_cookie` and others as `SO_COOKIE`.
 */
export abstract class SocketMap<K, KI = Input<K>> extends ReadableSlotMap<K, bigint, KI> {
  /**
   * Puts a socket in, in place of the one that is there. It stays its owner's; when it is closed, the
   * kernel takes it out.
   *
   * @param socket a socket of `node:net` or `node:dgram`, or a descriptor
   * @throws TypeError for a socket that is not open
   * @throws SyscallError `EOPNOTSUPP`, `ENOTSOCK`, `EINVAL` for what is no such socket; `EEXIST`,
   *   `ENOENT` if the mode forbids it; `E2BIG` if the map is full, or the index too large
   */
  set(key: KI, socket: SocketLike, options: { readonly mode?: UpdateMode } = {}): this {
    void this.fd;
    const fd = socketFd(socket);
    const flags = updateFlags(this.name, options.mode ?? 'any');
    // A value of 8 bytes is one number for the kernel, not two.
    const isBig = this.slotBytes === 8 && !this.kernel.littleEndian;
    this.put(key, isBig ? [0, fd] : [fd, 0], flags);
    return this;
  }

  /** @internal */
  protected override find(key: Uint8Array): boolean {
    if (this.slotBytes < 8) {
      throw tooNarrow(this, 'the kernel does not tell which sockets are inside');
    }
    return super.find(key);
  }

  /** @internal The socket's cookie. */
  protected override readSlot(): bigint {
    return this.slot.getBigUint64(0, this.kernel.littleEndian);
  }
}

/** Creates a map of sockets. */
export function createSockets<K>(
  type: number,
  key: Codec<K, never>,
  options: SocketMapOptions,
): SlotSource<K> {
  checkCreate('create', options);
  const value = bytes(options.cookies === false ? 4 : 8);
  return createTyped(type, { key, value }, options);
}
