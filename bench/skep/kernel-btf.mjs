/**
 * The kernel's own BTF with skep: opening it, and looking names up in it.
 *
 * Usage: node --expose-gc kernel-btf.mjs SAMPLES SAMPLE_MS WARM_UP_MS open|find NAMES [leave]
 *
 * NAMES is a file with lines of a kind and a name. `open` opens; `find` also looks all names up, the
 * index that this takes included.
 *
 * The mapping of one sample is released before the next one, by a collection of the young generation.
 * (A full collection would release it too, but it discards optimized code as well, and compiling that
 * anew would be measured: three times what the operation takes.) With `leave` nothing is collected
 * but when V8 does so by itself, which then is part of the figure.
 */

import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { measure, readPlan } from '../measure.mjs';
import { library } from './library.mjs';

/** @import { Btf } from '../../src/index.ts' */
/** @typedef {{ kind: Parameters<Btf['find']>[1], name: string }} Wanted */

const { plan, rest } = readPlan(process.argv.slice(2));
const [mode = '', namesPath = '', collection = 'collect'] = rest;
const { openKernelBtf } = await library();

/** @type {Wanted[]} */
const wanted = readFileSync(namesPath, 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => {
    const [kind, name = ''] = line.split(' ');
    return { kind: /** @type {Wanted['kind']} */ (kind), name };
  });

/** Frees what nothing refers to any more among what is young: mappings of the kernel's BTF. */
async function release() {
  if (globalThis.gc === undefined) {
    throw new Error('run node with --expose-gc');
  }
  globalThis.gc({ type: 'minor' });
  // Finalizers, which unmap, run in a later turn of the event loop.
  await setImmediate();
}

/** @param {Btf} btf */
function findAll(btf) {
  return wanted.map(({ kind, name }) => btf.find(name, kind));
}

/** @param {readonly number[]} numbers */
function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

/** @type {Record<string, () => number>} */
const MODES = {
  open: () => openKernelBtf().typeCount,
  find: () => sum(findAll(openKernelBtf())),
};

const operation = MODES[mode];
if (operation === undefined) {
  throw new TypeError(`unknown mode "${mode}"`);
}
const measurement = await measure(operation, plan, collection === 'leave' ? undefined : release);
const btf = openKernelBtf();
const facts = { types: btf.typeCount, ids: findAll(btf) };
console.log(JSON.stringify({ ...measurement, facts }));
