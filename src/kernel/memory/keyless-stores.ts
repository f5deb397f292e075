/**
 * Maps without keys: queues and stacks (`kernel/bpf/queue_stack_maps.c`), Bloom filters
 * (`bloom_filter.c`).
 */

import { ERRNO } from '../../uapi/errno.ts';
import { nameOf } from './hash-store.ts';
import { EXIST, NOEXIST, Store } from './store.ts';

export class QueueStore extends Store {
  readonly #maxEntries: number;
  readonly #fromEnd: boolean;
  readonly #values: Uint8Array[] = [];

  /** @param fromEnd whether what was pushed last is popped first */
  constructor(maxEntries: number, fromEnd: boolean) {
    super();
    this.#maxEntries = maxEntries;
    this.#fromEnd = fromEnd;
  }

  override lookup(_key: Uint8Array, value: Uint8Array): number {
    const top = this.#fromEnd ? this.#values[this.#values.length - 1] : this.#values[0];
    if (top === undefined) {
      return -ERRNO.ENOENT;
    }
    value.set(top);
    return 0;
  }

  override update(_key: Uint8Array, value: Uint8Array, flags: number): number {
    if (flags === NOEXIST || flags > EXIST) {
      return -ERRNO.EINVAL;
    }
    if (this.#values.length >= this.#maxEntries) {
      if (flags !== EXIST) {
        return -ERRNO.E2BIG;
      }
      this.#values.shift();
    }
    this.#values.push(value.slice());
    return 0;
  }

  override delete(): number {
    return -ERRNO.EINVAL;
  }

  override take(key: Uint8Array, value: Uint8Array, flags: number): number {
    if (flags !== 0) {
      return -ERRNO.EINVAL;
    }
    const result = this.lookup(key, value);
    if (result < 0) {
      // An empty one hands out zeros.
      value.fill(0);
      return result;
    }
    this.#fromEnd ? this.#values.pop() : this.#values.shift();
    return 0;
  }

  override nextKey(): number {
    return -ERRNO.EINVAL;
  }
}

/** A set: a filter that is never wrong where the kernel's may take a value for one that was added. */
export class BloomStore extends Store {
  readonly #values = new Set<string>();

  override lookup(_key: Uint8Array, value: Uint8Array): number {
    return this.#values.has(nameOf(value)) ? 0 : -ERRNO.ENOENT;
  }

  override update(_key: Uint8Array, value: Uint8Array, flags: number): number {
    if (flags !== 0) {
      return -ERRNO.EINVAL;
    }
    this.#values.add(nameOf(value));
    return 0;
  }

  override delete(): number {
    return -ERRNO.EOPNOTSUPP;
  }

  override nextKey(): number {
    return -ERRNO.EOPNOTSUPP;
  }
}
