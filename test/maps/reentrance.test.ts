/** Values and keys whose getters use the map they are on their way to, or close it. */

import { describe, expect, it } from 'vitest';
import { array, bytes } from '../../src/codec/aggregates.ts';
import { struct } from '../../src/codec/by-hand.ts';
import type { Codec } from '../../src/codec/codec.ts';
import { u16, u32, u64 } from '../../src/codec/numbers.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import { LpmTrie } from '../../src/maps/lpm-trie.ts';
import { PerCpuHashMap } from '../../src/maps/per-cpu-hash-map.ts';
import { ProgramArray } from '../../src/maps/program-array.ts';
import { Queue } from '../../src/maps/queue.ts';
import { MemoryKernel } from '../../src/testing.ts';

const PAIR = struct({ a: u64, b: u32 });
const kernel = new MemoryKernel();
const CLOSED = expect.objectContaining({ code: 'ERR_SKEP_CLOSED' });

function pairs() {
  const map = HashMap.create({ key: u32, value: PAIR, maxEntries: 16, kernel });
  return map.set(2, { a: 222n, b: 2 });
}

describe('a value whose getter uses the map it is set in', () => {
  it.each<[string, (map: ReturnType<typeof pairs>) => unknown]>([
    ['reads', (map) => map.get(2)],
    ['asks', (map) => map.has(2)],
    ['sets', (map) => map.set(2, { a: 222n, b: 2 })],
    ['deletes', (map) => map.delete(7)],
    ['takes', (map) => map.lookupAndDelete(7)],
    ['walks', (map) => map.snapshot()],
    [
      'fails to set',
      (map) => expect(() => map.set(9, { a: 1n, b: -1 })).toThrow(/b: expected u32/),
    ],
  ])('is written as it is, under its key, when the getter %s', (_, use) => {
    using map = pairs();
    map.set(1, {
      a: 111n,
      get b() {
        use(map);
        return 1;
      },
    });
    expect(map.get(1)).toEqual({ a: 111n, b: 1 });
    expect(map.get(2)).toEqual({ a: 222n, b: 2 });
    expect(map.count()).toBe(2);
  });

  it('may nest several times', () => {
    using map = HashMap.create({ key: u32, value: PAIR, maxEntries: 16, kernel });
    const nested = (key: number): { a: bigint; readonly b: number } => ({
      a: BigInt(key) * 11n,
      get b() {
        if (key > 1) map.set(key - 1, nested(key - 1));
        return key;
      },
    });
    map.set(5, nested(5));
    const entries = map.snapshot().sort(([a], [b]) => a - b);
    expect(entries).toEqual([1, 2, 3, 4, 5].map((key) => [key, { a: BigInt(key) * 11n, b: key }]));
  });

  it('leaves the map usable when the getter throws', () => {
    using map = pairs();
    const mine = new Error('mine');
    const value = {
      a: 1n,
      get b(): number {
        throw mine;
      },
    };
    expect(() => map.set(1, value)).toThrow(mine);
    expect(map.set(1, { a: 1n, b: 1 }).get(1)).toEqual({ a: 1n, b: 1 });
  });

  it('holds for keys, too', () => {
    using map = HashMap.create({ key: PAIR, value: u32, maxEntries: 16, kernel });
    map.set({ a: 5n, b: 5 }, 55);
    const key = {
      a: 9n,
      get b() {
        return map.get({ a: 5n, b: 5 })!;
      },
    };
    map.set(key, 7);
    expect([map.get(key), map.has(key), map.lookupAndDelete(key)]).toEqual([7, true, 7]);
    expect(map.set(key, 7).delete(key)).toBe(true);
    expect(map.snapshot()).toEqual([[{ a: 5n, b: 5 }, 55]]);
  });

  it('holds for values per CPU', () => {
    const two = new MemoryKernel({ cpus: 2 });
    using map = PerCpuHashMap.create({ key: u32, value: PAIR, maxEntries: 4, kernel: two });
    map.fill(2, { a: 2n, b: 2 });
    const value = {
      a: 1n,
      get b() {
        return map.get(2)![0]!.b - 1;
      },
    };
    map.set(1, [value, value]);
    expect(map.get(1)?.toArray()).toEqual([
      { a: 1n, b: 1 },
      { a: 1n, b: 1 },
    ]);
  });

  it('holds for keys of tries', () => {
    const key = struct({ prefixLength: u32, data: array(u16, 2) });
    using map = LpmTrie.create({ key, value: u32, maxEntries: 4, kernel });
    map.set({ prefixLength: 32, data: [1, 2] }, 12);
    const other = {
      prefixLength: 32,
      get data() {
        return map.has({ prefixLength: 32, data: [1, 2] }) ? [3, 4] : [5, 6];
      },
    };
    expect(map.set(other, 34).get({ prefixLength: 32, data: [3, 4] })).toBe(34);
    expect(map.delete(other)).toBe(true);
    expect(map.count()).toBe(1);
  });

  it('holds for queues', () => {
    using queue = Queue.create({ value: PAIR, maxEntries: 4, kernel });
    queue.push({ a: 1n, b: 1 });
    queue.push({
      a: 2n,
      get b() {
        return queue.peek()!.b + 1;
      },
    });
    expect([...queue.drain()]).toEqual([
      { a: 1n, b: 1 },
      { a: 2n, b: 2 },
    ]);
  });

  it('holds for keys of maps of maps', () => {
    const inner = { kind: HashMap, key: u16, value: u64, maxEntries: 4 };
    using map = HashOfMaps.create({ key: PAIR, inner, maxEntries: 4, kernel });
    using one = map.createInner();
    const key = {
      a: 1n,
      get b() {
        return map.has({ a: 7n, b: 7 }) ? 0 : 1;
      },
    };
    map.set(key, one);
    expect([...map.keys()]).toEqual([{ a: 1n, b: 1 }]);
    expect(map.delete(key)).toBe(true);
  });
});

