/**
 * What the soak does over and over: each job makes what a program would make, uses it, and lets go of
 * all of it. What is left afterwards is a leak.
 */

import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/**
 * @typedef {typeof import('../../src/index.ts')} Skep
 * @typedef {typeof import('../../src/testing.ts')} Testing
 * @typedef {import('../../src/index.ts').Kernel} Kernel
 *
 * @typedef {object} Place
 * @property {Skep} skep
 * @property {Testing} testing
 * @property {Kernel} kernel
 * @property {boolean} isLinux whether programs run
 * @property {string} directory on the kernel's BPF file system; it is there
 * @property {ReturnType<typeof readObjects>} objects
 *
 * @typedef {(place: Place, round: number) => Promise<void>} Job
 */

const root = new URL('../../', import.meta.url);

/** @param {string} name */
const pathOf = (name) => fileURLToPath(new URL(`fixtures/${name}.bpf.o`, root));

/**
 * The objects of the jobs, read once: their bytes again each time would be a job of its own.
 *
 * @param {Skep} skep
 */
export function readObjects({ ObjectFile }) {
  const open = (/** @type {string} */ name) => ObjectFile.open(pathOf(name));
  return {
    demo: open('objects/demo'),
    ring: open('run/ring'),
    perf: open('run/perf'),
    refused: open('run/refused'),
    reads: open('run/kernel-reads'),
  };
}

/**
 * Uses something that is closed afterwards, whatever happens.
 *
 * @template {{ close(): void }} T
 * @template R
 * @param {T} handle
 * @param {(handle: T) => R | Promise<R>} use
 */
async function closing(handle, use) {
  try {
    return await use(handle);
  } finally {
    handle.close();
  }
}

/** @param {boolean} holds @param {string} what */
function check(holds, what) {
  if (!holds) {
    throw new Error(`the soak found something wrong: ${what}`);
  }
}

/**
 * Waits for something that must fail.
 *
 * @param {() => unknown} call
 * @param {(error: any) => boolean} isRight
 * @param {string} what
 */
async function failing(call, isRight, what) {
  try {
    await call();
  } catch (error) {
    check(isRight(error), `${what} failed otherwise than it should: ${String(error)}`);
    return;
  }
  check(false, `${what} did not fail`);
}

/** An Ethernet frame with IPv4 and UDP ports; each number is a flow of its own. @param {number} flow */
function packet(flow) {
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  view.setUint16(12, 0x0800);
  view.setUint8(14, 0x45);
  view.setUint8(23, 17);
  view.setUint32(26, flow);
  view.setUint16(36, 443);
  return bytes;
}

/** `struct request` of ring.bpf.c. @param {number} count */
function ringRequest(count) {
  const bytes = new Uint8Array(32);
  new DataView(bytes.buffer).setUint32(0, count, true);
  return bytes;
}

/** `struct request` of perf.bpf.c. @param {number} count */
function perfRequest(count) {
  const bytes = new Uint8Array(64);
  new DataView(bytes.buffer).setUint16(14, count, true);
  return bytes;
}

/** @type {Record<string, import('../../src/index.ts').MapOptions>} */
const UNPINNED = { flows: { pin: false }, tenants: { pin: false }, events: { pin: false } };

/** @type {Job} */
async function loads({ skep, kernel, isLinux, objects }, round) {
  await closing(skep.load(objects.demo, { kernel, maps: UNPINNED }), async (app) => {
    app.globals.ignored_packets = BigInt(round);
    check(app.globals.ignored_packets === BigInt(round), 'a global variable');
    check(app.globalNumbers('ignored_packets').length === 1, 'a global variable as an array');
    const flows = app.map('flows', skep.HashMap);
    if (isLinux) {
      for (let flow = 0; flow < 20; flow += 1) {
        app.program('count_packets').run({ data: packet(flow) });
      }
      check(flows.count() === 20, 'flows that the program has counted');
      // Broken out of, taken by a callback, and left in the ring.
      const ring = app.ringBuffer('events');
      for await (const event of ring) {
        check(event !== undefined, 'a record');
        break;
      }
      check(ring.consume(() => {}, { limit: 5 }) === 5, 'records for a callback');
    }
    await closing(app.map('tenants', skep.HashOfMaps), (tenants) => {
      for (const [, ports] of tenants) ports.close();
    });
  });
}

