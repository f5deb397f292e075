/** What maps are created with, checked: the kernel would take part of a number and say nothing. */

import { nearest } from '../bytes/nearest.ts';
import { describeValue } from '../codec/codec.ts';

const LARGEST = 0xffff_ffff;
/** So many options are named where none is near. */
const FEW = 3;

/**
 * The options of `create`, whatever the kind of map. Options of another kind are let pass: the same
 * object may be given to several.
 */
const CREATE_OPTIONS: readonly string[] = [
  ...['key', 'value', 'maxEntries', 'flags', 'name', 'kernel'],
  ...['lru', 'hashes', 'depth', 'buildIds', 'cookies', 'programs'],
  // Of maps of maps, and of their templates.
  ...['inner', 'kind'],
  // Of arenas and of maps of records.
  ...['pages', 'sizeBytes', 'bytesPerCpu', 'wakeupEvents', 'decode', 'signal'],
];

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
 * Refuses options without what a kind of map cannot do without, and names that no kind of map has,
 * for callers whom TypeScript does not check.
 *
 * @param maker the function that takes them, for messages: `HashMap.create`
 * @param codecs the names of those options that are codecs
 * @throws TypeError naming the option, and the one that a misspelled name is near to
 */
export function checkCreate(maker: string, options: unknown, ...codecs: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`${maker} takes an object of options, not ${describeValue(options)}`);
  }
  checkOptionNames(maker, options, CREATE_OPTIONS);
  for (const name of codecs) {
    const codec: unknown = (options as Record<string, unknown>)[name];
    if (!isCodec(codec)) {
      const found = codec === undefined ? 'it is missing' : `not ${describeValue(codec)}`;
      throw new TypeError(`${maker}: the option "${name}" is a codec, such as u32; ${found}`);
    }
  }
}

/**
 * Refuses names that no option has: whoever misspells one would go without it, and not know.
 *
 * @param maker the function that takes them, for messages
 * @throws TypeError naming the nearest that there is
 */
export function checkOptionNames(maker: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      const near = nearest(name, known);
      const all = known.length <= FEW ? `; there are ${known.join(', ')}` : '';
      const help = near === undefined ? all : `; did you mean "${near}"?`;
      throw new TypeError(`${maker}: there is no option "${name}"${help}`);
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
