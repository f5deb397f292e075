/** Making calls again that were noted on one kernel, on another one. */

import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import type { Call } from './faults.ts';
import type { BatchCursor, Kernel, MapAttributes } from './kernel.ts';

/** What came of a call that was made again. */
export interface Replayed {
  readonly call: Call;
  readonly result?: unknown;
  readonly error?: unknown;
}

/** Methods whose first argument is a descriptor. */
const ON_DESCRIPTOR: ReadonlySet<string> = new Set([
  'duplicate',
  'close',
  'mapInfo',
  'valueBytes',
  'lookup',
  'update',
  'delete',
  'lookupAndDelete',
  'nextKey',
  'lookupBatch',
  'lookupAndDeleteBatch',
  'updateBatch',
  'freeze',
  'mapMemory',
  'pin',
]);

/** Methods that give a descriptor. */
const GIVES_DESCRIPTOR: ReadonlySet<string> = new Set([
  'createMap',
  'duplicate',
  'openMapById',
  'openPinnedMap',
  'loadBtf',
  'openOutputEvent',
]);

/** Types whose values are descriptors. */
const OF_DESCRIPTORS: readonly number[] = [
  BPF_MAP_TYPE.ARRAY_OF_MAPS,
  BPF_MAP_TYPE.HASH_OF_MAPS,
  BPF_MAP_TYPE.PROG_ARRAY,
  BPF_MAP_TYPE.PERF_EVENT_ARRAY,
];

const DESCRIPTOR_BYTES = 4;

/**
 * Makes calls again. Descriptors, memory and cursors are those of the new kernel where the old ones
 * stand in the calls; ids are taken as they are. Calls that failed are made too.
 *
 * What the calls leave open stays open.
 */
export function replay(calls: readonly Call[], kernel: Kernel): Replayed[] {
  const known = new Map<unknown, unknown>();
  const translated = (value: unknown): unknown => (known.has(value) ? known.get(value) : value);
  const cursorFor = (cursor: BatchCursor): BatchCursor => {
    const position = new Uint8Array(cursor.position.length);
    const own = known.get(cursor) ?? { position, started: false, done: false };
    known.set(cursor, own);
    return own as BatchCursor;
  };
  return calls.map((call) => {
    try {
      const args = argumentsOf(call, kernel, translated, cursorFor);
      const method = kernel[call.method] as (...all: readonly unknown[]) => unknown;
      const result = method.apply(kernel, args as unknown[]);
      if (GIVES_DESCRIPTOR.has(call.method) || call.method === 'mapMemory') {
        known.set(call.result, result);
      }
      return { call, result };
    } catch (error) {
      return { call, error };
    }
  });
}

function argumentsOf(
  { method, arguments: args }: Call,
  kernel: Kernel,
  translated: (value: unknown) => unknown,
  cursorFor: (cursor: BatchCursor) => BatchCursor,
): readonly unknown[] {
  if (method === 'createMap') {
    return [attributesOf(args[0] as MapAttributes, translated)];
  }
  if (method === 'unmapMemory') {
    return [translated(args[0])];
  }
  if (method === 'watch') {
    return [(args[0] as readonly number[]).map(translated), ...args.slice(1)];
  }
  if (!ON_DESCRIPTOR.has(method)) {
    return args.map(copied);
  }
  const fd = translated(args[0]) as number;
  const rest = args.slice(1).map((value) => (isCursor(value) ? cursorFor(value) : copied(value)));
  if (method === 'update' || method === 'updateBatch') {
    rest[1] = valuesOf(rest[1] as Uint8Array, kernel, fd, translated);
  }
  return [fd, ...rest];
}

function attributesOf(
  attributes: MapAttributes,
  translated: (value: unknown) => unknown,
): MapAttributes {
  const { innerMapFd, btf } = attributes;
  return {
    ...attributes,
    innerMapFd: translated(innerMapFd) as number | null,
    btf: btf === null ? null : { ...btf, fd: translated(btf.fd) as number },
  };
}

/** Values of maps of descriptors, each the one that it is now. */
function valuesOf(
  values: Uint8Array,
  kernel: Kernel,
  fd: number,
  translated: (value: unknown) => unknown,
): Uint8Array {
  if (!OF_DESCRIPTORS.includes(kernel.mapInfo(fd).type)) {
    return values;
  }
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
  for (let at = 0; at + DESCRIPTOR_BYTES <= values.length; at += DESCRIPTOR_BYTES) {
    const now = translated(view.getUint32(at, kernel.littleEndian)) as number;
    view.setUint32(at, now, kernel.littleEndian);
  }
  return values;
}

function copied(value: unknown): unknown {
  return value instanceof Uint8Array ? value.slice() : value;
}

function isCursor(value: unknown): value is BatchCursor {
  return typeof value === 'object' && value !== null && 'position' in value;
}
