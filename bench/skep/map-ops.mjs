/**
 * Entries of a hash of 100,000 with skep: single look-ups and updates of random keys, walks over all,
 * batches; and look-ups in a per-CPU array.
 *
 * Usage: node map-ops.mjs SAMPLES SAMPLE_MS WARM_UP_MS OPERATION KIND [PART]
 *
 * OPERATION is lookup, update, iterate, batch, batch-update or per-cpu. KIND is `raw` for `RawMap`, bytes;
 * `into` for the same with the caller's memory for the value; `u64` and `u32` for `HashMap` with such values,
 * which are bigints and numbers. Keys are numbers of 32 bits. Batches are those of `linuxKernel()`, bytes.
 * PART is `outside` for the time outside of bpf(2), or `javascript` for single operations whose calls end before
 * they leave JavaScript: the whole otherwise.
 */

import { ENTRIES, KEYS, randomKeys, valueFor } from '../entries.mjs';
import { measure, perItem, readPlan } from '../measure.mjs';
import { library } from './library.mjs';
import { leaveCallsOut, timeInBpf } from './outside.mjs';

/** @import { HashMap, RawMap } from '../../src/index.ts' */

/** Single operations for each call of the measured function. */
const CHUNK = 64;
const BATCH = 4_096;
const PER_CPU_ENTRIES = 1_024;

const { plan, rest } = readPlan(process.argv.slice(2));
const [operation = '', kind = '', part = 'whole'] = rest;
const skep = await library();
const keys = randomKeys();

/**
 * Calls back for the next few of the random keys.
 * @param {(key: number, index: number) => number} each
 */
function chunks(each) {
  let position = 0;
  return () => {
    let sum = 0;
    for (let done = 0; done < CHUNK; done += 1) {
      sum += each(keys[position] ?? 0, position);
      position = (position + 1) % KEYS;
    }
    return sum;
  };
}

/** @param {HashMap<number, number>} map */
function numberOperation(map) {
  switch (operation) {
    case 'lookup':
      return chunks((key) => map.get(key) ?? 0);
    case 'update':
      return chunks((key) => {
        map.set(key, valueFor(key));
        return key;
      });
    default:
      return () => {
        let sum = 0;
        for (const [key, value] of map) sum += key + value;
        return sum;
      };
  }
}

/** @param {HashMap<number, bigint>} map */
function bigOperation(map) {
  // Bigints exist before they are written, as they would in a program.
  const values = Array.from({ length: KEYS }, (_, index) => BigInt(valueFor(keys[index] ?? 0)));
  switch (operation) {
    case 'lookup':
      return chunks((key) => (map.get(key) === undefined ? 0 : key));
    case 'update':
      return chunks((key, index) => {
        map.set(key, values[index] ?? 0n);
        return key;
      });
    default:
      return () => {
        let sum = 0;
        for (const [key, value] of map) sum += key + (value === 0n ? 1 : 0);
        return sum;
      };
  }
}

/** @param {RawMap} map */
function rawOperation(map) {
  const [key, value] = [new Uint8Array(4), new Uint8Array(8)];
  const [keyNumber, valueNumber] = [new Uint32Array(key.buffer), new Uint32Array(value.buffer)];
  const into = kind === 'into' ? value : undefined;
  switch (operation) {
    case 'lookup':
      return chunks((number) => {
        keyNumber[0] = number;
        return map.get(key, into)?.[0] ?? 0;
      });
    case 'update':
      return chunks((number) => {
        keyNumber[0] = number;
        valueNumber[0] = valueFor(number);
        map.set(key, value);
        return number;
      });
    default:
      throw new TypeError('there is no iterating raw');
  }
}

/**
 * Entries as bytes, many by one call: reads all, or sets the same ones again and again.
 * @param {HashMap<number, bigint>} map
 */
function batchOperation(map) {
  const kernel = skep.linuxKernel();
  const [keyNumbers, valueNumbers] = [new Uint32Array(BATCH), new BigUint64Array(BATCH)];
  const [keyBytes, valueBytes] = [keyNumbers, valueNumbers].map(
    ({ buffer }) => new Uint8Array(buffer),
  );
  if (keyBytes === undefined || valueBytes === undefined) {
    throw new Error('no memory');
  }
  for (let key = 0; key < BATCH; key += 1) {
    keyNumbers[key] = key;
    valueNumbers[key] = BigInt(valueFor(key));
  }
  if (operation === 'batch-update') {
    return () => (kernel.updateBatch(map.fd, keyBytes, valueBytes, BATCH, 0) ? 1 : 0);
  }
  const position = new Uint8Array(8);
  return () => {
    const cursor = { position, started: false, done: false };
    let sum = 0;
    let values = 0n;
    while (!cursor.done) {
      const count = kernel.lookupBatch(map.fd, cursor, keyBytes, valueBytes, BATCH) ?? 0;
      for (let index = 0; index < count; index += 1) {
        sum += /** @type {number} */ (keyNumbers[index]);
        // In machine words, since it does not leave the loop.
        values = BigInt.asUintN(64, values + /** @type {bigint} */ (valueNumbers[index]));
      }
    }
    return sum + Number(values);
  };
}

/** All CPUs' values, which are added up. */
function perCpuOperation() {
  const array = skep.PerCpuArray.create({
    value: skep.u64,
    maxEntries: PER_CPU_ENTRIES,
    name: 'bench',
  });
  for (let key = 0; key < PER_CPU_ENTRIES; key += 1) array.fill(key, BigInt(valueFor(key)));
  return chunks((key) => Number(array.get(key % PER_CPU_ENTRIES)?.sum() ?? 0n));
}

const small = kind === 'u32' ? skep.HashMap.create(options(skep.u32)) : null;
const big = kind === 'u32' ? null : skep.HashMap.create(options(skep.u64));

/**
 * @template T
 * @param {T} value
 */
function options(value) {
  return { key: skep.u32, value, maxEntries: ENTRIES, name: 'bench' };
}

for (let key = 0; key < ENTRIES; key += 1) {
  small?.set(key, valueFor(key));
  big?.set(key, BigInt(valueFor(key)));
}

/** @returns {() => number} */
function chosen() {
  if (operation === 'per-cpu') {
    return perCpuOperation();
  }
  if (small !== null) {
    return numberOperation(small);
  }
  if (big === null) {
    throw new Error('no map');
  }
  if (operation === 'batch' || operation === 'batch-update') {
    return batchOperation(big);
  }
  return kind === 'raw' || kind === 'into'
    ? rawOperation(skep.RawMap.openById(big.info().id))
    : bigOperation(big);
}

/** Entries that one call of the measured function goes through. */
const ITEMS = new Map([
  ['iterate', ENTRIES],
  ['batch', ENTRIES],
  ['batch-update', BATCH],
]);

const run = chosen();
let sum = operation === 'per-cpu' ? run() : 0;
const restore = part === 'javascript' ? await leaveCallsOut() : () => {};
const excluded = part === 'outside' ? await timeInBpf() : undefined;
const measured = await measure(run, plan, undefined, excluded);
restore();
const measurement = perItem(measured, ITEMS.get(operation) ?? CHUNK);
if (operation !== 'per-cpu') {
  for (const [key, value] of small ?? big ?? []) sum += key + Number(value);
}
console.log(JSON.stringify({ ...measurement, facts: { sum } }));
