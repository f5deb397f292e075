/** Making calls again that were noted on one kernel, on another one. */

import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { type Call, copyOf, readBy } from './faults.ts';
import type { BatchCursor, Kernel, MapAttributes } from './kernel.ts';
import type { LogRequest, ProgramAttributes } from './program-calls.ts';
import { logOf, programOf, targetOf } from './replay-programs.ts';

/** What came of a call that was made again. */
export interface Replayed {
  readonly call: Call;
  readonly result?: unknown;
  readonly error?: unknown;
  /** What it read this time, to be compared with what the call read. */
  readonly read?: readonly Uint8Array[];
}

/** Methods whose first argument is a descriptor. */
const ON_DESCRIPTOR: ReadonlySet<string> = new Set([
  'duplicate',
  'close',
  'mapInfo',
  'mapUsage',
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
  'programInfo',
  'programCode',
  'runProgram',
  'linkStructOps',
  'btfInfo',
]);

/** Methods that give a descriptor. */
const GIVES_DESCRIPTOR: ReadonlySet<string> = new Set([
  'createMap',
  'duplicate',
  'openMapById',
  'openPinnedMap',
  'loadBtf',
  'openOutputEvent',
  'loadProgram',
  'openProgramById',
  'openPinnedProgram',
  'linkStructOps',
  'openBtfById',
]);

/** Types whose values are descriptors. */
const OF_DESCRIPTORS: readonly number[] = [
  BPF_MAP_TYPE.ARRAY_OF_MAPS,
  BPF_MAP_TYPE.HASH_OF_MAPS,
  BPF_MAP_TYPE.PROG_ARRAY,
  BPF_MAP_TYPE.PERF_EVENT_ARRAY,
];

const DESCRIPTOR_BYTES = 4;

/** What stands in the new kernel for a descriptor, or memory, of the log. */
type Translate = (value: unknown) => unknown;

/**
 * In the place of a descriptor that could not be had, that was closed, or that the log did not open: a
 * number as it stands in the log may be anything here.
 */
const NO_DESCRIPTOR = -1;

/**
 * Makes calls again. Descriptors, memory and cursors are those of the new kernel where the old ones
 * stand in the calls, so only descriptors that calls of the log have opened can be used; ids are taken
 * as they are. Calls that failed are made too.
 *
 * What the calls leave open stays open.
 */
export function replay(calls: readonly Call[], kernel: Kernel): Replayed[] {
  const known = new Map<unknown, unknown>();
  const translated: Translate = (value) => (known.has(value) ? known.get(value) : NO_DESCRIPTOR);
  const cursorFor = (cursor: BatchCursor): BatchCursor => {
    const position = new Uint8Array(cursor.position.length);
    const own = known.get(cursor) ?? { position, started: false, done: false };
    known.set(cursor, own);
    return own as BatchCursor;
  };
  const note = (call: Call, result: unknown): void => {
    if (call.method === 'close' || call.method === 'unmapMemory') {
      // The number, or the memory, may be given out again.
      known.delete(call.arguments[0]);
    } else if (call.error === undefined) {
      const isKept = GIVES_DESCRIPTOR.has(call.method) || call.method === 'mapMemory';
      if (isKept) {
        known.set(call.result, result);
      }
    }
  };
  return calls.map((call) => {
    try {
      const args = argumentsOf(call, kernel, translated, cursorFor);
      const method = kernel[call.method] as (...all: readonly unknown[]) => unknown;
      const result = method.apply(kernel, args as unknown[]);
      note(call, result);
      const read = readBy(call.method, args, result);
      return { call, result, ...(read === null ? {} : { read }) };
    } catch (error) {
      note(call, NO_DESCRIPTOR);
      return { call, error };
    }
  });
}

function argumentsOf(
  { method, arguments: args }: Call,
  kernel: Kernel,
  translated: Translate,
  cursorFor: (cursor: BatchCursor) => BatchCursor,
): readonly unknown[] {
  if (method === 'createMap') {
    return [attributesOf(args[0] as MapAttributes, translated)];
  }
  if (method === 'loadProgram') {
    const [attributes, log] = args as [ProgramAttributes, LogRequest | null];
    const own = (fd: number) => translated(fd) as number;
    return [programOf(attributes, kernel.littleEndian, own), logOf(log)];
  }
  if (method === 'unmapMemory') {
    const memory = translated(args[0]);
    return [memory instanceof ArrayBuffer ? memory : new ArrayBuffer(0)];
  }
  if (method === 'watch') {
    return [(args[0] as readonly number[]).map(translated), ...args.slice(1)];
  }
  if (!ON_DESCRIPTOR.has(method)) {
    return args.map(copyOf);
  }
  const fd = translated(args[0]) as number;
  const rest = args.slice(1).map((value) => (isCursor(value) ? cursorFor(value) : copyOf(value)));
  if (method === 'update' || method === 'updateBatch') {
    rest[1] = valuesOf(rest[1] as Uint8Array, kernel, fd, translated);
  }
  return [fd, ...rest];
}

function attributesOf(attributes: MapAttributes, translated: Translate): MapAttributes {
  const { innerMapFd, btf, kernelValueType } = attributes;
  const type = targetOf(kernelValueType ?? null, (fd) => translated(fd) as number);
  return {
    ...attributes,
    ...(type === null ? {} : { kernelValueType: type }),
    innerMapFd: innerMapFd === null ? null : (translated(innerMapFd) as number),
    btf: btf === null ? null : { ...btf, fd: translated(btf.fd) as number },
  };
}

/** Values of maps of descriptors, each the one that it is now. */
function valuesOf(
  values: Uint8Array,
  kernel: Kernel,
  fd: number,
  translated: Translate,
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

function isCursor(value: unknown): value is BatchCursor {
  return typeof value === 'object' && value !== null && 'position' in value;
}
