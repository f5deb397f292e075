/**
 * Several handles to one ring buffer, and handles that are closed before everything was given back, on
 * both kernels. What the kernel does with the reader's position: `kernel/bpf/ringbuf.c`.
 */

import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { u64 } from '../../src/codec/numbers.ts';
import { type LoadedObject, load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { RingBuffer } from '../../src/maps/ring-buffer.ts';
import { ended, runChild, startChild } from '../support/child.ts';
import { fixturePath } from '../support/fixtures.ts';
import { bpfDescriptors, describeKernel, pinDirectory } from '../support/kernel.ts';
import { describeKernels } from '../support/kernels.ts';
import { hasProgram, output } from '../support/programs.ts';
import { type RingProducer, type RingRequest, ringProducer } from '../support/rings.ts';

const CLOSED = expect.objectContaining({ code: 'ERR_SKEP_CLOSED' });

/** 64 KiB hold so many records of 64 bytes with headers of 8. */
const ROOM = 910;

const numbersFrom = (first: number, count: number) =>
  Array.from({ length: count }, (_, index) => first + index);

describeKernels('handles to one ring buffer', (place) => {
  let app: LoadedObject;
  let producer: RingProducer;

  const produce = (request: RingRequest) => producer.produce(request);
  const open = () => app.ringBuffer('events', { decode: (record) => record.number64(0) });

  /** The numbers of records that wait, at most so many. */
  const take = (ring: RingBuffer<number>, limit = Number.POSITIVE_INFINITY): number[] => {
    const numbers: number[] = [];
    ring.consume((number) => numbers.push(number), { limit });
    return numbers;
  };

  beforeEach(() => {
    const { kernel, directory } = place;
    const object = ObjectFile.open(fixturePath('run/ring.bpf.o'));
    app = load(object, { kernel, pinDirectory: directory, pinAll: true });
    producer = ringProducer(place, `${directory}/events`);
  });
  afterEach(() => {
    producer.close();
    app.close();
  });

  it('an idle one goes on where another has read to', async () => {
    const idle = open();
    const other = open();
    for (const first of [0, 900]) {
      expect(produce({ count: 900, first })).toBe(900);
      expect(take(other)).toEqual(numbersFrom(first, 900));
    }
    other.close();
    expect([idle.available(), idle.ready(), take(idle)]).toEqual([0, false, []]);
    await expect(idle.wait({ signal: AbortSignal.timeout(20) })).rejects.toThrow(
      expect.objectContaining({ name: 'TimeoutError' }),
    );
    expect(produce({ count: ROOM, first: 5000 })).toBe(ROOM);
    expect(idle.available()).toBe(ROOM * 72);
    expect(take(idle)).toEqual(numbersFrom(5000, ROOM));
    // Nothing of the room got lost on the way.
    expect(produce({ count: ROOM, first: 6000 })).toBe(ROOM);
  });

  it('a loop whose body takes its time goes on behind what another read meanwhile', async () => {
    const other = open();
    const seen: number[] = [];
    expect(produce({ count: 900 })).toBe(900);
    for await (const number of open()) {
      seen.push(number);
      if (seen.length === 5) {
        expect(take(other).at(-1)).toBe(899);
        expect(produce({ count: 900, first: 900 })).toBe(900);
        expect(take(other, 500).at(-1)).toBe(1399);
      }
      if (number === 1799) break;
    }
    expect(seen).toEqual([...numbersFrom(0, 5), ...numbersFrom(1400, 400)]);
    expect([other.available(), produce({ count: ROOM })]).toEqual([0, ROOM]);
  });

  it('a cursor on a record that another has passed goes on behind that', () => {
    const cursor = open().cursor();
    const other = open();
    produce({ count: 900 });
    expect([cursor.next(), cursor.number64(0)]).toEqual([true, 0]);
    expect(take(other)).toHaveLength(900);
    expect([cursor.ready(), cursor.available()]).toEqual([false, 0]);
    produce({ count: 900, first: 900 });
    expect([cursor.ready(), cursor.available()]).toEqual([true, 900 * 72]);
    expect([cursor.next(), cursor.number64(0)]).toEqual([true, 900]);
    cursor.release();
    expect(take(other, 1)).toEqual([901]);
  });

  it('each record goes to one of those that take turns', () => {
    const rings = [open(), open(), open()];
    const seen: number[] = [];
    let sent = 0;
    for (let turn = 0; sent < 20_000; turn += 1) {
      sent += produce({ count: 1 + ((turn * 37) % 1000), first: sent });
      seen.push(...take(rings[turn % 3]!, 1 + ((turn * 61) % 1200)));
    }
    for (const ring of rings) seen.push(...take(ring));
    expect(seen).toEqual(numbersFrom(0, sent));
  });

  it('gives back what a callback or a loop has seen when it closes the handle', async () => {
    produce({ count: 100 });
    const first = open();
    const seen: number[] = [];
    first.consume((number) => {
      seen.push(number);
      if (number === 9) first.close();
    });
    const second = open();
    const loop = async () => {
      for await (const number of second) {
        seen.push(number);
        if (number === 19) second.close();
      }
    };
    await expect(loop()).rejects.toThrow(CLOSED);
    seen.push(...take(open()));
    expect(seen).toEqual(numbersFrom(0, 100));
  });

  it('a cursor says that its handle is closed', () => {
    produce({ count: 3 });
    const ring = open();
    const cursor = ring.cursor();
    cursor.next();
    ring.close();
    for (const use of [() => cursor.next(), () => cursor.ready(), () => cursor.available()]) {
      expect(use).toThrow(CLOSED);
    }
    cursor.release();
    expect([cursor.length, take(open())]).toEqual([0, [1, 2]]);
  });
});

describeKernel('readers of one ring buffer in several processes', () => {
  const pins = pinDirectory();

  /** Reads for some seconds, and pauses after every so many records. */
  const startReader = (pin: string, pauseAfter: number) => {
    const child = startChild(`
      import { setTimeout as delay } from 'node:timers/promises';
      const ring = skep.RingBuffer.openPinned(${JSON.stringify(pin)}, { value: skep.i64 });
      const signal = AbortSignal.timeout(2000);
      const seen = [];
      console.error('ready');
      try {
        for await (const number of ring.records({ signal })) {
          seen.push(Number(number));
          if (seen.length % ${pauseAfter} === 0) await delay(2);
        }
      } catch (error) {
        if (error !== signal.reason) throw error;
      }
      ring.close();
      console.log(JSON.stringify(seen));`);
    return { ready: once(child.stderr!, 'data'), end: ended(child) };
  };

  it.skipIf(!hasProgram('bpftool'))('miss nothing together, and each keeps the order', async () => {
    const pin = `${pins.path}/events`;
    const object = ObjectFile.open(fixturePath('run/ring.bpf.o'));
    // Large, so that nobody is ever held up in the middle of a record until it is written over.
    const maps = { events: { maxEntries: 1 << 22 } };
    using app = load(object, { pinDirectory: pins.path, pinAll: true, maps });
    const ring = app.ringBuffer('events', { decode: (record) => record.number64(0) });
    const readers = [startReader(pin, 1e9), startReader(pin, 40)];
    await Promise.all(readers.map(({ ready }) => ready));
    const producer = ringProducer(app, pin);
    const seen: number[][] = [[]];
    let sent = 0;
    for (let turn = 0; turn < 400; turn += 1) {
      await delay(1);
      sent += producer.produce({ count: 300, first: sent });
      ring.consume((number) => seen[0]!.push(number), { limit: 30 });
    }
    producer.close();
    for (const { end } of readers) seen.push(JSON.parse((await end).stdout));
    ring.consume((number) => seen[0]!.push(number));
    expect(sent).toBeGreaterThan(10_000);
    const all = new Set(seen.flat());
    expect([all.size, all.has(0), all.has(sent - 1)]).toEqual([sent, true, true]);
    for (const numbers of seen) {
      expect(numbers.slice(1).every((number, index) => number > numbers[index]!)).toBe(true);
    }
  });
});

describeKernel('a handle that waits behind a record that is being written', () => {
  const pins = pinDirectory();

  it.skipIf(!hasProgram('bpftool'))('closes with its object, and its loop ends', async () => {
    const before = bpfDescriptors();
    const app = load(ObjectFile.open(fixturePath('run/ring-hold.bpf.o')), {
      pinDirectory: pins.path,
      pinAll: true,
    });
    const holder = `${pins.path}/holder`;
    const map = ['map', 'name', 'held', 'pinned', `${pins.path}/held`] as const;
    output('bpftool', 'prog', 'load', fixturePath('run/ring-hold.bpf.o'), holder, ...map);
    const ring = app.ringBuffer('held', { value: u64 });
    const hold = (nanoseconds: number) =>
      runChild(`
        const context = new Uint8Array(8);
        new DataView(context.buffer).setBigUint64(0, ${nanoseconds}n, true);
        console.log(runProgram(${JSON.stringify(holder)}, context));`);
    expect(await hold(1)).toMatchObject({ stdout: '2\n' });
    const child = hold(300_000_000);
    while (ring.available() < 64) await delay(1);
    const seen: bigint[] = [];
    const loop = (async () => {
      for await (const value of ring) seen.push(value);
    })();
    const outcome = expect(loop).rejects.toThrow(CLOSED);
    await delay(20);
    // What it has read is given back, though something behind that is not ready.
    expect([seen, ring.available()]).toEqual([[1n, 2n], 32]);
    app.close();
    await outcome;
    expect(bpfDescriptors()).toEqual(before);
    expect(await child).toMatchObject({ status: 0, stdout: '2\n' });
    using rest = RingBuffer.openPinned(`${pins.path}/held`, { value: u64 });
    expect(rest.consume((value) => seen.push(value))).toBe(2);
    expect(seen).toEqual([1n, 2n, 1n, 2n]);
  });
});
