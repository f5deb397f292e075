/** What {@link Subject} is made of: processes, types by how they are looked at, keys and walks. */

import type { Kernel } from '../../src/kernel/kernel.ts';
import type { ProgramAttributes } from '../../src/kernel/program-calls.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import type { NewMap } from './operations.ts';

/** A map that a process has open. */
export interface Handle {
  readonly fd: number;
  readonly attributes: NewMap;
  /** Number of the map, counted from the first one made. */
  readonly map: number;
}

/** A process: what it has open. On Linux both are this one, and each has descriptors of its own. */
export interface Process {
  /** The next one takes its place when it ends. */
  kernel: Kernel;
  readonly handles: Handle[];
  /** Descriptors of programs. */
  readonly programs: number[];
  btf: number | undefined;
  event: number | undefined;
}

/** Types whose values are descriptors. */
export const OF_OBJECTS: readonly number[] = [
  BPF_MAP_TYPE.ARRAY_OF_MAPS,
  BPF_MAP_TYPE.HASH_OF_MAPS,
  BPF_MAP_TYPE.PROG_ARRAY,
  BPF_MAP_TYPE.PERF_EVENT_ARRAY,
];

/** Types without entries that can be looked at and stay. */
export const KEYLESS: readonly number[] = [
  BPF_MAP_TYPE.QUEUE,
  BPF_MAP_TYPE.STACK,
  BPF_MAP_TYPE.BLOOM_FILTER,
  BPF_MAP_TYPE.RINGBUF,
  BPF_MAP_TYPE.USER_RINGBUF,
  BPF_MAP_TYPE.PERF_EVENT_ARRAY,
];

/** Types that have an order of their own. */
export const HASHES: readonly number[] = [
  BPF_MAP_TYPE.HASH,
  BPF_MAP_TYPE.LRU_HASH,
  BPF_MAP_TYPE.PERCPU_HASH,
  BPF_MAP_TYPE.LRU_PERCPU_HASH,
  BPF_MAP_TYPE.HASH_OF_MAPS,
];

/** `r0 = 0; exit`. */
const NOTHING = Uint8Array.of(0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);
const DOUBLE_LOAD = 0x18;
/** Register 1, and `BPF_PSEUDO_MAP_FD`. */
const MAP_INTO_R1 = 0x11;

/** A process that has nothing open yet. */
export function newProcess(kernel: Kernel): Process {
  return { kernel, handles: [], programs: [], btf: undefined, event: undefined };
}

/** A program that does nothing, or nothing with a map. */
export function programOf(type: number, name: string, map: number | null): ProgramAttributes {
  const load = new Uint8Array(map === null ? 0 : 16);
  if (map !== null) {
    load.set([DOUBLE_LOAD, MAP_INTO_R1]);
    new DataView(load.buffer).setUint32(4, map, true);
  }
  return {
    type,
    name,
    instructions: Uint8Array.of(...load, ...NOTHING),
    license: 'GPL',
    flags: 0,
    expectedAttachType: 0,
    kernelVersion: 0,
    btf: null,
    target: null,
    descriptors: [],
  };
}

/** The key of a map that a number stands for; null for maps without. */
export function keyOf(attributes: NewMap, key: number): Uint8Array | null {
  const bytes = new Uint8Array(attributes.keySize);
  if (bytes.length === 0) {
    return null;
  }
  if (attributes.type === BPF_MAP_TYPE.LPM_TRIE && bytes.length >= 5) {
    // Few bits, and keys that share them.
    const view = new DataView(bytes.buffer);
    view.setUint32(0, key % 19, true);
    bytes[4] = key & 1 ? 0xa0 : 0x20 + (key % 3);
    return bytes;
  }
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, key, true);
  bytes.set(new Uint8Array(view.buffer).subarray(0, Math.min(8, bytes.length)));
  return bytes;
}

/** All keys, one by one. */
export function keysOf(kernel: Kernel, { fd, attributes }: Handle): Uint8Array[] {
  const keys: Uint8Array[] = [];
  let before: Uint8Array | null = null;
  let next = new Uint8Array(attributes.keySize);
  while (kernel.nextKey(fd, before, next) && keys.length < 10_000) {
    keys.push(next);
    before = next;
    next = new Uint8Array(attributes.keySize);
  }
  return keys;
}

/** A walk: its keys, in their order where that is promised. */
export function walk(kernel: Kernel, handle: Handle): string {
  return inOrder(handle, keysOf(kernel, handle).map(String));
}

/** A walk that removes what it has passed. */
export function consume(kernel: Kernel, handle: Handle): string {
  const { fd, attributes } = handle;
  const keys: string[] = [];
  let key: Uint8Array | null = null;
  let next = new Uint8Array(attributes.keySize);
  while (kernel.nextKey(fd, key, next) && keys.length < 100) {
    const removed: boolean = key === null || kernel.delete(fd, key);
    keys.push(`${next} ${removed}`);
    key = next;
    next = new Uint8Array(attributes.keySize);
  }
  const last = key === null ? '' : `${kernel.delete(fd, key)}`;
  return `${inOrder(handle, keys)} ${last}`;
}

function inOrder({ attributes }: Handle, keys: string[]): string {
  return (HASHES.includes(attributes.type) ? keys.sort() : keys).join(' | ');
}
