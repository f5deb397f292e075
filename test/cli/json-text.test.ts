/** Arguments that are JSON, or words that need no quotes. */

import { describe, expect, it } from 'vitest';
import { jsonOf, parseJsonWord, parseValue } from '../../src/cli/json-text.ts';
import { array, bytes, text } from '../../src/codec/aggregates.ts';
import { struct } from '../../src/codec/by-hand.ts';
import type { Codec } from '../../src/codec/codec.ts';
import { i64, u32, u64 } from '../../src/codec/numbers.ts';
import { LpmKey } from '../../src/maps/lpm-key.ts';
import { lpmKey } from '../../src/maps/lpm-key-codec.ts';

describe('an argument', () => {
  it.each<[string, unknown]>([
    ['5', 5],
    ['-5.5e3', -5500],
    ['true', true],
    ['null', null],
    ['"5"', '5'],
    [' { "a" : [ 1, "]" ] } ', { a: [1, ']'] }],
    ['eth0', 'eth0'],
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['2001:db8::/32', '2001:db8::/32'],
    ['0x0a0b', '0x0a0b'],
    ['TCP', 'TCP'],
    ['', ''],
    ['05', '05'],
    // Beyond what a double holds: to the last digit.
    ['18446744073709551615', '18446744073709551615'],
    ['[-9007199254740993,9007199254740991]', ['-9007199254740993', 9007199254740991]],
    [
      '{"a":"18446744073709551615 \\" 18446744073709551615"}',
      { a: '18446744073709551615 " 18446744073709551615' },
    ],
    ['1e300', 1e300],
  ])('%j is %j', (argument, json) => {
    expect(parseJsonWord(argument, 'KEY')).toEqual(json);
  });

  it.each(['{"a":1', '[1,]', '"open', "{'a':1}", '{a:1}', '1,2'])(
    '%j is refused, as it looks like JSON and is none',
    (argument) => {
      expect(() => parseJsonWord(argument, 'VALUE')).toThrow(/^VALUE is no JSON: /);
    },
  );

  it.each<[string, Codec<unknown, never>, unknown]>([
    ['-9223372036854775808', i64, -(2n ** 63n)],
    ['{"packets":18446744073709551615}', struct({ packets: u64 }), { packets: 2n ** 64n - 1n }],
    ['0x0a0b', bytes(2), Uint8Array.of(10, 11)],
    ['eth0', text(8), 'eth0'],
    ['[1,"2"]', array(u32, 2), [1, 2n]],
    ['10.0.0.0/8', lpmKey(4), '10.0.0.0/8'],
  ])('%j is what its type takes', (argument, codec, value) => {
    expect(parseValue(codec, argument, 'KEY')).toEqual(value);
  });

  it('that cannot be bytes is refused with its name and the path', () => {
    const codec = struct({ list: array(bytes(1), 2) });
    expect(() => parseValue(codec, '{"list":["0x01","1"]}', 'VALUE')).toThrow(
      'VALUE: list[1]: expected 1 bytes, as "0x" and 2 hexadecimal digits, got "1"',
    );
  });
});

it('keys of tries are printed as addresses where they are some', () => {
  expect(jsonOf(LpmKey.parse('10.0.0.0/8'))).toBe('10.0.0.0/8');
  expect(jsonOf(new LpmKey(9, Uint8Array.of(1, 2, 3)))).toEqual({
    prefixLength: 9,
    data: '0x010203',
  });
});
