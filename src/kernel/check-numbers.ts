/**
 * What every kernel asks of the numbers and names that a caller hands in, so that both ask the same.
 * A system call has no room for more than 32 bits in most places: what does not fit would become
 * another number, and a count that does would have the kernel write behind the caller's memory.
 */

import { encodeText } from '../bytes/text.ts';
import type { MapAttributes } from './kernel.ts';

const LARGEST_U32 = 0xffff_ffff;
const LARGEST_U64 = 0xffff_ffff_ffff_ffffn;
const LOWEST_I32 = -0x8000_0000;
/** `BPF_OBJ_NAME_LEN`, without the NUL at the end. */
const NAME_BYTES = 15;

/**
 * Refuses attributes of a map that do not fit `union bpf_attr`.
 *
 * @throws TypeError for a number that is no integer, or too large, and for a name with a NUL
 */
export function checkMapNumbers(map: MapAttributes): void {
  const refuse = (what: string, wanted: string, value: unknown) =>
    new TypeError(`the ${what} of map "${map.name}" is ${wanted}, not ${String(value)}`);
  for (const [what, value] of [
    ['type', map.type],
    ['key size', map.keySize],
    ['value size', map.valueSize],
    ['number of entries', map.maxEntries],
  ] as const) {
    if (!isU32(value)) {
      throw refuse(what, 'an integer of 32 bits', value);
    }
  }
  for (const [what, value] of [
    ['flags', map.flags],
    ['NUMA node', map.numaNode],
  ] as const) {
    // Operators of JavaScript give signed numbers: the bits are what counts.
    if (!Number.isInteger(value) || value < LOWEST_I32 || value > LARGEST_U32) {
      throw refuse(what, 'an integer of 32 bits', value);
    }
  }
  const { mapExtra } = map;
  if (typeof mapExtra !== 'bigint' || mapExtra < 0n || mapExtra > LARGEST_U64) {
    throw refuse('extra number (map_extra)', 'a bigint of 64 bits', mapExtra);
  }
}

/** Refuses a number of entries that is none. @throws TypeError */
export function checkCount(count: number): void {
  if (!isU32(count)) {
    throw new TypeError(`a number of entries is an integer of 32 bits, not ${String(count)}`);
  }
}

/**
 * A name as the kernel gets it: no more than fits, and no half of a character.
 *
 * @param what how errors call it: `map`
 * @throws TypeError for a name with a NUL, which would end there
 */
export function shortName(name: string, what: string): string {
  if (name.includes('\0')) {
    throw new TypeError(`the name of a ${what} cannot contain a NUL character`);
  }
  if (isAscii(name)) {
    return name.slice(0, NAME_BYTES);
  }
  let short = '';
  let size = 0;
  for (const character of name) {
    size += encodeText(character).length;
    if (size > NAME_BYTES) {
      break;
    }
    short += character;
  }
  return short;
}

/** Names of C nearly always are; whoever loads a thousand programs waits for each of them. */
function isAscii(name: string): boolean {
  for (let at = 0; at < name.length; at += 1) {
    if (name.charCodeAt(at) >= 0x80) {
      return false;
    }
  }
  return true;
}

function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= LARGEST_U32;
}
