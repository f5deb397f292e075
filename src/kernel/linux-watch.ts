/**
 * Waiting for descriptors in the event loop: one of them directly, several through an epoll
 * descriptor of their own, which costs one system call to wait for instead of one for each.
 */

import { ERRNO } from '../uapi/errno.ts';
import type { Interest, Watch } from './kernel.ts';
import type { Native, NativeWatcher } from './native.ts';
import { refused } from './refused.ts';

/** What the shim and epoll(7) call it. */
const EVENTS: Readonly<Record<Interest, { readonly poll: number; readonly epoll: number }>> = {
  readable: { poll: 1, epoll: 0x001 },
  writable: { poll: 2, epoll: 0x004 },
};

const UNSUPPORTED = 'this JavaScript runtime has no libuv to wait with; read without waiting';

/**
 * Starts to watch descriptors, which may be closed afterwards only if they are not several.
 *
 * @throws SyscallError for descriptors that cannot be waited for
 */
export function watch(native: Native, fds: readonly number[], interest: Interest): Watch {
  const { poll, epoll } = EVENTS[interest];
  const [first] = fds;
  if (first !== undefined && fds.length === 1) {
    return new LinuxWatch(native, watcherOf(native, first, poll));
  }
  const set = checked(native.epollCreate(), 'epoll_create1');
  try {
    for (const fd of fds) {
      checked(native.epollAdd(set, fd, epoll), 'epoll_ctl');
    }
    // The watcher keeps a copy of the set.
    return new LinuxWatch(native, watcherOf(native, set, 1));
  } finally {
    native.close(set);
  }
}

class LinuxWatch implements Watch {
  readonly #native: Native;
  #watcher: NativeWatcher | null;

  constructor(native: Native, watcher: NativeWatcher) {
    this.#native = native;
    this.#watcher = watcher;
  }

  arm(ready: () => void): void {
    if (this.#watcher === null) {
      throw new TypeError('a watch that was closed cannot be armed');
    }
    // The closure keeps the watcher from being collected while it is armed.
    const result = this.#native.arm(this.#watcher, () => {
      if (this.#watcher !== null) ready();
    });
    checked(result, 'poll');
  }

  disarm(): void {
    if (this.#watcher !== null) {
      this.#native.disarm(this.#watcher);
    }
  }

  close(): void {
    if (this.#watcher !== null) {
      this.#native.unwatch(this.#watcher);
      this.#watcher = null;
    }
  }
}

function watcherOf(native: Native, fd: number, events: number): NativeWatcher {
  const watcher = native.watch(fd, events);
  if (typeof watcher !== 'number') {
    return watcher;
  }
  const hint = watcher === -ERRNO.EOPNOTSUPP ? UNSUPPORTED : undefined;
  throw refused('poll', -watcher, `file descriptor ${fd}`, hint);
}

function checked(result: number, command: string): number {
  if (result < 0) {
    throw refused(command, -result, 'waiting for file descriptors');
  }
  return result;
}
