/** Arrays in memory: what reading an entry takes without a system call. */

import { join } from 'node:path';
import { buildLibbpf } from '../peers/libbpf.mjs';
import { notMeasured, whyNoMaps } from '../privileges.mjs';
import { ROOT } from '../toolchain.mjs';
import { reportRows } from './rows.mjs';

/** @import { Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

export const name = 'memory';

/** Nanoseconds for an element of a typed array. */
const AT_MOST_NS = 5;

const READINGS = [
  { element: 'u32', mode: 'numbers', what: 'u32, numbers[]', atMostNs: AT_MOST_NS },
  { element: 'u64', mode: 'numbers', what: 'u64, numbers[]' },
  { element: 'u64', mode: 'compare', what: 'u64, numbers[], compared' },
  { element: 'u32', mode: 'get', what: 'u32, get()', atMostNs: AT_MOST_NS },
  { element: 'u64', mode: 'get', what: 'u64, get()' },
];

/**
 * @param {Context} context
 * @returns {Report | Promise<Report>}
 */
export function run(context) {
  const reason = whyNoMaps();
  if (reason !== null) {
    return notMeasured(name, reason);
  }
  const libbpf = buildLibbpf('memory');
  const script = join(ROOT, 'bench/skep/memory.mjs');
  const rows = READINGS.map(({ element, mode, what, atMostNs }) => ({
    name: what,
    subjects: [
      { name: 'skep', command: [process.execPath, script], args: [element, mode] },
      ...('missing' in libbpf
        ? []
        : [{ name: 'C', command: [libbpf.path], args: [element === 'u64' ? '8' : '4'] }]),
    ],
    wanted: { against: 'C', atMost: null, ...(atMostNs === undefined ? {} : { atMostNs }) },
  }));
  const notes = ['memory: random entries of an array of 100,000 that is mapped into the process'];
  if ('missing' in libbpf) {
    notes.push(libbpf.missing);
  }
  return reportRows(name, rows, context, notes, 'ns');
}
