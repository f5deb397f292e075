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
  | { readonly call: 'consume'; readonly map: number }
  /** Another descriptor of a map, of all that were ever made. */
  | { readonly call: 'openById'; readonly made: number }
  /** Whether an object, of all that were ever made, is still there. */
  | { readonly call: 'lives'; readonly of: 'map' | 'btf' | 'program'; readonly made: number }
  /** What a map has in it, of all that were ever made. */
  | { readonly call: 'contents'; readonly made: number }
  | { readonly call: 'mapMemory'; readonly map: number; readonly writable: boolean }
  /** Other types, equal to the old ones, for the maps that the process makes from now on. */
  | { readonly call: 'loadBtf' | 'closeBtf' }
  /** `map` is what the program uses; null for none. */
  | {
      readonly call: 'loadProgram';
      readonly type: number;
      readonly name: string;
      readonly map: number | null;
    }
  | { readonly call: 'programInfo' | 'closeProgram' | 'programById'; readonly program: number }
  | { readonly call: 'pinProgram'; readonly program: number; readonly path: number }
  | { readonly call: 'openPinnedProgram'; readonly path: number }
  | { readonly call: 'closeEvent' }
  /** The end of the second process. */
  | { readonly call: 'exit' };

/** A call, and which of two processes makes it. */
export type Step = Operation & { readonly by: 0 | 1 };

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
  'one//below',
  'one//..',
  'with.dot',
  'dotted.directory/one',
  `${'long'.repeat(64)}`,
  'one/',
  './two',
  '/directory//one',
  'directory/../one',
  'directory/.',
  'missing/../one',
  `${'./'.repeat(2100)}one`,
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

/** Ids of structs with a lock in them, for values of {@link WITH_LOCK}. */
const LOCKED_TYPES: readonly number[] = lockedTypes(openFixture(TYPES_OF).btf!);

function lockedTypes(btf: Btf): number[] {
  return btf.idsOfKind('struct').filter((id) => {
    const type = btf.type(id);
    return (
      type.kind === 'struct' &&
      type.members.some(({ typeId }) => {
        const member = btf.type(typeId);
        return member.kind === 'struct' && member.name === 'bpf_spin_lock';
      })
    );
  });
}

const isLru = (type: number) => type === LRU_HASH || type === LRU_PERCPU_HASH;

