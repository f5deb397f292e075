/** What stands for a socket: a descriptor, or a socket of `node:net` or `node:dgram`. */

import type { Socket as DatagramSocket } from 'node:dgram';
import type { Server, Socket } from 'node:net';
import { type FdLike, fdOf } from './fd-like.ts';

/** A socket, which stays its owner's: a map notes the socket, not the descriptor. */
export type SocketLike = FdLike | Socket | Server | DatagramSocket;

/** The part of Node.js's sockets that holds the descriptor. */
interface WithHandle {
  readonly _handle?: { readonly fd?: unknown } | null;
}

/**
 * The descriptor of a socket.
 *
 * Node.js has no public way to it: sockets and servers of TCP have it in `_handle`; those of UDP in
 * their state, behind a symbol, since asking them for `_handle` prints a warning (DEP0112).
 *
 * @throws TypeError for what is no socket, or one that is not open
 */
export function socketFd(socket: SocketLike): number {
  if (typeof socket !== 'object' || socket === null || 'fd' in socket) {
    return fdOf(socket as FdLike, 'a socket');
  }
  const fd = handleOf(socket)?.fd;
  if (typeof fd !== 'number' || fd < 0) {
    throw new TypeError('the socket is not open: wait until it is connected, listens or is bound');
  }
  return fd;
}

function handleOf(socket: object): { readonly fd?: unknown } | null | undefined {
  const state = Object.getOwnPropertySymbols(socket).find(
    (symbol) => symbol.description === 'state symbol',
  );
  const holder = state === undefined ? socket : (socket as Record<symbol, unknown>)[state];
  const of = holder as WithHandle & { readonly handle?: WithHandle['_handle'] };
  return state === undefined ? of._handle : of?.handle;
}
