/** Typed hashes and arrays, on both kernels. */

import { expect, expectTypeOf, it } from 'vitest';
import { text } from '../../src/codec/aggregates.ts';
import { struct } from '../../src/codec/by-hand.ts';
import { ValueError } from '../../src/codec/codec.ts';
import { u8, u32, u64 } from '../../src/codec/numbers.ts';
import { ArrayMap } from '../../src/maps/array-map.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { loadUnpinned } from '../support/fixtures.ts';
import { describeKernels } from '../support/kernels.ts';

interface Counters {
  readonly packets: bigint;
  readonly bytes: bigint;
  readonly first_seen: bigint;
  readonly last_seen: bigint;
}

describeKernels('a hash', (place) => {
  it('follows Map', () => {
    const { kernel } = place;
    using map = HashMap.create({ kernel, key: u32, value: u64, maxEntries: 16, name: 'numbers' });
    expectTypeOf(map).toEqualTypeOf<HashMap<number, bigint>>();
    expect(map.set(1, 10n).set(2, 20n)).toBe(map);
    expect(map.get(1)).toBe(10n);
    expect(map.get(9)).toBeUndefined();
    expect([map.has(2), map.has(9)]).toEqual([true, false]);
    expect(new Map(map)).toEqual(
      new Map([
        [1, 10n],
        [2, 20n],
      ]),
    );
    expect(new Set(map.keys())).toEqual(new Set([1, 2]));
    expect(new Set(map.values())).toEqual(new Set([10n, 20n]));
    expect(map.count()).toBe(2);
    expect([map.delete(1), map.delete(1)]).toEqual([true, false]);
    expect(map.lookupAndDelete(2)).toBe(20n);
    expect(map.lookupAndDelete(2)).toBeUndefined();
    expect(map.snapshot()).toEqual([]);
  });

  it('writes new or old keys only, if asked, and says when it is full', () => {
    const { kernel } = place;
    using map = HashMap.create({ kernel, key: u32, value: u8, maxEntries: 1 });
    expect(() => map.set(1, 1, { mode: 'exist' })).toThrow(/ENOENT/);
    map.set(1, 1, { mode: 'noexist' });
    expect(() => map.set(1, 2, { mode: 'noexist' })).toThrow(/EEXIST/);
    expect(() => map.set(2, 2)).toThrow(/E2BIG.*the map is full/);
    expect(map.snapshot()).toEqual([[1, 1]]);
  });

  it('writes nothing when a value does not fit', () => {
    const { kernel } = place;
    using map = HashMap.create({
      kernel,
      key: u32,
      value: struct({ a: u8, b: u8 }),
      maxEntries: 4,
    });
    expect(() => map.set(1, { a: 1, b: 256 })).toThrow(/^map "": value\.b: expected u8/);
    expect(() => map.set(-1, { a: 1, b: 2 })).toThrow(/expected u32/);
    expect(map.count()).toBe(0);
  });

  it('says which of the two does not fit, and the map', () => {
    const { kernel } = place;
    using map = HashMap.create({ kernel, key: u32, value: u8, maxEntries: 4, name: 'ports' });
    const wrong = 'x' as never;
    const said = /^map "ports": key: expected u32, .*, got "x"$/;
    for (const call of [
      () => map.get(wrong),
      () => map.has(wrong),
      () => map.set(wrong, wrong),
      () => map.delete(wrong),
      () => map.lookupAndDelete(wrong),
    ]) {
      expect(call).toThrow(said);
      expect(call).toThrow(ValueError);
    }
    expect(() => map.set(1, wrong)).toThrow(/^map "ports": value: expected u8, .*, got "x"$/);
  });

  it('keeps the path inside the value, and shows the whole sentence in the stack', () => {
    const { kernel } = place;
    const value = struct({ a: u8 });
    using map = HashMap.create({ kernel, key: u32, value, maxEntries: 4, name: 'ports' });
    let thrown: unknown;
    try {
      map.set(1, { a: 256 });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({
      ...{ name: 'ValueError', path: ['a'], problem: expect.stringMatching(/^expected u8/) },
      stack: expect.stringMatching(/^ValueError: map "ports": value\.a: expected u8/),
    });
  });

  it('goes through no entry after it was closed, not even of a batch that was read', () => {
    const { kernel } = place;
    for (const way of ['entries', 'keys', 'values'] as const) {
      using map = HashMap.create({ kernel, key: u32, value: u64, maxEntries: 16 });
      map.set(1, 1n).set(2, 2n).set(3, 3n);
      const walk: Iterator<unknown> = map[way]();
      walk.next();
      map.close();
      expect(() => walk.next(), way).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    }
  });

  it.each([false, true])('walks over many entries, each once (lru: %s)', (lru) => {
    const { kernel } = place;
    using map = HashMap.create({ kernel, key: u32, value: u64, maxEntries: 20_000, lru });
    for (let key = 0; key < 5000; key += 1) {
      map.set(key, BigInt(key) * 2n);
    }
    const seen = new Map(map.entries());
    expect(seen.size).toBe(5000);
    for (const [key, value] of seen) {
      expect(value).toBe(BigInt(key) * 2n);
    }
    expect(map.count()).toBe(5000);
    expect(map.clear()).toBe(5000);
    expect(map.count()).toBe(0);
  });

  it('can lose entries while it is walked over', () => {
    const { kernel } = place;
    using map = HashMap.create({ kernel, key: u32, value: u32, maxEntries: 4096 });
    for (let key = 0; key < 3000; key += 1) {
      map.set(key, key);
    }
    let steps = 0;
    for (const key of map.keys()) {
      expect(map.delete(key)).toBe(true);
      steps += 1;
    }
    expect([steps, map.count()]).toEqual([3000, 0]);
  });

  it('has the values of its object, by BTF', () => {
    const { kernel } = place;
    using app = loadUnpinned('demo', kernel);
    const flows = app.map('flows', HashMap);
    const key = {
      source: Uint8Array.of(10, 0, 0, 1),
      destination: Uint8Array.of(10, 0, 0, 2),
      source_port: 1234,
      destination_port: 80,
      protocol: 6,
      padding: new Uint8Array(3),
    };
    const value = { packets: 1n, bytes: 1500n, first_seen: 7n, last_seen: 8n };
    flows.set(key, value);
    expect(flows.get(key)).toEqual(value);
    expect(flows.snapshot()).toEqual([[key, value]]);
    // The same map as the raw handle's.
    expect([...app.maps.get('flows')!.keys()]).toHaveLength(1);
  });

  it('has the types that the caller gives', () => {
    const { kernel } = place;
    using app = loadUnpinned('demo', kernel);
    const flows = app.map('flows', HashMap<Record<string, unknown>, Counters>);
    expectTypeOf(flows.get).returns.toEqualTypeOf<Counters | undefined>();
    expectTypeOf(app.map('flows', HashMap)).toEqualTypeOf<HashMap<unknown, unknown>>();
    flows.close();
    // The object's own handle is still open.
    expect(app.maps.get('flows')!.closed).toBe(false);
  });

  it('is refused for another kind of map, or for types of another size', () => {
    const { kernel } = place;
    using app = loadUnpinned('demo', kernel);
    expect(() => app.map('events', HashMap)).toThrow(
      /"events" is a ringbuf; HashMap is for hash or lru_hash/,
    );
    expect(() => app.map('flow', HashMap)).toThrow(/no map "flow"; it has .*flows/);
    const path = `${place.directory}/numbers`;
    using map = HashMap.create({ kernel, key: u32, value: u64, maxEntries: 1 });
    map.pin(path);
    expect(() => HashMap.openPinned(path, { key: u64, value: u64 }, { kernel })).toThrow(
      /keys have 4 bytes, but u64 has 8/,
    );
    expect(() => ArrayMap.openPinned(path, { value: u64 }, { kernel })).toThrow(
      /is a hash; ArrayMap is for array/,
    );
  });

  it('is opened from its pin', () => {
    const { kernel } = place;
    const path = `${place.directory}/numbers`;
    using map = HashMap.create({
      kernel,
      key: u32,
      value: text(8),
      maxEntries: 4,
      name: 'numbers',
    });
    map.set(1, 'one');
    map.pin(path);
    using again = HashMap.openPinned(path, { key: u32, value: text(8) }, { kernel });
    expect(again.get(1)).toBe('one');
    expect([again.name, again.pinPath]).toEqual(['numbers', path]);
  });

  it('refuses every call after close', () => {
    const { kernel } = place;
    const map = HashMap.create({ kernel, key: u32, value: u64, maxEntries: 4 });
    const walk = map.entries();
    map.set(1, 1n);
    map.close();
    const calls: Readonly<Record<string, () => unknown>> = {
      get: () => map.get(1),
      set: () => map.set(1, 1n),
      has: () => map.has(1),
      delete: () => map.delete(1),
      lookupAndDelete: () => map.lookupAndDelete(1),
      clear: () => map.clear(),
      count: () => map.count(),
      snapshot: () => map.snapshot(),
      keys: () => map.keys().next(),
      values: () => map.values().next(),
      'entries begun': () => walk.next(),
    };
    for (const [name, call] of Object.entries(calls)) {
      expect(call, name).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    }
  });
});

describeKernels('an array', (place) => {
  it('has all its entries from the start', () => {
    const { kernel } = place;
    using map = ArrayMap.create({ kernel, value: u64, maxEntries: 4 });
    expect(map.length).toBe(4);
    expect(map.get(3)).toBe(0n);
    expect(map.get(4)).toBeUndefined();
    map.set(3, 30n);
    expect(map.snapshot()).toEqual([
      [0, 0n],
      [1, 0n],
      [2, 0n],
      [3, 30n],
    ]);
    expect(() => map.set(4, 1n)).toThrow(/E2BIG/);
    expect(() => map.set(0, 1n, { mode: 'noexist' })).toThrow(/EEXIST/);
  });
});
