/** Keys of tries: their bytes, their text, and which of an object's structs they stand for. */

import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Memory, ValueError } from '../../src/codec/codec.ts';
import { definedCodecs } from '../../src/loader/codecs.ts';
import { LpmKey } from '../../src/maps/lpm-key.ts';
import { lpmKey, lpmKeyOf } from '../../src/maps/lpm-key-codec.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { openFixture } from '../support/fixtures.ts';

function written(key: Parameters<ReturnType<typeof lpmKey>['write']>[2], dataBytes = 4): string {
  const memory = new Memory(new Uint8Array(4 + dataBytes).fill(0xee), true);
  lpmKey(dataBytes).write(memory, 0, key);
  return Buffer.from(memory.bytes).toString('hex');
}

describe('a key of a trie', () => {
  it('is the prefix length in the order of the machine, then data in the order of the network', () => {
    expect(written('10.1.2.3/32')).toBe('20000000' + '0a010203');
    expect(written('2001:db8::/33', 16)).toBe(`21000000${'20010db8'.padEnd(32, '0')}`);
    const memory = new Memory(new Uint8Array(8), false);
    lpmKey(4).write(memory, 0, '10.1.2.3');
    expect(Buffer.from(memory.bytes).toString('hex')).toBe('00000020' + '0a010203');
  });

  it('is written with zeros behind the prefix', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 5, maxLength: 5 }),
        fc.nat(40),
        (data, prefixLength) => {
          const hex = written({ prefixLength, data }, 5);
          const bits = Array.from(data, (byte) => byte.toString(2).padStart(8, '0')).join('');
          const kept = bits.slice(0, prefixLength).padEnd(40, '0');
          const expected = BigInt(`0b${kept}`).toString(16).padStart(10, '0');
          expect(hex.slice(8)).toBe(expected);
          expect(Number.parseInt(hex.slice(0, 2), 16)).toBe(prefixLength);
        },
      ),
    );
  });

  it('leaves alone what lies behind it', () => {
    const memory = new Memory(new Uint8Array(12).fill(0xee), true);
    lpmKey(4).write(memory, 2, '10.1.2.3/9');
    expect(Buffer.from(memory.bytes).toString('hex')).toBe(
      'eeee' + '09000000' + '0a000000' + 'eeee',
    );
  });

  it.each([
    ['10.0.0.0/8', 8, [10, 0, 0, 0]],
    ['10.1.2.3', 32, [10, 1, 2, 3]],
    ['0.0.0.0/0', 0, [0, 0, 0, 0]],
    ['2001:db8::/32', 32, [0x20, 1, 0x0d, 0xb8, ...new Array(12).fill(0)]],
    ['::1', 128, [...new Array(15).fill(0), 1]],
  ])('is read from %s', (text, prefixLength, data) => {
    const key = LpmKey.parse(text);
    expect(key).toEqual(new LpmKey(prefixLength, Uint8Array.from(data)));
    expect(LpmKey.parse(`${key}`)).toEqual(key);
    expect(`${key}`).toBe(text.includes('/') ? text : `${text}/${prefixLength}`);
  });

  it.each([
    '',
    '10.0.0.0/',
    '10.0.0.0/08',
    '10.0.0.0/33',
    '10.0.0.0/8/8',
    '10.0/8',
    '/8',
    '::/129',
    '10.0.0.0/-1',
    '10.0.0.0/8 ',
    ' 10.0.0.0/8',
    'localhost',
    '10.0.0.0/255.0.0.0',
    '::/1e1',
  ])('is not read from %j', (text) => {
    expect(() => LpmKey.parse(text)).toThrow(ValueError);
  });

  it('of data that is no address has hexadecimal digits for a text', () => {
    expect(`${new LpmKey(9, Uint8Array.of(0x0a, 0xb0))}`).toBe('0ab0/9');
    expect(() => written('10.0.0.0/8', 2)).toThrow(/has 4 bytes, keys of this map have 2/);
  });
});

/**
 * The BTF of these structs, compressed:
 * `clang-19 --target=bpf -O2 -g -c keys.c && llvm-objcopy-19 --dump-section .BTF=keys.btf keys.o`,
 * `gzip -9 keys.btf`.
 */
