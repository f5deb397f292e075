/** Codecs from BTF, against what clang says of the same types (fixtures/expected/layouts). */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Codec, Memory, ValueError } from '../../src/codec/codec.ts';
import { codecOf } from '../../src/codec/from-btf.ts';
import { fixtureJson, openFixture } from '../support/fixtures.ts';

interface Layouts {
  readonly types: readonly {
    readonly name: string;
    readonly size: number;
    readonly align: number;
  }[];
  readonly bitfields: readonly {
    readonly struct: string;
    readonly member: string;
    readonly little: string;
    readonly big: string;
  }[];
}

const layouts = fixtureJson<Layouts>('expected/layouts/flavours.json');

const ORDERS = [
  { order: 'little', suffix: '' },
  { order: 'big', suffix: '.eb' },
] as const;

describe.each(ORDERS)('values in $order-endian objects', ({ order, suffix }) => {
  const object = openFixture(`maps/flavour-values${suffix}`);
  const isLittle = order === 'little';

  function codec(name: string): Codec<unknown, unknown> {
    return codecOf(object.btf!, object.maps.get(`value_${name}`)!.valueTypeId);
  }

  it.each(layouts.types)('$name has its size', ({ name, size }) => {
    expect(codec(name).sizeBytes).toBe(size);
  });

  it.each(layouts.bitfields)('bitfield $struct.$member lies where clang puts it', (entry) => {
    const bytes = Buffer.from(isLittle ? entry.little : entry.big, 'hex');
    const struct = codec(entry.struct);
    const value = struct.read(new Memory(new Uint8Array(bytes), isLittle), 0) as Record<
      string,
      unknown
    >;
    const zero = struct.read(new Memory(new Uint8Array(bytes.length), isLittle), 0) as Record<
      string,
      unknown
    >;
    const changed = Object.keys(value).filter((name) => value[name] !== zero[name]);
    expect(changed).toEqual([entry.member]);
    const written = new Memory(new Uint8Array(bytes.length).fill(0xaa), isLittle);
    struct.write(written, 0, value);
    expect(Buffer.from(written.bytes).toString('hex')).toBe(bytes.toString('hex'));
  });

  it.each(layouts.types)(
    '$name is written as it was read, whatever the bytes',
    ({ name, size }) => {
      const type = codec(name);
      fc.assert(
        fc.property(fc.uint8Array({ minLength: size, maxLength: size }), (bytes) => {
          const value = type.read(new Memory(bytes, isLittle), 0);
          const first = new Memory(new Uint8Array(size).fill(0xaa), isLittle);
          type.write(first, 0, value);
          expect(type.read(first, 0)).toEqual(value);
          // And the bytes do not depend on what was there before: padding is zero.
          const second = new Memory(new Uint8Array(size).fill(0x55), isLittle);
          type.write(second, 0, value);
          expect(second.bytes).toEqual(first.bytes);
        }),
        { numRuns: 50 },
      );
    },
  );
});

describe('values by example', () => {
  const object = openFixture('demo');
  const flows = object.maps.get('flows')!;
  const key = codecOf(object.btf!, flows.keyTypeId);
  const value = codecOf(object.btf!, flows.valueTypeId);
  const flow = {
    source: Uint8Array.of(10, 0, 0, 1),
    destination: Uint8Array.of(10, 0, 0, 2),
    source_port: 0x1234,
    destination_port: 80,
    protocol: 6,
    padding: Uint8Array.of(0, 0, 0),
  };

  it('are plain objects', () => {
    const memory = new Memory(new Uint8Array(16), true);
    key.write(memory, 0, flow);
    expect(Buffer.from(memory.bytes).toString('hex')).toBe('0a0000010a00000234125000' + '06000000');
    expect(key.read(memory, 0)).toEqual(flow);
    const counters = new Memory(new Uint8Array(32), true);
    value.write(counters, 0, { packets: 1n, bytes: 2, first_seen: 2n ** 64n - 1n, last_seen: 0n });
    expect(value.read(counters, 0)).toEqual({
      packets: 1n,
      bytes: 2n,
      first_seen: 0xffff_ffff_ffff_ffffn,
      last_seen: 0n,
    });
  });

  it.each<[string, unknown, RegExp]>([
    ['a missing member', { ...flow, protocol: undefined }, /^protocol: expected u8/],
    ['a member left out', Object.fromEntries(Object.entries(flow).slice(1)), /^source: missing/],
    [
      'a member too many',
      { ...flow, extra: 1 },
      /^extra: struct flow_key has no such member; it has source/,
    ],
    [
      'text for a number',
      { ...flow, source_port: '80' },
      /^source_port: expected u16, .* got "80"/,
    ],
    [
      'a number out of range',
      { ...flow, source_port: 65536 },
      /^source_port: .* 0 to 65535, got 65536/,
    ],
    ['a fraction', { ...flow, source_port: 0.5 }, /^source_port: .* got 0.5/],
    ['too few bytes', { ...flow, source: [1, 2, 3] }, /^source: expected 4 bytes, got 3/],
    ['no byte', { ...flow, source: [1, 2, 3, 256] }, /^source\[3\]: expected a byte, got 256/],
    ['no object', 5, /^expected struct flow_key, an object, got 5/],
    ['nothing', null, /^expected struct flow_key, an object, got null/],
  ])('refuse %s, with its path', (_, wrong, message) => {
    const memory = new Memory(new Uint8Array(16), true);
    expect(() => key.write(memory, 0, wrong)).toThrow(ValueError);
    expect(() => key.write(memory, 0, wrong)).toThrow(message);
  });

  it('of characters are text, or bytes if asked', () => {
    const values = openFixture('maps/flavour-values');
    const { valueTypeId, valueSize } = values.maps.get('value_text')!;
    const asText = codecOf(values.btf!, valueTypeId);
    const memory = new Memory(new Uint8Array(valueSize), true);
    asText.write(memory, 0, 'grüße');
    expect(asText.read(memory, 0)).toBe('grüße');
    expect(() => asText.write(memory, 0, 'x'.repeat(valueSize + 1))).toThrow(/at most/);
    expect(() => asText.write(memory, 0, 'a\0b')).toThrow(/NUL/);
    const asBytes = codecOf(values.btf!, valueTypeId, { characters: 'bytes' });
    expect(asBytes.read(memory, 0)).toEqual(memory.bytes);
  });
});

describe('types without values', () => {
  it('are errors', () => {
    const { btf } = openFixture('demo');
    const functions = btf!.idsOfKind('func_proto');
    expect(() => codecOf(btf!, 0)).toThrow(/`void` .* has no values/);
    expect(() => codecOf(btf!, functions[0]!)).toThrow(/has no values/);
  });
});
