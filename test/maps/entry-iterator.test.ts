/** Pairs out of chunks: an iterator like those of JavaScript's own collections. */

import { expect, it } from 'vitest';
import { u8, u16 } from '../../src/codec/numbers.ts';
import { EntryIterator } from '../../src/maps/entry-iterator.ts';
import type { Chunk } from '../../src/maps/walk.ts';

const PAIRS = [
  [1, 256],
  [2, 512],
  [3, 768],
];

/** Three entries in chunks of two and one, with values 4 bytes apart. */
function* chunks(): Generator<Chunk, void> {
  yield { keys: Uint8Array.of(1, 2, 9), values: Uint8Array.of(0, 1, 0, 0, 0, 2, 0, 0), count: 2 };
  yield { keys: Uint8Array.of(3, 9, 9), values: Uint8Array.of(0, 3, 0, 0, 9, 9, 9, 9), count: 1 };
}

const map = { fd: 3 };

const entries = (source: Iterator<Chunk, void> = chunks()) =>
  new EntryIterator(source, { map, key: u8, value: u16, valueStep: 4, littleEndian: true });

it('gives the entries of all chunks, and then says that it is done', () => {
  const iterator = entries();
  expect([...iterator]).toEqual(PAIRS);
  expect(iterator.next()).toEqual({ done: true, value: undefined });
  expect([...iterator]).toEqual([]);
});

it('ends, and the walk with it, when a loop is left', () => {
  let ended = false;
  const source = (function* () {
    try {
      yield* chunks();
    } finally {
      ended = true;
    }
  })();
  const iterator = entries(source);
  for (const _ of iterator) break;
  expect(ended).toBe(true);
  expect([...iterator]).toEqual([]);
});

it('is done after an error of the walk', () => {
  const iterator = entries(
    // biome-ignore lint/correctness/useYield: it fails before it has anything to give
    (function* (): Generator<Chunk, void> {
      throw new Error('no more');
    })(),
  );
  expect(() => iterator.next()).toThrow('no more');
  expect(iterator.next().done).toBe(true);
});

it('inherits what iterators have', () => {
  const ofArrays = Object.getPrototypeOf(Object.getPrototypeOf([].values()));
  expect(Object.prototype.isPrototypeOf.call(ofArrays, entries())).toBe(true);
});
