/** Which class the handles of inner maps have, by the type of the maps. */

import type { Input } from '../codec/input.ts';
import { Arena } from './arena.ts';
import { ArrayMap } from './array-map.ts';
import { BloomFilter } from './bloom-filter.ts';
import { CgroupArray } from './cgroup-array.ts';
import { CgroupStorage } from './cgroup-storage.ts';
import { CpuMap } from './cpu-map.ts';
import { DevMap } from './dev-map.ts';
import { DevMapHash } from './dev-map-hash.ts';
import { HashMap } from './hash-map.ts';
import type { InnerMap } from './inner-map.ts';
import { InodeStorage } from './inode-storage.ts';
import { LpmTrie } from './lpm-trie.ts';
import type { MapHandle } from './map-handle.ts';
import type { MappedArray } from './mapped-array.ts';
import { PerCpuArray } from './per-cpu-array.ts';
import { PerCpuHashMap } from './per-cpu-hash-map.ts';
import { Queue } from './queue.ts';
import { RawMap } from './raw-map.ts';
import { ReusePortSockArray } from './reuse-port-sock-array.ts';
import { RingBuffer } from './ring-buffer.ts';
import { SkStorage } from './sk-storage.ts';
import { SockHash } from './sock-hash.ts';
import { SockMap } from './sock-map.ts';
import { Stack } from './stack.ts';
import { StackTrace } from './stack-trace.ts';
import { handleOf } from './standalone.ts';
import { TaskStorage } from './task-storage.ts';
import type { TypedSource } from './typed-map.ts';
import { UserRingBuffer } from './user-ring-buffer.ts';
import { XskMap } from './xsk-map.ts';

/** A class of handles for inner maps, such as `HashMap` or `HashMap<number, Stats>`. */
export type InnerKind = new (source: never) => InnerMap;

/** One that can also create maps. */
export interface CreatingKind extends InnerKind {
  create(options: never): MapHandle;
}

/**
 * The handles that a class gives with codecs for `K` and `V`. A class with types of its own
 * (`HashMap<number, bigint>`) keeps those.
 */
export type HandleOf<
  C extends InnerKind,
  K,
  V,
  KI = Input<K>,
  VI = Input<V>,
> = C extends typeof HashMap
  ? HashMap<K, V, KI, VI>
  : C extends typeof ArrayMap
    ? ArrayMap<V, VI>
    : C extends typeof PerCpuHashMap
      ? PerCpuHashMap<K, V, KI, VI>
      : C extends typeof PerCpuArray
        ? PerCpuArray<V, VI>
        : C extends typeof LpmTrie
          ? LpmTrie<V, K, VI, KI>
          : C extends typeof Queue
            ? Queue<V, VI>
            : C extends typeof Stack
              ? Stack<V, VI>
              : C extends typeof BloomFilter
                ? BloomFilter<V, VI>
                : C extends typeof RingBuffer
                  ? RingBuffer<V>
                  : C extends typeof UserRingBuffer
                    ? UserRingBuffer<V>
                    : C extends typeof MappedArray
                      ? MappedArray<V, VI>
                      : C extends typeof SockHash
                        ? SockHash<K, KI>
                        : C extends typeof SkStorage
                          ? SkStorage<V, VI>
                          : C extends typeof InodeStorage
                            ? InodeStorage<V, VI>
                            : C extends typeof TaskStorage
                              ? TaskStorage<V, VI>
                              : C extends typeof CgroupStorage
                                ? CgroupStorage<V, VI>
                                : C extends (new (
                                      source: never,
                                    ) => infer M extends InnerMap)
                                  ? M
                                  : never;

/** A class of handles with keys and values, and the types of maps that it is for. */
type TableKind = (new (
  source: TypedSource<never, never>,
) => InnerMap) & {
  readonly types: readonly number[];
};

/** Classes of inner handles. What none is for is a `RawMap`. */
const KINDS: readonly TableKind[] = [
  HashMap,
  ArrayMap,
  PerCpuHashMap,
  PerCpuArray,
  LpmTrie,
  Queue,
  Stack,
  BloomFilter,
  CgroupArray,
  StackTrace,
  DevMap,
  DevMapHash,
  CpuMap,
  XskMap,
  SockMap,
  SockHash,
  ReusePortSockArray,
  SkStorage,
  InodeStorage,
  TaskStorage,
  CgroupStorage,
  Arena,
  RingBuffer,
  UserRingBuffer,
];

const KIND_BY_TYPE: ReadonlyMap<number, TableKind> = new Map(
  KINDS.flatMap((kind) => kind.types.map((type) => [type, kind] as const)),
);

/**
 * A handle to an inner map, which takes it over; the map is closed if that fails.
 *
 * @param type the map's type
 * @param kind a class for the handle, instead of the one for the type
 * @throws SkepError `ERR_SKEP_MAP_KIND` if the map is not what class and codecs are for
 */
export function innerHandle(
  source: TypedSource<unknown, unknown>,
  type: number,
  kind: InnerKind | undefined,
): InnerMap {
  const chosen = kind ?? KIND_BY_TYPE.get(type);
  return chosen === undefined
    ? RawMap.adopt(source)
    : handleOf(chosen as new (source: TypedSource<unknown, unknown>) => InnerMap, source);
}
