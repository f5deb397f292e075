/** Options that a map cannot be created with: refused by name, before the kernel is asked. */

import { describe, expect, it } from 'vitest';
import { ValueError } from '../../src/codec/codec.ts';
import { u16, u32, u64 } from '../../src/codec/numbers.ts';
import { load } from '../../src/loader/load.ts';
import { Arena } from '../../src/maps/arena.ts';
import { ArrayMap } from '../../src/maps/array-map.ts';
import { ArrayOfMaps } from '../../src/maps/array-of-maps.ts';
import { BloomFilter } from '../../src/maps/bloom-filter.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import { lpmKey } from '../../src/maps/lpm-key-codec.ts';
import { LpmTrie } from '../../src/maps/lpm-trie.ts';
import { MappedArray } from '../../src/maps/mapped-array.ts';
import { PerCpuArray } from '../../src/maps/per-cpu-array.ts';
import { PerCpuHashMap } from '../../src/maps/per-cpu-hash-map.ts';
import { PerfEventArray } from '../../src/maps/perf-event-array.ts';
import { ProgramArray } from '../../src/maps/program-array.ts';
import { Queue } from '../../src/maps/queue.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import { RingBuffer } from '../../src/maps/ring-buffer.ts';
import { SkStorage } from '../../src/maps/sk-storage.ts';
import { SockHash } from '../../src/maps/sock-hash.ts';
import { Stack } from '../../src/maps/stack.ts';
import { UserRingBuffer } from '../../src/maps/user-ring-buffer.ts';
import { MemoryKernel } from '../../src/testing.ts';
import { openFixture } from '../support/fixtures.ts';

const kernel = new MemoryKernel();
const TABLE = { key: u32, value: u64, maxEntries: 4, kernel };
const INNER = { kind: HashMap, key: u16, value: u64, maxEntries: 4 };

/** Calls that TypeScript would refuse. */
type Unchecked = { create(options?: object): { close(): void } };
const unchecked = (kind: object) => kind as Unchecked;

describe('a number that has no 32 bits', () => {
  it.each<[string, object, RegExp]>([
    ['more', { maxEntries: 2 ** 32 + 1 }, /^maxEntries .*not 4294967297$/],
    ['a fraction', { maxEntries: 1.5 }, /^maxEntries .*not 1.5$/],
    ['a negative one', { maxEntries: -1 }, /^maxEntries .*not -1$/],
    ['flags of 41 bits', { flags: 2 ** 40 }, /^flags .*not 1099511627776$/],
    ['no number at all', { maxEntries: Number.NaN }, /^maxEntries .*not NaN$/],
  ])('is refused: %s', (_, wrong, said) => {
    expect(() => HashMap.create({ ...TABLE, ...wrong })).toThrow(RangeError);
    expect(() => HashMap.create({ ...TABLE, ...wrong })).toThrow(said);
  });

  it.each<[string, object, RegExp]>([
    ['text', { maxEntries: '7' }, /^maxEntries .*not "7"$/],
    ['a bigint', { maxEntries: 7n }, /^maxEntries .*not 7n$/],
    ['nothing', { maxEntries: undefined }, /^maxEntries .*not undefined$/],
    ['flags as text', { flags: '1' }, /^flags .*not "1"$/],
  ])('is refused, if it is no number: %s', (_, wrong, said) => {
    const create = () => unchecked(HashMap).create({ ...TABLE, ...wrong });
    expect(create).toThrow(TypeError);
    expect(create).toThrow(said);
  });

  it('is refused where the kind of map adds flags of its own', () => {
    const flags = 2 ** 40;
    const trie = { key: lpmKey(4), value: u32, maxEntries: 1, flags, kernel };
    expect(() => LpmTrie.create(trie)).toThrow(RangeError);
    expect(() => MappedArray.create({ ...TABLE, flags })).toThrow(RangeError);
    expect(() => SkStorage.create({ value: u32, flags, kernel })).toThrow(RangeError);
  });

  it('is refused for inner maps', () => {
    using outer = HashOfMaps.create({ key: u32, inner: INNER, maxEntries: 1, kernel });
    expect(() => outer.createInner({ maxEntries: 2 ** 32 + 4 })).toThrow(
      /^maxEntries .*4294967300/,
    );
    expect(() => outer.createInner({ maxEntries: '4' as never })).toThrow(TypeError);
    expect(kernel.openDescriptors()).toEqual([outer.fd]);
  });
});

