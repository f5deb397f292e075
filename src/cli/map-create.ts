/** `skep map create`: a map without an object, pinned where it can be found again. */

import { nearest } from '../bytes/nearest.ts';
import { SyscallError } from '../errors.ts';
import type { Kernel, MapAttributes } from '../kernel/kernel.ts';
import { createMap, kernelName, takesTypes } from '../maps/create-map.ts';
import { shapeOfMap } from '../maps/inner-template.ts';
import { checkPinPlace } from '../maps/pin-path.ts';
import { RawMap } from '../maps/raw-map.ts';
import { ringBufferBytes } from '../maps/ring-size.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE, mapTypeName, mapTypeNumber } from '../uapi/map-types.ts';
import type { KernelChoice } from './kernel-choice.ts';
import { shownMap } from './kernel-map.ts';
import { isKeylessType } from './map-kinds.ts';
import { openRaw, titleOf } from './map-place.ts';
import type { CreateCommandOptions } from './map-program.ts';
import { print, printable, printJson } from './terminal.ts';
import { encodeTypes, parseTypeWord, type WordType } from './type-words.ts';
import { parseMapWord, parseU32, UsageError } from './usage.ts';

/** What a map is created with, but for the template of inner maps. */
interface Wanted {
  readonly attributes: Omit<MapAttributes, 'btf' | 'innerMapFd'>;
  /** The types, and their ids; null for none. */
  readonly types: {
    readonly bytes: Uint8Array;
    readonly keyTypeId: number;
    readonly valueTypeId: number;
  } | null;
}

/** Types whose keys are indices, which have 4 bytes. */
const OF_INDICES: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.ARRAY,
  BPF_MAP_TYPE.PERCPU_ARRAY,
  BPF_MAP_TYPE.STACK_TRACE,
]);

/** Types whose keys and values are the kernel's own; both have 4 bytes unless said otherwise. */
const OF_NUMBERS: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.PROG_ARRAY,
  BPF_MAP_TYPE.PERF_EVENT_ARRAY,
  BPF_MAP_TYPE.CGROUP_ARRAY,
  BPF_MAP_TYPE.ARRAY_OF_MAPS,
  BPF_MAP_TYPE.DEVMAP,
  BPF_MAP_TYPE.DEVMAP_HASH,
  BPF_MAP_TYPE.CPUMAP,
  BPF_MAP_TYPE.XSKMAP,
  BPF_MAP_TYPE.SOCKMAP,
  BPF_MAP_TYPE.REUSEPORT_SOCKARRAY,
]);

const OUTER: ReadonlySet<number> = new Set([BPF_MAP_TYPE.ARRAY_OF_MAPS, BPF_MAP_TYPE.HASH_OF_MAPS]);

/** Storage that grows with what it is about. Its keys are descriptors. */
const LOCAL_STORAGE: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.SK_STORAGE,
  BPF_MAP_TYPE.INODE_STORAGE,
  BPF_MAP_TYPE.TASK_STORAGE,
  BPF_MAP_TYPE.CGRP_STORAGE,
]);

/** Types that the kernel creates with this flag only, so nobody has to say it. */
const NEVER_PREALLOCATED: ReadonlySet<number> = new Set([BPF_MAP_TYPE.LPM_TRIE, ...LOCAL_STORAGE]);

/** Types whose entries are bytes, which the kernel takes as a power of two of whole pages only. */
const RING_BUFFERS: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.RINGBUF,
  BPF_MAP_TYPE.USER_RINGBUF,
]);

/** Types that are memory, without entries. */
const WITHOUT_ENTRIES: ReadonlySet<number> = new Set([...RING_BUFFERS, BPF_MAP_TYPE.ARENA]);

/** Deprecated storage, of as many entries as there are cgroups. */
const CGROUP_STORAGE: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.CGROUP_STORAGE,
  BPF_MAP_TYPE.PERCPU_CGROUP_STORAGE,
]);

/**
 * Creates a map and pins it. Nothing is left if it cannot be pinned.
 *
 * @throws UsageError for types, flags and names that do not exist, and options that are missing
 * @throws SkepError as `BPF_MAP_CREATE` and pinning do
 */
export function createCommand(
  choice: KernelChoice,
  path: string,
  options: CreateCommandOptions,
): void {
  const kernel = choice.open();
  const wanted = options.like === undefined ? byWords(kernel, options) : byExample(kernel, options);
  checkPinPlace(kernel, path);
  const map = createWanted(kernel, wanted, options);
  try {
    map.pin(path);
    if (options.json) {
      printJson({ format: 1, map: shownMap(map) });
    } else {
      print(`created ${titleOf(map)} at ${printable(path)}\n`);
    }
  } finally {
    map.close();
  }
}

function createWanted(kernel: Kernel, wanted: Wanted, options: CreateCommandOptions): RawMap {
  const { attributes, types } = wanted;
  const inner = options.inner === undefined ? null : openRaw(kernel, parseMapWord(options.inner));
  const btf = types === null ? null : loadTypes(kernel, types.bytes);
  try {
    const fd = createMap(kernel, {
      ...attributes,
      innerMapFd: inner?.fd ?? null,
      btf: types === null || btf === null ? null : { ...types, fd: btf },
    });
    return RawMap.adopt({ kernel, fd });
  } finally {
    inner?.close();
    if (btf !== null) {
      kernel.close(btf);
    }
  }
}

