/** Perf event arrays on both kernels; on the running one filled by programs. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, expectTypeOf, it } from 'vitest';
import { u64 } from '../../src/codec/numbers.ts';
import { listCpus } from '../../src/kernel/linux-perf.ts';
import { type LoadedObject, load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { mergeRecords } from '../../src/maps/merge-records.ts';
import { PerfEventArray } from '../../src/maps/perf-event-array.ts';
import { RingBuffer } from '../../src/maps/ring-buffer.ts';
import { runChild } from '../support/child.ts';
import { type EventProducer, eventProducer, eventRequest } from '../support/events.ts';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernel, kernelProblem } from '../support/kernel.ts';
import { describeKernels, linuxPlace, type Place } from '../support/kernels.ts';
import { hasProgram, output } from '../support/programs.ts';

interface Event {
  readonly number: bigint;
  readonly cpu: number;
  readonly payload: Uint8Array;
}

/** Descriptors of perf events and mappings of them in this process. */
function held(): { descriptors: number; mappings: number } {
  const descriptors = readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).includes('perf_event');
    } catch {
      return false;
    }
  });
  const mappings = readFileSync('/proc/self/maps', 'utf8').match(/perf_event/g) ?? [];
  return { descriptors: descriptors.length, mappings: mappings.length };
}

const online =
  kernelProblem === null ? listCpus(readFileSync('/sys/devices/system/cpu/online', 'latin1')) : [];

/** Record: 8 bytes of header, 4 of size, 32 of data, 4 of padding. */
const RECORD_BYTES = 48;

it('takes lists of CPUs as the kernel writes them', () => {
  expect(listCpus('0\n')).toEqual([0]);
  expect(listCpus('0-2,5,8-9\n')).toEqual([0, 1, 2, 5, 8, 9]);
});

/** The object with the array, pinned, and what fills it. */
function openEvents({ kernel, directory }: Place): { app: LoadedObject; producer: EventProducer } {
  const object = ObjectFile.open(fixturePath('run/perf.bpf.o'));
  const app = load(object, { kernel, pinDirectory: directory, pinAll: true });
  return { app, producer: eventProducer({ kernel }, `${directory}/events`) };
}

