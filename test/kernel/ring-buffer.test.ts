/** Ring buffers on both kernels; on the running one filled by programs. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, expectTypeOf, it } from 'vitest';
import { u32, u64 } from '../../src/codec/numbers.ts';
import { type LoadedObject, load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { ArrayOfMaps } from '../../src/maps/array-of-maps.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { mergeRecords } from '../../src/maps/merge-records.ts';
import { RingBuffer } from '../../src/maps/ring-buffer.ts';
import { ended, runChild, startChild } from '../support/child.ts';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernel } from '../support/kernel.ts';
import { describeKernels, linuxPlace, type Place } from '../support/kernels.ts';
import { output } from '../support/programs.ts';
import { type RingProducer, type RingRequest, ringProducer } from '../support/rings.ts';

interface Event {
  readonly number: bigint;
  readonly tag: number;
  readonly half: number;
  readonly payload: Uint8Array;
}

/** `BPF_RB_NO_WAKEUP`. */
const NO_WAKEUP = 1n;

/** Descriptors and mappings of ring buffers, watchers and epoll sets in this process. */
function held(): { descriptors: number; mappings: number } {
  const descriptors = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes('bpf-map');
    } catch {
      return false;
    }
  });
  const mappings = readFileSync('/proc/self/maps', 'utf8').match(/bpf-map/g) ?? [];
  return { descriptors: descriptors.length, mappings: mappings.length };
}

/** The object with the ring, pinned, and what fills it. */
function openRing({ kernel, directory }: Place): { app: LoadedObject; producer: RingProducer } {
  const object = ObjectFile.open(fixturePath('run/ring.bpf.o'));
  const app = load(object, { kernel, pinDirectory: directory, pinAll: true });
  return { app, producer: ringProducer({ kernel }, `${directory}/events`) };
}

