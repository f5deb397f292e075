/**
 * The kernel's own BTF with skep: opening it, and looking names up in it.
 *
 * Usage: node --expose-gc kernel-btf.mjs SAMPLES SAMPLE_MS WARM_UP_MS open|find|held NAMES [leave]
 *
 * NAMES is a file with lines of a kind and a name. `open` opens; `find` also looks all names up, the
 * index that this takes included; `held` measures nothing but the memory that is in use after
 * opening, and after looking all names up too.
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

/**
 * Frees what nothing refers to any more, mappings of the kernel's BTF among it.
 * @param {'minor'} [type] only what is young; else everything
 */
async function release(type) {
  if (globalThis.gc === undefined) {
    throw new Error('run node with --expose-gc');
  }
  if (type === undefined) {
    globalThis.gc();
  } else {
    globalThis.gc({ type });
  }
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

async function used() {
  // More than once, since finalizers of one round let go of what the next one collects.
  for (let round = 0; round < 3; round += 1) {
    await release();
  }
  const { heapUsed, external } = process.memoryUsage();
  return { heapUsed, external };
}

/** What the first use allocates for good (code, constants) is none of what a Btf holds. */
function useOnce() {
  findAll(openKernelBtf());
}

async function held() {
  useOnce();
  const before = await used();
  const btf = openKernelBtf();
  const opened = await used();
  const ids = findAll(btf);
  const found = await used();
  return {
    types: btf.typeCount,
    openedHeapBytes: opened.heapUsed - before.heapUsed,
    openedExternalBytes: opened.external - before.external,
    foundHeapBytes: found.heapUsed - before.heapUsed,
    foundExternalBytes: found.external - before.external,
    ids,
  };
}

/** @type {Record<string, () => number>} */
const MODES = {
  open: () => openKernelBtf().typeCount,
  find: () => sum(findAll(openKernelBtf())),
};

if (mode === 'held') {
  const none = { firstNs: 0, iterations: 0, samplesNs: [] };
  console.log(JSON.stringify({ ...none, facts: await held() }));
} else {
  const operation = MODES[mode];
  if (operation === undefined) {
    throw new TypeError(`unknown mode "${mode}"`);
  }
  const between = collection === 'leave' ? undefined : () => release('minor');
  const measurement = await measure(operation, plan, between);
  const btf = openKernelBtf();
  const facts = { types: btf.typeCount, ids: findAll(btf) };
  console.log(JSON.stringify({ ...measurement, facts }));
}