const oneOf = <T>(values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

/** Of the types in the test's BTF, which has fewer than 60; more often of those that maps are made of. */
const typeId = fc.oneof(
  { weight: 1, arbitrary: fc.nat(60) },
  { weight: 4, arbitrary: oneOf(USEFUL_TYPES) },
);

/** Maps whose values have a lock, which calls take with `BPF_F_LOCK`. */
const lockedMap: fc.Arbitrary<NewMap> = fc.record({
  call: fc.constant('create' as const),
  type: oneOf([HASH, ARRAY]),
  keySize: fc.constant(4),
  valueSize: fc.constant(0),
  maxEntries: oneOf([4, 8]),
  flags: fc.constant(0),
  name: fc.constant('locked'),
  mapExtra: fc.constant(0),
  template: fc.constant(0),
  types: fc.record({
    key: fc.constant(openFixture(TYPES_OF).btf!.idsOfKind('int')[0]!),
    value: oneOf(LOCKED_TYPES),
  }),
  sizesOfTypes: fc.constant(true),
});

const anyMap: fc.Arbitrary<NewMap> = oneOf(TYPES).chain((type) => {
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

/** A map that can be made, so that there is one; of descriptors of maps, if there is a template. */
const fittingMap: fc.Arbitrary<NewMap> = fc
  .record({ type: oneOf(TYPES), valueSize: oneOf([4, 8]), template: fc.nat(3) })
  .map(({ type, valueSize, template }) => ({
    call: 'create',
    type,
    keySize: 4,
    valueSize,
    maxEntries: 4,
    flags: 0,
    name: 'fitting',
    mapExtra: 0,
    types: null,
    sizesOfTypes: false,
    ...FITTING[type],
    template,
  }));

const newMap: fc.Arbitrary<NewMap> = fc.oneof(
  { weight: 12, arbitrary: anyMap },
  { weight: 1, arbitrary: lockedMap },
);

const map = fc.nat(9);
const key = fc.oneof({ weight: 8, arbitrary: fc.nat(6) }, { weight: 1, arbitrary: fc.nat() });
const flags = fc.oneof(
  { weight: 8, arbitrary: fc.constant(0) },
  { weight: 4, arbitrary: oneOf([1, 2]) },
  { weight: 1, arbitrary: oneOf([3, 4, 5, 8, 0x8000_0000, 0x8000_0004]) },
);
const path = fc.oneof(
  { weight: 6, arbitrary: fc.nat(1) },
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
    arbitrary: fc.record({
      call: call('updateBatch'),
      map,
      key,
      count: fc.nat(5),
      flags: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, oneOf([1, 2, 4, 4, 4, 5, 8])),
    }),
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
  fc.record({ call: call('consume'), map }),
  fc.record({ call: call('openById'), made: fc.nat(9) }),
  fc.record({
    call: call('lives'),
    of: oneOf<'map' | 'btf' | 'program'>(['map', 'map', 'btf', 'program']),
    made: fc.nat(9),
  }),
  fc.record({ call: call('contents'), made: fc.nat(9) }),
  fc.record({ call: call('loadBtf', 'closeBtf', 'closeEvent') }),
  fc.record({ call: call('close'), map }),
  fc.record({ call: call('mapMemory'), map, writable: fc.boolean() }),
);

const program = fc.nat(4);

const newProgram: fc.Arbitrary<Operation & { readonly call: 'loadProgram' }> = fc.record({
  call: fc.constant('loadProgram' as const),
  // Socket filters and XDP; program arrays take those of one type.
  type: oneOf([1, 1, 6]),
  name: oneOf(['', 'program', 'much_longer_than_sixteen', 'not-allowed']),
  map: fc.oneof(fc.constant(null), map),
});

const programCall: fc.Arbitrary<Operation> = fc.oneof(
  newProgram,
  fc.record({ call: call('programInfo', 'closeProgram', 'programById'), program }),
  fc.record({ call: call('pinProgram'), program, path }),
  fc.record({ call: call('openPinnedProgram'), path }),
);

const by = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0 as const) },
  { weight: 1, arbitrary: fc.constant(1 as const) },
);

const madeBy = (calls: fc.Arbitrary<Operation>): fc.Arbitrary<Step> =>
  fc.tuple(calls, by).map(([operation, process]) => ({ ...operation, by: process }));

/**
 * Stories: objects that hold each other, and calls on just these. In calls at random that is rare. The
 * first process makes the objects, so its descriptors are in their order.
 */
const story = (
  objects: readonly fc.Arbitrary<Operation>[],
  calls: fc.Arbitrary<Operation>,
): fc.Arbitrary<Operation[]> =>
  fc
    .tuple(fc.tuple(...objects), fc.array(calls, { minLength: 4, maxLength: 14, size: 'max' }))
    .map(([made, then]) => [...made, ...then]);

const fitting = (type: number, more: Partial<NewMap> = {}): fc.Arbitrary<NewMap> =>
  fittingMap.map((map) => ({ ...map, type, valueSize: 4, ...FITTING[type], ...more }));

const put = (target: number, values: readonly number[]): fc.Arbitrary<Operation> =>
  fc.record({
    call: call('update'),
    map: fc.constant(target),
    key: fc.nat(1),
    value: oneOf(values),
    flags: fc.constant(0),
  });

const take = (target: number): fc.Arbitrary<Operation> =>
  fc.record({
    call: call('delete'),
    map: fc.constant(target),
    key: fc.nat(1),
    flags: fc.constant(0),
  });

const end = (targets: readonly number[]): fc.Arbitrary<Operation> =>
  fc.record({ call: call('close'), map: oneOf(targets) });

const lives = (of: 'map' | 'btf' | 'program'): fc.Arbitrary<Operation> =>
  fc.record({ call: call('lives'), of: fc.constant(of), made: fc.nat(2) });

/** A map whose keys and values are numbers, with types that say so or without. */
const ofNumbers = (isTyped: boolean): fc.Arbitrary<NewMap> => {
  const number = openFixture(TYPES_OF).btf!.idsOfKind('int')[0]!;
  return fitting(HASH, {
    types: isTyped ? { key: number, value: number } : null,
    sizesOfTypes: true,
  });
};

