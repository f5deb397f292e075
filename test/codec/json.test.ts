import { describe, expect, it } from 'vitest';
import { bytesToHex, toJson } from '../../src/codec/json.ts';

describe('a value as JSON', () => {
  it.each<[string, unknown, string]>([
    ['small integers are numbers', { a: 1, b: 2n, c: -3n }, '{"a":1,"b":2,"c":-3}'],
    [
      'integers a double cannot hold are strings',
      [2n ** 53n, 2n ** 53n - 1n],
      '["9007199254740992",9007199254740991]',
    ],
    ['bytes are hexadecimal', { mac: Uint8Array.of(0, 10, 255) }, '{"mac":"0x000aff"}'],
    [
      'floats that JSON lacks are names',
      [1.5, Number.NaN, Number.NEGATIVE_INFINITY],
      '[1.5,"NaN","-Infinity"]',
    ],
    ['text and truth stay', ['a"b', true], '["a\\"b",true]'],
    ['names are data', JSON.parse('{"__proto__":{"x":1}}'), '{"__proto__":{"x":1}}'],
  ])('%s', (_, value, text) => {
    expect(JSON.stringify(toJson(value))).toBe(text);
  });

  it('has bytes in the order of memory', () => {
    expect(bytesToHex(new Uint8Array(Uint16Array.of(0x1234).buffer))).toMatch(/^0x(3412|1234)$/);
    expect(bytesToHex(new Uint8Array())).toBe('0x');
  });
});
