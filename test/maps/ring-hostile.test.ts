/**
 * A ring buffer whose position others move as they like: whoever has the map may write to that page. What
 * is read then may be nonsense, but reading ends, stays inside of the ring, and goes on with later records.
 */

import { expect, it } from 'vitest';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { RingBuffer } from '../../src/maps/ring-buffer.ts';
import { MemoryKernel } from '../../src/testing.ts';
import { describeKernel } from '../support/kernel.ts';

const SIZE = 4096;

/** Fills a ring with records of bytes that look like headers of all kinds. */
function fill(kernel: MemoryKernel, ring: RingBuffer<unknown>): void {
  let sent = 0;
  const content = new Uint32Array(16);
  do {
    content.forEach((_, index) => {
      content[index] = Math.imul(sent * 16 + index + 1, 0x9e37_79b1);
    });
    sent += 1;
  } while (kernel.produce(ring, new Uint8Array(content.buffer)) && sent < 100);
}

const MOVES = [
  1,
  2,
  3,
  4,
  7,
  8,
  12,
  24,
  100,
  4095,
  4096,
  4100,
  1 << 20,
  0x7fff_fff0,
  -8,
  -4,
  -4096,
];

it.each(MOVES)('reading ends after the position was moved by %d', (move) => {
  const kernel = new MemoryKernel();
  using ring = RingBuffer.create({ sizeBytes: SIZE, kernel });
  const memory = kernel.mapMemory(ring.fd, 0, kernel.pageSize, true);
  const position = new BigInt64Array(memory);
  let records = 0;
  const read = () =>
    ring.consume((record) => {
      records += 1;
      expect((record as Uint8Array).length).toBeLessThanOrEqual(2 * SIZE);
      if (records > 100_000) throw new Error('reading does not end');
    });
  for (let round = 0; round < 5; round += 1) {
    fill(kernel, ring);
    position[0] = position[0]! + BigInt(move);
    ring.ready();
    ring.available();
    try {
      read();
    } catch (error) {
      // A record beyond the end of the ring is one error; never another, and never a crash.
      expect(error).toBeInstanceOf(RangeError);
    }
  }
  kernel.unmapMemory(memory);
});

describeKernel('on the running kernel', () => {
  it.each(MOVES)('an empty ring stays one that can be asked, its position moved by %d', (move) => {
    const kernel = linuxKernel();
    using ring = RingBuffer.create({ sizeBytes: SIZE });
    const memory = kernel.mapMemory(ring.fd, 0, kernel.pageSize, true);
    new BigInt64Array(memory)[0] = BigInt(move);
    let records = 0;
    try {
      ring.consume(() => {
        records += 1;
      });
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError);
    }
    expect(records).toBeLessThanOrEqual(SIZE / 8);
    kernel.unmapMemory(memory);
  });
});
