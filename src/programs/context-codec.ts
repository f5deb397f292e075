/**
 * Contexts of test runs as values: by the type of the program's argument, which the object declares
 * (`int account(struct request *request)`), or as the arguments of a raw tracepoint.
 */

import { type Codec, describeValue, Memory, ValueError } from '../codec/codec.ts';
import { codecOf } from '../codec/from-btf.ts';
import { sizeOfType, skipModifiers } from '../obj/btf/layout.ts';
import type { ObjectFile } from '../obj/object.ts';
import { BPF_PROG_TYPE } from '../uapi/program-types.ts';

/** A struct as context: its members by name. Those that are not given are zero. */
export type ContextRecord = Readonly<Record<string, unknown>>;

/** What a context may be given as. */
export type ContextInput = Uint8Array | readonly (bigint | number)[] | ContextRecord;

/** The codec of a struct that a program takes. */
export type ContextCodec = Codec<ContextRecord, unknown>;

const WORD_BYTES = 8;

/**
 * The codec of what a program's argument points at; undefined if that is no struct, or no BTF says.
 *
 * @throws ObjectError `ERR_SKEP_BTF`
 */
export function contextCodec(object: ObjectFile, program: string): ContextCodec | undefined {
  const { btf } = object;
  const func = btf?.find(program, 'func') ?? 0;
  if (btf === undefined || func === 0) {
    return undefined;
  }
  const prototype = btf.type(btf.sizeOrType(func));
  const [first] = prototype.kind === 'func_proto' ? prototype.parameters : [];
  const pointer = first === undefined ? undefined : btf.type(skipModifiers(btf, first.typeId));
  if (pointer?.kind !== 'ptr') {
    return undefined;
  }
  const id = skipModifiers(btf, pointer.typeId);
  const isStruct = btf.type(id).kind === 'struct' && sizeOfType(btf, id) > 0;
  return isStruct ? (codecOf(btf, id) as ContextCodec) : undefined;
}

/**
 * The bytes of a context.
 *
 * @param codec the codec of the program's argument, if it is known
 * @throws TypeError for a value where nothing says what its bytes are; ValueError for one that does not fit
 */
export function encodeContext(
  type: number,
  context: ContextInput,
  codec: ContextCodec | undefined,
  littleEndian: boolean,
): Uint8Array {
  if (context instanceof Uint8Array) {
    return context;
  }
  if (Array.isArray(context)) {
    return encodeArguments(type, context as readonly (bigint | number)[], littleEndian);
  }
  if (typeof context !== 'object' || context === null) {
    throw new TypeError(
      `run: context is bytes, a list or an object, not ${describeValue(context)}`,
    );
  }
  if (codec === undefined) {
    throw new TypeError(
      'run: nothing says what the members of the context are: the program was not loaded from an object that declares its argument as a pointer to a struct; give its bytes',
    );
  }
  const memory = new Memory(new Uint8Array(codec.sizeBytes), littleEndian);
  try {
    codec.write(memory, 0, { ...codec.read(memory, 0), ...context });
  } catch (error) {
    throw error instanceof ValueError ? error.within('context') : error;
  }
  return memory.bytes;
}

/** A context as it was given: bytes as bytes, a struct as its members. */
export function decodeContext(
  bytes: Uint8Array,
  given: ContextInput | undefined,
  codec: ContextCodec | undefined,
  littleEndian: boolean,
): Uint8Array | ContextRecord {
  const isRecord = given !== undefined && !(given instanceof Uint8Array) && !Array.isArray(given);
  return isRecord && codec !== undefined && bytes.length >= codec.sizeBytes
    ? codec.read(new Memory(bytes, littleEndian), 0)
    : bytes;
}

function encodeArguments(
  type: number,
  list: readonly (bigint | number)[],
  littleEndian: boolean,
): Uint8Array {
  if (type !== BPF_PROG_TYPE.RAW_TRACEPOINT && type !== BPF_PROG_TYPE.RAW_TRACEPOINT_WRITABLE) {
    throw new TypeError('run: only raw tracepoints take a list, their arguments, as context');
  }
  const view = new DataView(new ArrayBuffer(list.length * WORD_BYTES));
  list.forEach((value, index) => {
    if (typeof value !== 'bigint' && !Number.isSafeInteger(value)) {
      throw new TypeError(`run: context[${index}] is an integer, not ${describeValue(value)}`);
    }
    view.setBigUint64(index * WORD_BYTES, BigInt.asUintN(64, BigInt(value)), littleEndian);
  });
  return new Uint8Array(view.buffer);
}
