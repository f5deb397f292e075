/**
 * Opens an object with programs, loads it with skep, and closes it.
 *
 * Usage: node programs.mjs SAMPLES SAMPLE_MS WARM_UP_MS OBJECT whole|outside|unverified
 *
 * `outside` leaves the time out that is spent in bpf(2), most of which is the verifier's. `unverified` does
 * so, too, and does not hand the programs to the kernel at all: what is left when no verifier runs in between.
 */

import { readFileSync } from 'node:fs';
import { measure, readPlan } from '../measure.mjs';
import { library } from './library.mjs';
import { timeInBpf } from './outside.mjs';

/** @import { Kernel } from '../../src/index.ts' */

const { plan, rest } = readPlan(process.argv.slice(2));
const [path = '', mode = ''] = rest;
const bytes = new Uint8Array(readFileSync(path));
const { linuxKernel, load, ObjectFile } = await library();
/** Above all descriptors that a process may have. */
const FIRST_MADE_UP = 1 << 30;
const excluded = mode === 'whole' ? undefined : await timeInBpf();

/**
 * A kernel that takes every program without a look at it, under a descriptor that is made up.
 * @param {Kernel} kernel does all the rest
 * @returns {Kernel}
 */
function withoutVerifier(kernel) {
  let next = FIRST_MADE_UP;
  /** @type {Map<PropertyKey, unknown>} */
  const methods = new Map();
  methods.set('loadProgram', () => next++);
  methods.set('close', (/** @type {number} */ fd) => fd < FIRST_MADE_UP && kernel.close(fd));
  return new Proxy(kernel, {
    get(target, property) {
      const value = methods.get(property) ?? Reflect.get(target, property);
      if (typeof value !== 'function' || methods.has(property)) {
        return value;
      }
      // Its methods use private fields, which a proxy has none of.
      const method = value.bind(target);
      methods.set(property, method);
      return method;
    },
  });
}

const options = mode === 'unverified' ? { kernel: withoutVerifier(linuxKernel()) } : {};
const measurement = await measure(
  () => {
    const app = load(ObjectFile.parse(bytes), options);
    app.close();
    return app.programs.size;
  },
  plan,
  undefined,
  excluded,
);

const app = load(ObjectFile.parse(bytes), options);
const programs = app.programs.size;
app.close();
console.log(JSON.stringify({ ...measurement, facts: { programs } }));
