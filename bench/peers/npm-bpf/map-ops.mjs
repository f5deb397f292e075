/**
 * Entries of a hash of 100,000 with the npm package `bpf`: skep/map-ops.mjs for it.
 *
 * Usage: node map-ops.mjs SAMPLES SAMPLE_MS WARM_UP_MS OPERATION raw|into|u64|u32 FOLDER
 *
 * OPERATION is lookup, update, iterate, batch or batch-update. `raw` is its `RawMap`, `into` the same with a
 * buffer of the caller's for the value, `u64` and `u32` its `ConvMap`; batches are those of `RawMap`, which
 * takes and gives a buffer for each key and value. FOLDER is where the package is installed.
 */

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ENTRIES, KEYS, randomKeys, valueFor } from '../../entries.mjs';
import { measure, perItem, readPlan } from '../../measure.mjs';

const CHUNK = 64;
const BATCH = 4_096;

const { plan, rest } = readPlan(process.argv.slice(2));
const [operation = '', kind = '', folder = ''] = rest;
const bpf = createRequire(join(folder, 'package.json'))('bpf');
const keys = randomKeys();

const u64type = {
  parse: (/** @type {Buffer} */ bytes) => bytes.readBigUInt64LE(0),
  format: (/** @type {Buffer} */ bytes, /** @type {bigint} */ value) =>
    bytes.writeBigUInt64LE(value, 0),
};
const valueSize = kind === 'u32' ? 4 : 8;
const map = bpf.createMap({
  type: bpf.MapType.HASH,
  keySize: 4,
  valueSize,
  maxEntries: ENTRIES,
  name: 'bench',
});
const raw = new bpf.RawMap(map);
const typed = new bpf.ConvMap(map, bpf.u32type, kind === 'u32' ? bpf.u32type : u64type);
/** @type {(number: number) => number | bigint} */
const numeric = kind === 'u32' ? (number) => number : BigInt;
for (let key = 0; key < ENTRIES; key += 1) {
  typed.set(key, numeric(valueFor(key)));
}

const values = Array.from(keys, (key) => numeric(valueFor(key)));
const [keyBytes, valueBytes, out] = [Buffer.alloc(4), Buffer.alloc(8), Buffer.alloc(8)];
const keyNumber = new Uint32Array(keyBytes.buffer, keyBytes.byteOffset, 1);
const valueNumber = new Uint32Array(valueBytes.buffer, valueBytes.byteOffset, 2);

/** @param {number} index */
function keyAt(index) {
  keyNumber[0] = keys[index] ?? 0;
  return keyBytes;
}

/** @param {number} index */
function valueAt(index) {
  valueNumber[0] = valueFor(keys[index] ?? 0);
  return valueBytes;
}

/** @type {Record<string, (index: number) => number>} */
const SINGLE = {
  'lookup raw': (index) => raw.get(keyAt(index))[0],
  'lookup into': (index) => raw.get(keyAt(index), 0, out)[0],
  'lookup u32': (index) => typed.get(keys[index]),
  'lookup u64': (index) => (typed.get(keys[index]) === undefined ? 0 : 1),
  'update raw': (index) => (raw.set(keyAt(index), valueAt(index)) === raw ? 1 : 0),
  'update u32': (index) => (typed.set(keys[index], values[index]) === typed ? 1 : 0),
  'update u64': (index) => (typed.set(keys[index], values[index]) === typed ? 1 : 0),
};

let position = 0;
/** @param {(index: number) => number} single */
function chunk(single) {
  let sum = 0;
  for (let done = 0; done < CHUNK; done += 1) {
    sum += single(position);
    position = (position + 1) % KEYS;
  }
  return sum;
}

function iterate() {
  let sum = 0;
  for (const [key, value] of typed) sum += key + (value === 0 || value === 0n ? 1 : 0);
  return sum;
}

function readBatches() {
  let sum = 0;
  for (const entries of raw.getBatch(BATCH)) {
    for (const [key, value] of entries) {
      // All of the value, but as two numbers: Node.js would make several bigints for one.
      sum += key.readUInt32LE(0) + value.readUInt32LE(0) + value.readUInt32LE(4) * 2 ** 32;
    }
  }
  return sum;
}

/** The entries that are set again and again; they exist before, as they would in a program. */
const batch = Array.from({ length: BATCH }, (_, key) => {
  const [number, value] = [Buffer.alloc(4), Buffer.alloc(8)];
  number.writeUInt32LE(key);
  value.writeUInt32LE(valueFor(key));
  return [number, value];
});

function setBatch() {
  return raw.setBatch(batch) === raw ? BATCH : 0;
}

/**
 * What is not single, and the entries that one call goes through.
 * @type {Record<string, { run: () => number, items: number }>}
 */
const WHOLE = {
  iterate: { run: iterate, items: ENTRIES },
  batch: { run: readBatches, items: ENTRIES },
  'batch-update': { run: setBatch, items: BATCH },
};

const single = SINGLE[`${operation} ${kind}`];
const { run, items } = single
  ? { run: () => chunk(single), items: CHUNK }
  : (WHOLE[operation] ?? { run: iterate, items: ENTRIES });
const measurement = perItem(await measure(run, plan), items);
let sum = 0;
for (const [key, value] of typed) sum += key + Number(value);
console.log(JSON.stringify({ ...measurement, facts: { version: '1.3.0', sum } }));
