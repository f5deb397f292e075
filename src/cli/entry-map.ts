/** Maps as the command works with them: entries of any type of map, by the types the kernel knows. */

import { bytes } from '../codec/aggregates.ts';
import { struct } from '../codec/by-hand.ts';
import { type Codec, Memory } from '../codec/codec.ts';
import { u32, u64 } from '../codec/numbers.ts';
import { perCpu } from '../codec/per-cpu.ts';
import { SyscallError } from '../errors.ts';
import type { Kernel, MapInfo } from '../kernel/kernel.ts';
import { ArrayOfMaps } from '../maps/array-of-maps.ts';
import { HashOfMaps } from '../maps/hash-of-maps.ts';
import type { canBeInner } from '../maps/inner-map.ts';
import { type LiveTypes, liveTypes } from '../maps/live-types.ts';
import type { OwnedMap } from '../maps/map-handle.ts';
import type { OuterMap } from '../maps/outer-map.ts';
import { handleOf } from '../maps/standalone.ts';
import { TypedMap, type TypedSource } from '../maps/typed-map.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import type { EntryOptions } from './map-program.ts';
import { codecOfType, parseTypeWord } from './type-words.ts';
import { UsageError } from './usage.ts';

/** Types with one value for each CPU. */
const PER_CPU: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.PERCPU_HASH,
  BPF_MAP_TYPE.PERCPU_ARRAY,
  BPF_MAP_TYPE.LRU_PERCPU_HASH,
  BPF_MAP_TYPE.PERCPU_CGROUP_STORAGE,
]);

/** A codec of which nothing more is known. */
export type AnyCodec = Codec<unknown, unknown>;

/** `struct bpf_devmap_val`: a program's id on reading. */
const DEVICE = struct({ ifindex: u32, program: u32 });
/** `struct bpf_cpumap_val`. */
const CPU = struct({ queueSize: u32, program: u32 });

/** What the kernel itself puts into values, by type of map and size. */
const KERNEL_VALUES: ReadonlyMap<number, Readonly<Record<number, unknown>>> = new Map([
  [BPF_MAP_TYPE.PROG_ARRAY, { 4: u32 }],
  [BPF_MAP_TYPE.DEVMAP, { 4: u32, 8: DEVICE }],
  [BPF_MAP_TYPE.DEVMAP_HASH, { 4: u32, 8: DEVICE }],
  [BPF_MAP_TYPE.CPUMAP, { 4: u32, 8: CPU }],
  [BPF_MAP_TYPE.SOCKMAP, { 8: u64 }],
  [BPF_MAP_TYPE.SOCKHASH, { 8: u64 }],
  [BPF_MAP_TYPE.REUSEPORT_SOCKARRAY, { 8: u64 }],
]);

/** A map of any type with its codecs: what the classes of the library are each for one type. */
export class EntryMap extends TypedMap<unknown, unknown> {
  declare readonly [canBeInner]: true;

  /** Of a value as it is read and written: of all CPUs' in per-CPU maps. */
  readonly valueCodec: AnyCodec;
  /** Number of values in an entry; undefined where there is one value whatever the CPU. */
  readonly cpus: number | undefined;

  constructor(source: TypedSource<unknown, unknown>) {
    const { type } = source.kernel.mapInfo(source.fd);
    const cpus = PER_CPU.has(type) ? source.kernel.possibleCpus() : undefined;
    const value = cpus === undefined ? source.value : perCpu(source.value, cpus);
    super({ ...source, value: value as AnyCodec }, [type]);
    this.valueCodec = value as AnyCodec;
    this.cpus = cpus;
  }

  /** Whether a map without keys knows a value: Bloom filters are asked for what the buffer holds. */
  hasValue(value: unknown): boolean {
    const { valueCodec } = this;
    const memory = new Memory(new Uint8Array(valueCodec.sizeBytes), this.kernel.littleEndian);
    valueCodec.write(memory, 0, value);
    return this.kernel.lookup(this.fd, null, memory.bytes, 0);
  }

  /** Removes an entry; false if it is not there. */
  delete(key: unknown): boolean {
    return this.removeKey(key);
  }
}

