/** Loading programs: with many CO-RE relocations, and what of the time is not the kernel's. */

import { join } from 'node:path';
import { manyCoreReads, manyPrograms, manyRootTypes } from '../inputs.mjs';
import { buildLibbpf } from '../peers/libbpf.mjs';
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
  const libbpf = buildLibbpf('programs');
  const notes = [
    'programs: opening, loading and closing an object; "outside" is what is left of that without the time in bpf(2), most of which is the verifier\'s',
    'missing' in libbpf ? libbpf.missing : `libbpf is ${libbpf.version}`,
  ];
  /** @type {Row[]} */
  const rows = [];
  for (const { what, make, whole, outside } of LOADS) {
    const object = make();
    if ('missing' in object) {
      notes.push(`${what}: not measured: ${object.missing}`);
      continue;
    }
    for (const mode of ['whole', 'outside']) {
      rows.push({
        name: mode === 'whole' ? what : `${what}, outside`,
        subjects: [
          {
            name: 'skep',
            command: [process.execPath, join(ROOT, 'bench/skep/programs.mjs')],
            args: [object.path, mode],
          },
          ...('missing' in libbpf
            ? []
            : [{ name: 'libbpf', command: [libbpf.path], args: [object.path, mode] }]),
        ],
        wanted: { against: 'libbpf', atMost: mode === 'whole' ? whole : outside },
        facts: ['programs'],
        plan: { sampleMs: 0 },
      });
    }
  }
  return reportRows(name, rows, context, notes, 'µs');
}