/** @type {Job} */
async function pins({ skep, kernel, objects, directory }) {
  const options = {
    kernel,
    pinDirectory: `${directory}/pins`,
    pinAll: true,
    pinPrograms: `${directory}/pins/programs`,
  };
  /** @type {unknown[]} */
  const ids = [];
  for (let time = 0; time < 2; time += 1) {
    await closing(skep.load(objects.demo, options), (app) => {
      ids.push(app.maps.get('flows')?.info().id);
      if (time === 1) {
        for (const program of app.programs.values()) program.unpin();
        for (const map of app.maps.values()) map.unpin();
      } else {
        // So that the next load pins its own.
        for (const program of app.programs.values()) program.unpin();
      }
    });
  }
  check(ids[0] === ids[1], 'a pinned map was not used again');
  kernel.removeDirectory(`${directory}/pins/programs`);
  kernel.removeDirectory(`${directory}/pins`);
}

/** @type {Job} */
async function failures({ skep, testing, kernel, objects, directory, isLinux }, round) {
  const faulty = testing.withFaults(kernel);
  faulty.failCall(1 + (round % 40), 'EIO');
  const options = { kernel: faulty.kernel, pinDirectory: `${directory}/faults`, pinAll: true };
  try {
    skep.load(objects.demo, options).close();
    // Some faults are answers: a kernel without batches, say.
    for (const path of ['flows', 'tenants', 'events', 'tenant_zero', 'tenant_one']) {
      kernel.unpin(`${directory}/faults/${path}`);
    }
    kernel.removeDirectory(`${directory}/faults`);
  } catch (error) {
    check(error instanceof skep.SkepError, `a fault in a load: ${String(error)}`);
  }
  if (isLinux) {
    await failing(
      () => skep.load(objects.refused, { kernel, programs: { beyond_end: { autoload: true } } }),
      (error) => error instanceof skep.VerifierError,
      'a program that the verifier refuses',
    );
  }
  const types = { key: skep.u32, value: skep.u64, kernel };
  await closing(skep.HashMap.create({ ...types, maxEntries: 1 }), async (map) => {
    map.set(1, 1n);
    await failing(
      () => map.set(2, 2n),
      (error) => error.errnoName === 'E2BIG',
      'an entry too many',
    );
    await failing(
      () => skep.PerCpuArray.openById(map.info().id, { value: skep.u64 }, { kernel }),
      (error) => error instanceof skep.SkepError,
      'a handle of the wrong class',
    );
  });
}

/** @type {Job} */
async function rings({ skep, kernel, isLinux, objects }) {
  const sizeBytes = 16_384;
  await closing(skep.RingBuffer.create({ sizeBytes, value: skep.u64, kernel }), async (ring) => {
    const abort = new AbortController();
    setImmediate(() => abort.abort());
    await failing(
      async () => {
        for await (const _ of ring.records({ signal: abort.signal }));
      },
      (error) => error.name === 'AbortError',
      'a loop that is aborted',
    );
    const waiting = ring.wait();
    setImmediate(() => ring.close());
    await failing(
      () => waiting,
      (error) => error.code === 'ERR_SKEP_CLOSED',
      'waiting for a ring that is closed',
    );
  });
  await closing(skep.UserRingBuffer.create({ sizeBytes, value: skep.u64, kernel }), (commands) => {
    while (commands.push(1n));
    check(commands.pending() > 0, 'records for a program');
  });
  if (isLinux) {
    await closing(skep.load(objects.ring, { kernel }), async (app) => {
      const ring = app.ringBuffer('events', { decode: (record) => record.length });
      app.program('produce').run({ context: ringRequest(50) });
      let count = 0;
      for await (const [, length] of skep.mergeRecords([ring])) {
        check(length > 0, 'a record of the ring');
        count += 1;
        if (count === 50) break;
      }
    });
  }
}

/** @type {Job} */
async function perfEvents({ skep, kernel, isLinux, objects }) {
  if (!isLinux) {
    await closing(skep.PerfEventArray.create({ kernel }), (events) => {
      events.start();
      events.consume(() => {});
    });
    return;
  }
  await closing(skep.load(objects.perf, { kernel }), async (app) => {
    const events = app.perfEventArray('events', { decode: (record) => record.length });
    app.program('send').run({ data: perfRequest(20) });
    let count = 0;
    for await (const length of events) {
      check(length > 0, 'a record of the perf event array');
      count += 1;
      if (count === 20) break;
    }
  });
}

