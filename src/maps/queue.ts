/** Queues: what was pushed first comes out first. */

import type { Input } from '../codec/input.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import { createKeyless, type KeylessSource, openKeyless, type ValueType } from './keyless-map.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { PushPopMap } from './push-pop-map.ts';
import { type CreateOptions, handleOf } from './standalone.ts';

/**
 * `BPF_MAP_TYPE_QUEUE` (4.20): first in, first out.
 *
 * @example
 * using tasks = Queue.create({ value: u32, maxEntries: 16 });
 * tasks.push(1).push(2);
 * tasks.pop(); // 1
 */
export class Queue<V, VI = Input<V>> extends PushPopMap<V, VI> {
  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.QUEUE];

  /** @internal */
  constructor(source: KeylessSource<V>) {
    super(source, Queue.types);
  }

  /** Creates a queue. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create<V, VI = Input<V>>(options: CreateOptions & ValueType<V, VI>): Queue<V, VI> {
    checkCreate('Queue.create', options, 'value');
    return handleOf<KeylessSource<V>, Queue<V, VI>>(
      Queue,
      createKeyless(BPF_MAP_TYPE.QUEUE, options.value, options),
    );
  }

  /**
   * Opens a pinned queue. Without types it goes by those that the kernel keeps with the map, which
   * only CAP_SYS_ADMIN may see, and by bytes where there are none.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its values have another
   *   size
   */
  static openPinned<V = unknown, VI = Input<V>>(
    path: string,
    types?: ValueType<V, VI>,
    options: OpenOptions = {},
  ): Queue<V, VI> {
    return handleOf<KeylessSource<V>, Queue<V, VI>>(Queue, openKeyless(path, types, options));
  }

  /** Opens a queue by the kernel's id for it; see {@link Queue.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<V = unknown, VI = Input<V>>(
    id: number,
    types?: ValueType<V, VI>,
    options: OpenByIdOptions = {},
  ): Queue<V, VI> {
    return handleOf<KeylessSource<V>, Queue<V, VI>>(Queue, openKeyless({ id }, types, options));
  }
}