describeKernels('a ring buffer', (place) => {
  let app: LoadedObject;
  let producer: RingProducer;

  const produce = (request: RingRequest) => producer.produce(request);

  beforeEach(() => {
    ({ app, producer } = openRing(place));
  });
  afterEach(() => {
    producer.close();
    app.close();
  });

  it('gives the records that wait, decoded by the type that the map declares', async () => {
    expect(produce({ count: 3, tag: 9 })).toBe(3);
    const ring = app.map('events', RingBuffer<Event>);
    const events: Event[] = [];
    for await (const event of ring) {
      expectTypeOf(event).toEqualTypeOf<Event>();
      events.push(event);
      if (events.length === 3) break;
    }
    expect(events.map(({ number, tag, half }) => [number, tag, half])).toEqual([
      [0n, 9, 0],
      [1n, 9, 0],
      [2n, 9, 1],
    ]);
    expect(events[0]!.payload).toHaveLength(48);
    expect(ring.available()).toBe(0);
  });

  it('decodes by a codec, a named type or a function, or gives bytes', () => {
    const { kernel } = place;
    produce({ count: 4, tag: 5, first: 7 });
    const take = <T>(ring: RingBuffer<T>): T => {
      let value!: T;
      expect(ring.consume((record) => (value = record), { limit: 1 })).toBe(1);
      ring.close();
      return value;
    };
    const byCodec = app.ringBuffer('events', { value: u64 });
    expectTypeOf(byCodec).toEqualTypeOf<RingBuffer<bigint>>();
    expect(take(byCodec)).toBe(7n);
    const byType = app.ringBuffer<{ count: number }>('events', { type: 'request' });
    expect(take(byType)).toMatchObject({ count: 8, tag: 0, flags: 5n });
    const byFunction = app.ringBuffer('events', {
      decode: (record) => record.u32(8) + record.length,
    });
    expectTypeOf(byFunction).toEqualTypeOf<RingBuffer<number>>();
    expect(take(byFunction)).toBe(69);
    const raw = RingBuffer.openPinned(`${place.directory}/events`, {}, { kernel });
    expectTypeOf(raw).toEqualTypeOf<RingBuffer<Uint8Array>>();
    const bytes = take(raw);
    expect([bytes.length, new DataView(bytes.buffer).getBigUint64(0, true)]).toEqual([64, 10n]);
  });

  it('refuses types that are not there, that are too long, and two at once', async () => {
    expect(() => app.ringBuffer('events', { type: 'evnt' })).toThrow(/no type "evnt"/);
    expect(() => app.ringBuffer('evnts')).toThrow(/no map "evnts"; it has events/);
    expect(() => app.ringBuffer('events', { type: 'event', value: u32 })).toThrow(/one of them/);
    const long = { ...u32, sizeBytes: 65, name: 'long' };
    const ring = app.ringBuffer('events', { value: long });
    produce({ count: 2 });
    const iterator = ring.records();
    await expect(iterator.next()).rejects.toThrow(
      'a record of 64 bytes has no long (65 bytes) at 0',
    );
    await expect(iterator.next()).resolves.toEqual({ done: true, value: undefined });
    // The record at fault is gone, so that the next loop does not stumble over it again.
    expect(ring.available()).toBe(72);
  });

  it('loses and doubles nothing over many turns of the ring', () => {
    const ring = app.ringBuffer('events', { decode: (record) => record.number64(0) });
    const flags = place.runsOn === 'linux' ? NO_WAKEUP : 0n;
    let sent = 0;
    let next = 0;
    while (next < 60_000) {
      sent += produce({ count: 997, first: sent, flags });
      ring.consume(
        (number) => {
          if (number !== next) expect(number).toBe(next);
          next += 1;
        },
        { limit: 700 + (sent % 500) },
      );
    }
    expect(next).toBeLessThanOrEqual(sent);
  });

  it('leaves no room for more while records are not taken, and room again when they are', async () => {
    // 64 KiB hold 910 records of 72 bytes.
    expect(produce({ count: 2000 })).toBe(910);
    expect(produce({ count: 1 })).toBe(0);
    const ring = app.map('events', RingBuffer<Event>);
    expect([ring.sizeBytes, ring.available()]).toEqual([65_536, 910 * 72]);
    let seen = 0;
    for await (const { number } of ring) {
      expect(number).toBe(BigInt(seen));
      seen += 1;
      if (seen === 500) {
        // The loop's body: the record in hand still takes room.
        const sent = produce({ count: 2000, first: 910 });
        expect(sent).toBeGreaterThanOrEqual(499 - 57);
        expect(sent).toBeLessThanOrEqual(499);
        expect(ring.available()).toBe((910 - 499 + sent) * 72);
      }
      if (seen === 910) break;
    }
    ring.consume(({ number }) => {
      expect(number).toBe(BigInt(seen));
      seen += 1;
    });
    expect(seen).toBeGreaterThan(910 + 441);
  });

  it('wakes a loop that waits, each time there is something', async () => {
    const ring = app.map('events', RingBuffer<Event>);
    const numbers: number[] = [];
    const rounds = 20;
    const loop = (async () => {
      for await (const { number } of ring) {
        numbers.push(Number(number));
        if (numbers.length === rounds * 3) break;
      }
    })();
    for (let round = 0; round < rounds; round += 1) {
      await delay(round % 3);
      produce({ count: 3, first: round * 3 });
    }
    await loop;
    expect(numbers).toEqual(Array.from({ length: rounds * 3 }, (_, index) => index));
  });

  it('resolves wait() when there is something, at once if there is already', async () => {
    const ring = app.map('events', RingBuffer<Event>);
    let woken = false;
    const wait = ring.wait().then(() => {
      woken = true;
    });
    await delay(20);
    expect([woken, ring.ready()]).toEqual([false, false]);
    produce({ count: 1 });
    await wait;
    expect(ring.ready()).toBe(true);
    await Promise.all([ring.wait(), ring.wait()]);
    const cursor = ring.cursor();
    expect([cursor.next(), cursor.number64(0), cursor.next()]).toEqual([true, 0, false]);
    const several = [ring.wait(), ring.wait(), ring.wait({ signal: new AbortController().signal })];
    produce({ count: 1 });
    await Promise.all(several);
  });

  it('ends with the reason of a signal, before, during and between records', async () => {
    const ring = app.map('events', RingBuffer<Event>);
    await expect(ring.records({ signal: AbortSignal.abort() }).next()).rejects.toThrow(
      expect.objectContaining({ name: 'AbortError' }),
    );
    await expect(ring.wait({ signal: AbortSignal.timeout(10) })).rejects.toThrow(
      expect.objectContaining({ name: 'TimeoutError' }),
    );
    const waiting = new AbortController();
    const pending = ring.records({ signal: waiting.signal });
    const next = pending.next();
    waiting.abort(new Error('enough'));
    await expect(next).rejects.toThrow('enough');
    await expect(pending.next()).resolves.toEqual({ done: true, value: undefined });

    produce({ count: 3 });
    const controller = new AbortController();
    const seen: bigint[] = [];
    const loop = async () => {
      for await (const { number } of ring.records({ signal: controller.signal })) {
        seen.push(number);
        if (seen.length === 2) controller.abort();
      }
    };
    await expect(loop()).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    expect(seen).toEqual([0n, 1n]);
    // What was not read is still there.
    expect(ring.available()).toBe(72);
  });

  it('takes the signal of all loops when it is opened', async () => {
    const loop = async () => {
      for await (const _ of app.ringBuffer('events', { signal: AbortSignal.timeout(10) })) {
        expect.unreachable();
      }
    };
    await expect(loop()).rejects.toThrow(expect.objectContaining({ name: 'TimeoutError' }));
  });

  it('ends every wait with ERR_SKEP_CLOSED when it is closed', async () => {
    const ring = app.map('events', RingBuffer<Event>);
    const cursor = ring.cursor();
    const iterator = ring.records();
    const outcomes = Promise.allSettled([iterator.next(), iterator.next(), ring.wait()]);
    await delay(5);
    ring.close();
    ring.close();
    const closed = expect.objectContaining({ code: 'ERR_SKEP_CLOSED' });
    expect(await outcomes).toEqual([
      { status: 'rejected', reason: closed },
      { status: 'fulfilled', value: { done: true, value: undefined } },
      { status: 'rejected', reason: closed },
    ]);
    for (const use of [
      () => ring.cursor(),
      () => ring.consume(() => {}),
      () => ring.ready(),
      () => ring.available(),
      () => ring.records(),
      () => cursor.next(),
      () => cursor.ready(),
    ]) {
      expect(use).toThrow(closed);
    }
    await expect(ring.wait()).rejects.toThrow(closed);
    expect(() => cursor.u8(0)).toThrow(RangeError);
  });

  it('may be closed from inside a loop and from inside consume()', async () => {
    produce({ count: 5 });
    const ring = app.map('events', RingBuffer<Event>);
    const loop = async () => {
      for await (const _ of ring) ring.close();
    };
    await expect(loop()).rejects.toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    const again = app.map('events', RingBuffer<Event>);
    expect(again.consume(() => again.close())).toBe(1);
  });

  it('lets only one loop run', async () => {
    produce({ count: 2 });
    const ring = app.map('events', RingBuffer<Event>);
    for await (const _ of ring) {
      await expect(ring.records().next()).rejects.toThrow(/"events" is being iterated already/);
      break;
    }
    for await (const { number } of ring) {
      expect(number).toBe(1n);
      break;
    }
  });

  it('leaves time for timers while records keep coming', async () => {
    const ring = app.map('events', RingBuffer<Event>);
    const signal = AbortSignal.timeout(30);
    let seen = 0;
    const loop = async () => {
      produce({ count: 5 });
      for await (const _ of ring.records({ signal })) {
        seen += 1;
        produce({ count: 1 });
      }
    };
    await expect(loop()).rejects.toThrow(expect.objectContaining({ name: 'TimeoutError' }));
    expect(seen).toBeGreaterThan(100);
  });

  it('is created standalone, its size rounded up, and opened by its id', () => {
    const { kernel } = place;
    using ring = RingBuffer.create({ kernel, sizeBytes: 5000, value: u32, name: 'own' });
    expectTypeOf(ring).toEqualTypeOf<RingBuffer<number>>();
    expect([ring.sizeBytes, ring.name, ring.available()]).toEqual([8192, 'own', 0]);
    using same = RingBuffer.openById(ring.info().id, {}, { kernel });
    expect(same.sizeBytes).toBe(8192);
    expect(() => RingBuffer.create({ kernel, sizeBytes: 0 })).toThrow(RangeError);
    expect(() =>
      RingBuffer.create({ kernel, sizeBytes: 4096, value: u32, decode: () => 1 }),
    ).toThrow(/not by both/);
  });

  it('can be an inner map', () => {
    const { kernel } = place;
    using outer = ArrayOfMaps.create({
      kernel,
      maxEntries: 2,
      inner: { kind: RingBuffer, value: u64, sizeBytes: 65_536 },
    });
    outer.set(1, app.map('events', RingBuffer<bigint>));
    produce({ count: 2, first: 5 });
    using inner = outer.get(1)!;
    expectTypeOf(inner).toEqualTypeOf<RingBuffer<bigint>>();
    const numbers: bigint[] = [];
    inner.consume((number) => numbers.push(number));
    expect(numbers).toEqual([5n, 6n]);
    using made = outer.createInner();
    expect([made.sizeBytes, made.ready()]).toEqual([65_536, false]);
  });

  it('refuses other kinds of map, and leaves nothing behind', () => {
    const { kernel } = place;
    const path = `${place.directory}/hash`;
    using hash = HashMap.create({ kernel, key: u32, value: u32, maxEntries: 1 });
    hash.pin(path);
    const before = place.openDescriptors();
    expect(() => RingBuffer.openPinned(path, {}, { kernel })).toThrow(
      /is a hash; RingBuffer is for ringbuf/,
    );
    expect(() => app.map('events', HashMap)).toThrow(/is a ringbuf/);
    expect(() =>
      RingBuffer.openPinned(`${place.directory}/events`, {}, { kernel, access: 'read-only' }),
    ).toThrow(/mmap failed with EACCES/);
    expect(place.openDescriptors()).toEqual(before);
  });
});

