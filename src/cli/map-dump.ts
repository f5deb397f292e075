/** `skep map dump`: the entries of a map, as the kernel's BTF describes them, or as bytes. */

import { alignUp } from '../bytes/align.ts';
import { type Codec, Memory } from '../codec/codec.ts';
import { bytesToHex, type Json, toJson } from '../codec/json.ts';
import { SyscallError } from '../errors.ts';
import { type LiveTypes, liveTypes } from '../maps/live-types.ts';
import type { RawMap } from '../maps/raw-map.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { openMap, titleOf } from './map-commands.ts';
import type { DumpOptions } from './program.ts';
import { print, printable, standardOutput, type Terminal } from './terminal.ts';
import { CommandError, parseMapReference } from './usage.ts';

/** Types whose entries cannot be gone through, and what they are instead. */
const WITHOUT_ITERATION: ReadonlyMap<number, string> = new Map([
  [BPF_MAP_TYPE.RINGBUF, 'a ring buffer: its records are consumed, not looked up'],
  [BPF_MAP_TYPE.USER_RINGBUF, 'a ring buffer for programs to read: it has no entries'],
  [BPF_MAP_TYPE.QUEUE, 'a queue: it has no keys, and reading it would empty it'],
  [BPF_MAP_TYPE.STACK, 'a stack: it has no keys, and reading it would empty it'],
  [BPF_MAP_TYPE.BLOOM_FILTER, 'a Bloom filter: it can only be asked whether it has a value'],
  [BPF_MAP_TYPE.ARENA, 'an arena: memory that is mapped, without entries'],
  [BPF_MAP_TYPE.SK_STORAGE, 'storage of sockets: a value is found by its socket only'],
  [BPF_MAP_TYPE.INODE_STORAGE, 'storage of inodes: a value is found by its file only'],
  [BPF_MAP_TYPE.TASK_STORAGE, 'storage of tasks: a value is found by its process only'],
  [BPF_MAP_TYPE.CGRP_STORAGE, 'storage of cgroups: a value is found by its cgroup only'],
  [BPF_MAP_TYPE.PERF_EVENT_ARRAY, 'an array of perf events, which the kernel does not give back'],
  [BPF_MAP_TYPE.CGROUP_ARRAY, 'an array of cgroups, which the kernel does not give back'],
  [BPF_MAP_TYPE.XSKMAP, 'an array of AF_XDP sockets, which the kernel does not give back'],
]);

/** Types whose look-ups give the id of what they hold, and what that is. */
const IDS: ReadonlyMap<number, string> = new Map([
  [BPF_MAP_TYPE.ARRAY_OF_MAPS, 'INNER MAP'],
  [BPF_MAP_TYPE.HASH_OF_MAPS, 'INNER MAP'],
  [BPF_MAP_TYPE.PROG_ARRAY, 'PROGRAM'],
]);

const PER_CPU: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE.PERCPU_HASH,
  BPF_MAP_TYPE.PERCPU_ARRAY,
  BPF_MAP_TYPE.LRU_PERCPU_HASH,
  BPF_MAP_TYPE.PERCPU_CGROUP_STORAGE,
]);

/** Output is handed over in portions of this many characters. */
const PORTION = 1 << 16;

const NO_TYPES: LiveTypes = { key: null, value: null };

/** An entry: a value, one for each CPU, or an id. */
interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array | readonly Uint8Array[] | number;
}

/**
 * Prints the entries of a map as they are read, however many there are.
 *
 * @throws CommandError for a type of map that has no entries to go through
 * @throws UsageError, SyscallError
 */
