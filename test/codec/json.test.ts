import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { array, bytes, enumeration, text } from '../../src/codec/aggregates.ts';
import { struct, union } from '../../src/codec/by-hand.ts';
import { type Codec, Memory, ValueError } from '../../src/codec/codec.ts';
import { bytesToHex, fromJson, type Json, toJson } from '../../src/codec/json.ts';
import { bool, f64, i16, i64, u8, u16, u32, u64 } from '../../src/codec/numbers.ts';
import { perCpu } from '../../src/codec/per-cpu.ts';
import { lpmKey } from '../../src/maps/lpm-key-codec.ts';

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

describe('a value from JSON', () => {
  const flow = struct({
    port: u16,
    packets: u64,
    address: bytes(4),
    name: text(8),
    on: bool,
    ratio: f64,
    kind: enumeration(u32, { NONE: 0, SOME: 1 }),
    wide: enumeration(u64, { FIRST: 1n }),
    list: array(i64, 2),
    either: union({ v4: bytes(4), whole: u32 }),
  });
  const value = {
    port: 443,
    packets: 2n ** 64n - 1n,
    address: Uint8Array.of(10, 0, 0, 1),
    name: 'eth0',
    on: true,
    ratio: Number.NEGATIVE_INFINITY,
    kind: 'SOME' as const,
    wide: 'FIRST' as const,
    list: [-(2n ** 63n), 5n],
    either: { v4: new Uint8Array(4), whole: 0 },
  };

  function written<T>(codec: Codec<T, never>, json: Json): Uint8Array {
    const memory = new Memory(new Uint8Array(codec.sizeBytes), true);
    codec.write(memory, 0, fromJson(codec, json) as never);
    return memory.bytes;
  }

  it('is what it was as JSON', () => {
    const memory = new Memory(new Uint8Array(flow.sizeBytes), true);
    flow.write(memory, 0, value);
    expect(flow.read(memory, 0)).toEqual(value);
    expect(written(flow, JSON.parse(JSON.stringify(toJson(value))))).toEqual(memory.bytes);
  });

  it('is what it was as JSON, whatever the bytes', () => {
    // All bytes count in these: no padding, no byte with several values for one meaning.
    const codec = struct({
      a: array(i64, 2),
      b: enumeration(u64, { NONE: 0n, MOST: 2n ** 64n - 1n }),
      c: u32,
      d: bytes(3),
      e: enumeration(u8, { LAST: 255 }),
      f: array(struct({ low: i16, high: u16 }), 2),
    });
    const bytesOfAll = fc.uint8Array({ minLength: codec.sizeBytes, maxLength: codec.sizeBytes });
    fc.assert(
      fc.property(bytesOfAll, (random) => {
        const json = JSON.stringify(toJson(codec.read(new Memory(random, true), 0)));
        expect(written(codec, JSON.parse(json))).toEqual(random);
      }),
    );
  });

  it.each<[string, Codec<unknown, never>, Json, readonly number[]]>([
    ['numbers of 64 bits as numbers', u64, 258, [2, 1, 0, 0, 0, 0, 0, 0]],
    ['numbers as text', u16, '258', [2, 1]],
    ['numbers in hexadecimal digits', u16, '0x102', [2, 1]],
    ['negative ones', i16, '-2', [254, 255]],
    ['bytes as a list', bytes(2), [1, 2], [1, 2]],
    ['bytes as digits', bytes(2), '0x01Ff', [1, 255]],
    ['numbers of an enum', enumeration(u8, { A: 0 }), 7, [7]],
    ['numbers of an enum as text', enumeration(u64, { A: 0n }), '258', [2, 1, 0, 0, 0, 0, 0, 0]],
    ['text that looks like a number', text(3), '12', [49, 50, 0]],
    [
      'one value per CPU',
      perCpu(u16, 2),
      ['1', 2],
      [1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0],
    ],
    ['keys of tries as text', lpmKey(4), '10.0.0.0/8', [8, 0, 0, 0, 10, 0, 0, 0]],
    [
      'keys of tries as objects',
      lpmKey(4),
      { prefixLength: 8, data: '0x0a000000' },
      [8, 0, 0, 0, 10, 0, 0, 0],
    ],
  ])('takes %s', (_, codec, json, expected) => {
    expect([...written(codec, json)]).toEqual(expected);
  });

  it.each<[Json, string]>([
    [{ a: { packets: 1e20, list: [] } }, 'a.packets: 100000000000000000000 is beyond 2^53'],
    [{ a: { packets: 'many', list: [] } }, 'a.packets: expected u64, an integer from'],
    [{ a: { packets: 1, list: ['0x0102', '0x1'] } }, 'a.list[1]: expected 2 bytes, as "0x" and 4'],
    [{ a: { packets: 1, list: ['0x0102', '0x010203'] } }, 'a.list[1]: expected 2 bytes, got 3'],
    [{ a: { packets: 1, list: [], z: 1 } }, 'a.z: struct has no such member'],
    [{ a: [1] }, 'a: expected struct, an object, got an array of 1'],
    [null, 'expected struct, an object, got null'],
    ['text', 'expected struct, an object, got "text"'],
  ])('%j is refused with the path of what is wrong', (json, message) => {
    const codec = struct({ a: struct({ packets: u64, list: array(bytes(2), 2) }) });
    expect(() => written(codec, json)).toThrow(ValueError);
    expect(() => written(codec, json)).toThrow(message);
  });

  it('has members of any name', () => {
    const codec = codecWithProto();
    expect([...written(codec, JSON.parse('{"__proto__":"0x07"}'))]).toEqual([7]);
  });
});

/** A struct whose member an object literal cannot have. */
function codecWithProto() {
  return struct(Object.fromEntries([['__proto__', bytes(1)]]));
}
