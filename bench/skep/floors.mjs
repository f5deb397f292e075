/**
 * What V8 and Node.js take for single things that nothing built on them can do without, so that it can be
 * told where the time of skep goes. Nothing of skep is measured.
 *
 * Usage: node floors.mjs SAMPLES SAMPLE_MS WARM_UP_MS MODE
 *
 * MODE is headers (finding records of 64 bytes in memory: an atomic load for each, and one of its numbers),
 * copy (of a record into a Uint8Array), object (a record as an object of a bigint and two numbers), indexed
 * (an object with a prototype and two bigints at its indices), loop (a turn of `for await` over values that
 * are there), pairs (a pair of a number and a bigint out of `for…of` over an iterator), call (of
 * a native function that does next to nothing), bigint (an element of a BigUint64Array that is kept in a
 * variable), checked (an element of a Uint32Array at a random index, which is checked), atomic (Atomics.load
 * through a typed array), view (a DataView), text (128 bytes of names as one string) or key (a name cut out of a
 * string, as a key of a Map).
 */

import { Buffer, isAscii } from 'node:buffer';
import { KEYS, randomKeys } from '../entries.mjs';
import { measure, measureAwaited, perItem, readPlan } from '../measure.mjs';

const RECORDS = 4_096;
const RECORD_BYTES = 64;
/** A header in front, as in a ring buffer. */
const STEP = RECORD_BYTES + 8;
/** Things for each call of the measured function; see skep/ring.mjs. */
const CHUNK = 64;

const { plan, rest } = readPlan(process.argv.slice(2));
const [mode = ''] = rest;

const memory = new ArrayBuffer(RECORDS * STEP);
const words = new Int32Array(memory);
const bytes = new Uint8Array(memory);
const view = new DataView(memory);
/** The same memory; V8 reads a bigint out of an array in less time than out of a view. */
const wholes = new BigUint64Array(memory);
const bigs = new BigUint64Array(KEYS).map((_, index) => BigInt(index));
const smalls = new Uint32Array(KEYS).map((_, index) => index);
const keys = randomKeys();
for (let record = 0; record < RECORDS; record += 1) {
  words[(record * STEP) / 4] = RECORD_BYTES;
}

let position = 0;
/** Where the next chunk of records starts, as bytes. */
function nextRecords() {
  const start = position * STEP;
  position = (position + CHUNK) % RECORDS;
  return start;
}

function headers() {
  let at = nextRecords();
  let sum = 0;
  for (let done = 0; done < CHUNK; done += 1) {
    const length = Atomics.load(words, at >> 2);
    sum += /** @type {number} */ (words[(at >> 2) + 2]);
    at += length + 8;
  }
  return sum;
}

/**
 * What was made last, so that none of it can be left out.
 * @type {unknown}
 */
let kept = null;

function copy() {
  let at = nextRecords();
  for (let done = 0; done < CHUNK; done += 1) {
    kept = bytes.slice(at + 8, at + STEP);
    at += STEP;
  }
  return kept === null ? 0 : 1;
}

function object() {
  let at = nextRecords();
  for (let done = 0; done < CHUNK; done += 1) {
    kept = {
      number: wholes[at / 8 + 1],
      tag: view.getUint32(at + 16, true),
      half: view.getUint32(at + 20, true),
    };
    at += STEP;
  }
  return kept === null ? 0 : 1;
}

class Indexed {}

/** The quickest way that was found: V8 has no room for indices in what is no array, or no literal. */
function indexed() {
  let at = nextRecords() / 8;
  for (let done = 0; done < CHUNK; done += 1) {
    kept = { __proto__: Indexed.prototype, 0: wholes[at], 1: wholes[at + 1] };
    at += STEP / 8;
  }
  return kept === null ? 0 : 1;
}

function bigint() {
  const start = nextRecords() / STEP;
  for (let index = start; index < start + CHUNK; index += 1) kept = bigs[index];
  return kept === null ? 0 : 1;
}

