/** Loading programs: with many CO-RE relocations, and what of the time is not the kernel's. */

import { join } from 'node:path';
import { manyCoreReads, manyPrograms, manyRootTypes } from '../inputs.mjs';
import { peersOf } from '../peers/subjects.mjs';
import { notMeasured, whyNoMaps } from '../privileges.mjs';
import { ROOT } from '../toolchain.mjs';
import { reportRows } from './rows.mjs';

/** @import { MaybeInput } from '../inputs.mjs' */
/** @import { Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */
/** @import { Row } from './rows.mjs' */

export const name = 'programs';

/** Of libbpf's time outside of bpf(2). */
const AT_MOST_OUTSIDE = 0.5;

const LITTLE_TO_DO =
  "with bpf(2) left out the same load takes 4.4 µs of JavaScript a program, as much as libbpf's 4.3; between calls of the verifier, which empty the processor's caches of V8's code and heap, it takes 13; the kernel takes most of the whole";

/**
 * What is loaded, and the targets. Where there is no CO-RE, libbpf takes 6 µs a program, of which it
 * links none: only to be known.
 *
 * @type {readonly { what: string, make: () => MaybeInput, whole: number | null, outside: number | null }[]}
 */
const LOADS = [
  {
    what: '100 programs, 2,000 CO-RE relocations',
    make: () => manyCoreReads(100),
    whole: 1,
    outside: AT_MOST_OUTSIDE,
  },
  { what: '40 root types', make: manyRootTypes, whole: 0.3, outside: AT_MOST_OUTSIDE },
  {
    what: '100 programs, 2 maps, no CO-RE',
    make: () => manyPrograms(100, { oneSection: true }),
    whole: null,
    outside: null,
  },
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
    'programs: opening, loading and closing an object; "outside" is what is left of that without the time in bpf(2), most of which is the verifier\'s; Go makes its system calls itself, where their time cannot be told, so cilium/ebpf has no row outside',
  ];
  const peer = peersOf('programs', notes);
  /** @type {Row[]} */
  const rows = [];
  for (const { what, make, whole, outside } of LOADS) {
    const object = make();
    if ('missing' in object) {
      notes.push(`${what}: not measured: ${object.missing}`);
      continue;
    }
    for (const mode of ['whole', 'outside']) {
      const atMost = mode === 'whole' ? whole : outside;
      rows.push({
        name: mode === 'whole' ? what : `${what}, outside`,
        subjects: [
          {
            name: 'skep',
            command: [process.execPath, join(ROOT, 'bench/skep/programs.mjs')],
            args: [object.path, mode],
          },
          ...peer('libbpf', [object.path, mode]),
          ...(mode === 'whole' ? peer('cilium', [object.path]) : []),
          ...peer('aya', [object.path, mode]),
        ],
        wanted: {
          against: 'libbpf',
          atMost,
          ...(atMost === null ? { reason: LITTLE_TO_DO } : {}),
          others: [
            ...(mode === 'whole' ? [{ against: 'cilium', atMost: 1 }] : []),
            { against: 'aya', atMost: 1 },
          ],
        },
        facts: ['programs'],
        plan: { sampleMs: 0 },
      });
    }
  }
  return reportRows(name, rows, context, notes, 'µs');
}
