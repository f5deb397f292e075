/** Keys of longest prefix match tries: so many leading bits of some bytes. */

import { describeValue, ValueError } from '../codec/codec.ts';
import { parseAddress, spellAddress } from './ip-address.ts';

/** What stands for a key: its prefix length in bits, and data, of which only those bits count. */
export interface LpmKeyLike {
  readonly prefixLength: number;
  /** In network byte order, as the kernel compares it. */
  readonly data: Uint8Array | readonly number[];
}

/** A key as it was read. Its text is that of an address where the data has 4 or 16 bytes. */
export class LpmKey implements LpmKeyLike {
  /** In bits. */
  readonly prefixLength: number;
  readonly data: Uint8Array;

  constructor(prefixLength: number, data: Uint8Array) {
    this.prefixLength = prefixLength;
    this.data = data;
  }

  /**
   * The key of an address: `10.0.0.0/8`, `2001:db8::/32`; without a length, all bits.
   *
   * @throws ValueError for text that is no address
   */
  static parse(text: string): LpmKey {
    const [, address, length] = /^([^/]*)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
    const data = address === undefined ? undefined : parseAddress(address);
    if (data === undefined) {
      throw new ValueError(
        `expected an address, as 10.0.0.0/8 or 2001:db8::/32, got ${describeValue(text)}`,
      );
    }
    const bits = data.length * 8;
    const prefixLength = length === undefined ? bits : Number(length);
    if (prefixLength > bits) {
      throw new ValueError(`${describeValue(text)} has a prefix longer than its ${bits} bits`);
    }
    return new LpmKey(prefixLength, data);
  }

  /** `10.0.0.0/8`; data that is no address is written in hexadecimal digits: `0a0b0c/17`. */
  toString(): string {
    const hex = () => Array.from(this.data, (byte) => byte.toString(16).padStart(2, '0')).join('');
    return `${spellAddress(this.data) ?? hex()}/${this.prefixLength}`;
  }
}
