/** What maps are created with, checked: the kernel would take part of a number and say nothing. */

import { describeValue } from '../codec/codec.ts';

const LARGEST = 0xffff_ffff;

/** What the kernel takes as a `__u32` in `union bpf_attr`, as the options call it. */
interface Sizes {
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
}

/**
 * Checks what a map is to be created with.
 *
 * @throws TypeError for what is no number; RangeError for one that is not whole, or has not 32 bits
 */
export function checkSizes({ keySize, valueSize, maxEntries, flags }: Sizes): void {
  checkU32('maxEntries', maxEntries);
  checkU32('flags', flags);
  checkU32('the size of a key', keySize);
  checkU32('the size of a value', valueSize);
}

/**
 * The creation flags of a map.
 *
 * @param given the caller's
 * @param added those that this kind of map has in any case
 * @throws as {@link checkSizes}
 */
export function creationFlags(given: number | undefined, added: number): number {
  const flags = given ?? 0;
  checkU32('flags', flags);
  return (flags | added) >>> 0;
}

/**
 * Refuses options without what a kind of map cannot do without, for callers whom TypeScript does not
 * check.
 *
 * @param maker the function that takes them, for messages: `HashMap.create`
 * @param codecs the names of those options that are codecs
 * @throws TypeError naming the option
 */
export function checkCreate(maker: string, options: unknown, ...codecs: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`${maker} takes an object of options, not ${describeValue(options)}`);
  }
  for (const name of codecs) {
    const codec: unknown = (options as Record<string, unknown>)[name];
    if (!isCodec(codec)) {
      const found = codec === undefined ? 'it is missing' : `not ${describeValue(codec)}`;
      throw new TypeError(`${maker}: the option "${name}" is a codec, such as u32; ${found}`);
    }
  }
}

/** Whether a caller who is not checked by TypeScript has given a codec. */
export function isCodec(value: unknown): boolean {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { sizeBytes?: unknown }).sizeBytes === 'number'
  );
}

function checkU32(what: string, value: unknown): void {
  if (typeof value !== 'number') {
    throw new TypeError(
      `${what} is a whole number from 0 to ${LARGEST}, not ${describeValue(value)}`,
    );
  }
  if (!Number.isInteger(value) || value < 0 || value > LARGEST) {
    throw new RangeError(`${what} is a whole number from 0 to ${LARGEST}, not ${value}`);
  }
}