describe('a value whose getter closes the map it is set in', () => {
  /** Closes a map, and gives its descriptor's number to another one. */
  function replace(map: { close(): void; readonly fd: number }) {
    const { fd } = map;
    map.close();
    const other = HashMap.create({ key: u32, value: PAIR, maxEntries: 16, kernel });
    expect(other.fd).toBe(fd);
    return other;
  }

  it('writes nothing, neither there nor to the map that has the descriptor now', () => {
    const map = pairs();
    let other: ReturnType<typeof pairs> | undefined;
    const value = {
      a: 1n,
      get b() {
        other = replace(map);
        return 1;
      },
    };
    expect(() => map.set(1, value)).toThrow(CLOSED);
    expect(other?.count()).toBe(0);
    other?.close();
  });

  it.each(['get', 'has', 'delete', 'lookupAndDelete'] as const)(
    'holds for keys of %s',
    (method) => {
      const map = HashMap.create({ key: PAIR, value: PAIR, maxEntries: 16, kernel });
      let other: ReturnType<typeof pairs> | undefined;
      const key = {
        a: 1n,
        get b() {
          other = replace(map);
          return 1;
        },
      };
      expect(() => map[method](key)).toThrow(CLOSED);
      other?.close();
    },
  );

  it('holds for queues', () => {
    const queue = Queue.create({ value: PAIR, maxEntries: 4, kernel });
    const value = {
      a: 1n,
      get b() {
        queue.close();
        return 1;
      },
    };
    expect(() => queue.push(value)).toThrow(CLOSED);
  });

  it('holds for programs by an object with a descriptor', () => {
    const programs = ProgramArray.create({ maxEntries: 1, kernel });
    const program = kernel.createProgram(1);
    const closing = {
      get fd() {
        programs.close();
        return program;
      },
    };
    expect(() => programs.set(0, closing)).toThrow(CLOSED);
    kernel.close(program);
  });
});

describe('a codec written by hand', () => {
  it('may use the map while it reads', () => {
    let nested = true;
    const curious: Codec<number> = {
      ...u32,
      read(memory, at) {
        if (nested) {
          nested = false;
          map.get(1);
        }
        return u32.read(memory, at);
      },
    };
    using map = HashMap.create({ key: u32, value: curious, maxEntries: 4, kernel });
    map.set(1, 11).set(2, 22);
    expect(map.get(2)).toBe(22);
  });

  it('finds its own bytes alone while it writes', () => {
    const three = bytes(3);
    using map = HashMap.create({ key: three, value: three, maxEntries: 4, kernel });
    map.set([1, 2, 3], [4, 5, 6]);
    expect(map.snapshot()).toEqual([[new Uint8Array([1, 2, 3]), new Uint8Array([4, 5, 6])]]);
  });
});