const outer = oneOf([ARRAY_OF_MAPS, HASH_OF_MAPS]).chain((type) => fitting(type, { template: 0 }));

/** Two maps and one that takes them. */
const nested = fc
  .boolean()
  .chain((isTyped) =>
    story(
      [ofNumbers(isTyped), outer, ofNumbers(isTyped)],
      fc.oneof(
        { weight: 4, arbitrary: put(1, [0, 2]) },
        { weight: 2, arbitrary: take(1) },
        { weight: 2, arbitrary: end([0, 2]) },
        { weight: 1, arbitrary: end([1]) },
        { weight: 1, arbitrary: lives('map') },
        { weight: 1, arbitrary: lives('btf') },
        { weight: 1, arbitrary: fc.record({ call: call('closeBtf') }) },
      ),
    ),
  );

/** A map that is a template and nothing more, and its types. */
const template = story(
  [ofNumbers(true), outer],
  fc.oneof(
    { weight: 3, arbitrary: end([0]) },
    { weight: 1, arbitrary: end([1]) },
    { weight: 3, arbitrary: lives('btf') },
    { weight: 2, arbitrary: fc.record({ call: call('closeBtf') }) },
  ),
).map((calls) => calls.slice(0, 6));

/** A program array, programs to be put into it, and one that uses it. */
const jumps = story(
  [
    fitting(PROG_ARRAY),
    newProgram.map((one) => ({ ...one, name: 'first', map: null })),
    newProgram.map((one) => ({ ...one, name: 'second', map: 0 })),
  ],
  fc.oneof(
    { weight: 4, arbitrary: put(0, [0, 1]) },
    { weight: 1, arbitrary: take(0) },
    { weight: 1, arbitrary: end([0]) },
    { weight: 2, arbitrary: fc.record({ call: call('closeProgram'), program: fc.nat(1) }) },
    {
      weight: 1,
      arbitrary: fc.record({ call: call('pin'), map: fc.constant(0), path: fc.nat(1) }),
    },
    { weight: 1, arbitrary: fc.record({ call: call('unpin'), path: fc.nat(1) }) },
    { weight: 2, arbitrary: lives('program') },
  ),
);

/** Two files of an array of events. */
const events = story(
  [fitting(PERF_EVENT_ARRAY), fc.record({ call: call('openById'), made: fc.constant(0) })],
  fc.oneof(
    { weight: 4, arbitrary: put(0, [0]) },
    { weight: 4, arbitrary: put(1, [0]) },
    { weight: 3, arbitrary: take(0) },
    { weight: 1, arbitrary: end([0, 1]) },
    { weight: 1, arbitrary: fc.record({ call: call('closeEvent') }) },
    { weight: 1, arbitrary: fc.record({ call: call('duplicate'), map: fc.nat(1) }) },
  ),
);

/** One case: some maps, or a story, and then calls. */
export const operations: fc.Arbitrary<Step[]> = fc
  .tuple(
    fc.oneof(
      { weight: 14, arbitrary: fc.constant([]) },
      { weight: 2, arbitrary: nested },
      { weight: 1, arbitrary: template },
      { weight: 2, arbitrary: jumps },
      { weight: 2, arbitrary: events },
    ),
    fc.array(fittingMap, { minLength: 1, maxLength: 2 }),
    fc.array(fc.oneof({ weight: 4, arbitrary: newMap }, { weight: 1, arbitrary: newProgram }), {
      maxLength: 3,
    }),
    fc.array(
      fc.oneof(
        { weight: 80, arbitrary: madeBy(elementCall) },
        { weight: 40, arbitrary: madeBy(otherCall) },
        { weight: 16, arbitrary: madeBy(newMap) },
        { weight: 14, arbitrary: madeBy(programCall) },
        { weight: 1, arbitrary: fc.constant({ call: 'exit' as const, by: 1 as const }) },
      ),
      { minLength: 4, maxLength: 50, size: 'max' },
    ),
  )
  .map(([told, maps, others, calls]) => [
    ...[...told, ...maps, ...others].map((one) => ({ ...one, by: 0 as const })),
    // The second process has one of them.
    { call: 'openById', made: 0, by: 1 },
    ...calls,
  ]);