export async function dumpMap(words: readonly string[], options: DumpOptions): Promise<void> {
  const map = openMap(parseMapReference(words, 0).map);
  try {
    const { type } = map.info();
    const obstacle = WITHOUT_ITERATION.get(type);
    if (obstacle !== undefined) {
      throw new CommandError(`${titleOf(map)} cannot be dumped: it is ${obstacle}`);
    }
    const terminal = standardOutput();
    const types = options.raw === true ? NO_TYPES : typesOf(map);
    const isTyped = types.key !== null || types.value !== null;
    const format =
      options.json || isTyped ? lineFormat(map, types, options) : tableFormat(map, terminal);
    let text = options.json || isTyped ? '' : tableHead(map, terminal);
    let count = 0;
    for (const entry of entries(map)) {
      text += format(entry);
      count += 1;
      if (text.length >= PORTION) {
        print(text);
        text = '';
        // A turn of the event loop, in which a closed pipe is noticed.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    print(count === 0 && !options.json ? 'no entries\n' : text);
  } finally {
    map.close();
  }
}

/** The entries as the kernel goes through them: not sorted, and of a map that may change meanwhile. */
function* entries(map: RawMap): Generator<Entry> {
  const { type } = map.info();
  for (const key of map.keys()) {
    const bytes = lookUp(map, key);
    if (bytes === undefined) {
      // An empty slot, or an entry that has gone since its key was read.
      continue;
    }
    if (PER_CPU.has(type)) {
      yield { key, value: splitByCpu(bytes, map.info().valueSize) };
    } else if (IDS.has(type)) {
      const id = new DataView(bytes.buffer).getUint32(0, map.kernel.littleEndian);
      yield { key, value: id };
    } else {
      yield { key, value: bytes };
    }
  }
}

/** The value of a key; an error names the map and the key, which the kernel's front cannot. */
function lookUp(map: RawMap, key: Uint8Array): Uint8Array | undefined {
  try {
    return map.get(key);
  } catch (cause) {
    if (cause instanceof SyscallError) {
      throw new SyscallError(`the value of key ${bytesToHex(key)} of ${titleOf(map)}`, {
        command: cause.command,
        errno: cause.errno,
        errnoName: cause.errnoName,
        hint: cause.hint,
        cause,
      });
    }
    throw cause;
  }
}

/** The kernel puts the values of the CPUs behind each other, each on a multiple of 8 bytes. */
function splitByCpu(bytes: Uint8Array, valueSize: number): Uint8Array[] {
  const values: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += alignUp(valueSize, 8)) {
    values.push(bytes.subarray(at, at + valueSize));
  }
  return values;
}

/** The map's types, as far as this user may see them: without CAP_SYS_ADMIN there are bytes. */
function typesOf(map: RawMap): LiveTypes {
  try {
    return liveTypes(map.kernel, map.info());
  } catch (error) {
    if (error instanceof SyscallError && error.errnoName === 'EPERM') {
      return NO_TYPES;
    }
    throw error;
  }
}

/** One line for each entry: NDJSON, or the key and the value in JSON's notation. */
function lineFormat(map: RawMap, types: LiveTypes, options: DumpOptions): (entry: Entry) => string {
  const { littleEndian } = map.kernel;
  const decode = (codec: Codec<unknown, unknown> | null, bytes: Uint8Array): Json =>
    codec === null ? bytesToHex(bytes) : toJson(codec.read(new Memory(bytes, littleEndian), 0));
  const shown = (value: Entry['value']): Json => {
    if (typeof value === 'number') {
      return value;
    }
    return isMany(value)
      ? value.map((bytes) => decode(types.value, bytes))
      : decode(types.value, value);
  };
  return (entry) => {
    const key = decode(types.key, entry.key);
    const value = shown(entry.value);
    return options.json
      ? `${JSON.stringify({ key, value })}\n`
      : `${printable(JSON.stringify(key))}: ${printable(JSON.stringify(value))}\n`;
  };
}

function isMany(value: Uint8Array | readonly Uint8Array[]): value is readonly Uint8Array[] {
  return Array.isArray(value);
}

/** Keys of a map are all of one length, so the table can be printed before all of it is known. */
function tableFormat(map: RawMap, terminal: Terminal): (entry: Entry) => string {
  const keyWidth = keyColumn(map);
  const room = terminal.width - keyWidth - 2;
  return ({ key, value }) => {
    const lines = typeof value === 'number' ? [`${value}`] : valueLines(value, room);
    const keyText = spaced(key).padEnd(keyWidth);
    return lines
      .map((line, at) => `${at === 0 ? keyText : ' '.repeat(keyWidth)}  ${line}\n`)
      .join('');
  };
}

/** The line above the entries. */
function tableHead(map: RawMap, terminal: Terminal): string {
  const value = IDS.get(map.info().type) ?? 'VALUE';
  const gap = ' '.repeat(keyColumn(map) - 'KEY'.length + 2);
  return `${terminal.bold('KEY')}${gap}${terminal.bold(value)}\n`;
}

/** Two digits for each byte, and a space between them. */
function keyColumn(map: RawMap): number {
  return Math.max('KEY'.length, map.info().keySize * 3 - 1);
}

/** Lines of a value; of each CPU's value with its number in front. */
function valueLines(value: Uint8Array | readonly Uint8Array[], room: number): string[] {
  if (!isMany(value)) {
    return bytesInLines(value, room);
  }
  const digits = `${value.length - 1}`.length;
  return value.flatMap((bytes, cpu) => {
    const label = `CPU ${`${cpu}`.padStart(digits)}: `;
    return bytesInLines(bytes, room - label.length).map((line, at) =>
      at === 0 ? label + line : ' '.repeat(label.length) + line,
    );
  });
}

/** Bytes with spaces between them, in lines of a multiple of 8, or of 4 where there is less room. */
function bytesInLines(bytes: Uint8Array, room: number): string[] {
  // A terminal without a width has room for all.
  const fitting = Math.min(Math.floor((room + 1) / 3), bytes.length);
  if (fitting === bytes.length) {
    return [spaced(bytes)];
  }
  const unit = fitting >= 8 ? 8 : 4;
  const perLine = Math.max(unit, fitting - (fitting % unit));
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += perLine) {
    lines.push(spaced(bytes.subarray(at, at + perLine)));
  }
  return lines;
}

function spaced(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/..(?=.)/g, '$& ');
}
