/** What is pushed and popped: queues and stacks, which differ only in what comes out first. */

import type { Input } from '../codec/input.ts';
import { BPF_UPDATE } from '../uapi/map-flags.ts';
import { KeylessMap } from './keyless-map.ts';

/** How {@link PushPopMap.push} writes. */
export interface PushOptions {
  /** When the map is full: drop the value that has been in it longest, and go on (`BPF_EXIST`). */
  readonly exist?: boolean;
}

/**
 * Values that come out one at a time. The kernel tells neither how many there are, nor any but the
 * next one.
 */
export abstract class PushPopMap<V, VI = Input<V>> extends KeylessMap<V, VI> {
  /**
   * Adds a value.
   *
   * @throws ValueError if the value does not fit its type; nothing is added
   * @throws SyscallError `E2BIG` if the map is full, unless `exist` is set
   */
  push(value: VI, options?: PushOptions): this {
    this.give(value, options?.exist === true ? BPF_UPDATE.EXIST : BPF_UPDATE.ANY);
    return this;
  }

  /** Removes the next value and gives it; undefined if there is none. */
  pop(): V | undefined {
    return this.receive(true);
  }

  /** The next value, which stays where it is; undefined if there is none. */
  peek(): V | undefined {
    return this.receive(false);
  }

  /**
   * Pops until nothing is left, one value for each step: what is not asked for stays in the map. It
   * does not end as long as somebody pushes faster.
   */
  *drain(): Generator<V, void, undefined> {
    for (let value = this.pop(); value !== undefined; value = this.pop()) {
      yield value;
    }
  }
}
