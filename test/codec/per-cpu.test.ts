/** Values per CPU: their layout, and what can be done with them. */

import { deepStrictEqual } from 'node:assert/strict';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { bytes } from '../../src/codec/aggregates.ts';
import { struct } from '../../src/codec/by-hand.ts';
import { Memory, ValueError } from '../../src/codec/codec.ts';
import { u8, u32, u64 } from '../../src/codec/numbers.ts';
import { perCpu } from '../../src/codec/per-cpu.ts';
import { PerCpuValues, type Sum } from '../../src/codec/per-cpu-values.ts';

describe('the codec of values per CPU', () => {
  // round_up(value_size, 8) * num_possible_cpus() in kernel/bpf/syscall.c.
  it.each([
    [1, 8],
    [7, 8],
    [8, 8],
    [9, 16],
    [12, 16],
    [16, 16],
    [255, 256],
  ])('moves values of %i bytes in steps of %i', (size, step) => {
    expect(perCpu(bytes(size), 3).sizeBytes).toBe(3 * step);
  });

  it('writes one value a step, and zero between', () => {
    const codec = perCpu(u32, 3);
    const memory = new Memory(new Uint8Array(24).fill(0xee), true);
    codec.write(memory, 0, [1, 2, 0xffffffff]);
    expect(Buffer.from(memory.bytes).toString('hex')).toBe(
      '0100000000000000' + '0200000000000000' + 'ffffffff00000000',
    );
    expect(codec.read(memory, 0)).toEqual(new PerCpuValues([1, 2, 0xffffffff]));
  });

  it('reads what it wrote, at any offset, in either byte order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { minLength: 1, maxLength: 9 }),
        fc.nat(32),
        fc.boolean(),
        (values, offset, littleEndian) => {
          const codec = perCpu(u64, values.length);
          const memory = new Memory(new Uint8Array(offset + codec.sizeBytes), littleEndian);
          codec.write(memory, offset, values);
          const read = codec.read(memory, offset);
          expect([...read]).toEqual(values);
          expect(read.sum()).toBe(values.reduce((total, value) => total + value));
          codec.write(memory, offset, read);
          expect([...codec.read(memory, offset)]).toEqual(values);
        },
      ),
    );
  });

  it.each<[string, unknown, RegExp]>([
    ['too few values', [1], /^expected one value for each of 2 CPUs, got 1$/],
    ['too many values', [1, 2, 3], /^expected one value for each of 2 CPUs, got 3$/],
    ['values of another number of CPUs', new PerCpuValues([1]), /^expected one value .* got 1$/],
    ['one value', 1, /^expected an array of one value for each of 2 CPUs, got 1$/],
    ['nothing', null, /^expected an array .* got null$/],
    ['text', 'ab', /^expected an array .* got "ab"$/],
    ['an object', { a: 1 }, /^expected an array .* got an Object$/],
    ['a value out of range', [1, 256], /^\[1\]: expected u8/],
    ['an array with a hole', Object.assign(new Array(2), { 0: 1 }), /^\[1\]: expected u8/],
  ])('refuses %s', (_, wrong, message) => {
    const memory = new Memory(new Uint8Array(16), true);
    const write = () => perCpu(u8, 2).write(memory, 0, wrong as number[]);
    expect(write).toThrow(ValueError);
    expect(write).toThrow(message);
  });

  it('takes typed arrays', () => {
    const memory = new Memory(new Uint8Array(16), true);
    const codec = perCpu(u64, 2);
    codec.write(memory, 0, BigUint64Array.of(1n, 2n));
    expect([...codec.read(memory, 0)]).toEqual([1n, 2n]);
  });

  it('names the member at fault behind the CPU', () => {
    const codec = perCpu(struct({ packets: u32 }), 2);
    const memory = new Memory(new Uint8Array(16), true);
    expect(() => codec.write(memory, 0, [{ packets: 1 }, { packets: -1 }])).toThrow(
      /^\[1\]\.packets: expected u32/,
    );
  });
});