function checked() {
  const start = nextRecords() / STEP;
  let sum = 0;
  for (let index = start; index < start + CHUNK; index += 1) {
    const key = /** @type {number} */ (keys[index]) % KEYS;
    sum += /** @type {number} */ (smalls[key]);
  }
  return sum;
}

function dataView() {
  const start = nextRecords();
  for (let done = 0; done < CHUNK; done += 1) kept = new DataView(memory, start);
  return kept === null ? 0 : 1;
}

const NAME_BYTES = 8;
const TABLE = Uint8Array.from({ length: 128 }, (_, at) => 97 + ((at * 7 + (at >> 3)) % 26));
const { latin1Slice } =
  /** @type {{ latin1Slice(this: Uint8Array, start: number, end: number): string }} */ (
    /** @type {unknown} */ (Buffer.prototype)
  );

function text() {
  for (let done = 0; done < CHUNK; done += 1) {
    kept = isAscii(TABLE) ? latin1Slice.call(TABLE, 0, TABLE.length) : null;
  }
  return kept === null ? 0 : 1;
}

const NAMES = latin1Slice.call(TABLE, 0, TABLE.length);
const NAMES_OF_A_MAP = 10;

function key() {
  for (let done = 0; done < CHUNK; ) {
    const map = new Map();
    for (let name = 0; name < NAMES_OF_A_MAP && done < CHUNK; name += 1) {
      map.set(NAMES.slice(name * NAME_BYTES, (name + 1) * NAME_BYTES), name);
      done += 1;
    }
    kept = map;
  }
  return kept === null ? 0 : 1;
}

function atomic() {
  let at = nextRecords() >> 2;
  let sum = 0;
  for (let done = 0; done < CHUNK; done += 1) {
    sum += Atomics.load(words, at);
    at += STEP >> 2;
  }
  return sum;
}

/** @type {(from: number) => Iterable<[number, bigint]>} */
function entriesFrom(from) {
  let index = from;
  const end = from + CHUNK;
  return {
    [Symbol.iterator]: () => ({
      next: () => {
        if (index === end) return { done: true, value: undefined };
        const key = /** @type {number} */ (keys[index]) % KEYS;
        const value = /** @type {bigint} */ (bigs[index]);
        index += 1;
        return { done: false, value: [key, value] };
      },
    }),
  };
}

/** As the walk over a map gives them: each a pair, and an object of the iterator around it. */
function pairs() {
  let sum = 0;
  for (const [key, value] of entriesFrom(nextRecords() / STEP)) {
    sum += key;
    kept = value;
  }
  return sum;
}

async function loop() {
  let left = RECORDS;
  /** @type {AsyncIterable<number>} */
  const values = {
    [Symbol.asyncIterator]: () => ({
      next: () => Promise.resolve({ done: false, value: left }),
    }),
  };
  for await (const value of values) {
    left = value - 1;
    if (left === 0) break;
  }
  return left;
}

async function nativeCall() {
  /** @type {typeof import('../../src/kernel/native.ts')} */
  const { loadNative } = await import(new URL('../../dist/kernel/native.js', import.meta.url).href);
  const native = loadNative();
  return () => {
    let sum = 0;
    for (let done = 0; done < CHUNK; done += 1) sum += Number(native.address(memory) > 0);
    return sum;
  };
}

/** @type {Record<string, () => number>} */
const IMMEDIATE = {
  ...{ headers, copy, object, indexed, bigint, checked, atomic, pairs },
  ...{ view: dataView, text, key },
};
const immediate = mode === 'call' ? await nativeCall() : IMMEDIATE[mode];
const measurement =
  immediate === undefined
    ? perItem(await measureAwaited(loop, plan), RECORDS)
    : perItem(await measure(immediate, plan), CHUNK);
console.log(JSON.stringify({ ...measurement, facts: {} }));
