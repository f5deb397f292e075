/** Hashes, and hashes that forget what was used least recently. */

import type { Input } from '../codec/input.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import type { canBeInner } from './inner-map.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { type CreateOptions, createTyped, handleOf, openTyped, type Types } from './standalone.ts';
import { TypedMap, type TypedSource } from './typed-map.ts';

/**
 * `BPF_MAP_TYPE_HASH` and `BPF_MAP_TYPE_LRU_HASH` (4.10): follows JavaScript's `Map`.
 *
 * @example
 * using counts = HashMap.create({ key: u32, value: u64, maxEntries: 16 });
 * counts.set(1, 5n);
 * for (const [key, value] of counts) console.log(key, value);
 */
export class HashMap<K, V, KI = Input<K>, VI = Input<V>> extends TypedMap<K, V, KI, VI> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.HASH, BPF_MAP_TYPE.LRU_HASH];

  /** @internal */
  constructor(source: TypedSource<K, V>) {
    super(source, HashMap.types);
  }

  /**
   * Creates a hash.
   *
   * @param options `lru: true` for one that drops old entries when it is full
   * @throws SyscallError as `BPF_MAP_CREATE` does
   */
  static create<K, V, KI = Input<K>, VI = Input<V>>(
    options: Types<K, V, KI, VI> & CreateOptions & { readonly lru?: boolean },
  ): HashMap<K, V, KI, VI> {
    checkCreate('HashMap.create', options, 'key', 'value');
    const type = options.lru === true ? BPF_MAP_TYPE.LRU_HASH : BPF_MAP_TYPE.HASH;
    const { key, value } = options;
    return handleOf<TypedSource<K, V>, HashMap<K, V, KI, VI>>(
      HashMap,
      createTyped(type, { key, value }, options),
    );
  }

  /**
   * Opens a pinned hash. Without types it goes by those that the kernel keeps with the map, which
   * only CAP_SYS_ADMIN may see, and by bytes where there are none.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its keys or values have
   *   another size
   */
  static openPinned<K = unknown, V = unknown, KI = Input<K>, VI = Input<V>>(
    path: string,
    types?: Types<K, V, KI, VI>,
    options: OpenOptions = {},
  ): HashMap<K, V, KI, VI> {
    return handleOf<TypedSource<K, V>, HashMap<K, V, KI, VI>>(
      HashMap,
      openTyped(path, types, options),
    );
  }

  /** Opens a hash by the kernel's id for it; see {@link HashMap.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<K = unknown, V = unknown, KI = Input<K>, VI = Input<V>>(
    id: number,
    types?: Types<K, V, KI, VI>,
    options: OpenByIdOptions = {},
  ): HashMap<K, V, KI, VI> {
    return handleOf<TypedSource<K, V>, HashMap<K, V, KI, VI>>(
      HashMap,
      openTyped({ id }, types, options),
    );
  }

  /** Removes a key; false if it is not there. */
  delete(key: KI): boolean {
    return this.removeKey(key);
  }

  /** Removes a key and gives its value, in one step (5.14); undefined if it is not there. */
  lookupAndDelete(key: KI): V | undefined {
    return this.takeValue(key);
  }

  /** Removes every entry, in batches where the kernel has them; the number removed. */
  clear(): number {
    return this.removeAll();
  }
}