describe('values per CPU', () => {
  const counts = new PerCpuValues([3n, 0n, 4n]);

  it('are read like an array, and cannot grow', () => {
    expect([counts.length, counts[0], counts[2], counts[3]]).toEqual([3, 3n, 4n, undefined]);
    expect([counts.get(0), counts.get(3), counts.get(-1)]).toEqual([3n, undefined, undefined]);
    expect(counts.get('length' as never)).toBeUndefined();
    expect([...counts]).toEqual([3n, 0n, 4n]);
    expect(counts.toArray()).toEqual([3n, 0n, 4n]);
    expect(() => {
      (counts as { length: number }).length = 9;
    }).toThrow(TypeError);
    expectTypeOf(counts[0]).toEqualTypeOf<bigint | undefined>();
  });

  it.each([1, 2, 3, 4, 5, 8, 64, 2000])('are alike however they were made, for %i CPUs', (cpus) => {
    const values = Array.from({ length: cpus }, (_, cpu) => BigInt(cpu));
    const codec = perCpu(u64, cpus);
    const memory = new Memory(new Uint8Array(codec.sizeBytes), true);
    codec.write(memory, 0, values);
    const read = codec.read(memory, 0);
    deepStrictEqual(read, new PerCpuValues(values));
    expect(read).toBeInstanceOf(PerCpuValues);
    expect(Object.getPrototypeOf(read)).toBe(PerCpuValues.prototype);
    expect(Object.entries(read)).toEqual(Object.entries(values));
    expect([read.length, read[cpus - 1], read[cpus]]).toEqual([cpus, BigInt(cpus - 1), undefined]);
    expect(() => deepStrictEqual(read, new PerCpuValues([...values.slice(1), 9999n]))).toThrow(
      'strictly deep-equal',
    );
  });

  it('share nothing with the array they were made of', () => {
    const source = [1, 2];
    const values = new PerCpuValues(source);
    source[0] = 9;
    expect(values[0]).toBe(1);
  });

  it('are there for at least one CPU', () => {
    expect(() => new PerCpuValues([])).toThrow(RangeError);
  });

  it('have a sum of numbers, of bigints, and of what is picked', () => {
    expect(counts.sum()).toBe(7n);
    expect(new PerCpuValues([1, 2]).sum()).toBe(3);
    expect(new PerCpuValues([2n ** 64n - 1n, 2n ** 64n - 1n]).sum()).toBe(2n ** 65n - 2n);
    const stats = new PerCpuValues([
      { packets: 1n, drops: 2 },
      { packets: 3n, drops: 4 },
    ]);
    expect(stats.sum((value) => value.packets)).toBe(4n);
    expect(stats.sum((value) => value.drops)).toBe(6);
    expect(stats.sum((_, cpu) => cpu)).toBe(1);
    expectTypeOf(counts.sum()).toEqualTypeOf<bigint>();
    expectTypeOf(new PerCpuValues([1, 2]).sum()).toEqualTypeOf<number>();
    expectTypeOf(stats.sum((value) => value.packets)).toEqualTypeOf<bigint>();
    expectTypeOf(new PerCpuValues<unknown>([1]).sum()).toEqualTypeOf<number | bigint>();
    // Objects have none.
    expectTypeOf<Sum<{ readonly packets: bigint }>>().toEqualTypeOf<never>();
  });

  it.each<[string, unknown[], RegExp]>([
    ['objects', [{ a: 1 }, { a: 2 }], /an Object is nothing to sum; pick .* or use reduce\(\)/],
    ['one object', [{ a: 1 }], /nothing to sum/],
    ['text', ['a', 'b'], /"a" is nothing to sum/],
    ['truth values', [true, false], /nothing to sum/],
    ['numbers and bigints', [1, 1n], /1 and 1n have no sum/],
  ])('have no sum of %s', (_, values, message) => {
    const sum = () => new PerCpuValues<unknown>(values).sum();
    expect(sum).toThrow(TypeError);
    expect(sum).toThrow(message);
  });

  it('are reduced and mapped as arrays are', () => {
    const values = [5, 1, 4];
    const perCpuValues = new PerCpuValues(values);
    const visit = (total: unknown[], value: number, cpu: number) => [...total, value, cpu];
    expect(perCpuValues.reduce(visit, [])).toEqual(values.reduce(visit, []));
    expect(perCpuValues.reduce((a, b) => Math.max(a, b))).toBe(5);
    expect(perCpuValues.reduce<number | undefined>((a, b) => (a ?? 0) + b, undefined)).toBe(10);
    const doubled = perCpuValues.map((value, cpu) => value * 2 + cpu);
    expect(doubled).toEqual(new PerCpuValues([10, 3, 10]));
    expect(doubled.sum()).toBe(23);
  });

  it('look like arrays in JSON and on a console', () => {
    expect(JSON.stringify({ values: new PerCpuValues([1, 2]) })).toBe('{"values":[1,2]}');
    expect(inspect(new PerCpuValues([1, 2]))).toBe('[ 1, 2 ]');
  });
});
