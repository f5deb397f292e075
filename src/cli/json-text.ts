/** JSON as it is typed on a command line, and the words of it. */

import { type Codec, ValueError } from '../codec/codec.ts';
import { fromJson, type Json, toJson } from '../codec/json.ts';
import { LpmKey } from '../maps/lpm-key.ts';
import { ArgumentError, UsageError } from './usage.ts';

/** Text in quotes, or a number. In JSON, digits outside of quotes are always a number's. */
const STRINGS_AND_NUMBERS = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/**
 * Reads one argument. What is no JSON and has none of its punctuation is text, so that `eth0`,
 * `10.0.0.0/8` and `0x0a000001` need no quotes. Integers are kept to the last digit.
 *
 * @param what the argument's name, for the message
 * @throws UsageError if it has the punctuation of JSON, and is none
 */
export function parseJsonWord(text: string, what: string): Json {
  try {
    return JSON.parse(text.replace(STRINGS_AND_NUMBERS, quoteLarge)) as Json;
  } catch (cause) {
    if (!/["{}[\],]/.test(text)) {
      return text;
    }
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new UsageError(`${what} is no JSON: ${reason}`);
  }
}

/** Integers that JavaScript would round become text, which `fromJson` takes for a number. */
function quoteLarge(token: string): string {
  return /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token)) ? `"${token}"` : token;
}

/**
 * What a codec writes for one argument.
 *
 * @throws UsageError with the path inside the JSON, if the argument does not fit the type
 */
export function parseValue(codec: Codec<unknown, never>, text: string, what: string): unknown {
  const json = parseJsonWord(text, what);
  return asUsage(what, () => fromJson(codec, json));
}

/** Runs what encodes an argument; a value that does not fit is wrong usage. */
export function asUsage<T>(what: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof ValueError)) {
      throw error;
    }
    // Without the map's name, which the caller knows: the argument is the subject here.
    throw new ArgumentError(what, new ValueError(error.problem, error.path).message);
  }
}

/** A decoded key or value as JSON. Keys of tries that are addresses are their text. */
export function jsonOf(value: unknown): Json {
  if (value instanceof LpmKey && (value.data.length === 4 || value.data.length === 16)) {
    return value.toString();
  }
  return toJson(value);
}
