/** IP addresses: against what Node.js and its URLs make of them. */

import { BlockList, isIP, SocketAddress } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAddress, spellAddress } from '../../src/maps/ip-address.ts';

/** Sixteen bytes, many of them zero so that runs of zeros of all lengths turn up. */
const ipv6Bytes = fc
  .array(fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(0xffff), fc.nat(15)), {
    minLength: 8,
    maxLength: 8,
  })
  .map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 255])));

/** How Node.js spells an address, whatever it was spelled like. */
function spelledByNode(address: string): string {
  return new SocketAddress({ address, family: isIP(address) === 4 ? 'ipv4' : 'ipv6' }).address;
}

/** The bytes as eight groups, as long as can be. */
function spelledInFull(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').match(/.{4}/g)!.join(':').toUpperCase();
}

describe('the text of an address', () => {
  it('of IPv4 is what Node.js makes of it, and is read back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 4 }), (bytes) => {
        const text = spellAddress(bytes)!;
        expect(new URL(`http://${Buffer.from(bytes).readUInt32BE()}`).hostname).toBe(text);
        expect(parseAddress(text)).toEqual(bytes);
      }),
    );
  });

  it('of IPv6 is what Node.js and URLs make of the groups, and is read back', () => {
    fc.assert(
      fc.property(ipv6Bytes, (bytes) => {
        const full = spelledInFull(bytes);
        const text = spellAddress(bytes)!;
        const url = new URL(`http://[${full}]`).hostname;
        if (!text.includes('.')) {
          expect(`[${text}]`).toBe(url);
        }
        const node = spelledByNode(full);
        // Node.js also writes the long abandoned ::1.2.3.4.
        if (!node.includes('.') || text.includes('.')) {
          expect(text).toBe(node);
        }
        for (const spelling of [full, text, node, url.slice(1, -1)]) {
          expect(parseAddress(spelling), spelling).toEqual(bytes);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['::', '00000000000000000000000000000000'],
    ['::1', '00000000000000000000000000000001'],
    ['1::', '00010000000000000000000000000000'],
    ['2001:db8::1:0:0:1', '20010db8000000000001000000000001'],
    ['2001:db8:0:1:1:1:1:1', '20010db8000000010001000100010001'],
    ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
    ['1:0:0:2::', '00010000000000020000000000000000'],
  ])('%s is the shortest there is (RFC 5952)', (text, hex) => {
    const bytes = new Uint8Array(Buffer.from(hex, 'hex'));
    expect(spellAddress(bytes)).toBe(text);
    expect(parseAddress(text)).toEqual(bytes);
  });

  it.each([
    ['64:ff9b::192.0.2.33', '0064ff9b0000000000000000c0000221'],
    ['1:2:3:4:5:6:7.8.9.10', '0001000200030004000500060708090a'],
    ['0001:0:0:0:0:0:0:AbCd', '0001000000000000000000000000abcd'],
    ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
    ['::2:3:4:5:6:7:8', '00000002000300040005000600070008'],
  ])('may also be %s', (text, hex) => {
    expect(Buffer.from(parseAddress(text)!).toString('hex')).toBe(hex);
  });

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '1.2.3.256',
    '1.2.3.-4',
    '0x1.2.3.4',
    '1.2.3.4 ',
    '١.2.3.4',
    '1',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    'g::',
    '::1.2.3',
    '::1.2.3.04',
    'fe80::1%eth0',
    '[::1]',
    '10.0.0.0/8',
  ])('is not %j', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  it('is read from any text without an error, and only where Node.js sees an address', () => {
    const pieces = fc.array(fc.constantFrom('::', ':', '.', '0', '1', 'ff', '10', '%', 'x'), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          pieces.map((list) => list.join('')),
          fc.ipV6(),
          fc.ipV4(),
        ),
        (text) => {
          const bytes = parseAddress(text);
          expect(bytes?.length ?? 0).toBe(
            text.includes('%') ? 0 : ({ 0: 0, 4: 4, 6: 16 } as Record<number, number>)[isIP(text)],
          );
          if (bytes !== undefined) {
            // The same address to a list of blocked ones, however it is spelled.
            const list = new BlockList();
            const family = bytes.length === 4 ? 'ipv4' : 'ipv6';
            list.addAddress(text, family);
            expect(list.check(spellAddress(bytes)!, family)).toBe(true);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('has 4 or 16 bytes', () => {
    for (const length of [0, 3, 5, 8, 15, 17]) {
      expect(spellAddress(new Uint8Array(length))).toBeUndefined();
    }
  });
});