describeKernels('a perf event array', (place) => {
  let app: LoadedObject;
  let producer: EventProducer;

  const send = (count: number, first = 0) => producer.send(count, first);

  beforeEach(() => {
    ({ app, producer } = openEvents(place));
  });
  afterEach(() => {
    producer.close();
    app.close();
  });

  it('gives the records of all CPUs, decoded by a named type', async () => {
    expect(send(1)).toBe(0);
    const events = app.perfEventArray<Event>('events', { type: 'event' });
    expectTypeOf(events).toEqualTypeOf<PerfEventArray<Event>>();
    expect(send(3, 10)).toBe(3);
    const seen: Event[] = [];
    for await (const event of events) {
      seen.push(event);
      if (seen.length === 3) break;
    }
    expect(seen.map(({ number }) => number)).toEqual([10n, 11n, 12n]);
    expect(place.kernel.onlineCpus()).toContain(seen[0]!.cpu);
    expect(seen[0]!.payload).toEqual(new Uint8Array(20));
    expect([events.lost, events.ready()]).toEqual([0, false]);
  });

  it('gives bytes where nothing is said, with the kernel’s padding', () => {
    const events = app.map('events', PerfEventArray<Uint8Array>).start();
    send(1, 7);
    const records: Uint8Array[] = [];
    expect(events.consume((record) => records.push(record))).toBe(1);
    expect(records[0]).toHaveLength(36);
    expect(new DataView(records[0]!.buffer).getBigUint64(0, true)).toBe(7n);
  });

  it('keeps the order of each CPU over many turns of its buffer', () => {
    // Records of 48 bytes do not divide a page: some reach its end and go on at the start.
    const events = app.perfEventArray('events', {
      bytesPerCpu: 4096,
      decode: (record) => [record.cpu, record.u32(8), record.number64(0)] as const,
    });
    let sent = 0;
    let seen = 0;
    const last = new Map<number, number>();
    for (let round = 0; round < 500; round += 1) {
      const found = send(60, round * 60);
      expect(found).toBe(60);
      sent += found;
      events.consume(([cpu, sender, number]) => {
        if (cpu !== sender || number <= (last.get(cpu) ?? -1)) expect.unreachable();
        last.set(cpu, number);
        seen += 1;
      });
    }
    expect([seen, events.lost]).toEqual([sent, 0]);
  });

  it('wakes a loop that waits, each time there is something', async () => {
    const events = app.perfEventArray('events', { value: u64 });
    const numbers: number[] = [];
    const rounds = 100;
    const loop = (async () => {
      for await (const number of events) {
        numbers.push(Number(number));
        if (numbers.length === rounds * 2) break;
      }
    })();
    for (let round = 0; round < rounds; round += 1) {
      // Before the loop waits, while it starts to, and while it does.
      if (round % 3 === 1) await Promise.resolve();
      if (round % 3 === 2) await delay(round % 5);
      send(2, round * 2);
      while (numbers.length < round * 2 + 2) await delay(0);
    }
    await loop;
    expect(numbers.sort((a, b) => a - b)).toEqual(
      Array.from({ length: rounds * 2 }, (_, index) => index),
    );
  });

  it('never sleeps while something waits to be read', async () => {
    const events = app.perfEventArray('events', { value: u64 });
    let seen = 0;
    for (let round = 0; round < 300; round += 1) {
      const wait = events.wait({ signal: AbortSignal.timeout(2000) });
      // In every phase of the event loop, so also between asking and falling asleep.
      if (round % 4 === 0) send(1);
      if (round % 4 === 1) process.nextTick(() => send(1));
      if (round % 4 === 2) setImmediate(() => send(1));
      if (round % 4 === 3) setTimeout(() => send(1), 0);
      await wait;
      seen += events.consume(() => {});
    }
    expect(seen).toBe(300);
  });

  it('wakes only after so many records, if asked to', async () => {
    const events = app.perfEventArray('events', { value: u64, wakeupEvents: 20 });
    const wait = events.wait({ signal: AbortSignal.timeout(50) });
    // It looks again in its first turns, where it would find the records; after that it must be woken.
    for (let turn = 0; turn < 5; turn += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    send(5);
    await expect(wait).rejects.toThrow(expect.objectContaining({ name: 'TimeoutError' }));
    expect(events.ready()).toBe(true);
  });

  it('holds events of the caller’s, and gives them back', () => {
    const { kernel } = place;
    using events = PerfEventArray.openPinned(`${place.directory}/events`, {}, { kernel });
    const event = events.kernel.openOutputEvent(kernel.onlineCpus()[0]!, 1);
    expect(events.set(0, event).delete(0)).toBe(true);
    expect(events.set(0, { fd: event }).delete(0)).toBe(true);
    expect(events.delete(0)).toBe(false);
    events.kernel.close(event);
    expect(() => events.set(0, app.maps.get('events')!)).toThrow(/EBADF/);
    expect(() => events.set(1 << 20, event)).toThrow(/E2BIG/);
    expect(() => events.set(-1, event)).toThrow(TypeError);
  });

  it('shares a loop with ring buffers', async () => {
    const { kernel } = place;
    using ring = RingBuffer.create({ kernel, sizeBytes: 4096, value: u64, name: 'ring' });
    const events = app.perfEventArray('events', { value: u64 });
    send(2);
    setTimeout(() => send(1, 5), 10);
    const seen: [string, bigint][] = [];
    for await (const [map, number] of mergeRecords([ring, events])) {
      seen.push([map.name, number]);
      if (seen.length === 3) break;
    }
    expect(seen).toEqual([
      ['events', 0n],
      ['events', 1n],
      ['events', 5n],
    ]);
  });
});

describeKernel('a perf event array of programs', () => {
  const place = linuxPlace();
  let app: LoadedObject;
  let producer: EventProducer;

  const send = (count: number, first = 0) => producer.send(count, first);

  beforeEach(() => {
    ({ app, producer } = openEvents(place));
  });
  afterEach(() => {
    producer.close();
    app.close();
    expect(held()).toEqual({ descriptors: 0, mappings: 0 });
  });

  it('starts to receive when it is first read, not before', () => {
    const events = app.map('events', PerfEventArray<Uint8Array>);
    expect(held().descriptors).toBe(0);
    expect(send(1)).toBe(0);
    expect(events.ready()).toBe(false);
    expect(held()).toEqual({ descriptors: online.length, mappings: online.length });
    expect(send(1)).toBe(1);
    expect(events.ready()).toBe(true);
  });

  it.skipIf(online.length < 2 || !hasProgram('taskset'))('reads every CPU', async () => {
    const pin = pinShared(place.directory);
    const events = app.perfEventArray('events', {
      decode: (record) => [record.cpu, record.u32(8)],
    });
    for (const cpu of online) {
      // A child stays where it is told to.
      const bytes = JSON.stringify([...eventRequest(2)]);
      const child = runChild(`
        import { spawnSync } from 'node:child_process';
        spawnSync('taskset', ['-acp', '${cpu}', String(process.pid)]);
        console.log(runProgram(${JSON.stringify(pin)}, new Uint8Array(), Uint8Array.from(${bytes})));`);
      expect(await child).toMatchObject({ stdout: '2\n', stderr: '' });
      const seen: number[][] = [];
      events.consume((pair) => seen.push(pair));
      expect(seen).toEqual([
        [cpu, cpu],
        [cpu, cpu],
      ]);
    }
  });

  it.skipIf(!hasProgram('taskset'))('counts what found no room, once the kernel tells', () => {
    // All on one CPU: the news comes with the next record of that one.
    const cpus = output('taskset', '-cp', String(process.pid)).replace(/^.*: /, '').trim();
    output('taskset', '-acp', String(online[0]), String(process.pid));
    const events = app.perfEventArray('events', {
      bytesPerCpu: 4096,
      decode: (record) => record.number64(0),
    });
    const first = send(200);
    expect(first).toBeLessThanOrEqual(Math.floor(4096 / RECORD_BYTES));
    let seen = events.consume(() => {});
    expect([seen, events.lost]).toEqual([first, 0]);
    expect(send(1)).toBe(1);
    seen = events.consume(() => {});
    output('taskset', '-acp', cpus, String(process.pid));
    expect(seen).toBe(1);
    expect(events.lost).toBe(200 - first);
    expect([...events.lostPerCpu()]).toEqual(
      online.map((cpu, index) => [cpu, index === 0 ? 200 - first : 0]),
    );
  });

  it('ends by a signal, by closing and by break, and leaves nothing behind', async () => {
    const before = readdirSync('/proc/self/fd').length;
    const events = app.perfEventArray('events', { value: u64, signal: AbortSignal.timeout(10) });
    await expect(events.records().next()).rejects.toThrow(
      expect.objectContaining({ name: 'TimeoutError' }),
    );
    const iterator = events.records({ signal: new AbortController().signal });
    const next = iterator.next();
    await delay(5);
    events.close();
    const closed = expect.objectContaining({ code: 'ERR_SKEP_CLOSED' });
    await expect(next).rejects.toThrow(closed);
    for (const use of [
      () => events.start(),
      () => events.consume(() => {}),
      () => events.delete(0),
    ]) {
      expect(use).toThrow(closed);
    }
    expect(held()).toEqual({ descriptors: 0, mappings: 0 });
    expect(readdirSync('/proc/self/fd').length).toBe(before);
    // The events were taken out of the map.
    expect(send(1)).toBe(0);
  });

  it('is created standalone, with room for every possible CPU', () => {
    using events = PerfEventArray.create({ name: 'own', bytesPerCpu: 5000 });
    expect(events.info()).toMatchObject({ name: 'own', maxEntries: app.kernel.possibleCpus() });
    events.start();
    using same = PerfEventArray.openById(events.info().id);
    expect(same.info().id).toBe(events.info().id);
    const before = held();
    using small = PerfEventArray.create({ maxEntries: 1 });
    small.start();
    expect(held().descriptors).toBe(before.descriptors + 1);
    expect(() => PerfEventArray.create({ bytesPerCpu: 0 })).toThrow(RangeError);
    expect(() => app.map('events', RingBuffer)).toThrow(/is a perf_event_array; RingBuffer is for/);
  });

  it('lets the process end when the loop is left', async () => {
    const pin = JSON.stringify(`${place.directory}/events`);
    const shared = JSON.stringify(pinShared(place.directory));
    const bytes = JSON.stringify([...eventRequest(2)]);
    expect(
      await runChild(`
        const events = skep.PerfEventArray.openPinned(${pin}, { value: skep.u64 }).start();
        setTimeout(() => runProgram(${shared}, new Uint8Array(), Uint8Array.from(${bytes})), 10);
        for await (const number of events) { console.log(number); if (number === 1n) break; }`),
    ).toEqual({ status: 0, signal: null, stdout: '0n\n1n\n', stderr: '' });
  });
});

/** Pins the program of perf.bpf.c for other processes, on the map that is pinned there. */
function pinShared(directory: string): string {
  const pin = `${directory}/shared`;
  const map = ['map', 'name', 'events', 'pinned', `${directory}/events`];
  output('bpftool', 'prog', 'load', fixturePath('run/perf.bpf.o'), pin, ...map);
  return pin;
}
