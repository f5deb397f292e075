/** How records become values. */

import type { Codec } from '../codec/codec.ts';
import type { RecordView } from './record-cursor.ts';

/** How records become values. Without any of it they are `Uint8Array`s, copies. */
export interface RecordOptions<T> {
  /** What each record starts with. */
  readonly value?: Codec<T, never>;
  /** Makes the value itself, for records of several types. It must not keep the record. */
  readonly decode?: (record: RecordView) => T;
  /** Ends every loop over the records that has none of its own. */
  readonly signal?: AbortSignal;
}

/** Of options that may hold more, what concerns records. */
export function recordOptions<T>(options: RecordOptions<T>): RecordOptions<T> {
  const { value, decode, signal } = options;
  if (value !== undefined && decode !== undefined) {
    throw new TypeError('records are described by value or decode, not by both');
  }
  return {
    ...(value === undefined ? {} : { value }),
    ...(decode === undefined ? {} : { decode }),
    ...(signal === undefined ? {} : { signal }),
  };
}

/** Makes what turns records into values. */
export function decoderOf<T>({ value, decode }: RecordOptions<T>): (record: RecordView) => T {
  if (decode !== undefined) {
    return decode;
  }
  // Objects declare records without a type as values of no bytes.
  if (value !== undefined && value.sizeBytes > 0) {
    return (record) => record.read(value);
  }
  return (record) => record.bytes() as T;
}