const KEYS_C = `
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long u64; typedef u32 be32;
struct in_addr { be32 s_addr; };
struct in6_addr { union { u8 u6_addr8[16]; be32 u6_addr32[4]; } in6_u; };
struct v4_bytes { u32 prefixlen; u8 data[4]; } v4_bytes;
struct v4_word { u32 prefixlen; be32 address; } v4_word;
struct v4_address { u32 prefixlen; struct in_addr address; } v4_address;
struct v6_words { u32 prefixlen; const be32 address[4]; } v6_words;
struct v6_address { u32 prefixlen; struct in6_addr address; } v6_address;
struct long_bytes { u32 prefixlen; u8 data[256]; } long_bytes;
struct packed_long { u32 prefixlen; u64 data; } __attribute__((packed)) packed_long;
struct two_members { u32 prefixlen; u16 vlan; u16 port; } two_members;
struct only_length { u32 prefixlen; } only_length;
struct no_data { u32 prefixlen; u8 data[0]; } no_data;
struct padded_end { u32 prefixlen; u8 data[5]; } padded_end;
struct padded_middle { u32 prefixlen; u64 data; } padded_middle;
struct late_length { u8 data[4]; u32 prefixlen; } late_length;
struct short_length { u16 prefixlen; u16 data; } short_length;
struct other_struct { u32 prefixlen; struct pair { u16 a, b; } pair; } other_struct;
struct bitfield { u32 prefixlen; u32 data : 9; } bitfield;
union not_struct { u32 prefixlen; u32 data; } not_struct;
`;
const KEYS_BTF = [
  'H4sIAAAAAAACA32Uz0/UQBTH38CuwoKAigIqAv4WFfklbuIFEjh4UtDE4IGmux12G0u7absgMSEeTLh79WC8eubuH+DB',
  '/4GriRcvHjz4pvOtnV12d9I3ffP6vp95M532809Bo6Rb7pS294KIL+riYQ/fC9pP2jAbp9Ak25gO9XRzN659kcOzaTzL',
  'c/cAzxSzh/637mROttO4P2liCD0eEPCftanpFcZKY2HeLuQrfS/0Tgf9GegDnZtTNewhj6BVrH6wDsAabsE6CxZaodC0',
  '5iFjzQfgDoJ72IE7DO5H1Kg4n9guZHyVn1fxL2wXEfvKNkINrWHvh5riBaO+Q9R3HvUdob6cOHkuLjWuu2EOJT4Cawys',
  'b2D1tzhj42B9x/u8yt0PnA/1/pahV7wr4B3rSU+8319sU+D9hj/L9gfsa9z9BbsL+3EMdnoO+0R2Lkx2nz6kAzeQNyKw',
  'Py3WdLvT/kCrWLfAmhDt92e6AysPrWLdBWsarKE2e72MHKW5D01RZN9L+t2ToZ9EjtLMQLPatP4pY54p7O0qNLPQrIvW',
  '3+UWxxcwz5bBLYuMK0XGXQd3HtyK1nxo9Q9D/b0VaB5BU9OafK6NhpCjNI+heSeSb36QjP+buvcZ/oDhnzOYo4Z/Of0P',
  'M28Cvnr31w3tzTSH7Y7h3zPy8b9N9uShoZ0z8heN+JLhF40c2l20SvuxjKgWym33rSd9cuzYpvrCPNX9yK340pl0/Zjq',
  'xWxcrtohWdbKxsbKpvXi6es16+Xm8zXLUrS9IHTIdpxQRhGVJGM4mI5dP3Ep0rfdpSQ9Uk6Wov3EqVNdj4qpwzwv8Ctp',
  '0Xb5jXQsFeGExaxCFUk6ivcCa0fulGTI03i2T7Ug5NXMLWXJUVWFAt/bt3j9lbhKfmAlu1DjKZkvfSd1d1zH8SR5dizT',
  '5ESeDoK4KkMrisN6OWaNG5JNJSq58bYrPYfBcfpwpsSr/Qedwx3UnAcAAA==',
];

describe('the struct of a trie’s key', () => {
  const btf = Btf.parse(gunzipSync(Buffer.from(KEYS_BTF.join(''), 'base64')));
  const names = Array.from(
    KEYS_C.matchAll(/^(?:struct|union) \w+ {.*} (?:__.* )?(\w+);$/gm),
    (found) => found[1]!,
  );

  function keyOf(name: string) {
    const id = [...btf.idsOfKind('struct'), ...btf.idsOfKind('union')].find(
      (each) => btf.type(each).name === name,
    );
    return lpmKeyOf(btf, id!);
  }

  const KEYS: Readonly<Record<string, number>> = {
    v4_bytes: 4,
    v4_word: 4,
    v4_address: 4,
    v6_words: 16,
    v6_address: 16,
    long_bytes: 256,
    packed_long: 8,
  };

  it.each(Object.entries(KEYS))('%s stands for %i bytes of data', (name, dataBytes) => {
    const codec = keyOf(name);
    expect([codec?.name, codec?.sizeBytes]).toEqual([`lpmKey(${dataBytes})`, 4 + dataBytes]);
  });

  it.each(names.filter((name) => !(name in KEYS)))('%s stays a struct', (name) => {
    expect(keyOf(name)).toBeUndefined();
  });

  it('is looked at in all forms', () => {
    expect(names).toHaveLength(17);
  });

  it('that an object does not tell is a key of the map’s size', () => {
    const info = { type: BPF_MAP_TYPE.LPM_TRIE, keySize: 12, valueSize: 4 };
    expect(definedCodecs(openFixture('demo'), undefined, info).key.name).toBe('lpmKey(8)');
  });

  it('of an object in the fixtures is a key too', () => {
    const object = openFixture('types/lpm_trie');
    const { keyTypeId } = object.maps.get('lpm_trie_map')!;
    expect(lpmKeyOf(object.btf!, keyTypeId)?.name).toBe('lpmKey(4)');
  });
});
