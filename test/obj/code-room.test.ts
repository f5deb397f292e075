/** Memory for linked programs: that those who share it do not notice. */

import { describe, expect, it } from 'vitest';
import { CodeRoom } from '../../src/obj/code-room.ts';
import { type LinkedProgram, Linker, linkProgram } from '../../src/obj/link.ts';
import { openFixture } from '../support/fixtures.ts';

/** What of a program lies in shared memory. */
function bytesOf({ instructions, functionInfo, lineInfo }: LinkedProgram): string[] {
  return [instructions, functionInfo, lineInfo].map((part) =>
    part === undefined ? '' : Buffer.from(part.bytes).toString('hex'),
  );
}

describe('the room for code', () => {
  it('hands out pieces that are zero, aligned, as long as asked for, and nobody else has', () => {
    const room = new CodeRoom();
    const sizes = Array.from({ length: 500 }, (_, index) => (index * 37) % 700);
    const pieces = sizes.map((size, index) => {
      const piece = room.take(size);
      expect(piece).toHaveLength(size);
      expect(piece.byteOffset % 8).toBe(0);
      expect(piece.every((byte) => byte === 0)).toBe(true);
      return piece.fill((index % 255) + 1);
    });
    for (const [index, piece] of pieces.entries()) {
      expect(piece.every((byte) => byte === (index % 255) + 1)).toBe(true);
    }
  });

  it('takes few blocks for many pieces, and a small one for the first', () => {
    const room = new CodeRoom();
    const blocks = new Set(Array.from({ length: 300 }, () => room.take(160).buffer));
    expect(blocks.size).toBeLessThan(10);
    expect([...blocks][0]?.byteLength).toBe(1024);
  });

  it('gives a long program memory of its own', () => {
    const room = new CodeRoom();
    const before = room.take(8);
    const long = room.take(100_000);
    expect(long.buffer.byteLength).toBe(100_000);
    expect(room.take(8).buffer).toBe(before.buffer);
  });
});

describe('programs that are linked together', () => {
  it.each([
    'programs/linking',
    'programs/linking.eb',
    'programs/every-section',
    'programs/several-per-section',
  ])('are those that are linked one by one: %s', (name) => {
    const object = openFixture(name);
    const linker = new Linker(object);
    const names = [...object.programs.keys()];
    const together = names.map((program) => linker.link(program));
    expect(together.length).toBeGreaterThan(1);
    // Only when all are linked: by then nobody may have written over another.
    for (const linked of together) {
      expect(bytesOf(linked)).toEqual(bytesOf(linkProgram(object, linked.definition.name)));
    }
  });
});
