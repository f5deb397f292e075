/**
 * The memory that is in use while objects are open, or the kernel's BTF is.
 *
 * Usage: node --expose-gc held-memory.mjs SAMPLES SAMPLE_MS WARM_UP_MS object OBJECT COUNT
 *        node --expose-gc held-memory.mjs SAMPLES SAMPLE_MS WARM_UP_MS kernel-btf NAMES
 *
 * Nothing is timed. Of an object, COUNT are open at once, and what is held is divided by that: after
 * opening, and after all that libbpf computes when it opens was read. NAMES is a file with lines of a
 * kind and a name.
 */

import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { readPlan } from '../measure.mjs';
import { library } from './library.mjs';

/** @import { Btf, ObjectFile } from '../../src/index.ts' */

const { rest } = readPlan(process.argv.slice(2));
const [what, path = '', countText] = rest;
const { ObjectFile: Objects, openKernelBtf } = await library();

/** Objects and strings of JavaScript; and the bytes of typed arrays, without what is mapped. */
async function used() {
  // More than once, since finalizers of one round let go of what the next one collects.
  for (let round = 0; round < 4; round += 1) {
    globalThis.gc?.();
    await setImmediate();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { heap: heapUsed, arrays: arrayBuffers };
}

/**
 * What is held, by the moments at which it was looked at.
 * @param {Awaited<ReturnType<typeof used>>} before
 * @param {Record<string, Awaited<ReturnType<typeof used>>>} moments
 */
function heldSince(before, moments, count = 1) {
  return Object.fromEntries(
    Object.entries(moments).flatMap(([name, { heap, arrays }]) => [
      [`${name}HeapBytes`, Math.round((heap - before.heap) / count)],
      [`${name}ArrayBytes`, Math.round((arrays - before.arrays) / count)],
    ]),
  );
}

/**
 * What libbpf has computed when it has opened an object.
 * @param {ObjectFile} object
 */
function read(object) {
  const programs = Array.from(object.programs.values(), (program) => program.type.length);
  const maps = Array.from(object.maps.values(), (map) => map.type.length + map.maxEntries);
  const data = Array.from(object.data.values(), ({ size, typeId }) => size + typeId);
  return [...programs, ...maps, ...data].reduce((total, each) => total + each, 0);
}

/** @param {number} count */
async function heldByObjects(count) {
  // What the first uses allocate for good (code, constants) is none of what an object holds.
  for (let round = 0; round < 50; round += 1) {
    read(Objects.open(path));
  }
  const before = await used();
  const objects = Array.from({ length: count }, () => Objects.open(path));
  const opened = await used();
  objects.forEach(read);
  const all = await used();
  const { maps, programs } = objects[0] ?? Objects.open(path);
  return {
    ...heldSince(before, { opened, read: all }, count),
    maps: maps.size,
    programs: programs.size,
  };
}

/** @typedef {Parameters<Btf['find']>} Look */

async function heldByKernelBtf() {
  const wanted = readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [kind, name = ''] = line.split(' ');
      return /** @type {Look} */ ([name, kind]);
    });
  /** @param {Btf} btf @param {readonly Look[]} looks */
  const findAll = (btf, looks) => looks.filter((look) => btf.find(...look) > 0).length;
  findAll(openKernelBtf(), wanted);
  const before = await used();
  const btf = openKernelBtf();
  const opened = await used();
  findAll(btf, wanted.slice(0, 1));
  const one = await used();
  const found = findAll(btf, wanted);
  return {
    ...heldSince(before, { opened, one, found: await used() }),
    types: btf.typeCount,
    found,
  };
}

const facts = await (what === 'kernel-btf' ? heldByKernelBtf() : heldByObjects(Number(countText)));
console.log(JSON.stringify({ firstNs: 0, iterations: 0, samplesNs: [], facts }));
