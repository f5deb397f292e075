/** Arrays in memory: what reading an entry takes without a system call. */

import { join } from 'node:path';
import { peersOf } from '../peers/subjects.mjs';
import { notMeasured, whyNoMaps } from '../privileges.mjs';
import { ROOT } from '../toolchain.mjs';
import { reportRows } from './rows.mjs';

/** @import { Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

export const name = 'memory';

/** Nanoseconds for an element of a typed array. */
const AT_MOST_NS = 5;

/** Why it takes longer than in C, which loads and checks nothing; the suite `floors` measures each. */
const CHECKED = 'typed arrays check each index (floors: a random element of a Uint32Array)';
const BIGINTS =
  'a bigint that leaves a computation is an object (floors: an element of a BigUint64Array, kept); the row "u64, numbers[]" does without';
const METHOD = `get() also checks that the map is open and what the index is; ${CHECKED}`;

const READINGS = [
  {
    element: 'u32',
    mode: 'numbers',
    what: 'u32, numbers[]',
    atMostNs: AT_MOST_NS,
    reason: CHECKED,
  },
  { element: 'u64', mode: 'numbers', what: 'u64, numbers[]', reason: CHECKED },
  { element: 'u64', mode: 'compare', what: 'u64, numbers[], compared', reason: BIGINTS },
  { element: 'u32', mode: 'get', what: 'u32, get()', atMostNs: AT_MOST_NS, reason: METHOD },
  { element: 'u64', mode: 'get', what: 'u64, get()', reason: BIGINTS },
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
  const notes = [
    'memory: random entries of an array of 100,000 that is mapped into the process; C reads through a pointer, cilium/ebpf copies by Memory.ReadAt, aya has no such arrays',
  ];
  const peer = peersOf('memory', notes, ['libbpf', 'cilium']);
  const script = join(ROOT, 'bench/skep/memory.mjs');
  const rows = READINGS.map(({ element, mode, what, atMostNs, reason }) => ({
    name: what,
    subjects: [
      { name: 'skep', command: [process.execPath, script], args: [element, mode] },
      ...peer('libbpf', [element === 'u64' ? '8' : '4'], 'C'),
      ...peer('cilium', [element === 'u64' ? '8' : '4']),
    ],
    wanted: {
      against: 'C',
      atMost: null,
      reason,
      // It copies bytes, and makes no object of them.
      others: [
        { against: 'cilium', ...(reason === BIGINTS ? { atMost: null, reason } : { atMost: 1 }) },
      ],
      ...(atMostNs === undefined ? {} : { atMostNs }),
    },
  }));
  return reportRows(name, rows, context, notes, 'ns');
}
