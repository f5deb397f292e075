/**
 * Reading random entries of an array in memory with skep: `MappedArray`.
 *
 * Usage: node memory.mjs SAMPLES SAMPLE_MS WARM_UP_MS u64|u32 numbers|compare|get
 *
 * `numbers` adds up the elements of `MappedArray.numbers`, `get` what `MappedArray.get` gives.
 * `compare` compares elements that are bigints, for which V8 makes objects of them.
 */

import { ENTRIES, KEYS, randomKeys, valueFor } from '../entries.mjs';
import { measure, perItem, readPlan } from '../measure.mjs';
import { library } from './library.mjs';

const { plan, rest } = readPlan(process.argv.slice(2));
const [element = '', mode = ''] = rest;
const { MappedArray, u32, u64 } = await library();
const keys = randomKeys();

const small = MappedArray.create({ value: u32, maxEntries: ENTRIES, name: 'bench' });
const big = MappedArray.create({ value: u64, maxEntries: ENTRIES, name: 'bench' });
for (let key = 0; key < ENTRIES; key += 1) {
  small.set(key, valueFor(key));
  big.set(key, BigInt(valueFor(key)));
}

/**
 * Entries for each call of the measured function. A program calls such a function often, and V8 then
 * compiles it as a whole; of one long loop it may keep what it made while the loop ran, which is slower.
 */
const CHUNK = 64;
let position = 0;

/** Where the next few of the random keys start. */
function nextChunk() {
  const start = position;
  position = (start + CHUNK) % KEYS;
  return start;
}

// Without `?? 0` for what cannot be missing: it would keep V8 from adding up machine words.

function readSmall() {
  const { numbers, step } = small;
  let sum = 0;
  const start = nextChunk();
  for (let index = start; index < start + CHUNK; index += 1) {
    sum += /** @type {number} */ (numbers[keyAt(index) * step]);
  }
  return sum;
}

function getSmall() {
  let sum = 0;
  const start = nextChunk();
  for (let index = start; index < start + CHUNK; index += 1) {
    sum += /** @type {number} */ (small.get(keyAt(index)));
  }
  return sum;
}

/** How many are above the middle. */
function compareBig() {
  const { numbers } = big;
  const middle = BigInt(valueFor(ENTRIES / 2));
  let count = 0;
  const start = nextChunk();
  for (let index = start; index < start + CHUNK; index += 1) {
    if (/** @type {bigint} */ (numbers[keyAt(index)]) > middle) count += 1;
  }
  return count;
}

function readBig() {
  const { numbers } = big;
  let sum = 0n;
  const start = nextChunk();
  for (let index = start; index < start + CHUNK; index += 1) {
    sum = BigInt.asUintN(64, sum + /** @type {bigint} */ (numbers[keyAt(index)]));
  }
  return Number(sum);
}

function getBig() {
  let sum = 0n;
  const start = nextChunk();
  for (let index = start; index < start + CHUNK; index += 1) {
    sum = BigInt.asUintN(64, sum + /** @type {bigint} */ (big.get(keyAt(index))));
  }
  return Number(sum);
}

/** @param {number} index */
function keyAt(index) {
  return /** @type {number} */ (keys[index]);
}

/** @type {Record<string, () => number>} */
const OPERATIONS = {
  'u32 numbers': readSmall,
  'u32 get': getSmall,
  'u64 numbers': readBig,
  'u64 compare': compareBig,
  'u64 get': getBig,
};

const operation = OPERATIONS[`${element} ${mode}`];
if (operation === undefined) {
  throw new TypeError(`unknown mode "${element} ${mode}"`);
}
const measurement = perItem(await measure(operation, plan), CHUNK);
let sum = 0;
position = 0;
for (let chunk = 0; chunk < KEYS / CHUNK; chunk += 1) {
  sum += element === 'u32' ? readSmall() : readBig();
}
const facts = { sum };
console.log(JSON.stringify({ ...measurement, facts }));
