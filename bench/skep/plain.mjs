/**
 * The least that plain JavaScript takes for what skep does with memory, without any library: an array of
 * numbers at random indices, and records of 64 bytes, one behind the other with a header each, as in a ring
 * buffer. Where skep takes as long, it is V8 that takes longer than C.
 *
 * Usage: node plain.mjs SAMPLES SAMPLE_MS WARM_UP_MS array u64|u32 numbers|compare
 *        node plain.mjs SAMPLES SAMPLE_MS WARM_UP_MS records COUNT cursor|consume|consume-bytes|await|await-bytes
 */

import { ENTRIES, KEYS, randomKeys, valueFor } from '../entries.mjs';
import { measure, measureAwaited, perItem, readPlan } from '../measure.mjs';

/** Things for each call of the measured function; see memory.mjs and ring.mjs. */
const CHUNK = 64;

const { plan, rest } = readPlan(process.argv.slice(2));
const [what = '', ...args] = rest;

/**
 * @param {string} element
 * @param {string} mode
 */
async function measureArray(element, mode) {
  const keys = randomKeys();
  const small = new Uint32Array(ENTRIES).map((_, key) => valueFor(key));
  const big = new BigUint64Array(ENTRIES).map((_, key) => BigInt(valueFor(key)));
  const middle = BigInt(valueFor(ENTRIES / 2));
  let position = 0;
  const next = () => {
    const start = position;
    position = (start + CHUNK) % KEYS;
    return start;
  };
  const keyAt = (/** @type {number} */ index) => /** @type {number} */ (keys[index]);
  // Read into a variable: V8 does not add up machine words out of what a closure holds.
  function addSmall() {
    const numbers = small;
    let sum = 0;
    const start = next();
    for (let index = start; index < start + CHUNK; index += 1) {
      sum += /** @type {number} */ (numbers[keyAt(index)]);
    }
    return sum;
  }
  function addBig() {
    const numbers = big;
    let sum = 0n;
    const start = next();
    for (let index = start; index < start + CHUNK; index += 1) {
      sum = BigInt.asUintN(64, sum + /** @type {bigint} */ (numbers[keyAt(index)]));
    }
    return Number(sum);
  }
  function compareBig() {
    const numbers = big;
    let count = 0;
    const start = next();
    for (let index = start; index < start + CHUNK; index += 1) {
      if (/** @type {bigint} */ (numbers[keyAt(index)]) > middle) count += 1;
    }
    return count;
  }
  const add = element === 'u32' ? addSmall : addBig;
  const measurement = await measure(mode === 'compare' ? compareBig : add, plan);
  position = 0;
  let sum = 0;
  for (let chunk = 0; chunk < KEYS / CHUNK; chunk += 1) sum += add();
  return { ...perItem(measurement, CHUNK), facts: { sum } };
}

const RECORD_BYTES = 64;
const STEP = RECORD_BYTES + 8;

/**
 * @param {number} count
 * @param {string} mode
 */
async function measureRecords(count, mode) {
  const memory = new ArrayBuffer(count * STEP);
  const [words, wholes, bytes] = [
    new Int32Array(memory),
    new BigUint64Array(memory),
    new Uint8Array(memory),
  ];
  /** Writes the records anew, as a program would have between two readings. */
  function produce() {
    for (let record = 0; record < count; record += 1) {
      const at = (record * STEP) / 4;
      words[at] = RECORD_BYTES;
      words[at + 2] = record;
      words[at + 3] = 0;
    }
  }
  const decode = (/** @type {number} */ at) => ({
    number: wholes[at >> 3],
    tag: /** @type {number} */ (words[(at >> 2) + 2]) >>> 0,
    half: /** @type {number} */ (words[(at >> 2) + 3]) >>> 0,
  });
  const copy = (/** @type {number} */ at) => bytes.slice(at, at + RECORD_BYTES);
  /** @type {(at: number) => unknown} */
  const read = mode.endsWith('-bytes') ? copy : decode;
  /** Where it was read to. */
  let at = 0;
  const numbers = () => {
    let sum = 0;
    const end = Math.min(at + CHUNK * STEP, memory.byteLength);
    while (at < end) {
      const length = Atomics.load(words, at >> 2);
      sum += /** @type {number} */ (words[(at >> 2) + 2]);
      at += length + 8;
    }
    return sum;
  };
  const byCursor = () => {
    at = 0;
    let sum = 0;
    for (let done = 0; done < count; done += CHUNK) sum += numbers();
    return sum;
  };
  /**
   * What was read last: without it, V8 would make no objects.
   * @type {unknown}
   */
  let kept = null;
  const take = (/** @type {unknown} */ value) => {
    kept = value;
  };
  const some = () => {
    const end = Math.min(at + CHUNK * STEP, memory.byteLength);
    while (at < end) {
      const length = Atomics.load(words, at >> 2);
      take(read(at + 8));
      at += length + 8;
    }
    return kept === null ? 1 : 0;
  };
  const byCallback = () => {
    at = 0;
    let sum = 0;
    for (let done = 0; done < count; done += CHUNK) sum += some();
    return count + sum;
  };
  /** @type {AsyncIterable<unknown>} */
  const values = {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        const value = read(at + 8);
        at += Atomics.load(words, at >> 2) + 8;
        return Promise.resolve({ done: false, value });
      },
    }),
  };
  const byLoop = async () => {
    at = 0;
    let left = count;
    for await (const value of values) {
      left -= value === null ? 0 : 1;
      if (left === 0) break;
    }
    return left;
  };
  const immediate = mode === 'cursor' ? byCursor : byCallback;
  const measurement = mode.startsWith('await')
    ? await measureAwaited(byLoop, plan, produce)
    : await measure(immediate, plan, produce);
  produce();
  return { ...perItem(measurement, count), facts: { sum: byCursor() } };
}

const [first = '', mode = ''] = args;
const result =
  what === 'array' ? await measureArray(first, mode) : await measureRecords(Number(first), mode);
console.log(JSON.stringify(result));
