/** Queues, stacks and Bloom filters, on both kernels. */

import { expect, expectTypeOf, it } from 'vitest';
import { struct } from '../../src/codec/by-hand.ts';
import { u8, u32, u64 } from '../../src/codec/numbers.ts';
import { load } from '../../src/loader/load.ts';
import { BloomFilter } from '../../src/maps/bloom-filter.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { Queue } from '../../src/maps/queue.ts';
import { Stack } from '../../src/maps/stack.ts';
import { openFixture } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { describeKernels } from '../support/kernels.ts';
import { hasProgram, output } from '../support/programs.ts';

function bpftool(...args: string[]): unknown {
  return JSON.parse(output('bpftool', '-j', 'map', ...args));
}

describeKernels('a queue', (place) => {
  it('gives back first what was pushed first', () => {
    const { kernel } = place;
    using queue = Queue.create({ kernel, value: u32, maxEntries: 4 });
    expectTypeOf(queue).toEqualTypeOf<Queue<number>>();
    expect(queue.push(1).push(2)).toBe(queue);
    expect([queue.peek(), queue.peek(), queue.pop(), queue.pop()]).toEqual([1, 1, 1, 2]);
    expect([queue.peek(), queue.pop()]).toEqual([undefined, undefined]);
  });

  it('is full at some point, and drops the oldest then if asked', () => {
    const { kernel } = place;
    using queue = Queue.create({ kernel, value: u32, maxEntries: 2 });
    queue.push(1).push(2);
    expect(() => queue.push(3)).toThrow(/E2BIG.*the map is full/);
    queue.push(3, { exist: true });
    expect([...queue.drain()]).toEqual([2, 3]);
    // Where there is room, nothing is dropped.
    queue.push(4, { exist: true }).push(5, { exist: true });
    expect([...queue.drain()]).toEqual([4, 5]);
  });

  it('is drained one step at a time', () => {
    const { kernel } = place;
    using queue = Queue.create({ kernel, value: u8, maxEntries: 8 });
    queue.push(0).push(1).push(2);
    for (const value of queue.drain()) {
      // A value that reads as false is no end.
      if (value === 1) break;
    }
    expect([...queue.drain()]).toEqual([2]);
    expect([...queue.drain()]).toEqual([]);
  });

  it('takes nothing that does not fit its type', () => {
    const { kernel } = place;
    using queue = Queue.create({ kernel, value: struct({ a: u8, b: u8 }), maxEntries: 4 });
    expect(() => queue.push({ a: 1, b: 256 })).toThrow(/^map "": value\.b: expected u8/);
    expect(queue.pop()).toBeUndefined();
  });

  it('has the values of its object, and is opened from its pin', () => {
    const { kernel } = place;
    using app = load(openFixture('types/queue'), { kernel });
    const queue = app.map('queue_map', Queue<number>);
    expectTypeOf(queue.pop).returns.toEqualTypeOf<number | undefined>();
    expectTypeOf(app.map('queue_map', Queue)).toEqualTypeOf<Queue<unknown>>();
    queue.push(7);
    const path = `${place.directory}/queue`;
    queue.pin(path);
    using again = Queue.openPinned(path, { value: u32 }, { kernel });
    expect(again.pop()).toBe(7);
    expect(queue.pop()).toBeUndefined();
    expect(() => Queue.openPinned(path, { value: u64 }, { kernel })).toThrow(
      /values have 4 bytes, but u64 has 8/,
    );
    expect(() => Stack.openPinned(path, { value: u32 }, { kernel })).toThrow(
      /is a queue; Stack is for stack/,
    );
    expect(() => app.map('queue_map', HashMap)).toThrow(/is a queue; HashMap is for/);
  });

  it('refuses every call after close', () => {
    const { kernel } = place;
    const queue = Queue.create({ kernel, value: u32, maxEntries: 4 });
    queue.push(1).push(2);
    const drain = queue.drain();
    expect(drain.next().value).toBe(1);
    queue.close();
    const calls: Readonly<Record<string, () => unknown>> = {
      push: () => queue.push(1),
      pop: () => queue.pop(),
      peek: () => queue.peek(),
      drain: () => queue.drain().next(),
      'drain begun': () => drain.next(),
    };
    for (const [name, call] of Object.entries(calls)) {
      expect(call, name).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    }
  });
});

describeKernel('a queue', () => {
  const pins = pinDirectory();

  it.skipIf(!hasProgram('bpftool'))('is the one that bpftool sees', () => {
    const path = `${pins.path}/queue`;
    using queue = Queue.create({ value: u32, maxEntries: 4, name: 'tasks' });
    queue.push(0x01020304).pin(path);
    expect(bpftool('show', 'pinned', path)).toMatchObject({
      type: 'queue',
      name: 'tasks',
      bytes_key: 0,
      bytes_value: 4,
      max_entries: 4,
    });
    expect(bpftool('peek', 'pinned', path)).toMatchObject({
      value: ['0x04', '0x03', '0x02', '0x01'],
    });
    output('bpftool', 'map', 'enqueue', 'pinned', path, 'value', '5', '0', '0', '0');
    expect(bpftool('dequeue', 'pinned', path)).toMatchObject({
      value: ['0x04', '0x03', '0x02', '0x01'],
    });
    expect([...queue.drain()]).toEqual([5]);
  });
});

