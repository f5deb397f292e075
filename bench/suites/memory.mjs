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

/** Its reasons quote the suite `floors`. */
export const quotesFloors = true;

/** What skep does, without skep: see skep/plain.mjs. */
const PLAIN = 'plain JavaScript';

/**
 * Why it takes longer than in C, which loads and checks nothing.
 * @param {Context['floor']} floor
 */
function reasonsFor(floor) {
  const checked = `typed arrays check each index (the subject "${PLAIN}"; floors: a random element of a Uint32Array, ${floor('checked')})`;
  return {
    checked,
    method: `get() also checks that the map is open and what the index is; ${checked}`,
    bigints: `elements of 64 bits are bigints, which V8 handles one by one, by a function or as objects (the subject "${PLAIN}" takes all or most of the time; floors: ${floor('bigint')} where one is kept)`,
  };
}

/** @type {readonly { element: 'u32' | 'u64', mode: string, what: string, why: keyof ReturnType<typeof reasonsFor> }[]} */
const READINGS = [
  { element: 'u32', mode: 'numbers', what: 'u32, numbers[]', why: 'checked' },
  { element: 'u64', mode: 'numbers', what: 'u64, numbers[]', why: 'bigints' },
  { element: 'u64', mode: 'compare', what: 'u64, numbers[], compared', why: 'bigints' },
  { element: 'u32', mode: 'get', what: 'u32, get()', why: 'method' },
  { element: 'u64', mode: 'get', what: 'u64, get()', why: 'bigints' },
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
  const plain = join(ROOT, 'bench/skep/plain.mjs');
  const reasons = reasonsFor(context.floor);
  const rows = READINGS.map(({ element, mode, what, why }) => ({
    name: what,
    subjects: [
      { name: 'skep', command: [process.execPath, script], args: [element, mode] },
      { name: PLAIN, command: [process.execPath, plain], args: ['array', element, mode] },
      ...peer('libbpf', [element === 'u64' ? '8' : '4'], 'C'),
      ...peer('cilium', [element === 'u64' ? '8' : '4']),
    ],
    wanted: {
      against: 'C',
      atMost: null,
      reason: reasons[why],
      // It copies bytes, and makes no object of them.
      others: [
        element === 'u64'
          ? { against: 'cilium', atMost: null, reason: reasons[why] }
          : { against: 'cilium', atMost: 1 },
      ],
      ...(element === 'u64' ? {} : { atMostNs: AT_MOST_NS }),
    },
  }));
  return reportRows(name, rows, context, notes, 'ns');
}
