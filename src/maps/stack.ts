/** Stacks: what was pushed last comes out first. */

import type { Input } from '../codec/input.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import { createKeyless, type KeylessSource, openKeyless, type ValueType } from './keyless-map.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { PushPopMap } from './push-pop-map.ts';
import { type CreateOptions, handleOf } from './standalone.ts';

/**
 * `BPF_MAP_TYPE_STACK` (4.20): last in, first out.
 *
 * @example
 * using free = Stack.create({ value: u32, maxEntries: 16 });
 * free.push(1).push(2);
 * free.pop(); // 2
 */
export class Stack<V, VI = Input<V>> extends PushPopMap<V, VI> {
  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.STACK];

  /** @internal */
  constructor(source: KeylessSource<V>) {
    super(source, Stack.types);
  }

  /** Creates a stack. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create<V, VI = Input<V>>(options: CreateOptions & ValueType<V, VI>): Stack<V, VI> {
    checkCreate('Stack.create', options, 'value');
    return handleOf<KeylessSource<V>, Stack<V, VI>>(
      Stack,
      createKeyless(BPF_MAP_TYPE.STACK, options.value, options),
    );
  }

  /**
   * Opens a pinned stack. Without types it goes by those that the kernel keeps with the map, which
   * only CAP_SYS_ADMIN may see, and by bytes where there are none.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its values have another
   *   size
   */
  static openPinned<V = unknown, VI = Input<V>>(
    path: string,
    types?: ValueType<V, VI>,
    options: OpenOptions = {},
  ): Stack<V, VI> {
    return handleOf<KeylessSource<V>, Stack<V, VI>>(Stack, openKeyless(path, types, options));
  }

  /** Opens a stack by the kernel's id for it; see {@link Stack.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<V = unknown, VI = Input<V>>(
    id: number,
    types?: ValueType<V, VI>,
    options: OpenByIdOptions = {},
  ): Stack<V, VI> {
    return handleOf<KeylessSource<V>, Stack<V, VI>>(Stack, openKeyless({ id }, types, options));
  }
}
