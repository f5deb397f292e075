/** 64 bits out of memory: read from an array where they are aligned, else from a view, and always alike. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Memory } from '../../src/codec/codec.ts';
import { u64 } from '../../src/codec/numbers.ts';

describe('reading 64 bits', () => {
  it('gives what Node.js reads, wherever the memory starts and ends, in either byte order', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 8, maxLength: 40 }),
        fc.nat(9),
        fc.nat(32),
        fc.boolean(),
        (content, start, offset, littleEndian) => {
          const bytes = new Uint8Array(start + content.length).subarray(start);
          bytes.set(content);
          const at = Math.min(offset, content.length - 8);
          const buffer = Buffer.from(content);
          expect(u64.read(new Memory(bytes, littleEndian), at)).toBe(
            littleEndian ? buffer.readBigUInt64LE(at) : buffer.readBigUInt64BE(at),
          );
        },
      ),
    );
  });

  it.each([true, false])('sees what is written later (little endian: %s)', (littleEndian) => {
    const memory = new Memory(new Uint8Array(16), littleEndian);
    expect(u64.read(memory, 8)).toBe(0n);
    u64.write(memory, 8, 0x0102_0304_0506_0708n);
    expect(u64.read(memory, 8)).toBe(0x0102_0304_0506_0708n);
    memory.bytes.fill(0xff);
    expect(u64.read(memory, 8)).toBe(2n ** 64n - 1n);
  });

  it.each([
    ['behind the end', 16],
    ['across the end', 12],
    ['before the start', -8],
    ['far away, at a multiple of 2^32', 2 ** 32],
  ])('is refused %s', (_, at) => {
    for (const littleEndian of [true, false]) {
      const memory = new Memory(new Uint8Array(20).subarray(0, 16), littleEndian);
      expect(() => u64.read(memory, at)).toThrow(RangeError);
    }
  });

  it('is refused where the memory was taken away', () => {
    const bytes = new Uint8Array(16);
    const memory = new Memory(bytes, true);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    expect(() => u64.read(memory, 0)).toThrow(TypeError);
  });
});
