/** Codecs written by hand: layouts as C has them, types as TypeScript infers them. */

import { describe, expect, expectTypeOf, it } from 'vitest';
import { array, bytes, enumeration, text } from '../../src/codec/aggregates.ts';
import { struct, union } from '../../src/codec/by-hand.ts';
import { type Codec, type Decoded, type Encodable, Memory } from '../../src/codec/codec.ts';
import { bool, f64, i8, i64, i128, u8, u16, u32, u64 } from '../../src/codec/numbers.ts';

function written<I>(codec: Codec<unknown, I>, value: I, littleEndian = true): string {
  const memory = new Memory(new Uint8Array(codec.sizeBytes).fill(0xee), littleEndian);
  codec.write(memory, 0, value);
  return Buffer.from(memory.bytes).toString('hex');
}

function read<T>(codec: Codec<T, never>, hex: string, littleEndian = true): T {
  return codec.read(new Memory(new Uint8Array(Buffer.from(hex, 'hex')), littleEndian), 0);
}

describe('a struct', () => {
  const flow = struct(
    { port: u16, packets: u64, mac: bytes(6), name: text(4) },
    { name: 'struct flow' },
  );

  it('is padded as by C', () => {
    expect(flow.sizeBytes).toBe(32);
    expect(written(flow, { port: 1, packets: 2n, mac: [1, 2, 3, 4, 5, 6], name: 'ab' })).toBe(
      '0100000000000000' + '0200000000000000' + '010203040506' + '61620000' + '000000000000',
    );
  });

  it('has no padding if it is packed', () => {
    const packed = struct({ a: u8, b: u64, c: u16 }, { packed: true });
    expect([packed.sizeBytes, packed.alignment]).toEqual([11, 1]);
    expect(written(packed, { a: 1, b: 2n, c: 3 })).toBe('01' + '0200000000000000' + '0300');
  });

  it('infers what is read and what may be written', () => {
    expectTypeOf<Decoded<typeof flow>>().toEqualTypeOf<{
      port: number;
      packets: bigint;
      mac: Uint8Array;
      name: string;
    }>();
    expectTypeOf<Encodable<typeof flow>>().toEqualTypeOf<{
      readonly port: number;
      readonly packets: bigint | number;
      readonly mac: Uint8Array | readonly number[];
      readonly name: string | Uint8Array;
    }>();
  });

  it('names the member at fault, however deep', () => {
    const outer = struct({ list: array(struct({ flow }), 2) });
    const good = { port: 1, packets: 2n, mac: new Uint8Array(6), name: '' };
    const wrong = { list: [{ flow: good }, { flow: { ...good, port: -1 } }] };
    expect(() => written(outer, wrong)).toThrow(/^list\[1\]\.flow\.port: expected u16/);
  });

  it('takes names such as __proto__ as names', () => {
    const odd = struct({ ['__proto__']: u8, constructor: u8, toString: u8 });
    const value = read(odd, '010203');
    expect(Object.keys(value).sort()).toEqual(['__proto__', 'constructor', 'toString']);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(written(odd, value)).toBe('010203');
  });

  it('refuses names that JavaScript would put first', () => {
    expect(() => struct({ b: u8, 1: u8 })).toThrow(TypeError);
  });
});

describe('a union', () => {
  const address = union({ v4: bytes(4), words: array(u32, 2), whole: u64 });

  it('shows every view of its bytes', () => {
    expect(read(address, '0100000002000000')).toEqual({
      v4: Uint8Array.of(1, 0, 0, 0),
      words: [1, 2],
      whole: 0x2_0000_0001n,
    });
  });

  it('is written by any one member, the rest becoming zero', () => {
    expect(written(address, { v4: [1, 2, 3, 4] })).toBe('0102030400000000');
    expect(written(address, { words: [1, 2] })).toBe('0100000002000000');
  });

  it('can be written back as it was read', () => {
    const value = read(address, '0100000002000000');
    expect(written(address, value)).toBe('0100000002000000');
  });

  it('is refused as it was read where a member does not show all bytes: one of them must be given', () => {
    const lossy = union({ text: text(8), whole: u64 });
    const value = read(lossy, '6100620000000000');
    expect(() => written(lossy, value)).toThrow(/text.*disagree|whole.*disagree/);
    expect(written(lossy, { whole: value.whole })).toBe('6100620000000000');
  });

  it('without members has nothing to write', () => {
    const nothing = struct({ a: u8, none: union({}) });
    expect(written(nothing, { a: 7, none: {} })).toBe('07');
  });

  it('refuses members that contradict each other, and no member', () => {
    expect(() => written(address, { whole: 1n, v4: [9, 9, 9, 9] })).toThrow(
      /v4.*disagree|whole.*disagree/,
    );
    expect(() => written(address, {})).toThrow(/needs one of its members v4, words, whole/);
  });
});

describe('numbers', () => {
  it.each<[string, Codec<unknown, never>, unknown, string, string]>([
    ['i8', i8, -2, 'fe', 'fe'],
    ['u16', u16, 0x1234, '3412', '1234'],
    ['u32', u32, 0xdead_beef, 'efbeadde', 'deadbeef'],
    ['i64', i64, -2n, 'feffffffffffffff', 'fffffffffffffffe'],
    ['i128', i128, -2n, `fe${'ff'.repeat(15)}`, `${'ff'.repeat(15)}fe`],
    ['f64', f64, 1.5, '000000000000f83f', '3ff8000000000000'],
    ['bool', bool, true, '01', '01'],
  ])('%s lie as the machine has them', (_, codec, value, little, big) => {
    expect(written(codec as Codec<unknown, unknown>, value)).toBe(little);
    expect(written(codec as Codec<unknown, unknown>, value, false)).toBe(big);
    expect(read(codec, little)).toBe(value);
    expect(read(codec, big, false)).toBe(value);
  });

  it('of 64 bits take whole numbers too', () => {
    expect(written(u64, 5)).toBe('0500000000000000');
    expect(() => written(u64, 2 ** 53)).toThrow(/integer/);
    expect(() => written(u64, -1)).toThrow(/from 0/);
    expect(() => written(u64, 2n ** 64n)).toThrow(/integer/);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, '1', null, undefined, {}, [], true])(
    'never take %s for an integer',
    (wrong) => {
      for (const codec of [u8, i8, u16, u32, u64, i64, i128]) {
        expect(() => written(codec as Codec<unknown, unknown>, wrong)).toThrow(TypeError);
      }
    },
  );
});

describe('an enumeration', () => {
  const color = enumeration(u32, { RED: 1, GREEN: 2, CRIMSON: 1 }, 'enum color');

  it('is read by name, and by number where there is no name', () => {
    expect(read(color, '02000000')).toBe('GREEN');
    expect(read(color, '01000000')).toBe('RED');
    expect(read(color, '63000000')).toBe(99);
  });

  it('is written by name or number', () => {
    expect(written(color, 'CRIMSON')).toBe('01000000');
    expect(written(color, 7)).toBe('07000000');
    expect(() => written(color, 'BLUE' as 'RED')).toThrow(
      /one of RED, GREEN, CRIMSON or a number, got "BLUE"/,
    );
  });
});
