/** Walks that start over, chunk by chunk. */

import { describe, expect, it } from 'vitest';
import { freshOnly } from '../../src/maps/fresh-keys.ts';
import type { Chunk, WalkedMap } from '../../src/maps/walk.ts';
import { ScriptedKernel } from '../support/scripted-kernel.ts';

const MAP: WalkedMap = {
  kernel: new ScriptedKernel(),
  name: 'walked',
  fd: 3,
  keyBytes: 2,
  valueBytes: 1,
  maxEntries: 8,
};

/** A chunk of keys like 0x0101, with values ten times as large. */
function chunk(...numbers: number[]): Chunk {
  return {
    keys: Uint8Array.from(numbers.flatMap((number) => [number, number])),
    values: Uint8Array.from(numbers, (number) => number * 10),
    count: numbers.length,
  };
}

/** Keys and values of what comes out, chunk by chunk. */
function walked(chunks: Iterable<Chunk>): number[][][] {
  return Array.from(freshOnly(MAP, chunks), ({ keys, values, count }) =>
    Array.from({ length: count }, (_, index) => {
      expect(keys[2 * index]).toBe(keys[2 * index + 1]);
      return [keys[2 * index]!, values[index]!];
    }),
  );
}

describe('a walk that starts over', () => {
  it.each<[string, number[][], number[]]>([
    ['nothing', [], []],
    ['one entry', [[1]], [1]],
    ['no restart', [[1, 2], [3, 4], [5]], [1, 2, 3, 4, 5]],
    ['a restart', [[1, 2, 3], [1, 2, 3, 4], [5]], [1, 2, 3, 4, 5]],
    [
      'new entries between old ones',
      [
        [1, 4],
        [1, 2, 4, 3],
      ],
      [1, 4, 2, 3],
    ],
    ['a chunk of old entries only', [[1, 2], [2, 1], [3]], [1, 2, 3]],
    ['a key twice in one chunk', [[1, 1, 2]], [1, 2]],
  ])('has each entry once, with its value: %s', (_, chunks, expected) => {
    const entries = walked(chunks.map((numbers) => chunk(...numbers))).flat();
    expect(entries).toEqual(expected.map((number) => [number, number * 10]));
  });

  it('gives the last entry of a chunk only after the next chunk was read', () => {
    const events: string[] = [];
    function* source() {
      for (const numbers of [[1, 2], [3]]) {
        events.push(`read ${numbers}`);
        yield chunk(...numbers);
      }
    }
    for (const { keys, count } of freshOnly(MAP, source())) {
      events.push(`got ${keys[0]} of ${count}`);
    }
    expect(events).toEqual(['read 1,2', 'got 1 of 1', 'read 3', 'got 2 of 1', 'got 3 of 1']);
  });

  it('ends with an error if it never ends', () => {
    function* endless() {
      for (;;) yield chunk(1, 2, 3);
    }
    expect(() => walked(endless())).toThrow(
      expect.objectContaining({ code: 'ERR_SKEP_ITERATION' }),
    );
  });
});