/** Maps work without types, as they do in a load: only then they are shown as bytes. */
function loadTypes(kernel: Kernel, bytes: Uint8Array): number | null {
  try {
    return kernel.loadBtf(bytes);
  } catch (error) {
    if (error instanceof SyscallError) {
      return null;
    }
    throw error;
  }
}

/** A map as the options say. */
function byWords(kernel: Kernel, options: CreateCommandOptions): Wanted {
  const { type: typeName, maxEntries } = options;
  if (typeName === undefined) {
    throw new UsageError('which type of map? give --type TYPE, or --like MAP');
  }
  const type = mapTypeOf(typeName);
  if (maxEntries === undefined && !LOCAL_STORAGE.has(type) && !CGROUP_STORAGE.has(type)) {
    throw new UsageError('how many entries? give --max-entries N');
  }
  const key = typeOf(options.key ?? ownKey(type), '--key');
  const isOuter = OUTER.has(type);
  if (isOuter && options.inner === undefined) {
    throw new UsageError(`a map of type ${typeName} needs a map like those to come: --inner MAP`);
  }
  const ownValue = OF_NUMBERS.has(type) ? 'u32' : undefined;
  const value = typeOf(isOuter ? 'u32' : (options.value ?? ownValue), '--value');
  checkTypes(type, key, value);
  const needed = NEVER_PREALLOCATED.has(type) ? BPF_F.NO_PREALLOC : 0;
  const types = encodeTypes(key, value, kernel.littleEndian);
  return {
    attributes: {
      ...{ type, keySize: key?.sizeBytes ?? 0, valueSize: value?.sizeBytes ?? 0 },
      maxEntries: RING_BUFFERS.has(type)
        ? ringBufferBytes(maxEntries!, kernel.pageSize)
        : (maxEntries ?? 0),
      flags: parseFlags(options.flags ?? '0') | needed,
      name: kernelName(options.name ?? ''),
      ...{ numaNode: 0, mapExtra: 0n },
    },
    types: takesTypes(type, types.keyTypeId, types.valueTypeId, false) ? types : null,
  };
}

/** A map like one that is there, but for what the options say. */
function byExample(kernel: Kernel, options: CreateCommandOptions): Wanted {
  if (options.type !== undefined || options.key !== undefined || options.value !== undefined) {
    throw new UsageError(
      '--like has the type, the key and the value; only entries, flags and the name can differ',
    );
  }
  const example = openRaw(kernel, parseMapWord(options.like!));
  try {
    const info = example.info();
    if (OUTER.has(info.type) && options.inner === undefined) {
      throw new UsageError(
        `${titleOf(example)} is a map of maps, whose template is not known; give --inner MAP`,
      );
    }
    const { keyTypeId, valueTypeId, ...shape } = shapeOfMap(info);
    const ids = { keyTypeId: info.keyTypeId, valueTypeId: info.valueTypeId };
    return {
      attributes: {
        ...shape,
        maxEntries: options.maxEntries ?? info.maxEntries,
        flags: options.flags === undefined ? shape.flags : parseFlags(options.flags),
        name: kernelName(options.name ?? info.name),
      },
      types: info.btfId === 0 ? null : { ...ids, bytes: kernel.readBtf(info.btfId) },
    };
  } finally {
    example.close();
  }
}

/** Refuses what the kernel would only call invalid. */
function checkTypes(type: number, key: WordType | null, value: WordType | null): void {
  if (WITHOUT_ENTRIES.has(type)) {
    return;
  }
  const name = mapTypeName(type);
  if (key === null && !isKeylessType(type)) {
    throw new UsageError(`a map of type ${name} needs a type of keys: give --key TYPE`);
  }
  if (value === null) {
    throw new UsageError(`a map of type ${name} needs a type of values: give --value TYPE`);
  }
}

/** The word for keys of which there is one type only. */
function ownKey(type: number): string | undefined {
  if (LOCAL_STORAGE.has(type)) {
    return 'i32';
  }
  return OF_NUMBERS.has(type) || OF_INDICES.has(type) ? 'u32' : undefined;
}

function typeOf(word: string | undefined, option: string): WordType | null {
  return word === undefined ? null : parseTypeWord(word, option);
}

function mapTypeOf(name: string): number {
  const type = mapTypeNumber(name);
  if (type !== undefined && type !== BPF_MAP_TYPE.UNSPEC) {
    return type;
  }
  const known = Object.values(BPF_MAP_TYPE)
    .filter((each) => each > 0)
    .map(mapTypeName);
  const suggestion = nearest(name, known);
  const help = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
  throw new UsageError(`there is no type of map called "${name}"${help}`);
}

/** Reads `--flags`: names without `BPF_F_`, with commas or bars between them, or a number. */
function parseFlags(text: string): number {
  let flags = 0;
  for (const word of text.split(/[,|]/)) {
    const name = word.trim().replace(/^BPF_F_/, '');
    const bit = Object.hasOwn(BPF_F, name) ? BPF_F[name as keyof typeof BPF_F] : parseU32(name);
    if (bit === undefined) {
      const suggestion = nearest(name, Object.keys(BPF_F));
      const help = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`;
      throw new UsageError(`there is no flag of maps called "${name}"${help}`);
    }
    flags = (flags | bit) >>> 0;
  }
  return flags;
}
