/** A process that loads, or removes pins, when `scripts/races.mjs` says so, again and again. */

import { readdirSync, rmdirSync } from 'node:fs';
import { linuxKernel, load, ObjectFile, SkepError } from '../../dist/index.js';
import { withFaults } from '../../dist/testing.js';

/** The longest pause between two calls, in milliseconds. */
const LONGEST_PAUSE = 1.5;
/** How often in a round pins are removed. */
const REMOVALS = 5;
/** The longest time before each of them, in milliseconds: a load takes about 30 with its pauses. */
const LONGEST_WAIT = 20;

const clock = new Int32Array(new SharedArrayBuffer(4));
/** @type {Map<string, ObjectFile>} */
const objects = new Map();

/**
 * Numbers from 0 to 1, the same for the same seed (Park and Miller's generator).
 *
 * @param {number} seed
 */
function randomNumbers(seed) {
  let state = (seed % 2147483646) + 1;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
}

/** @param {number} milliseconds */
function pause(milliseconds) {
  Atomics.wait(clock, 0, 0, milliseconds);
}

function descriptors() {
  return readdirSync('/proc/self/fd').length;
}

/** @param {string} path */
function objectAt(path) {
  const object = objects.get(path) ?? ObjectFile.open(path);
  objects.set(path, object);
  return object;
}

/** @typedef {import('./rounds.mjs').Task} Task */
/** @typedef {import('./rounds.mjs').Outcome} Outcome */

/** @type {import('../../dist/index.js').LoadedObject | undefined} */
let held;
let before = 0;

/**
 * @param {Task} task
 * @returns {Outcome}
 */
function run(task) {
  const random = randomNumbers(task.seed);
  const removed = task.kind === 'load' ? [] : removePins(task, random);
  const noted = withFaults(linuxKernel());
  // On few CPUs a load would else run from its first call to the last before another one's turn.
  noted.before = () => random() < 0.3 && pause(random() * LONGEST_PAUSE);
  /** @type {Outcome['error']} */
  let error = null;
  if (task.kind === 'load') {
    try {
      held = load(objectAt(task.object), { ...task.options, kernel: noted.kernel });
    } catch (thrown) {
      error = described(thrown);
    }
  }
  return {
    kind: task.kind,
    maps: ids(held?.maps),
    programs: ids(held?.programs),
    error,
    removed,
    counts: countCalls(noted.calls),
    leaked: 0,
  };
}

/** @param {ReadonlyMap<string, { info(): { id: number } }> | undefined} handles */
function ids(handles) {
  return Object.fromEntries([...(handles ?? [])].map(([name, handle]) => [name, handle.info().id]));
}

/**
 * @param {unknown} thrown
 * @returns {Outcome['error']}
 */
function described(thrown) {
  const message = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  const map = thrown instanceof Error && 'map' in thrown ? String(thrown.map) : null;
  return { code: thrown instanceof SkepError ? thrown.code : 'none', map, message };
}

/** @param {readonly import('../../dist/testing.js').Call[]} calls */
function countCalls(calls) {
  const counts = { won: 0, reused: 0, lost: 0, retried: 0 };
  for (const { method, error } of calls) {
    const name = /** @type {{ errnoName?: string } | undefined} */ (error)?.errnoName;
    if (method === 'pin') {
      counts[name === undefined ? 'won' : name === 'EEXIST' ? 'lost' : 'retried'] += 1;
    } else if (method === 'makeDirectory' && name !== undefined) {
      counts.retried += 1;
    } else if (method === 'openPinnedMap' && name === undefined) {
      counts.reused += 1;
    }
  }
  return counts;
}

/**
 * @param {Task} task
 * @param {() => number} random
 * @returns {string[]} what it removed
 */
function removePins({ kind, paths, directories }, random) {
  const removed = [];
  for (let time = 0; time < REMOVALS; time += 1) {
    pause(random() * LONGEST_WAIT);
    const chosen = kind === 'unpin' ? paths.filter(() => random() < 0.5) : paths;
    for (const path of chosen) {
      if (linuxKernel().unpin(path)) {
        removed.push(path);
      }
    }
    for (const directory of kind === 'remove-directory' ? directories : []) {
      try {
        rmdirSync(directory);
      } catch {
        // It is not there, or something is in it.
      }
    }
  }
  return removed;
}

process.on('message', (/** @type {{ task: Task } | { close: true }} */ message) => {
  if ('task' in message) {
    before = descriptors();
    process.send?.(run(message.task));
    return;
  }
  held?.close();
  held = undefined;
  process.send?.({ leaked: descriptors() - before });
});
// The first load reads what is kept from then on.
linuxKernel().possibleCpus();
process.send?.('ready');
