/**
 * Maps of maps with skep.
 *
 * Usage: node load.mjs SAMPLES SAMPLE_MS WARM_UP_MS load|insert|insert-outside OBJECT MAP
 *
 * `load` opens an object, loads it and closes it; MAP is an array of maps whose filled slots are counted.
 * `insert` creates an inner map, puts it into a slot of MAP, reads the slot back, and asks the map that it
 * finds there for a value; `insert-outside` leaves the time out that is spent in bpf(2).
 */

import { readFileSync } from 'node:fs';
import { measure, readPlan } from '../measure.mjs';
import { library } from './library.mjs';
import { timeInBpf } from './outside.mjs';

/** @import { ArrayMap } from '../../src/index.ts' */

const INSERT_VALUE = 7n;

const { plan, rest } = readPlan(process.argv.slice(2));
const [mode = '', path = '', name = ''] = rest;
const bytes = new Uint8Array(readFileSync(path));
const skep = await library();

async function measureLoad() {
  const measurement = await measure(() => {
    const app = skep.load(skep.ObjectFile.parse(bytes));
    app.close();
    return app.maps.size;
  }, plan);
  const app = skep.load(skep.ObjectFile.parse(bytes));
  const outer = app.maps.get(name);
  let slots = 0;
  for (let slot = 0; slot < (outer?.info().maxEntries ?? 0); slot += 1) {
    slots += outer?.get(new Uint8Array(Uint32Array.of(slot).buffer)) === undefined ? 0 : 1;
  }
  app.close();
  return { ...measurement, facts: { slots } };
}

async function measureInsert() {
  const app = skep.load(skep.ObjectFile.parse(bytes));
  const kind = /** @type {typeof skep.ArrayOfMaps<ArrayMap<bigint>>} */ (skep.ArrayOfMaps);
  const outer = app.map(name, kind);
  const slots = outer.length;
  let slot = 0;
  function insert() {
    const created = outer.createInner();
    created.set(0, INSERT_VALUE);
    outer.set(slot, created);
    created.close();
    const found = outer.get(slot);
    const value = found?.get(0) ?? 0n;
    found?.close();
    slot = (slot + 1) % slots;
    return Number(value);
  }
  const excluded = mode === 'insert' ? undefined : await timeInBpf();
  const measurement = await measure(insert, plan, undefined, excluded);
  const facts = { value: insert() };
  outer.close();
  app.close();
  return { ...measurement, facts };
}

console.log(JSON.stringify(await (mode === 'load' ? measureLoad() : measureInsert())));
