/**
 * IP addresses between text and bytes in network order. Text of IPv4 is four decimal numbers without
 * leading zeros; text of IPv6 is read as by RFC 4291, without zones, and written as by RFC 5952.
 */

import { isIPv4, isIPv6 } from 'node:net';

/** Where the IPv4 address lies in an IPv4-mapped one: behind ten bytes 0 and two bytes 255. */
const MAPPED_PREFIX: readonly number[] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255];

/** The 4 or 16 bytes of an address; undefined for text that is none. */
export function parseAddress(text: string): Uint8Array | undefined {
  if (isIPv4(text)) {
    return Uint8Array.from(text.split('.'), Number);
  }
  // A zone names an interface of this machine; it is no part of the address.
  return isIPv6(text) && !text.includes('%') ? parseIpv6(text) : undefined;
}

/** The text of 4 or 16 bytes; undefined for any other number of bytes. */
export function spellAddress(bytes: Uint8Array): string | undefined {
  switch (bytes.length) {
    case 4:
      return bytes.join('.');
    case 16:
      return MAPPED_PREFIX.every((byte, at) => bytes[at] === byte)
        ? `::ffff:${bytes.subarray(12).join('.')}`
        : spellIpv6(bytes);
    default:
      return undefined;
  }
}

/** Takes text that is known to be right. */
function parseIpv6(text: string): Uint8Array {
  const [head, tail] = text.split('::').map(parseGroups) as [number[], number[] | undefined];
  const groups = tail === undefined ? head : [...head];
  if (tail !== undefined) {
    groups.push(...new Array<number>(8 - head.length - tail.length).fill(0), ...tail);
  }
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

/** The groups of 16 bits on one side of `::`. The last may be an IPv4 address, which makes two. */
function parseGroups(text: string): number[] {
  const groups: number[] = [];
  for (const part of text === '' ? [] : text.split(':')) {
    if (part.includes('.')) {
      const [a, b, c, d] = part.split('.').map(Number);
      groups.push((a! << 8) | b!, (c! << 8) | d!);
    } else {
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

/** The longest run of two or more zero groups becomes `::`, the first of those that are as long. */
function spellIpv6(bytes: Uint8Array): string {
  const groups: number[] = [];
  for (let at = 0; at < 16; at += 2) {
    groups.push((bytes[at]! << 8) | bytes[at + 1]!);
  }
  let [from, count] = [0, 1];
  for (let start = 0; start < 8; start += 1) {
    let end = start;
    while (groups[end] === 0) {
      end += 1;
    }
    if (end - start > count) {
      [from, count] = [start, end - start];
    }
  }
  const spell = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  return count < 2
    ? spell(groups)
    : `${spell(groups.slice(0, from))}::${spell(groups.slice(from + count))}`;
}
