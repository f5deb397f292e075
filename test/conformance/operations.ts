/**
 * Random calls on a kernel, as data: what the differential test makes both kernels do. Maps, pins and
 * directories go by small numbers, so that calls meet each other.
 */

import fc from 'fast-check';
import type { PinAccess } from '../../src/kernel/kernel.ts';
import type { Btf } from '../../src/obj/btf/btf.ts';
import { BPF_F } from '../../src/uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { openFixture } from '../support/fixtures.ts';

/** The object whose types maps are made with: among them locks and timers. */
export const TYPES_OF = 'maps/special-fields';

/** A map to be made, or one that cannot be. */
export interface NewMap {
  readonly call: 'create';
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly name: string;
  readonly mapExtra: number;
  /** Number of the map that is the template. */
  readonly template: number;
  /** Ids of the types of keys and values in the test's BTF; null for a map without types. */
  readonly types: { readonly key: number; readonly value: number } | null;
  /** Whether the sizes are taken from the types, so that they fit. */
  readonly sizesOfTypes: boolean;
}

/** One call. `map` chooses a descriptor among those that are open, by their order. */
export type Operation =
  | NewMap
  | { readonly call: 'duplicate' | 'close' | 'info' | 'freeze'; readonly map: number }
  | {
      readonly call: 'lookup' | 'delete' | 'take' | 'nextKey';
      readonly map: number;
      readonly key: number;
      readonly flags: number;
    }
  | {
      readonly call: 'update';
      readonly map: number;
      readonly key: number;
      readonly value: number;
      readonly flags: number;
    }
  | {
      readonly call: 'updateBatch';
      readonly map: number;
      readonly key: number;
      readonly count: number;
      readonly flags: number;
    }
  | {
      readonly call: 'takeAll' | 'lookupAll' | 'walk';
      readonly map: number;
      readonly count: number;
    }
  | { readonly call: 'pin'; readonly map: number; readonly path: number }
  | { readonly call: 'openPin'; readonly path: number; readonly access: PinAccess }
  | { readonly call: 'unpin' | 'makeDirectory' | 'removeDirectory' | 'kind'; readonly path: number }
  | { readonly call: 'openById'; readonly map: number }
  /** Whether a map, of all that were ever made, is still there, and the BTF that it was made with. */
  | { readonly call: 'lives'; readonly made: number }
  | { readonly call: 'mapMemory'; readonly map: number; readonly writable: boolean };

/** Paths below the test's directory: places for pins, directories, and some that cannot be. */
export const PATHS: readonly string[] = [
  'one',
  'two',
  'directory',
  'directory/one',
  'directory/two',
  'directory/below',
  'missing/one',
  'one/below',
  'with.dot',
  'dotted.directory/one',
  `${'long'.repeat(64)}`,
];

const { HASH, ARRAY, LRU_HASH, PERCPU_HASH, PERCPU_ARRAY, LRU_PERCPU_HASH } = BPF_MAP_TYPE;
const { LPM_TRIE, QUEUE, STACK, BLOOM_FILTER, ARRAY_OF_MAPS, HASH_OF_MAPS, RINGBUF, PROG_ARRAY } =
  BPF_MAP_TYPE;
const { USER_RINGBUF, PERF_EVENT_ARRAY } = BPF_MAP_TYPE;

/** Attributes that work, most of the time, for a type. */
const FITTING: Readonly<Record<number, Partial<NewMap>>> = {
  [HASH]: {},
  [LRU_HASH]: { maxEntries: 1024 },
  [PERCPU_HASH]: {},
  [LRU_PERCPU_HASH]: { maxEntries: 1024 },
  [ARRAY]: { keySize: 4 },
  [PERCPU_ARRAY]: { keySize: 4 },
  [LPM_TRIE]: { keySize: 6, flags: BPF_F.NO_PREALLOC },
  [QUEUE]: { keySize: 0 },
  [STACK]: { keySize: 0 },
  [BLOOM_FILTER]: { keySize: 0, maxEntries: 1000 },
  [ARRAY_OF_MAPS]: { keySize: 4, valueSize: 4 },
  [HASH_OF_MAPS]: { valueSize: 4 },
  [RINGBUF]: { keySize: 0, valueSize: 0, maxEntries: 4096 },
  [PROG_ARRAY]: { keySize: 4, valueSize: 4 },
  [PERF_EVENT_ARRAY]: { keySize: 4, valueSize: 4 },
  [USER_RINGBUF]: { keySize: 0, valueSize: 0, maxEntries: 4096 },
};

/** Many of those that are cheap, few of those that wait 8 ms for each update. */
const TYPES = [
  ...Array.from({ length: 3 }, () => Object.keys(FITTING).map(Number)),
  [HASH, ARRAY, LPM_TRIE],
]
  .flat()
  .filter((type, index) => index < 16 || (type !== ARRAY_OF_MAPS && type !== HASH_OF_MAPS));

