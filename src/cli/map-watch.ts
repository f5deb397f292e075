/** `skep map watch`: the records of a ring buffer or perf event array, as programs send them. */

import { nearest } from '../bytes/nearest.ts';
import type { Codec } from '../codec/codec.ts';
import { codecOf } from '../codec/from-btf.ts';
import { toJson } from '../codec/json.ts';
import { ObjectFile } from '../loader/object-file.ts';
import { resolveRecordOptions } from '../loader/record-types.ts';
import { kernelName } from '../maps/create-map.ts';
import type { OwnedMap } from '../maps/map-handle.ts';
import { PerfEventArray } from '../maps/perf-event-array.ts';
import type { RecordMap, RecordSource } from '../maps/record-map.ts';
import { RingBuffer } from '../maps/ring-buffer.ts';
import { handleOf } from '../maps/standalone.ts';
import type { BtfKindName } from '../obj/btf/types.ts';
import { BPF_MAP_TYPE, mapTypeName } from '../uapi/map-types.ts';
import type { KernelChoice } from './kernel-choice.ts';
import { openReference } from './map-place.ts';
import type { WatchOptions } from './map-program.ts';
import { naming } from './object-errors.ts';
import { warn } from './report-error.ts';
import { print } from './terminal.ts';
import { codecOfType, parseTypeWord } from './type-words.ts';
import { CommandError, parseMapReference, UsageError } from './usage.ts';

/** How many records are printed in one go. */
const PORTION_RECORDS = 1024;

type RecordCodec = Codec<unknown, never>;
type RecordKind = new (source: RecordSource<unknown>) => RecordMap<unknown>;

/** Readers by type of map. */
const RECORD_KINDS: ReadonlyMap<number, RecordKind> = new Map<number, RecordKind>([
  [BPF_MAP_TYPE.RINGBUF, RingBuffer],
  [BPF_MAP_TYPE.PERF_EVENT_ARRAY, PerfEventArray],
]);

/** Kinds of types whose names are suggested. */
const NAMED_KINDS: readonly BtfKindName[] = ['struct', 'union', 'typedef'];

/**
 * Prints records, one JSON value a line, until there were enough, or the user interrupts it.
 *
 * @throws CommandError for maps without records
 * @throws UsageError for types that do not exist
 */
export async function watchMap(
  kernel: KernelChoice,
  words: readonly string[],
  options: WatchOptions,
): Promise<void> {
  const reference = parseMapReference(words, 0).map;
  // Its reader writes how far it has come.
  const map = openRecords(openReference(kernel.open(), reference, 'read-write'), options);
  const abort = new AbortController();
  const end = () => abort.abort();
  process.once('SIGINT', end).once('SIGTERM', end);
  try {
    await printRecords(map, options.count ?? Number.POSITIVE_INFINITY, abort.signal);
  } finally {
    process.off('SIGINT', end).off('SIGTERM', end);
    if (map instanceof PerfEventArray && map.lost > 0) {
      warn(`${map.lost} records found no room, and are lost`);
    }
    map.close();
  }
}

async function printRecords(
  map: RecordMap<unknown>,
  count: number,
  signal: AbortSignal,
): Promise<void> {
  let left = count;
  while (left > 0) {
    try {
      await map.wait({ signal });
    } catch (error) {
      if (signal.aborted) {
        // As asked for, by whoever sent the signal.
        return;
      }
      throw error;
    }
    let text = '';
    try {
      left -= map.consume(
        (record) => {
          text += `${JSON.stringify(toJson(record))}\n`;
        },
        { limit: Math.min(left, PORTION_RECORDS) },
      );
    } finally {
      // Taken is taken, though a record behind these does not fit the type.
      print(text);
    }
    // A turn of the event loop, in which a closed pipe and signals are noticed.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Opens the reader of a map, which is closed if that fails. */
function openRecords(map: OwnedMap, options: WatchOptions): RecordMap<unknown> {
  const { kernel, fd } = map;
  let source: RecordSource<unknown>;
  let kind: RecordKind | undefined;
  try {
    const { type, name } = kernel.mapInfo(fd);
    kind = RECORD_KINDS.get(type);
    if (kind === undefined) {
      throw new CommandError(
        `map "${name}" is a ${mapTypeName(type)}, which has no records to wait for; see "map dump"`,
      );
    }
    const value = recordCodec(options, name);
    source = { ...map, ...(value === undefined ? {} : { value }) };
  } catch (error) {
    kernel.close(fd);
    throw error;
  }
  return handleOf(kind, source);
}

/**
 * What records start with, as the kernel keeps no types with maps of records.
 *
 * @param name the kernel's name of the map
 */
function recordCodec(options: WatchOptions, name: string): RecordCodec | undefined {
  const { object: file, type, valueType } = options;
  if (valueType !== undefined) {
    return codecOfType(parseTypeWord(valueType, '--value-type'));
  }
  if (file === undefined) {
    if (type !== undefined) {
      throw new UsageError('--type is a type of an object; give --object FILE as well');
    }
    return undefined;
  }
  const object = naming(file, () => ObjectFile.open(file));
  return type === undefined ? declaredCodec(file, object, name) : namedCodec(file, object, type);
}

/** The type that an object declares for the records of its map of this name. */
function declaredCodec(file: string, { maps, btf }: ObjectFile, name: string): RecordCodec {
  const map = [...maps.values()].find((each) => kernelName(each.name) === name);
  if (map === undefined || map.valueTypeId === 0 || btf === undefined) {
    const problem = map === undefined ? 'has no map' : 'declares no type for the records of';
    throw new UsageError(`${file} ${problem} "${name}"; give --type NAME`);
  }
  return codecOf(btf, map.valueTypeId);
}

function namedCodec(file: string, object: ObjectFile, wanted: string): RecordCodec {
  const name = wanted.replace(/^(?:struct|union|enum) /, '');
  try {
    return resolveRecordOptions(object, { type: name }).value as RecordCodec;
  } catch (error) {
    if (!(error instanceof RangeError)) {
      throw error;
    }
    const { btf } = object;
    const ids = NAMED_KINDS.flatMap((kind) => btf?.idsOfKind(kind) ?? []);
    const suggestion = nearest(
      name,
      ids.flatMap((id) => btf?.nameOf(id) || []),
    );
    const help =
      suggestion === undefined
        ? '; clang leaves out what no map, function or variable uses'
        : `; did you mean "${suggestion}"?`;
    throw new UsageError(`${file} has no type called "${name}"${help}`);
  }
}