describeKernels('a stack', (place) => {
  it('gives back first what was pushed last', () => {
    const { kernel } = place;
    using stack = Stack.create({ kernel, value: u64, maxEntries: 4 });
    expectTypeOf(stack).toEqualTypeOf<Stack<bigint>>();
    stack.push(1n).push(2n);
    expect([stack.peek(), stack.pop(), stack.pop(), stack.pop(), stack.peek()]).toEqual([
      2n,
      2n,
      1n,
      undefined,
      undefined,
    ]);
  });

  it('is full at some point, and drops the oldest then if asked', () => {
    const { kernel } = place;
    using stack = Stack.create({ kernel, value: u32, maxEntries: 2 });
    stack.push(1).push(2);
    expect(() => stack.push(3)).toThrow(/E2BIG/);
    stack.push(3, { exist: true });
    expect([...stack.drain()]).toEqual([3, 2]);
  });

  it('has the values of its object, and is the stack that bpftool sees', () => {
    const { kernel } = place;
    using app = load(openFixture('types/stack'), { kernel });
    const stack = app.map('stack_map', Stack<number>);
    const path = `${place.directory}/stack`;
    stack.push(7).push(8).pin(path);
    if (place.hasBpftool) {
      expect(bpftool('show', 'pinned', path)).toMatchObject({ type: 'stack' });
      expect(bpftool('pop', 'pinned', path)).toMatchObject({
        value: ['0x08', '0x00', '0x00', '0x00'],
      });
      output('bpftool', 'map', 'push', 'pinned', path, 'value', '8', '0', '0', '0');
    }
    using again = Stack.openPinned(path, { value: u32 }, { kernel });
    expect([...again.drain()]).toEqual([8, 7]);
    expect(() => Queue.openPinned(path, { value: u32 }, { kernel })).toThrow(
      /is a stack; Queue is for queue/,
    );
  });

  it('refuses every call after close', () => {
    const { kernel } = place;
    const stack = Stack.create({ kernel, value: u32, maxEntries: 4 });
    stack.close();
    for (const call of [
      () => stack.push(1),
      () => stack.pop(),
      () => stack.peek(),
      () => stack.drain().next(),
    ]) {
      expect(call).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    }
  });
});

describeKernels('a Bloom filter', (place) => {
  it('has what was added, and hardly anything else', () => {
    const { kernel } = place;
    using filter = BloomFilter.create({ kernel, value: u64, maxEntries: 1000, hashes: 3 });
    expectTypeOf(filter).toEqualTypeOf<BloomFilter<bigint>>();
    expect([filter.has(0n), filter.has(1n)]).toEqual([false, false]);
    for (let value = 0n; value < 1000n; value += 1n) {
      expect(filter.add(value)).toBe(filter);
    }
    let wrong = 0;
    for (let value = 0n; value < 1000n; value += 1n) {
      expect(filter.has(value)).toBe(true);
      wrong += filter.has(value + 1_000_000n) ? 1 : 0;
    }
    // About one in eight by the usual formula; all of them if it looked at nothing.
    expect(wrong).toBeLessThan(400);
  });

  it('has as many hash functions as asked, or the kernel’s own number', () => {
    const { kernel } = place;
    using filter = BloomFilter.create({ kernel, value: u32, maxEntries: 10, hashes: 15 });
    using usual = BloomFilter.create({ kernel, value: u32, maxEntries: 10 });
    expect([filter.info().mapExtra, usual.info().mapExtra]).toEqual([15n, 0n]);
    for (const hashes of [0, 16, 1.5, -1, Number.NaN]) {
      expect(() => BloomFilter.create({ kernel, value: u32, maxEntries: 10, hashes })).toThrow(
        RangeError,
      );
    }
  });

  it('takes nothing that does not fit its type', () => {
    const { kernel } = place;
    using filter = BloomFilter.create({ kernel, value: u8, maxEntries: 10 });
    expect(() => filter.add(256)).toThrow(/expected u8/);
    expect(() => filter.has(256)).toThrow(/expected u8/);
  });

  it('has the values of its object, and is opened from its pin', () => {
    const { kernel } = place;
    using app = load(openFixture('types/bloom_filter'), { kernel });
    const filter = app.map('bloom_filter_map', BloomFilter<number>);
    expect(filter.info().mapExtra).toBe(3n);
    filter.add(7);
    const path = `${place.directory}/filter`;
    filter.pin(path);
    using again = BloomFilter.openPinned(path, { value: u32 }, { kernel });
    expect([again.has(7), again.has(8)]).toEqual([true, false]);
    expect(() => BloomFilter.openPinned(path, { value: u64 }, { kernel })).toThrow(
      /values have 4 bytes/,
    );
    expect(() => Queue.openPinned(path, { value: u32 }, { kernel })).toThrow(
      /is a bloom_filter; Queue is for queue/,
    );
    using queue = Queue.create({ kernel, value: u32, maxEntries: 1 });
    queue.pin(`${place.directory}/queue`);
    expect(() =>
      BloomFilter.openPinned(`${place.directory}/queue`, { value: u32 }, { kernel }),
    ).toThrow(/is a queue; BloomFilter is for bloom_filter/);
  });

  it('refuses every call after close', () => {
    const { kernel } = place;
    const filter = BloomFilter.create({ kernel, value: u32, maxEntries: 4 });
    filter.add(1);
    filter.close();
    for (const call of [() => filter.add(1), () => filter.has(1)]) {
      expect(call).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    }
  });
});