/** Flags that are asked for now and then; most of them fit some types only. */
const FLAGS = [
  BPF_F.NO_PREALLOC,
  BPF_F.MMAPABLE,
  BPF_F.MMAPABLE,
  BPF_F.INNER_MAP,
  BPF_F.RDONLY,
  BPF_F.WRONLY,
  BPF_F.RDONLY | BPF_F.WRONLY,
  BPF_F.RDONLY_PROG,
  BPF_F.WRONLY_PROG,
  BPF_F.RDONLY_PROG | BPF_F.WRONLY_PROG,
  BPF_F.ZERO_SEED,
  BPF_F.NUMA_NODE,
  BPF_F.PRESERVE_ELEMS,
  0x80000000,
];
/** Ids of integers, structs and sections in the BTF of {@link TYPES_OF}. */
const USEFUL_TYPES: readonly number[] = usefulTypes(openFixture(TYPES_OF).btf!);

function usefulTypes(btf: Btf): number[] {
  const ids = (['int', 'struct', 'datasec', 'typedef'] as const).flatMap((kind) =>
    btf.idsOfKind(kind),
  );
  return [0, ...ids];
}

const isLru = (type: number) => type === LRU_HASH || type === LRU_PERCPU_HASH;

const oneOf = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

/** Of the types in the test's BTF, which has fewer than 60; more often of those that maps are made of. */
const typeId = fc.oneof(
  { weight: 1, arbitrary: fc.nat(60) },
  { weight: 4, arbitrary: oneOf(USEFUL_TYPES) },
);

const newMap: fc.Arbitrary<NewMap> = oneOf(TYPES).chain((type) => {
  const fitting = FITTING[type]!;
  const mostly = <T>(usual: T, others: readonly T[]): fc.Arbitrary<T> =>
    fc.oneof(
      { weight: 20, arbitrary: fc.constant(usual) },
      { weight: 1, arbitrary: oneOf(others) },
    );
  return fc.record({
    call: fc.constant('create' as const),
    type: fc.constant(type),
    keySize: mostly(fitting.keySize ?? 4, [0, 1, 3, 4, 5, 8, 261]),
    valueSize: oneOf([fitting.valueSize ?? 4]).chain((size) =>
      fitting.valueSize === undefined ? oneOf([1, 4, 8, 12, 0]) : mostly(size, [0, 4, 8]),
    ),
    // What a full LRU map loses is its own affair, so those are never full.
    maxEntries: mostly(fitting.maxEntries ?? 4, isLru(type) ? [0, 5000] : [0, 1, 3, 8, 5000]),
    flags: fc
      .oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: oneOf(FLAGS) })
      .map((flags) => ((fitting.flags ?? 0) | flags) >>> 0),
    name: mostly('map', ['', 'a.b_c', 'not-allowed', 'much_longer_than_sixteen', 'ümlaut']),
    mapExtra: mostly(0, [3, 15, 16]),
    template: fc.nat(3),
    types: fc.oneof(fc.constant(null), fc.record({ key: typeId, value: typeId })),
    sizesOfTypes: fc.integer({ min: 0, max: 7 }).map((number) => number > 0),
  });
});

const map = fc.nat(9);
const key = fc.oneof({ weight: 8, arbitrary: fc.nat(6) }, { weight: 1, arbitrary: fc.nat() });
const flags = fc.oneof(
  { weight: 8, arbitrary: fc.constant(0) },
  { weight: 4, arbitrary: oneOf([1, 2]) },
  { weight: 1, arbitrary: oneOf([3, 4, 5, 8]) },
);
const path = fc.oneof(
  { weight: 3, arbitrary: fc.nat(4) },
  { weight: 1, arbitrary: fc.nat(PATHS.length - 1) },
);
const call = <C extends string>(...names: C[]) => oneOf(names);

const elementCall: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ call: call('update'), map, key, value: fc.nat(7), flags }) },
  {
    weight: 4,
    arbitrary: fc.record({ call: call('lookup', 'delete', 'take', 'nextKey'), map, key, flags }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ call: call('updateBatch'), map, key, count: fc.nat(5), flags }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      call: call('takeAll', 'lookupAll', 'walk'),
      map,
      count: fc.integer({ min: 1, max: 9 }),
    }),
  },
);

const otherCall: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ call: call('duplicate', 'close', 'info', 'freeze'), map }),
  fc.record({ call: call('pin'), map, path }),
  fc.record({
    call: call('openPin'),
    path,
    access: oneOf<PinAccess>(['read-write', 'read-only', 'write-only']),
  }),
  fc.record({ call: call('unpin', 'makeDirectory', 'removeDirectory', 'kind'), path }),
  fc.record({ call: call('openById'), map }),
  fc.record({ call: call('lives'), made: fc.nat(9) }),
  fc.record({ call: call('close'), map }),
  fc.record({ call: call('mapMemory'), map, writable: fc.boolean() }),
);

/** One case: some maps, and then calls. */
export const operations: fc.Arbitrary<Operation[]> = fc
  .tuple(
    fc.array(newMap, { minLength: 1, maxLength: 3 }),
    fc.array(
      fc.oneof(
        { weight: 5, arbitrary: elementCall },
        { weight: 2, arbitrary: otherCall },
        { weight: 1, arbitrary: newMap },
      ),
      { minLength: 4, maxLength: 40, size: 'max' },
    ),
  )
  .map(([maps, calls]) => [...maps, ...calls]);
