import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { alignUp } from '../../src/bytes/align.ts';
import { StringTable } from '../../src/bytes/string-table.ts';
import { decodeAscii, decodeText, encodeText } from '../../src/bytes/text.ts';

describe('text', () => {
  it('is decoded as TextDecoder decodes it, up to how much one replacement stands for', () => {
    const same = (text: string) => text.replace(/\ufffd+/g, '\ufffd');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const wanted = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
        expect(same(decodeText(bytes, 0, bytes.length))).toBe(same(wanted));
      }),
      { numRuns: 2000 },
    );
  });

  it('is encoded as TextEncoder encodes it, and read back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const bytes = encodeText(text);
        expect(bytes).toEqual(new TextEncoder().encode(text));
        expect(decodeText(bytes, 0, bytes.length)).toBe(
          new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes),
        );
      }),
    );
  });

  it('of plain ASCII is decoded at once, and nothing else is', () => {
    const ascii = new Uint8Array(100_000).fill(0x61);
    expect(decodeAscii(ascii)).toBe('a'.repeat(100_000));
    expect(decodeAscii(Uint8Array.of(0x61, 0, 0x7f))).toBe('a\0\x7f');
    expect(decodeAscii(new TextEncoder().encode('größe'))).toBeNull();
    expect(decodeAscii(Uint8Array.of(0x61, 0xff))).toBeNull();
    expect(decodeAscii(Uint8Array.of(0xef, 0xbb, 0xbf))).toBeNull();
  });
});

describe('a table of strings', () => {
  const table = (text: string) => new StringTable(new TextEncoder().encode(text));

  it('gives the string at an offset, and at offsets inside one', () => {
    const names = table('\0first\0second\0');
    expect([names.at(0), names.at(1), names.at(7), names.at(9)]).toEqual([
      '',
      'first',
      'second',
      'cond',
    ]);
  });

  it('gives nothing outside, or where no NUL follows', () => {
    const names = table('\0cut');
    expect([names.at(1), names.at(4), names.at(-1), names.at(2 ** 32)]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('gives names that are not ASCII', () => {
    expect(table('\0größe\0名前\0').at(1)).toBe('größe');
    expect(table('\0größe\0名前\0').at(9)).toBe('名前');
  });

  it.each(['name', 'größe'])(
    'gives the same names before and after many were asked for: %s',
    (word) => {
      const all = Array.from({ length: 5000 }, (_, index) => `${word}_${index}`);
      const bytes = new TextEncoder().encode(`\0${all.join('\0')}\0`);
      const names = new StringTable(bytes);
      let offset = 1;
      const found: (string | undefined)[] = [];
      for (const name of all) {
        expect(names.is(offset, name)).toBe(true);
        found.push(names.at(offset));
        offset += new TextEncoder().encode(name).length + 1;
      }
      expect(found).toEqual(all);
      expect([names.at(1), names.at(bytes.length)]).toEqual([`${word}_0`, undefined]);
    },
  );

  it('is not decoded as a whole if it is large', () => {
    const bytes = new Uint8Array((1 << 20) + 10);
    bytes.set([0x61, 0x62], 1000);
    expect(new StringTable(bytes).at(1000)).toBe('ab');
  });
});

it('alignment rounds up', () => {
  expect([alignUp(0, 8), alignUp(1, 8), alignUp(8, 8), alignUp(9, 4096)]).toEqual([0, 8, 8, 4096]);
});

it('bytes that are no UTF-8 survive being text, if escaped', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
      expect(encodeText(decodeText(bytes, 0, bytes.length, 'escape'), 'escape')).toEqual(bytes);
    }),
    { numRuns: 2000 },
  );
});
