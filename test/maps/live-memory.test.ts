/** Memory of maps, with a buffer in place of a mapping. */

import { describe, expect, it } from 'vitest';
import { array, bytes, enumeration, text } from '../../src/codec/aggregates.ts';
import { struct } from '../../src/codec/by-hand.ts';
import { bool, f32, f64, i64, i128, pointer, u8, u16, u32, u64 } from '../../src/codec/numbers.ts';
import { type SkepError, SyscallError } from '../../src/errors.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { LiveMemory } from '../../src/maps/live-memory.ts';
import { numberLayout } from '../../src/maps/number-view.ts';
import { ScriptedKernel } from '../support/scripted-kernel.ts';

class MemoryKernel extends ScriptedKernel {
  readonly attempts: boolean[] = [];
  /** What a mapping is refused with, by whether it is for writing. */
  refusal: (writable: boolean) => string | undefined = () => undefined;

  override mapMemory(_fd?: number, _offset?: number, length = 0, writable = false): ArrayBuffer {
    this.attempts.push(writable);
    const errnoName = this.refusal(writable);
    if (errnoName !== undefined) {
      throw new SyscallError('memory', { command: 'mmap', errno: 1, errnoName });
    }
    return new ArrayBuffer(length);
  }

  override unmapMemory(memory?: ArrayBuffer): void {
    structuredClone(memory, { transfer: [memory!] });
  }
}

function mapped(kernel: Kernel = new MemoryKernel()): LiveMemory {
  return LiveMemory.map(kernel, 3, 'numbers', 4096);
}

describe('memory of a map', () => {
  it('gives back what was written, at any offset', () => {
    const memory = mapped();
    const pair = struct({ first: u8, second: u64 });
    memory.write(u16, 0, 7);
    memory.write(u32, 4, 8);
    memory.write(u64, 8, 9);
    memory.write(pair, 16, { first: 1, second: 2n });
    // Packed structs put numbers where they are not aligned.
    memory.write(u64, 33, 10n);
    memory.write(text(20), 48, 'text of 16 bytes');
    memory.write(bytes(200), 72, new Uint8Array(200).fill(5));
    expect([
      memory.read(u16, 0),
      memory.read(u32, 4),
      memory.read(u64, 8),
      memory.read(pair, 16),
      memory.read(u64, 33),
      memory.read(text(20), 48),
    ]).toEqual([7, 8, 9n, { first: 1, second: 2n }, 10n, 'text of 16 bytes']);
    expect(memory.read(bytes(200), 72)).toEqual(new Uint8Array(200).fill(5));
    expect(memory.read(u8, 72 + 200)).toBe(0);
  });

  it('reads up to its last byte', () => {
    const memory = mapped();
    memory.write(bytes(12), 4096 - 16, new Uint8Array(12).fill(1));
    memory.write(u32, 4092, 2);
    expect(memory.read(array(u8, 16), 4080)).toEqual([...new Array(12).fill(1), 2, 0, 0, 0]);
  });

  it('is not touched by a value that does not fit', () => {
    const memory = mapped();
    const codec = array(u16, 3);
    memory.write(codec, 0, [1, 2, 3]);
    expect(() => memory.write(codec, 0, [4, 5, 70_000])).toThrow(/\[2\]/);
    expect(memory.read(codec, 0)).toEqual([1, 2, 3]);
  });

  it('may be read while a value is being written', () => {
    const memory = mapped();
    const codec = struct({ a: u64, b: u64 });
    memory.write(codec, 0, { a: 1n, b: 2n });
    memory.write(codec, 16, {
      a: 10n,
      get b() {
        return memory.read(codec, 0).b + 100n;
      },
    });
    expect(memory.read(codec, 16)).toEqual({ a: 10n, b: 102n });
  });

  it('may be unmapped while a value is being written, which is then an error', () => {
    const memory = mapped();
    const write = () =>
      memory.write(struct({ a: u32, b: u64 }), 0, {
        a: 1,
        get b() {
          memory.unmap();
          return 1n;
        },
      });
    expect(write).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
  });

  it.each(['EPERM', 'EACCES'])(
    'is mapped for reading where writing is refused with %s',
    (errno) => {
      const kernel = new MemoryKernel();
      kernel.refusal = (writable) => (writable ? errno : undefined);
      const memory = mapped(kernel);
      expect([kernel.attempts, memory.writable]).toEqual([[true, false], false]);
      expect(memory.read(u64, 0)).toBe(0n);
      const refused = expect.objectContaining({ code: 'ERR_SKEP_MAP_KIND' }) as SkepError;
      expect(() => memory.write(u64, 0, 1n)).toThrow(refused);
      expect(() => memory.numbers(numberLayout(u64)!, 0, 1)).toThrow(refused);
    },
  );

  it('is not tried again after another refusal', () => {
    const kernel = new MemoryKernel();
    kernel.refusal = () => 'ENOMEM';
    expect(() => mapped(kernel)).toThrow(/map "numbers": mmap failed with ENOMEM/);
    expect(kernel.attempts).toEqual([true]);
  });
});

describe('values that are plain numbers', () => {
  it.each([
    [u8, Uint8Array, 1],
    [f32, Float32Array, 1],
    [f64, Float64Array, 1],
    [i64, BigInt64Array, 1],
    [pointer, BigUint64Array, 1],
    [bytes(5), Uint8Array, 5],
    [array(u32, 4), Uint32Array, 4],
    [array(array(u16, 3), 2), Uint16Array, 6],
  ] as const)('have a typed array: %o', (codec, kind, count) => {
    expect(numberLayout(codec)).toEqual({
      kind,
      count,
      isScalar: codec.elements === undefined,
    });
  });

  it('are none where reading gives something else', () => {
    for (const codec of [
      bool,
      i128,
      text(4),
      struct({ a: u32 }),
      array(struct({ a: u32 }), 2),
      array(u32, 0),
      enumeration(u32, { A: 1 }),
    ]) {
      expect(numberLayout(codec), codec.name).toBeNull();
    }
  });
});
