/** What can be done with maps of which type by keys and values, and what is in the way. */

import type { MapHandle } from '../maps/map-handle.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { titleOf } from './map-place.ts';
import { CommandError } from './usage.ts';

/** Types whose entries cannot be gone through, and what they are instead. */
const WITHOUT_ITERATION: ReadonlyMap<number, string> = new Map([
  [BPF_MAP_TYPE.RINGBUF, 'a ring buffer: its records are consumed, not looked up; see "map watch"'],
  [BPF_MAP_TYPE.USER_RINGBUF, 'a ring buffer for programs to read: it has no entries'],
  [
    BPF_MAP_TYPE.QUEUE,
    'a queue: it has no keys, and reading it would empty it; "map get" shows the next value',
  ],
  [
    BPF_MAP_TYPE.STACK,
    'a stack: it has no keys, and reading it would empty it; "map get" shows the next value',
  ],
  [BPF_MAP_TYPE.BLOOM_FILTER, 'a Bloom filter: it can only be asked whether it has a value'],
  [BPF_MAP_TYPE.ARENA, 'an arena: memory that is mapped, without entries'],
  [BPF_MAP_TYPE.SK_STORAGE, 'storage of sockets: a value is found by its socket only'],
  [BPF_MAP_TYPE.INODE_STORAGE, 'storage of inodes: a value is found by its file only'],
  [BPF_MAP_TYPE.TASK_STORAGE, 'storage of tasks: a value is found by its process only'],
  [BPF_MAP_TYPE.CGRP_STORAGE, 'storage of cgroups: a value is found by its cgroup only'],
  [
    BPF_MAP_TYPE.PERF_EVENT_ARRAY,
    'an array of perf events, which the kernel does not give back; see "map watch"',
  ],
  [BPF_MAP_TYPE.CGROUP_ARRAY, 'an array of cgroups, which the kernel does not give back'],
  [BPF_MAP_TYPE.XSKMAP, 'an array of AF_XDP sockets, which the kernel does not give back'],
]);

/** Types without keys, of which single values can be asked for. */
const KEYLESS: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.QUEUE,
  BPF_MAP_TYPE.STACK,
  BPF_MAP_TYPE.BLOOM_FILTER,
]);

const OF_DESCRIPTORS =
  'its values go in as file descriptors of the process that sets them, of which a command has none';

/** Types whose values this command cannot write. */
const NOT_SETTABLE: ReadonlyMap<number, string> = new Map([
  [BPF_MAP_TYPE.PROG_ARRAY, OF_DESCRIPTORS],
  [BPF_MAP_TYPE.PERF_EVENT_ARRAY, OF_DESCRIPTORS],
  [BPF_MAP_TYPE.CGROUP_ARRAY, OF_DESCRIPTORS],
  [BPF_MAP_TYPE.SOCKMAP, OF_DESCRIPTORS],
  [BPF_MAP_TYPE.SOCKHASH, OF_DESCRIPTORS],
  [BPF_MAP_TYPE.REUSEPORT_SOCKARRAY, OF_DESCRIPTORS],
  [BPF_MAP_TYPE.XSKMAP, OF_DESCRIPTORS],
  [BPF_MAP_TYPE.STACK_TRACE, 'only programs put stacks into it'],
]);

/** Whether a map has values without keys: queues, stacks, Bloom filters. */
export function isKeyless(map: MapHandle): boolean {
  return isKeylessType(map.info().type);
}

/** Whether maps of this type have values without keys. */
export function isKeylessType(type: number): boolean {
  return KEYLESS.has(type);
}

/** Whether a map holds values that can be gone through. */
export function canBeDumped(map: MapHandle): boolean {
  return !WITHOUT_ITERATION.has(map.info().type);
}

/** @throws CommandError for a type of map that has no entries to go through */
export function checkDumped(map: MapHandle): void {
  refuse(map, 'dumped', WITHOUT_ITERATION.get(map.info().type), 'it is ');
}

/** @throws CommandError for a type of map that gives no single values either */
export function checkRead(map: MapHandle): void {
  const { type } = map.info();
  refuse(map, 'read', KEYLESS.has(type) ? undefined : WITHOUT_ITERATION.get(type), 'it is ');
}

/** @throws CommandError for a type of map whose values are not for a command to write */
export function checkWritten(map: MapHandle): void {
  const { type } = map.info();
  refuse(map, 'set', NOT_SETTABLE.get(type), '');
  refuse(map, 'set', KEYLESS.has(type) ? undefined : WITHOUT_ITERATION.get(type), 'it is ');
}

function refuse(map: MapHandle, what: string, reason: string | undefined, lead: string): void {
  if (reason !== undefined) {
    throw new CommandError(`${titleOf(map)} cannot be ${what}: ${lead}${reason}`);
  }
}