describeKernel('a ring buffer of programs', () => {
  const place = linuxPlace();
  let app: LoadedObject;
  let producer: RingProducer;

  const produce = (request: RingRequest) => producer.produce(request);

  beforeEach(() => {
    ({ app, producer } = openRing(place));
  });
  afterEach(() => {
    producer.close();
    app.close();
  });

  it('passes over discarded records, and counts them', () => {
    produce({ count: 10, discardEvery: 3 });
    const ring = app.map('events', RingBuffer<Event>);
    const numbers: bigint[] = [];
    expect(ring.consume(({ number }) => numbers.push(number))).toBe(7);
    expect(numbers).toEqual([0n, 1n, 3n, 4n, 6n, 7n, 9n]);
    expect(ring.discarded).toBe(3);
  });

  it('is filled by another process while it is read', async () => {
    const total = 50_000;
    const ring = app.ringBuffer('events', { decode: (record) => record.number64(0) });
    loadProgramPin(place.directory);
    const child = runChild(`
      const context = new Uint8Array(32);
      const view = new DataView(context.buffer);
      for (let sent = 0; sent < ${total}; ) {
        view.setUint32(0, Math.min(1000, ${total} - sent), true);
        view.setBigUint64(16, BigInt(sent), true);
        sent += runProgram(${JSON.stringify(`${place.directory}/shared`)}, context);
      }`);
    let next = 0;
    for await (const number of ring) {
      if (number !== next) expect(number).toBe(next);
      next += 1;
      if (next === total) break;
    }
    expect(await child).toMatchObject({ status: 0, stderr: '' });
    expect(ring.available()).toBe(0);
  });

  it('waits for a record that is being written, and keeps the order', async () => {
    using holding = load(ObjectFile.open(fixturePath('run/ring-hold.bpf.o')), {
      pinDirectory: place.directory,
      pinAll: true,
    });
    output(
      ...([
        'bpftool',
        'prog',
        'load',
        fixturePath('run/ring-hold.bpf.o'),
        `${place.directory}/holder`,
      ] as const),
      ...(['map', 'name', 'held', 'pinned', `${place.directory}/held`] as const),
    );
    const ring = holding.ringBuffer('held', { value: u64 });
    const child = runChild(`
      const context = new Uint8Array(8);
      new DataView(context.buffer).setBigUint64(0, 200_000_000n, true);
      console.log(runProgram(${JSON.stringify(`${place.directory}/holder`)}, context));`);
    while (ring.available() === 0) await delay(5);
    expect([ring.available(), ring.ready(), ring.consume(() => {})]).toEqual([32, false, 0]);
    const before = process.cpuUsage();
    const start = performance.now();
    const values: bigint[] = [];
    for await (const value of ring) {
      values.push(value);
      if (values.length === 2) break;
    }
    expect(values).toEqual([1n, 2n]);
    // Not by asking all the time: polling says "readable" for as long as the record is there. An emulated
    // processor takes most of the time for asking now and then.
    const { user, system } = process.cpuUsage(before);
    const waited = performance.now() - start;
    if (process.env.SKEP_ONLY_LINUX !== '1') {
      expect((user + system) / 1000).toBeLessThan(Math.max(150, waited / 2));
    }
    expect(await child).toMatchObject({ status: 0, stdout: '2\n' });
  });

  it('keeps neither descriptors nor mappings after break and close', async () => {
    const before = held();
    const ring = app.map('events', RingBuffer<Event>);
    const open = held();
    setTimeout(() => produce({ count: 1 }), 5);
    for await (const _ of ring) {
      // One more while it waits: the watcher's own.
      expect(held().descriptors).toBe(open.descriptors + 1);
      break;
    }
    expect(held()).toEqual(open);
    ring.close();
    expect(held()).toEqual(before);
  });

  it('lets the process end when the loop is left, and while nothing waits', async () => {
    const pin = JSON.stringify(`${place.directory}/events`);
    produce({ count: 2 });
    expect(
      await runChild(`
        const ring = skep.RingBuffer.openPinned(${pin}, { value: skep.u64 });
        for await (const number of ring) { console.log(number); if (number === 1n) break; }
        const idle = skep.RingBuffer.openPinned(${pin});
        void idle;`),
    ).toEqual({ status: 0, signal: null, stdout: '0n\n1n\n', stderr: '' });
  });

  it('keeps the process while a loop waits, and wakes it from another process', async () => {
    const pin = JSON.stringify(`${place.directory}/events`);
    const child = startChild(`
      const ring = skep.RingBuffer.openPinned(${pin}, { value: skep.u64 });
      console.log('ready');
      for await (const number of ring) { console.log(number); if (number === 42n) break; }`);
    const end = ended(child);
    await new Promise((resolve) => child.stdout?.once('data', resolve));
    await delay(100);
    expect(child.exitCode).toBeNull();
    produce({ count: 1, first: 41 });
    await delay(20);
    produce({ count: 1, first: 42 });
    expect(await end).toEqual({ status: 0, signal: null, stdout: 'ready\n41n\n42n\n', stderr: '' });
  });

  it('frees an unreachable handle’s memory and watcher, and not that of a loop that waits', async () => {
    const pin = JSON.stringify(`${place.directory}/events`);
    produce({ count: 1 });
    const { stdout, stderr } = await runChild(
      `
      import fs from 'node:fs';
      const mappings = () => (fs.readFileSync('/proc/self/maps', 'utf8').match(/bpf-map/g) ?? []).length;
      const collect = async () => {
        for (let i = 0; i < 10; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 5)); }
      };
      const drop = async () => {
        const ring = skep.RingBuffer.openPinned(${pin});
        for await (const _ of ring) break;
        await ring.wait({ signal: AbortSignal.timeout(5) }).catch(() => {});
      };
      await drop();
      const seen = [mappings()];
      await collect();
      seen.push(mappings());
      void (async () => {
        for await (const number of skep.RingBuffer.openPinned(${pin}, { value: skep.u64 })) {
          console.log(seen.join(' '), mappings(), number);
          process.exit(0);
        }
      })();
      await collect();
      runProgram(${JSON.stringify(loadProgramPin(place.directory))}, Uint8Array.of(1, ...new Array(15).fill(0), 7, ...new Array(15).fill(0)));`,
      '--expose-gc',
    );
    expect({ stdout, stderr }).toEqual({ stdout: '3 0 3 7n\n', stderr: '' });
  });
});

