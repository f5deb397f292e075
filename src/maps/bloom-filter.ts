/** Bloom filters: sets that can be asked, and are wrong now and then, but only in one way. */

import type { Input } from '../codec/input.ts';
import { BPF_UPDATE } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import {
  createKeyless,
  KeylessMap,
  type KeylessSource,
  openKeyless,
  type ValueType,
} from './keyless-map.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { type CreateOptions, handleOf } from './standalone.ts';

/** `map_extra` has four bits for the number of hash functions (`kernel/bpf/bloom_filter.c`). */
const MOST_HASHES = 15;

/**
 * `BPF_MAP_TYPE_BLOOM_FILTER` (5.16): a set of values that answers "no" for sure and "yes" most
 * likely. Values can be neither removed nor listed.
 *
 * @example
 * using seen = BloomFilter.create({ value: u64, maxEntries: 10_000, hashes: 3 });
 * seen.add(42n);
 * seen.has(42n); // true
 */
export class BloomFilter<V, VI = Input<V>> extends KeylessMap<V, VI> {
  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.BLOOM_FILTER];

  /** @internal */
  constructor(source: KeylessSource<V>) {
    super(source, BloomFilter.types);
  }

  /**
   * Creates a Bloom filter.
   *
   * @param options `maxEntries` is how many values are expected: more can be added, and wrong
   *   answers become more frequent; `hashes` is the number of hash functions, 1 to 15, 5 by default
   * @throws RangeError for another number of hash functions
   * @throws SyscallError as `BPF_MAP_CREATE` does
   */
  static create<V, VI = Input<V>>(
    options: ValueType<V, VI> & CreateOptions & { readonly hashes?: number },
  ): BloomFilter<V, VI> {
    checkCreate('BloomFilter.create', options, 'value');
    const { hashes, value } = options;
    if (
      hashes !== undefined &&
      !(Number.isInteger(hashes) && hashes >= 1 && hashes <= MOST_HASHES)
    ) {
      throw new RangeError(`a Bloom filter has 1 to ${MOST_HASHES} hash functions, not ${hashes}`);
    }
    return handleOf<KeylessSource<V>, BloomFilter<V, VI>>(
      BloomFilter,
      createKeyless(BPF_MAP_TYPE.BLOOM_FILTER, value, options, BigInt(hashes ?? 0)),
    );
  }

  /**
   * Opens a pinned Bloom filter. Without types it goes by those that the kernel keeps with the map, which
   * only CAP_SYS_ADMIN may see, and by bytes where there are none.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map, or its values have another
   *   size
   */
  static openPinned<V = unknown, VI = Input<V>>(
    path: string,
    types?: ValueType<V, VI>,
    options: OpenOptions = {},
  ): BloomFilter<V, VI> {
    return handleOf<KeylessSource<V>, BloomFilter<V, VI>>(
      BloomFilter,
      openKeyless(path, types, options),
    );
  }

  /** Opens a Bloom filter by the kernel's id for it; see {@link BloomFilter.openPinned}. Needs CAP_SYS_ADMIN. */
  static openById<V = unknown, VI = Input<V>>(
    id: number,
    types?: ValueType<V, VI>,
    options: OpenByIdOptions = {},
  ): BloomFilter<V, VI> {
    return handleOf<KeylessSource<V>, BloomFilter<V, VI>>(
      BloomFilter,
      openKeyless({ id }, types, options),
    );
  }

  /** Adds a value. @throws ValueError if it does not fit its type; nothing is added */
  add(value: VI): this {
    this.give(value, BPF_UPDATE.ANY);
    return this;
  }

  /** Whether a value was added: false is certain, true may be a coincidence. */
  has(value: VI): boolean {
    return this.ask(value);
  }
}
