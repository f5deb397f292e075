/** Arrays whose entries are maps. */

import type { Input } from '../codec/input.ts';
import { u32 } from '../codec/numbers.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import type { CreatingKind, HandleOf, InnerKind } from './inner-kinds.ts';
import type { InnerMap } from './inner-map.ts';
import type { MapPlace, OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { OuterMap, type OuterSource } from './outer-map.ts';
import type { RawMap } from './raw-map.ts';
import { type CreateOptions, handleOf } from './standalone.ts';
import { createOuter, type InnerOptions, type InnerTypes, openOuter } from './standalone-outer.ts';

/**
 * `BPF_MAP_TYPE_ARRAY_OF_MAPS` (4.12): slots 0 to `length - 1`, empty at first, each for a map that
 * is like the template.
 *
 * @example
 * using shards = app.map('shards', ArrayOfMaps<HashMap<number, bigint>>);
 * using shard = shards.createInner();
 * shards.set(3, shard);
 */
export class ArrayOfMaps<M extends InnerMap> extends OuterMap<number, M> {
  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.ARRAY_OF_MAPS];

  /** @internal */
  constructor(source: OuterSource<number>) {
    super({ ...source, key: u32 }, ArrayOfMaps.types);
  }

  /**
   * Creates an array of maps.
   *
   * @param options `inner` is the template: the class of inner handles, and what that class creates
   *   a map with
   * @throws SyscallError as `BPF_MAP_CREATE` does
   * @example
   * using shards = ArrayOfMaps.create({
   *   inner: { kind: HashMap, key: u32, value: u64, maxEntries: 64 },
   *   maxEntries: 8,
   * });
   */
  static create<C extends CreatingKind, IK, IV, IKI = Input<IK>, IVI = Input<IV>>(
    options: CreateOptions & { readonly inner: InnerOptions<C, IK, IV, IKI, IVI> },
  ): ArrayOfMaps<HandleOf<C, IK, IV, IKI, IVI>> {
    checkCreate('ArrayOfMaps.create', options);
    return handleOf<OuterSource<number>, ArrayOfMaps<HandleOf<C, IK, IV, IKI, IVI>>>(
      ArrayOfMaps,
      createOuter('ArrayOfMaps.create', BPF_MAP_TYPE.ARRAY_OF_MAPS, u32, options.inner, options),
    );
  }

  /**
   * Opens a pinned array of maps. Without types, inner maps go by those that the kernel keeps with
   * them, which only CAP_SYS_ADMIN may see, and by bytes where there are none.
   *
   * @param types the class of inner handles, and the codecs of their keys and values; what has none
   *   is moved as bytes
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map
   */
  static openPinned<
    C extends InnerKind = InnerKind,
    IK = unknown,
    IV = unknown,
    IKI = Input<IK>,
    IVI = Input<IV>,
  >(
    path: string,
    types?: { readonly inner: InnerTypes<C, IK, IV, IKI, IVI> },
    options: OpenOptions = {},
  ): ArrayOfMaps<HandleOf<C, IK, IV, IKI, IVI>> {
    return ArrayOfMaps.#open(path, types, options);
  }

  /** Opens an array of maps by id; see {@link ArrayOfMaps.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<
    C extends InnerKind = InnerKind,
    IK = unknown,
    IV = unknown,
    IKI = Input<IK>,
    IVI = Input<IV>,
  >(
    id: number,
    types?: { readonly inner: InnerTypes<C, IK, IV, IKI, IVI> },
    options: OpenByIdOptions = {},
  ): ArrayOfMaps<HandleOf<C, IK, IV, IKI, IVI>> {
    return ArrayOfMaps.#open({ id }, types, options);
  }

  static #open<C extends InnerKind, IK, IV, IKI, IVI>(
    place: MapPlace,
    types: { readonly inner: InnerTypes<C, IK, IV, IKI, IVI> } | undefined,
    options: OpenOptions,
  ): ArrayOfMaps<HandleOf<C, IK, IV, IKI, IVI>> {
    const both = types === undefined ? undefined : { key: u32, inner: types.inner };
    return handleOf<OuterSource<number>, ArrayOfMaps<HandleOf<C, IK, IV, IKI, IVI>>>(
      ArrayOfMaps,
      openOuter(place, both, options),
    );
  }

  /** Number of slots, empty ones included. */
  get length(): number {
    return this.info().maxEntries;
  }

  /**
   * Puts a map into a slot, in place of the one that is there. The handle stays the caller's: it may
   * be closed, and the map lives on in its slot. Waits until no program uses the old contents any
   * more, some milliseconds; see {@link OuterMap.setAll} for many.
   *
   * @throws InnerMismatchError if the map is not like the template, with each difference
   * @throws SyscallError `E2BIG` for an index that is not below `length`
   */
  set(index: number, inner: M | RawMap): this {
    // The kernel takes no mode here: all slots exist.
    this.setInner(index, inner, 0);
    return this;
  }

  /**
   * One by one: before 6.14 a batch ends at the first empty slot, with EINTR
   * (`generic_map_lookup_batch`).
   *
   * @internal
   */
  protected override *slots(): Generator<readonly [Uint8Array, number], void, undefined> {
    const { littleEndian } = this.kernel;
    for (let index = 0; index < this.length; index += 1) {
      const key = new Uint8Array(4);
      new DataView(key.buffer).setUint32(0, index, littleEndian);
      const id = this.lookupId(key);
      if (id !== undefined) {
        yield [key, id];
      }
    }
  }
}
