/**
 * Reading what waits in a ring buffer of 16 MiB with skep: records of 64 bytes.
 *
 * Usage: node ring.mjs SAMPLES SAMPLE_MS WARM_UP_MS OBJECT RECORDS MODE
 *
 * MODE is cursor, consume, consume-bytes, await or await-bytes.
 *
 * OBJECT is fixtures/run/ring.bpf.o, whose program fills the ring between the samples: loaded by
 * bpftool, which takes the map from a pin, and run through the kernel's front within the build. So this
 * needs a BPF file system at /sys/fs/bpf.
 */

import { measure, measureAwaited, perItem, readPlan } from '../measure.mjs';
import { library } from './library.mjs';
import { loadProgram } from './program.mjs';

/** @import { RingBuffer } from '../../src/index.ts' */

const RING_BYTES = 16 << 20;
/** `BPF_RB_NO_WAKEUP`. */
const NO_WAKEUP = 1n;
const PINS = '/sys/fs/bpf';

const { plan, rest } = readPlan(process.argv.slice(2));
const [object = '', count = '', mode = ''] = rest;
const records = Number(count);
const skep = await library();
const event = skep.struct({ number: skep.u64, tag: skep.u32, half: skep.u32 });
/** @type {RingBuffer<unknown>} */
const ring = skep.RingBuffer.create({
  sizeBytes: RING_BYTES,
  name: 'bench',
  ...(mode.endsWith('-bytes') ? {} : { value: event }),
});
ring.pin(`${PINS}/bench-events`);
const produceOnce = await loadProgram(object, PINS, { events: `${PINS}/bench-events` });
ring.unpin();

/** What the program takes: count, tag, flags, first, discard_every. */
const request = new Uint8Array(32);
const fields = new DataView(request.buffer);
fields.setUint32(0, records, true);
fields.setBigUint64(8, NO_WAKEUP, true);

function produce() {
  const sent = produceOnce(request);
  if (sent !== records) {
    throw new Error(`the program sent ${sent} records instead of ${records}`);
  }
}

/**
 * Records for each call of the function that reads. A program calls such a function often, and V8 then
 * compiles it as a whole; of one long loop it may keep what it made while the loop ran, which is slower.
 */
const CHUNK = 64;

/**
 * Adds up the next few records.
 * @param {ReturnType<typeof ring.cursor>} cursor
 */
function readChunk(cursor) {
  let sum = 0;
  for (let read = 0; read < CHUNK && cursor.next(); read += 1) sum += cursor.u32(0);
  return sum;
}

/** Reads as the peers do: one number of 32 bits of each record. */
function byCursor() {
  const cursor = ring.cursor();
  let sum = 0;
  for (let read = 0; read < records; read += CHUNK) sum += readChunk(cursor);
  cursor.release();
  return sum;
}

function byCallback() {
  let last = 0;
  const all = ring.consume((value) => {
    last = value === null ? 1 : 0;
  });
  return all + last;
}

async function byLoop() {
  let left = records;
  for await (const value of ring) {
    left -= value === null ? 0 : 1;
    if (left === 0) break;
  }
  return left;
}

/** @type {Record<string, () => number>} */
const IMMEDIATE = { cursor: byCursor, consume: byCallback, 'consume-bytes': byCallback };
const immediate = IMMEDIATE[mode];
const measurement =
  immediate === undefined
    ? await measureAwaited(byLoop, plan, produce)
    : await measure(immediate, plan, produce);
produce();
console.log(JSON.stringify({ ...perItem(measurement, records), facts: { sum: byCursor() } }));
ring.close();
