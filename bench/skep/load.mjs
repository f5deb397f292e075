/**
 * Loads an object with skep, and closes it.
 *
 * Usage: node load.mjs SAMPLES SAMPLE_MS WARM_UP_MS OBJECT MAP
 *
 * MAP is an array of maps whose filled slots are counted.
 */

import { readFileSync } from 'node:fs';
import { measure, readPlan } from '../measure.mjs';
import { library } from './library.mjs';

const { plan, rest } = readPlan(process.argv.slice(2));
const [path = '', name = ''] = rest;
const bytes = new Uint8Array(readFileSync(path));
const { load, ObjectFile } = await library();

const measurement = await measure(() => {
  const app = load(ObjectFile.parse(bytes));
  app.close();
  return app.maps.size;
}, plan);

const app = load(ObjectFile.parse(bytes));
const outer = app.maps.get(name);
let slots = 0;
for (let slot = 0; slot < (outer?.info().maxEntries ?? 0); slot += 1) {
  slots += outer?.get(new Uint8Array(Uint32Array.of(slot).buffer)) === undefined ? 0 : 1;
}
app.close();
console.log(JSON.stringify({ ...measurement, facts: { slots } }));