/** @type {Job} */
async function innerMaps({ skep, kernel }) {
  const inner = { kind: skep.HashMap, key: skep.u16, value: skep.u64, maxEntries: 16 };
  const options = { key: skep.u32, inner, maxEntries: 100, kernel };
  await closing(skep.HashOfMaps.create(options), async (tenants) => {
    const made = Array.from({ length: 100 }, (_, key) => {
      const ports = tenants.createInner();
      ports.set(key, BigInt(key));
      return /** @type {const} */ ([key, ports]);
    });
    tenants.setAll(made);
    // Replaced by one call, then one by one, then removed in both ways.
    tenants.setAll(
      made.map(([key], index) => [key, /** @type {typeof made[0]} */ (made.at(-1 - index))[1]]),
    );
    for (const [, ports] of made) ports.close();
    await closing(tenants.createInner(), (ports) => tenants.set(5, ports));
    check(tenants.get(200) === undefined, 'an inner map that is not there');
    for (const [key, ports] of tenants) {
      check(key === 5 || ports.get(99 - key) === BigInt(99 - key), 'an inner map');
      ports.close();
    }
    tenants.delete(7);
    check(tenants.clear() === 99, 'inner maps that were removed');
  });
}

/** @type {Job} */
async function plainMaps({ skep, kernel }) {
  const { u32, u64 } = skep;
  const entries = { key: u32, value: u64, maxEntries: 1000, kernel };
  await closing(skep.HashMap.create(entries), (map) => {
    for (let key = 0; key < 1000; key += 1) map.set(key, BigInt(key));
    for (const [key] of map) if (key % 3 === 0) map.delete(key);
    for (const key of map.keys()) if (key > 500) break;
    check(map.snapshot().length === 666, 'entries of a hash');
    check(map.clear() === 666, 'entries that were removed');
  });
  await closing(skep.PerCpuHashMap.create(entries), (map) => {
    for (let key = 0; key < 100; key += 1) map.fill(key, 3n);
    check(
      [...map].every(([, values]) => values[0] === 3n),
      'per-CPU values',
    );
  });
  await closing(skep.PerCpuArray.create({ value: u64, maxEntries: 64, kernel }), (map) => {
    map.fill(3, 7n);
    check(map.get(3)?.[0] === 7n, 'a per-CPU array');
  });
  await closing(skep.MappedArray.create({ value: u64, maxEntries: 4096, kernel }), (map) => {
    const { numbers } = map;
    for (let index = 0; index < 4096; index += 1) numbers[index] = BigInt(index);
    check(map.get(4095) === 4095n, 'an array in memory');
  });
  await closing(skep.Queue.create({ value: u32, maxEntries: 8, kernel }), (queue) => {
    queue.push(1);
    check(queue.pop() === 1, 'a queue');
  });
}

/** CO-RE, externs and options of the running kernel. @type {Job} */
async function kernelReads({ skep, kernel, isLinux, objects }) {
  if (isLinux) {
    await closing(skep.load(objects.reads, { kernel }), (app) => {
      check(app.program('read_kernel').run().returnValue === 0, 'what a program reads');
    });
  }
}

/** Objects from their bytes: what an inspection does. @type {Job} */
async function reading({ skep }) {
  const object = skep.ObjectFile.parse(readFileSync(pathOf('objects/demo')));
  check(skep.inspect(object).maps.length > 0, 'maps of an object');
}

/** Other handles to what is there, by path and by id. @type {Job} */
async function handles({ skep, kernel, directory }) {
  const types = { key: skep.u32, value: skep.u64 };
  const path = `${directory}/shared`;
  await closing(skep.HashMap.create({ ...types, maxEntries: 4, kernel }), async (map) => {
    map.pin(path);
    await closing(skep.HashMap.openPinned(path, types, { kernel }), (other) => other.set(1, 1n));
    await closing(skep.openMap(path, { kernel }), () => {});
    await closing(skep.RawMap.openById(map.info().id, { kernel }), () => {});
    map.unpin();
    check(map.get(1) === 1n, 'an entry that another handle has set');
  });
  await turn();
}

/** What a round consists of. @type {Readonly<Record<string, Job>>} */
export const JOBS = {
  loads,
  pins,
  failures,
  rings,
  perfEvents,
  innerMaps,
  plainMaps,
  kernelReads,
  reading,
  handles,
};
