/**
 * Maps without keys: queues and stacks (`kernel/bpf/queue_stack_maps.c`), Bloom filters
 * (`bloom_filter.c`).
 */

import { nameOfBytes } from '../../bytes/byte-name.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { EXIST, NOEXIST, Store } from './store.ts';

export class QueueStore extends Store {
  readonly #maxEntries: number;
  readonly #fromEnd: boolean;
  #values: Uint8Array[] = [];
  /** Where the oldest one stands; those before were popped. */
  #first = 0;

  /** @param fromEnd whether what was pushed last is popped first */
  constructor(maxEntries: number, fromEnd: boolean) {
    super();
    this.#maxEntries = maxEntries;
    this.#fromEnd = fromEnd;
  }

  override lookup(_key: Uint8Array, value: Uint8Array): number {
    if (this.#values.length === this.#first) {
      return -ERRNO.ENOENT;
    }
    value.set(this.#values[this.#fromEnd ? this.#values.length - 1 : this.#first]!);
    return 0;
  }

  override update(_key: Uint8Array, value: Uint8Array, flags: number): number {
    if (flags === NOEXIST || flags > EXIST) {
      return -ERRNO.EINVAL;
    }
    if (this.#values.length - this.#first >= this.#maxEntries) {
      if (flags !== EXIST) {
        return -ERRNO.E2BIG;
      }
      this.#dropFirst();
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
      return result;
    }
    if (this.#fromEnd) {
      this.#values.pop();
    } else {
      this.#dropFirst();
    }
    return 0;
  }

  override nextKey(): number {
    return -ERRNO.EINVAL;
  }

  /** Moving all others would make a long queue slow. */
  #dropFirst(): void {
    this.#first += 1;
    if (this.#first >= 64 && this.#first * 2 >= this.#values.length) {
      this.#values = this.#values.slice(this.#first);
      this.#first = 0;
    }
  }
}

/** A set: a filter that is never wrong where the kernel's may take a value for one that was added. */
export class BloomStore extends Store {
  readonly #values = new Set<string>();

  override lookup(_key: Uint8Array, value: Uint8Array): number {
    return this.#values.has(nameOfBytes(value)) ? 0 : -ERRNO.ENOENT;
  }

  override update(_key: Uint8Array, value: Uint8Array, flags: number): number {
    if (flags !== 0) {
      return -ERRNO.EINVAL;
    }
    this.#values.add(nameOfBytes(value));
    return 0;
  }

  override delete(): number {
    return -ERRNO.EOPNOTSUPP;
  }

  override nextKey(): number {
    return -ERRNO.EOPNOTSUPP;
  }
}