describe('an option that is missing', () => {
  it.each<[string, object, string[]]>([
    ['HashMap', HashMap, ['key', 'value']],
    ['PerCpuHashMap', PerCpuHashMap, ['key', 'value']],
    ['LpmTrie', LpmTrie, ['key', 'value']],
    ['ArrayMap', ArrayMap, ['value']],
    ['PerCpuArray', PerCpuArray, ['value']],
    ['MappedArray', MappedArray, ['value']],
    ['Queue', Queue, ['value']],
    ['Stack', Stack, ['value']],
    ['BloomFilter', BloomFilter, ['value']],
    ['SockHash', SockHash, ['key']],
  ])('is named: %s', (name, kind, codecs) => {
    for (const option of codecs) {
      const without = () => unchecked(kind).create({ ...TABLE, [option]: undefined });
      expect(without).toThrow(
        new TypeError(
          `${name}.create: the option "${option}" is a codec, such as u32; it is missing`,
        ),
      );
      const word = () => unchecked(kind).create({ ...TABLE, [option]: 'u32' });
      expect(word).toThrow(
        new TypeError(`${name}.create: the option "${option}" is a codec, such as u32; not "u32"`),
      );
    }
    expect(() => unchecked(kind).create()).toThrow(
      new TypeError(`${name}.create takes an object of options, not undefined`),
    );
  });

  it.each([ProgramArray, ArrayOfMaps, HashOfMaps])('is told for every kind: %o', (kind) => {
    expect(() => unchecked(kind).create()).toThrow(/create takes an object of options/);
  });

  it('is told for templates', () => {
    const outer = { key: u32, maxEntries: 1, kernel };
    expect(() => unchecked(HashOfMaps).create(outer)).toThrow(
      /^HashOfMaps\.create: the option "inner" is the template: .*; it is missing$/,
    );
    expect(() => unchecked(ArrayOfMaps).create({ ...outer, inner: { kind: {} } })).toThrow(
      /^ArrayOfMaps\.create: the option "inner" .*; its kind is no such class$/,
    );
  });
});

describe('an option that does not exist', () => {
  it.each<[string, object, string]>([
    [
      'HashMap',
      { maxEntires: 16 },
      'HashMap.create: there is no option "maxEntires"; did you mean "maxEntries"?',
    ],
    ['HashMap', { LRU: true }, 'HashMap.create: there is no option "LRU"; did you mean "lru"?'],
    ['HashMap', { constructor: 1 }, 'HashMap.create: there is no option "constructor"'],
  ])('is refused: %s with %o', (_, wrong, said) => {
    expect(() => unchecked(HashMap).create({ ...TABLE, ...wrong })).toThrow(new TypeError(said));
  });

  it.each([
    ...[ArrayMap, PerCpuArray, PerCpuHashMap, MappedArray, LpmTrie, Queue, Stack, BloomFilter],
    ...[ProgramArray, SkStorage, SockHash, PerfEventArray, Arena, RingBuffer, UserRingBuffer],
  ])('is refused by every kind of map: %o', (kind) => {
    const options = { ...TABLE, kernle: kernel };
    expect(() => unchecked(kind).create(options)).toThrow(
      /create: there is no option "kernle"; did you mean "kernel"\?$/,
    );
  });

  it('is refused for inner maps', () => {
    using outer = HashOfMaps.create({ key: u32, inner: INNER, maxEntries: 1, kernel });
    expect(() => outer.createInner({ flags: 1 } as object)).toThrow(
      /^createInner of map "": there is no option "flags"; there are maxEntries, name$/,
    );
    expect(() => outer.createInner({ maxEntrys: 1 } as object)).toThrow(
      /no option "maxEntrys"; did you mean "maxEntries"\?$/,
    );
    const wrong = { ...INNER, maxEntires: 1 };
    expect(() => HashOfMaps.create({ key: u32, inner: wrong, maxEntries: 1, kernel })).toThrow(
      /^HashMap\.create: there is no option "maxEntires"/,
    );
    expect(kernel.openDescriptors()).toEqual([outer.fd]);
  });

  it('is refused where a map is opened, by its pin or its id', () => {
    using map = HashMap.create(TABLE);
    const options = { kernel, acess: 'read-only' };
    const said = /^opening a map: there is no option "acess"; did you mean "access"\?$/;
    expect(() => HashMap.openPinned('/sys/fs/bpf/x', TABLE, options)).toThrow(said);
    expect(() => HashMap.openById(map.info().id, TABLE, options)).toThrow(said);
    expect(() => RawMap.openById(map.info().id, options)).toThrow(said);
    expect(kernel.openDescriptors()).toEqual([map.fd]);
  });
});

describe('a number for 64 bits that may be rounded', () => {
  it('is refused with the advice to use a bigint', () => {
    using map = HashMap.create(TABLE);
    expect(() => map.set(1, 2 ** 53)).toThrow(ValueError);
    expect(() => map.set(1, 2 ** 53)).toThrow(/got 9007199254740992, .*use a bigint$/);
    expect(() => map.set(1, 0.5)).toThrow(/got 0.5$/);
    expect(map.set(1, 2n ** 53n).get(1)).toBe(2n ** 53n);
  });
});

describe('a handle that its owner closes before the object', () => {
  it('is closed once, and not kept', () => {
    let closes = 0;
    class Counted extends HashMap<unknown, unknown> {
      override close(): void {
        closes += 1;
        super.close();
      }
    }
    const app = load(openFixture('demo'), { kernel });
    const [name] = [...app.maps].find(([, map]) => map.info().typeName === 'hash')!;
    app.map(name, Counted).close();
    app.map(name, Counted);
    app.close();
    expect(closes).toBe(2);
    expect(kernel.openDescriptors()).toEqual([]);
  });
});
