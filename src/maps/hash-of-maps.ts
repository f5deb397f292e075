/** Hashes whose values are maps. */

import type { Codec } from '../codec/codec.ts';
import type { Input } from '../codec/input.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import type { CreatingKind, HandleOf, InnerKind } from './inner-kinds.ts';
import type { InnerMap } from './inner-map.ts';
import {
  type OpenByIdOptions,
  type OpenOptions,
  type UpdateMode,
  updateFlags,
} from './map-handle.ts';
import { OuterMap, type OuterSource } from './outer-map.ts';
import type { RawMap } from './raw-map.ts';
import { type CreateOptions, handleOf } from './standalone.ts';
import { createOuter, type InnerOptions, type OuterTypes, openOuter } from './standalone-outer.ts';
import { clear, walk, walkedMap } from './walk.ts';

/** A value is the id of a map. */
const ID_BYTES = 4;

/**
 * `BPF_MAP_TYPE_HASH_OF_MAPS` (4.12): follows JavaScript's `Map`, each value a map that is like the
 * template.
 *
 * @example
 * using tenants = app.map('tenants', HashOfMaps<number, HashMap<number, bigint>>);
 * using ports = tenants.createInner();
 * tenants.set(7, ports);
 */
export class HashOfMaps<K, M extends InnerMap, KI = Input<K>> extends OuterMap<K, M, KI> {
  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.HASH_OF_MAPS];

  /** @internal */
  constructor(source: OuterSource<K>) {
    super(source, HashOfMaps.types);
  }

  /**
   * Creates a hash of maps.
   *
   * @param options `inner` is the template: the class of inner handles, and what that class creates
   *   a map with
   * @throws SyscallError as `BPF_MAP_CREATE` does
   * @example
   * using tenants = HashOfMaps.create({
   *   key: u32,
   *   inner: { kind: HashMap, key: u16, value: u64, maxEntries: 256 },
   *   maxEntries: 64,
   * });
   */
  static create<K, C extends CreatingKind, IK, IV, KI = Input<K>, IKI = Input<IK>, IVI = Input<IV>>(
    options: CreateOptions & {
      readonly key: Codec<K, KI>;
      readonly inner: InnerOptions<C, IK, IV, IKI, IVI>;
    },
  ): HashOfMaps<K, HandleOf<C, IK, IV, IKI, IVI>, KI> {
    checkCreate('HashOfMaps.create', options, 'key');
    return handleOf<OuterSource<K>, HashOfMaps<K, HandleOf<C, IK, IV, IKI, IVI>, KI>>(
      HashOfMaps,
      createOuter(
        'HashOfMaps.create',
        BPF_MAP_TYPE.HASH_OF_MAPS,
        options.key,
        options.inner,
        options,
      ),
    );
  }

  /**
   * Opens a pinned hash of maps. Without types, keys are bytes, as the kernel keeps no types with
   * maps of maps; inner maps go by those that it keeps with them, which only CAP_SYS_ADMIN may see,
   * and by bytes where there are none.
   *
   * @param types the codec of its keys, the class of inner handles, and the codecs of their keys and
   *   values; what has none there is moved as bytes
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its keys have another size
   */
  static openPinned<
    K = Uint8Array,
    C extends InnerKind = InnerKind,
    IK = unknown,
    IV = unknown,
    KI = Input<K>,
    IKI = Input<IK>,
    IVI = Input<IV>,
  >(
    path: string,
    types?: OuterTypes<K, C, IK, IV, KI, IKI, IVI>,
    options: OpenOptions = {},
  ): HashOfMaps<K, HandleOf<C, IK, IV, IKI, IVI>, KI> {
    return handleOf<OuterSource<K>, HashOfMaps<K, HandleOf<C, IK, IV, IKI, IVI>, KI>>(
      HashOfMaps,
      openOuter(path, types, options),
    );
  }

  /** Opens a hash of maps by id; see {@link HashOfMaps.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<
    K = Uint8Array,
    C extends InnerKind = InnerKind,
    IK = unknown,
    IV = unknown,
    KI = Input<K>,
    IKI = Input<IK>,
    IVI = Input<IV>,
  >(
    id: number,
    types?: OuterTypes<K, C, IK, IV, KI, IKI, IVI>,
    options: OpenByIdOptions = {},
  ): HashOfMaps<K, HandleOf<C, IK, IV, IKI, IVI>, KI> {
    return handleOf<OuterSource<K>, HashOfMaps<K, HandleOf<C, IK, IV, IKI, IVI>, KI>>(
      HashOfMaps,
      openOuter({ id }, types, options),
    );
  }

  /**
   * Sets the inner map of a key. The handle stays the caller's: it may be closed, and the map lives
   * on as an inner map. Waits until no program uses the old contents any more, some milliseconds;
   * see {@link OuterMap.setAll} for many.
   *
   * @throws InnerMismatchError if the map is not like the template, with each difference
   * @throws SyscallError `EEXIST`, `ENOENT` if the mode forbids it; `E2BIG` if the map is full
   */
  set(key: KI, inner: M | RawMap, options?: { readonly mode?: UpdateMode }): this {
    const mode = options?.mode;
    this.setInner(key, inner, mode === undefined ? 0 : updateFlags(this.name, mode));
    return this;
  }

  /** Removes every inner map, in batches where the kernel has them; the number removed. */
  clear(): number {
    const removed = clear(walkedMap(this, ID_BYTES));
    this.forgetAll();
    return removed;
  }

  /** @internal */
  protected override *slots(): Generator<readonly [Uint8Array, number], void, undefined> {
    const { keySize } = this.info();
    const { littleEndian } = this.kernel;
    for (const { keys, values, count } of walk(walkedMap(this, ID_BYTES))) {
      const ids = new DataView(values.buffer, values.byteOffset);
      for (let index = 0; index < count; index += 1) {
        const key = keys.slice(index * keySize, (index + 1) * keySize);
        yield [key, ids.getUint32(index * ID_BYTES, littleEndian)];
      }
    }
  }
}