/** A map of maps, whose inner maps are of this kind too. */
export type OuterEntryMap = OuterMap<unknown, EntryMap>;

const OUTER_KINDS: ReadonlyMap<number, unknown> = new Map<number, unknown>([
  [BPF_MAP_TYPE.ARRAY_OF_MAPS, ArrayOfMaps],
  [BPF_MAP_TYPE.HASH_OF_MAPS, HashOfMaps],
]);

/** A map with what is known of its types. */
export interface OpenedMap {
  readonly map: EntryMap | OuterEntryMap;
  readonly keyCodec: AnyCodec;
  /** Whether keys or values have types; else both are bytes. */
  readonly isTyped: boolean;
  /** The options that would tell types which nobody knows, by the argument that is bytes for that. */
  readonly missingTypes: Readonly<Record<string, string>>;
}

/** Whether a map is one of maps. */
export function isOuter(map: OpenedMap['map']): map is OuterEntryMap {
  return !(map instanceof EntryMap);
}

/**
 * Makes a handle of an open map, with its types as far as this user may see them: without
 * CAP_SYS_ADMIN there are bytes. The map is closed if that fails.
 *
 * @param options types that the caller gives; or bytes in any case, but the indices of arrays of maps
 *   stay numbers
 * @throws UsageError for words that are no types
 */
export function entriesOf(map: OwnedMap, options: EntryOptions): OpenedMap {
  const { kernel, fd } = map;
  let info: MapInfo;
  let types: LiveTypes;
  try {
    info = kernel.mapInfo(fd);
    if (OUTER_KINDS.has(info.type) && options.valueType !== undefined) {
      throw new UsageError('the values of a map of maps are maps, which have types of their own');
    }
    types = {
      ...(options.raw ? rawTypes(info) : typesOf(kernel, info)),
      ...givenTypes(options),
    };
  } catch (error) {
    kernel.close(fd);
    throw error;
  }
  const keyCodec = (types.key ?? bytes(info.keySize)) as AnyCodec;
  const source = {
    ...map,
    key: keyCodec,
    value: (types.value ?? bytes(info.valueSize)) as AnyCodec,
    inner: { shape: null, kind: EntryMap, live: options.raw !== true },
  };
  const kind = OUTER_KINDS.get(info.type) ?? EntryMap;
  return {
    map: handleOf(kind as new (each: typeof source) => OpenedMap['map'], source),
    keyCodec,
    isTyped: types.key !== null || types.value !== null,
    missingTypes: options.raw ? {} : missingTypes(types),
  };
}

/** The types that a caller gives. */
function givenTypes({ keyType, valueType }: EntryOptions): Partial<LiveTypes> {
  const codec = (word: string, option: string) => codecOfType(parseTypeWord(word, option));
  return {
    ...(keyType === undefined ? {} : { key: codec(keyType, '--key-type') }),
    ...(valueType === undefined ? {} : { value: codec(valueType, '--value-type') }),
  };
}

function missingTypes({ key, value }: LiveTypes): Readonly<Record<string, string>> {
  return {
    ...(key === null ? { KEY: '--key-type' } : {}),
    ...(value === null ? { VALUE: '--value-type' } : {}),
  };
}

/** Arrays of maps have no handle whose keys are bytes. */
function rawTypes({ type }: MapInfo): LiveTypes {
  const isArray = type === BPF_MAP_TYPE.ARRAY_OF_MAPS;
  return { key: isArray ? (u32 as LiveTypes['key']) : null, value: null };
}

function typesOf(kernel: Kernel, info: MapInfo): LiveTypes {
  let types: LiveTypes;
  try {
    types = liveTypes(kernel, info);
  } catch (error) {
    if (!(error instanceof SyscallError && error.errnoName === 'EPERM')) {
      throw error;
    }
    types = liveTypes(kernel, { ...info, btfId: 0 });
  }
  const own = KERNEL_VALUES.get(info.type)?.[info.valueSize];
  return { key: types.key, value: types.value ?? ((own ?? null) as LiveTypes['value']) };
}
