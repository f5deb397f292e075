/**
 * Opens an object with programs, loads it with skep, and closes it.
 *
 * Usage: node programs.mjs SAMPLES SAMPLE_MS WARM_UP_MS OBJECT whole|outside
 *
 * `outside` leaves the time out that is spent in bpf(2), most of which is the verifier's.
 */

import { readFileSync } from 'node:fs';
import { measure, readPlan } from '../measure.mjs';
import { library } from './library.mjs';

const MEMORY = new URL('../../dist/kernel/linux-memory.js', import.meta.url);

const { plan, rest } = readPlan(process.argv.slice(2));
const [path = '', mode = ''] = rest;
const bytes = new Uint8Array(readFileSync(path));
const { load, ObjectFile } = await library();
let excluded = 0;
if (mode === 'outside') {
  /** @type {typeof import('../../src/kernel/linux-memory.ts')} */
  const { AttributeBlock } = await import(MEMORY.href);
  const { call } = AttributeBlock.prototype;
  /**
   * @this {InstanceType<typeof AttributeBlock>}
   * @param {number} command
   * @param {number} size
   */
  AttributeBlock.prototype.call = function timed(command, size) {
    const start = process.hrtime.bigint();
    const result = call.call(this, command, size);
    excluded += Number(process.hrtime.bigint() - start);
    return result;
  };
}

const measurement = await measure(
  () => {
    const app = load(ObjectFile.parse(bytes));
    app.close();
    return app.programs.size;
  },
  plan,
  undefined,
  () => excluded,
);

const app = load(ObjectFile.parse(bytes));
const programs = app.programs.size;
app.close();
console.log(JSON.stringify({ ...measurement, facts: { programs } }));
