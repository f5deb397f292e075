/** What the soak measures, and when it calls that flat. */

import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/**
 * @typedef {object} Sample
 * @property {number} rounds so far
 * @property {number} seconds since the start
 * @property {number} rss bytes of memory that the process has
 * @property {number} heap bytes of JavaScript objects, after a collection
 * @property {number} external bytes outside of the heap that belong to objects in it, buffers included
 * @property {number} fds open file descriptors
 * @property {number} mappings of maps and perf events in memory
 * @property {number} maps in the kernel that the soak has made
 * @property {number} programs likewise
 *
 * @typedef {object} Bound what a figure may grow by between the second and the last quarter
 * @property {keyof Sample} name
 * @property {number} share of what it was
 * @property {number} more on top of that
 */

const MIB = 1 << 20;

/**
 * Descriptors, mappings and objects of the kernel are counted when every job has let go of its own, so
 * that one more is one leaked. Memory is V8's and the C library's to round up: the limits are half of
 * what one leaked object per round comes to in ten minutes.
 *
 * @type {readonly Bound[]}
 */
export const BOUNDS = [
  { name: 'rss', share: 0.05, more: 4 * MIB },
  { name: 'heap', share: 0.05, more: MIB / 2 },
  { name: 'external', share: 0.05, more: MIB / 4 },
  { name: 'fds', share: 0, more: 0 },
  { name: 'mappings', share: 0, more: 0 },
  { name: 'maps', share: 0, more: 0 },
  { name: 'programs', share: 0, more: 0 },
];

/** So few samples in a quarter have no median to speak of. */
const FEWEST = 3;

/** @typedef {import('../../src/index.ts').Kernel} Kernel */

/** Follows a kernel's objects from their creation to their end. */
export class Census {
  /** @type {Set<number>} */
  #maps = new Set();
  /** @type {Set<number>} */
  #programs = new Set();
  /** @type {Kernel} */
  #kernel;

  /** @param {Kernel} kernel */
  constructor(kernel) {
    this.#kernel = kernel;
  }

  /** The kernel to work with: it remembers the id of each map and program that it makes. */
  watched() {
    const kernel = this.#kernel;
    /** @type {Map<string | symbol, unknown>} */
    const methods = new Map();
    methods.set('createMap', (/** @type {Parameters<Kernel['createMap']>} */ ...args) => {
      const fd = kernel.createMap(...args);
      this.#maps.add(kernel.mapInfo(fd).id);
      return fd;
    });
    methods.set('loadProgram', (/** @type {Parameters<Kernel['loadProgram']>} */ ...args) => {
      const fd = kernel.loadProgram(...args);
      this.#programs.add(kernel.programInfo(fd).id);
      return fd;
    });
    return new Proxy(kernel, {
      get: (target, name) => {
        const known = methods.get(name);
        if (known !== undefined) return known;
        const value = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        const method = value.bind(target);
        methods.set(name, method);
        return method;
      },
    });
  }

  /** How many of them are still there. Linux frees them some time after their last user is gone. */
  async count() {
    for (let turn = 0; turn < 100; turn += 1) {
      this.#forgetFreed();
      if (this.#maps.size + this.#programs.size === 0) break;
      await delay(20);
    }
    return { maps: this.#maps.size, programs: this.#programs.size };
  }

  #forgetFreed() {
    for (const id of this.#maps) {
      if (!this.#isThere(() => this.#kernel.openMapById(id))) this.#maps.delete(id);
    }
    for (const id of this.#programs) {
      if (!this.#isThere(() => this.#kernel.openProgramById(id))) this.#programs.delete(id);
    }
  }

  /** @param {() => number} open */
  #isThere(open) {
    try {
      this.#kernel.close(open());
      return true;
    } catch (/** @type {any} */ error) {
      if (error.errnoName === 'ENOENT') return false;
      throw error;
    }
  }
}

/**
 * What there is now.
 *
 * @param {Census} census
 * @param {number} rounds
 * @returns {Promise<Sample>}
 */
export async function takeSample(census, rounds) {
  const { maps, programs } = await census.count();
  // What is collected in the first run may let go of more in the second.
  for (let run = 0; run < 2; run += 1) {
    globalThis.gc?.();
    await delay(5);
  }
  const { rss, heapUsed, external } = process.memoryUsage();
  return {
    rounds,
    seconds: process.uptime(),
    rss,
    heap: heapUsed,
    external,
    fds: countDescriptors(),
    mappings: countMappings(),
    maps,
    programs,
  };
}

function countDescriptors() {
  // One of them lists the directory.
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length - 1 : 0;
}

function countMappings() {
  if (process.platform !== 'linux') return 0;
  return mappingsIn(readFileSync('/proc/self/maps', 'latin1'));
}

/**
 * How many mappings of maps and perf events there are.
 *
 * @param {string} text of /proc/PID/maps
 */
export function mappingsIn(text) {
  return text.match(/bpf-map|perf_event/g)?.length ?? 0;
}

/** @param {Sample} sample */
export function describeSample(sample) {
  const mib = (/** @type {number} */ bytes) => (bytes / MIB).toFixed(1).padStart(6);
  return [
    `${sample.seconds.toFixed(0).padStart(5)} s`,
    `${String(sample.rounds).padStart(6)} rounds`,
    `rss${mib(sample.rss)} MiB`,
    `heap${mib(sample.heap)} MiB`,
    `external${mib(sample.external)} MiB`,
    `${sample.fds} fds`,
    `${sample.mappings} mappings`,
    `${sample.maps} maps`,
    `${sample.programs} programs`,
  ].join('  ');
}

/**
 * Compares the second quarter of a run, when everything has been used once, with the last one.
 *
 * @param {readonly Sample[]} samples
 * @returns {{ lines: string[], isFlat: boolean } | null} null if there are too few to tell
 */
export function judge(samples) {
  const quarter = Math.floor(samples.length / 4);
  if (quarter < FEWEST) {
    return null;
  }
  const early = samples.slice(quarter, 2 * quarter);
  const late = samples.slice(-quarter);
  let isFlat = true;
  const lines = BOUNDS.map(({ name, share, more }) => {
    const before = median(early.map((one) => one[name]));
    const after = median(late.map((one) => one[name]));
    const isGood = after <= before * (1 + share) + more;
    isFlat &&= isGood;
    const change = before === after ? 'the same' : `${signed(after - before)}`;
    return `${isGood ? 'flat ' : 'GREW '} ${name.padEnd(9)} ${before} -> ${after} (${change})`;
  });
  return { lines, isFlat };
}

/** @param {number} change */
const signed = (change) => `${change > 0 ? '+' : ''}${change}`;

/** @param {readonly number[]} values @returns {number} */
function median(values) {
  const sorted = [...values].sort((one, two) => one - two);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