/** Pins the program of ring.bpf.c for other processes, on the map that is pinned there. */
function loadProgramPin(directory: string): string {
  const pin = `${directory}/shared`;
  const map = ['map', 'name', 'events', 'pinned', `${directory}/events`];
  output('bpftool', 'prog', 'load', fixturePath('run/ring.bpf.o'), pin, ...map);
  return pin;
}

describeKernels('several ring buffers in one loop', (place) => {
  it('gives each record with its ring, takes turns, and waits for all of them', async () => {
    const { kernel } = place;
    const open = (name: string) => {
      const path = `${place.directory}/${name}`;
      const ring = RingBuffer.create({ kernel, sizeBytes: 1 << 16, value: u64, name });
      ring.pin(path);
      return { ring, producer: ringProducer(place, path) };
    };
    const [one, two] = [open('one'), open('two')];
    const produce = ({ producer }: typeof one, count: number, first: number) =>
      producer.produce({ count, first });
    produce(one, 200, 0);
    produce(two, 100, 1000);
    const order: string[] = [];
    const numbers: bigint[] = [];
    for await (const [ring, number] of mergeRecords([one.ring, two.ring])) {
      expectTypeOf(number).toEqualTypeOf<bigint>();
      if (order.at(-1) !== ring.name) order.push(ring.name);
      numbers.push(number);
      if (numbers.length === 300) setTimeout(() => produce(two, 1, 5000), 10);
      if (numbers.length === 301) setTimeout(() => produce(one, 1, 6000), 10);
      if (numbers.length === 302) break;
    }
    expect(order.slice(0, 4)).toEqual(['one', 'two', 'one', 'two']);
    expect(numbers.filter((number) => number < 1000n)).toEqual(
      Array.from({ length: 200 }, (_, index) => BigInt(index)),
    );
    expect(numbers.slice(-2)).toEqual([5000n, 6000n]);
    for (const { ring, producer } of [one, two]) {
      ring.close();
      producer.close();
    }
  });
});
