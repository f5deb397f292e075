/** Tries that find the longest prefix of a key: tables of routes, lists of networks. */

import type { Input } from '../codec/input.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate, creationFlags } from './create-checks.ts';
import type { canBeInner } from './inner-map.ts';
import type { LpmKey, LpmKeyLike } from './lpm-key.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { type CreateOptions, createTyped, handleOf, openTyped, type Types } from './standalone.ts';
import { type ReadOptions, TypedMap, type TypedSource, type WriteOptions } from './typed-map.ts';

/** What stands for a key of a trie: where keys are {@link LpmKey}s, also text and plain objects. */
export type LpmInput<K> = K extends LpmKey ? LpmKeyLike | string : Input<K>;

/**
 * `BPF_MAP_TYPE_LPM_TRIE` (4.11; walking over its keys 4.16). Keys are {@link LpmKey}s, and may be
 * given as text where their data is an address. Bits behind a key's prefix do not count.
 *
 * Keys of an object that have several members behind the prefix length are decoded as that struct:
 * the type `K`.
 *
 * @example
 * using routes = LpmTrie.create({ key: lpmKey(4), value: u32, maxEntries: 1024 });
 * routes.set('10.0.0.0/8', 1).set('10.1.0.0/16', 2);
 * routes.get('10.1.2.3'); // 2
 * for (const [network, value] of routes) console.log(`${network}`, value);
 */
export class LpmTrie<V, K = LpmKey, VI = Input<V>, KI = LpmInput<K>> extends TypedMap<
  K,
  V,
  KI,
  VI
> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.LPM_TRIE];

  /** @internal */
  constructor(source: TypedSource<K, V>) {
    super(source, LpmTrie.types);
  }

  /**
   * Creates a trie. The flag `BPF_F_NO_PREALLOC`, which the kernel demands, is added.
   *
   * @param options `key` is `lpmKey(4)` for IPv4, `lpmKey(16)` for IPv6, or a struct that starts with
   *   the prefix length as a `u32`
   * @throws SyscallError as `BPF_MAP_CREATE` does
   */
  static create<V, K = LpmKey, VI = Input<V>, KI = LpmInput<K>>(
    options: Types<K, V, KI, VI> & CreateOptions,
  ): LpmTrie<V, K, VI, KI> {
    checkCreate('LpmTrie.create', options, 'key', 'value');
    const { key, value } = options;
    const flags = creationFlags(options.flags, BPF_F.NO_PREALLOC);
    return handleOf<TypedSource<K, V>, LpmTrie<V, K, VI, KI>>(
      LpmTrie,
      createTyped(BPF_MAP_TYPE.LPM_TRIE, { key, value }, { ...options, flags }),
    );
  }

  /**
   * Opens a pinned trie. Without types it goes by those that the kernel keeps with the map, which
   * only CAP_SYS_ADMIN may see, and by bytes where there are none.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its keys or values have
   *   another size
   */
  static openPinned<V = unknown, K = LpmKey, VI = Input<V>, KI = LpmInput<K>>(
    path: string,
    types?: Types<K, V, KI, VI>,
    options: OpenOptions = {},
  ): LpmTrie<V, K, VI, KI> {
    return handleOf<TypedSource<K, V>, LpmTrie<V, K, VI, KI>>(
      LpmTrie,
      openTyped(path, types, options),
    );
  }

  /** Opens a trie by the kernel's id for it; see {@link LpmTrie.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<V = unknown, K = LpmKey, VI = Input<V>, KI = LpmInput<K>>(
    id: number,
    types?: Types<K, V, KI, VI>,
    options: OpenByIdOptions = {},
  ): LpmTrie<V, K, VI, KI> {
    return handleOf<TypedSource<K, V>, LpmTrie<V, K, VI, KI>>(
      LpmTrie,
      openTyped({ id }, types, options),
    );
  }

  /**
   * The value of the longest prefix in the trie that covers the key; undefined if none does. Only
   * prefixes that are no longer than the key's own length are looked at: `10.0.0.0/8` does not find
   * `10.1.0.0/16`.
   */
  override get(key: KI, options?: ReadOptions): V | undefined {
    return super.get(key, options);
  }

  /** Whether any prefix in the trie covers the key: whether {@link LpmTrie.get} finds something. */
  override has(key: KI): boolean {
    return super.has(key);
  }

  /**
   * Sets the value of exactly this prefix.
   *
   * @throws ValueError if the key or the value does not fit its type; nothing is written
   * @throws SyscallError `EEXIST`, `ENOENT` if the mode forbids it; `ENOSPC` if the trie is full
   */
  override set(key: KI, value: VI, options?: WriteOptions): this {
    return super.set(key, value, options);
  }

  /** Removes exactly this prefix; false if it is not there. */
  delete(key: KI): boolean {
    return this.removeKey(key);
  }

  /** Removes every entry, one by one; the number removed. */
  clear(): number {
    return this.removeAll();
  }
}
