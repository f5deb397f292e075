/** `for await` over records, and waiting for them, on feeds and watches made of JavaScript. */

import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Watch } from '../../src/kernel/kernel.ts';
import { type Feed, RecordIterator } from '../../src/maps/record-iterator.ts';
import { Waiting } from '../../src/maps/waiting.ts';

/** Records are numbers that a test pushes. */
class FakeFeed implements Feed<number> {
  readonly records: number[] = [];
  readonly log: string[] = [];
  #value = -1;
  #ready: (() => void) | null = null;

  push(...records: number[]): void {
    this.records.push(...records);
    const ready = this.#ready;
    this.#ready = null;
    ready?.();
  }

  begin(): void {
    this.log.push('begin');
  }

  end(): void {
    this.log.push('end');
  }

  next(): boolean {
    const next = this.records.shift();
    this.#value = next ?? -1;
    return next !== undefined;
  }

  value(): number {
    if (this.#value === 13) throw new RangeError('13 is no value');
    return this.#value;
  }

  whenReady(ready: () => void): void {
    this.#ready = ready;
  }

  forget(): void {
    this.#ready = null;
  }

  get waitedFor(): boolean {
    return this.#ready !== null;
  }
}

const result = (value: number) => ({ done: false, value });
const DONE = { done: true, value: undefined };

describe('an iterator over records', () => {
  it('answers requests made at once in their order', async () => {
    const feed = new FakeFeed();
    const iterator = new RecordIterator(feed, undefined);
    const results = Promise.all([iterator.next(), iterator.next(), iterator.next()]);
    await turn();
    feed.push(1, 2);
    await turn();
    feed.push(3);
    expect(await results).toEqual([result(1), result(2), result(3)]);
  });

  it('answers a request though the feed fails to end', async () => {
    const feed = new FakeFeed();
    feed.end = () => {
      throw new Error('at the end');
    };
    const iterator = new RecordIterator(feed, undefined);
    const request = iterator.next();
    await turn();
    expect(() => feed.push(13)).toThrow('at the end');
    await expect(request).rejects.toThrow('13 is no value');
    expect(await iterator.next()).toEqual(DONE);
  });

  it('begins with the first request, and ends once', async () => {
    const feed = new FakeFeed();
    const iterator = new RecordIterator(feed, undefined);
    expect(feed.log).toEqual([]);
    feed.push(1);
    await iterator.next();
    expect(await iterator.return()).toEqual(DONE);
    expect(await iterator.return()).toEqual(DONE);
    expect(await iterator.next()).toEqual(DONE);
    expect(feed.log).toEqual(['begin', 'end']);
    await new RecordIterator(feed, undefined).return();
    expect(feed.log).toEqual(['begin', 'end']);
  });

  it('answers a request that waits when it is left, and waits no more', async () => {
    const feed = new FakeFeed();
    const iterator = new RecordIterator(feed, undefined);
    const next = iterator.next();
    await turn();
    expect(feed.waitedFor).toBe(true);
    await iterator[Symbol.asyncDispose]();
    expect(await next).toEqual(DONE);
    expect(feed.waitedFor).toBe(false);
  });

  it('ends by what a value throws, also while it waits', async () => {
    for (const waits of [false, true]) {
      const feed = new FakeFeed();
      const iterator = new RecordIterator(feed, undefined);
      if (!waits) feed.push(13, 14);
      const next = iterator.next();
      if (waits) feed.push(13, 14);
      await expect(next).rejects.toThrow('13 is no value');
      expect(await iterator.next()).toEqual(DONE);
      expect([feed.log, feed.records]).toEqual([['begin', 'end'], [14]]);
    }
  });

  it('lets the event loop turn after 1024 records', async () => {
    const feed = new FakeFeed();
    feed.push(...Array.from({ length: 3000 }, (_, index) => index + 100));
    const iterator = new RecordIterator(feed, undefined);
    let turned = false;
    setImmediate(() => {
      turned = true;
    });
    let before = 0;
    while (!turned) {
      await iterator.next();
      before += 1;
    }
    expect(before).toBe(1025);
    const next = [];
    for (let count = 0; count < 1024; count += 1) next.push(await iterator.next());
    expect(next.at(-1)).toEqual(result(1025 + 1024 + 99));
  });

  it('says once that it was aborted while nobody asked', async () => {
    const feed = new FakeFeed();
    feed.push(1, 2);
    const controller = new AbortController();
    const iterator = new RecordIterator(feed, controller.signal);
    await iterator.next();
    controller.abort(new Error('enough'));
    expect(feed.log).toEqual(['begin', 'end']);
    await expect(iterator.next()).rejects.toThrow('enough');
    expect(await iterator.next()).toEqual(DONE);
  });
});

/** A watch that a test wakes; it counts how often it was armed. */
class FakeWatch implements Watch {
  armed = 0;
  closed = false;
  fails = false;
  #ready: (() => void) | null = null;

  arm(ready: () => void): void {
    if (this.fails) throw new Error('no descriptors left');
    this.armed += 1;
    this.#ready = ready;
  }

  disarm(): void {
    this.#ready = null;
  }

  close(): void {
    this.closed = true;
  }

  wake(): boolean {
    const ready = this.#ready;
    this.#ready = null;
    ready?.();
    return ready !== null;
  }
}

describe('waiting', () => {
  const start = (mayBeMissed = false) => {
    const watch = new FakeWatch();
    const state = { ready: false };
    const waiting = new Waiting({ open: () => watch, ready: () => state.ready, mayBeMissed });
    return { watch, state, waiting };
  };

  it('asks once in a while only, after wake-ups in vain', async () => {
    const { watch, state, waiting } = start();
    let calls = 0;
    waiting.add(() => {
      calls += 1;
    });
    let wakeups = 0;
    while (watch.wake()) wakeups += 1;
    expect([wakeups, calls]).toEqual([9, 0]);
    state.ready = true;
    await expect.poll(() => calls).toBe(1);
    expect(watch.wake()).toBe(false);
  });

  it('looks again by itself where wake-ups may be missed', async () => {
    const { watch, state, waiting } = start(true);
    const over = waiting.promise(undefined, () => {});
    state.ready = true;
    await over;
    expect([watch.armed, watch.wake()]).toEqual([1, false]);
  });

  it('is armed once for all who wait, and disarmed when none is left', async () => {
    const { watch, waiting } = start();
    const listeners = [() => {}, () => {}];
    for (const listener of listeners) waiting.add(listener);
    expect(watch.armed).toBe(1);
    waiting.remove(listeners[0]!);
    waiting.rest();
    expect(watch.closed).toBe(false);
    waiting.remove(listeners[1]!);
    waiting.rest();
    expect([watch.wake(), watch.closed]).toEqual([false, true]);
  });

  it('fails if it cannot be armed, and works when it can again', async () => {
    const { watch, state, waiting } = start();
    watch.fails = true;
    await expect(waiting.promise(undefined, () => {})).rejects.toThrow('no descriptors left');
    watch.fails = false;
    const over = waiting.promise(undefined, () => {});
    state.ready = true;
    watch.wake();
    await over;
  });
});
