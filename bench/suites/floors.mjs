/** What JavaScript takes for single things, whatever is built on it: the reasons that other suites give. */

import { join } from 'node:path';
import { runPasses } from '../processes.mjs';
import { digits, withRange } from '../report.mjs';
import { ROOT } from '../toolchain.mjs';

/** @import { Outcome } from '../processes.mjs' */
/** @import { Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

export const name = 'floors';

/** @typedef {'headers' | 'atomic' | 'copy' | 'object' | 'indexed' | 'pairs' | 'loop' | 'call' | 'bigint' | 'checked' | 'view' | 'text' | 'key'} Floor */

/** @type {readonly { mode: Floor, what: string }[]} */
const FLOORS = [
  { mode: 'headers', what: 'finding a record in memory (Atomics.load), one number of it' },
  { mode: 'atomic', what: 'Atomics.load through a typed array' },
  { mode: 'copy', what: 'a copy of 64 bytes as a Uint8Array' },
  { mode: 'object', what: 'an object of a bigint and two numbers' },
  { mode: 'indexed', what: 'an object with a prototype and two bigints at its indices' },
  { mode: 'pairs', what: 'a [number, bigint] pair in for...of' },
  { mode: 'loop', what: 'a turn of for await over values that are there' },
  { mode: 'call', what: 'a call of a native function that makes no system call' },
  { mode: 'bigint', what: 'an element of a BigUint64Array, kept in a variable' },
  { mode: 'checked', what: 'a random element of a Uint32Array, by checked index' },
  { mode: 'view', what: 'a DataView' },
  { mode: 'text', what: '128 bytes of names as one string (isAscii, latin1Slice)' },
  { mode: 'key', what: 'a name cut out of a string, as a key of a Map of ten' },
];

/**
 * What the medians of a run make of it, as reasons quote them.
 * @param {ReadonlyMap<string, number>} medians nanoseconds
 * @returns {(floor: Floor) => string} e.g. `6.10 ns`
 */
export function quoting(medians) {
  return (floor) => {
    const median = medians.get(floor);
    return median === undefined ? 'not measured' : `${digits(median)} ns`;
  };
}

/**
 * @param {Context} context
 * @returns {Promise<Report & { medians: Map<string, number> }>}
 */
export async function run(context) {
  const script = join(ROOT, 'bench/skep/floors.mjs');
  /** @type {Record<string, Outcome>} */
  const data = {};
  for (const { mode, what } of FLOORS) {
    context.progress(`floors: ${what}`);
    const subject = { name: mode, command: [process.execPath, script], args: [mode] };
    const outcome = (await runPasses([subject], context.plan, context.passes)).get(mode);
    if (outcome !== undefined) data[mode] = outcome;
  }
  const rows = FLOORS.map(({ mode, what }) => {
    const outcome = data[mode];
    return [what, withRange(outcome?.warm, 'ns'), digits(outcome?.cold.median ?? Number.NaN)];
  });
  return {
    tables: [{ title: 'floors', columns: ['ns', 'median (range)', 'cold'], rows }],
    verdicts: [],
    notes: ['floors: of V8 and Node.js, without skep; C, Go and Rust have none of them'],
    data,
    medians: new Map(Object.entries(data).map(([mode, { warm }]) => [mode, warm.median])),
  };
}
