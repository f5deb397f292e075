/** Arrays: as many entries as were asked for, all there from the start. */

import type { Codec } from '../codec/codec.ts';
import type { Input } from '../codec/input.ts';
import { u32 } from '../codec/numbers.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import type { canBeInner } from './inner-map.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import {
  type CreateOptions,
  createTyped,
  handleOf,
  openIndexed,
  type ValueType,
} from './standalone.ts';
import { TypedMap, type TypedSource } from './typed-map.ts';

/**
 * `BPF_MAP_TYPE_ARRAY`: entries 0 to `length - 1`. Entries cannot be removed.
 *
 * @example
 * using limits = ArrayMap.create({ value: u64, maxEntries: 4 });
 * limits.set(3, 100n);
 */
export class ArrayMap<V, VI = Input<V>> extends TypedMap<number, V, number, VI> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.ARRAY];

  /** @internal */
  constructor(source: TypedSource<number, V>) {
    super({ ...source, key: u32 }, ArrayMap.types);
  }

  /** Creates an array. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create<V, VI = Input<V>>(
    options: CreateOptions & { readonly value: Codec<V, VI> },
  ): ArrayMap<V, VI> {
    checkCreate('ArrayMap.create', options, 'value');
    const types = { key: u32, value: options.value };
    return handleOf<TypedSource<number, V>, ArrayMap<V, VI>>(
      ArrayMap,
      createTyped(BPF_MAP_TYPE.ARRAY, types, options),
    );
  }

  /**
   * Opens a pinned array. Without types it goes by those that the kernel keeps with the map, which
   * only CAP_SYS_ADMIN may see, and by bytes where there are none.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its values have another
   *   size
   */
  static openPinned<V = unknown, VI = Input<V>>(
    path: string,
    types?: ValueType<V, VI>,
    options: OpenOptions = {},
  ): ArrayMap<V, VI> {
    return handleOf<TypedSource<number, V>, ArrayMap<V, VI>>(
      ArrayMap,
      openIndexed(path, types, options),
    );
  }

  /** Opens an array by the kernel's id for it; see {@link ArrayMap.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<V = unknown, VI = Input<V>>(
    id: number,
    types?: ValueType<V, VI>,
    options: OpenByIdOptions = {},
  ): ArrayMap<V, VI> {
    return handleOf<TypedSource<number, V>, ArrayMap<V, VI>>(
      ArrayMap,
      openIndexed({ id }, types, options),
    );
  }

  /** Number of entries. */
  get length(): number {
    return this.info().maxEntries;
  }
}
