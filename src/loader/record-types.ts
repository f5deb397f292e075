/** What the records of a ring buffer or perf event array are, as their reader says. */

import { codecOf } from '../codec/from-btf.ts';
import type { PerfOptions } from '../maps/perf-event-array.ts';
import { type RecordOptions, recordOptions } from '../maps/record-options.ts';
import type { ObjectFile } from '../obj/object.ts';

/** How records of an object's map are decoded. Without any of it, by the declared `value` type. */
export interface ObjectRecordOptions<T> extends RecordOptions<T> {
  /** The name of a type in the object's BTF that each record starts with: `event` for `struct event`. */
  readonly type?: string;
}

/** How a perf event array of an object is read. */
export interface ObjectPerfOptions<T> extends ObjectRecordOptions<T>, PerfOptions<T> {}

/**
 * The options with a named type looked up.
 *
 * @throws RangeError if the object has no such type
 */
export function resolveRecordOptions<T>(
  object: ObjectFile,
  options: ObjectRecordOptions<T>,
): RecordOptions<T> {
  const { type } = options;
  const rest = recordOptions(options);
  if (type === undefined) {
    return rest;
  }
  if (options.value !== undefined || options.decode !== undefined) {
    throw new TypeError('records are described by type, value or decode: by one of them');
  }
  const { btf } = object;
  const id =
    btf === undefined
      ? 0
      : // A struct first: C has a typedef of the same name beside it at times.
        btf.find(type, 'struct') || btf.find(type, 'union') || btf.find(type);
  if (btf === undefined || id === 0) {
    throw new RangeError(
      `the object has no type "${type}"; clang leaves out what no map, function or variable uses`,
    );
  }
  return { ...rest, value: codecOf(btf, id) as NonNullable<RecordOptions<T>['value']> };
}
