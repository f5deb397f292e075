/** Loading programs: with many CO-RE relocations, and what of the time is not the kernel's. */

import { join } from 'node:path';
import { manyCoreReads, manyPrograms, manyRootTypes } from '../inputs.mjs';
import { peersOf } from '../peers/subjects.mjs';
import { notMeasured, whyNoMaps } from '../privileges.mjs';
import { ROOT } from '../toolchain.mjs';
import { reportRows } from './rows.mjs';

/** @import { MaybeInput } from '../inputs.mjs' */
/** @import { Subject } from '../processes.mjs' */
/** @import { Report, Target } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */
/** @import { Row } from './rows.mjs' */

export const name = 'programs';

/** Of libbpf's time outside of bpf(2). */
const AT_MOST_OUTSIDE = 0.5;

/** Of the time of cilium/ebpf where both have all they need of the kernel's BTF at hand: parity, about. */
const AT_MOST_OF_CILIUM = 1.1;
const BOTH_KEEP_IT =
  "cilium/ebpf keeps the kernel's BTF, too, and most of what is left is the kernel's work";

/** The subject that does the same without the kernel's verifier in between. */
const UNVERIFIED = 'skep, nothing verified';
const LITTLE_TO_DO = `for each program skep makes objects of its definition, code, relocations, attributes and handle, and checks them (the subject "${UNVERIFIED}", by 100, has no other work outside of bpf(2) but closing maps); between calls of the verifier, which empty the processor's caches of V8's code and heap, the same JavaScript takes longer than there; the kernel takes most of the whole`;

/**
 * What is loaded, and the targets; `reason` is why skep may take longer than libbpf and aya. Where there is no
 * CO-RE there is little to do but to call the kernel: only to be known.
 *
 * @type {readonly { what: string, make: () => MaybeInput, whole: number | null, outside: number | null, others: readonly Target[], reason?: string }[]}
 */
const LOADS = [
  {
    what: '100 programs, 2,000 CO-RE relocations',
    make: () => manyCoreReads(100),
    whole: 1,
    outside: AT_MOST_OUTSIDE,
    others: [
      { against: 'cilium', atMost: 1 },
      { against: 'aya', atMost: 1 },
    ],
  },
  {
    what: '40 root types',
    make: manyRootTypes,
    whole: 0.3,
    outside: AT_MOST_OUTSIDE,
    others: [
      { against: 'cilium', atMost: AT_MOST_OF_CILIUM, reason: BOTH_KEEP_IT },
      { against: 'aya', atMost: 1 },
    ],
  },
  {
    what: '100 programs, 2 maps, no CO-RE',
    make: () => manyPrograms(100, { oneSection: true }),
    whole: null,
    outside: null,
    reason: LITTLE_TO_DO,
    others: [
      { against: 'cilium', atMost: 1 },
      { against: 'aya', atMost: null, reason: LITTLE_TO_DO },
    ],
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
    'programs: skep keeps the kernel\'s BTF and its index from one load to the next, and so do cilium/ebpf (CollectionOptions.Cache) and aya (one EbpfLoader, which has no index and looks through all types) here; libbpf reads it at each load and cannot keep it; "cold" is the first load of a process',
  ];
  const peer = peersOf('programs', notes);
  /** @type {Row[]} */
  const rows = [];
  for (const { what, make, whole, outside, others, reason: why } of LOADS) {
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
          skep('skep', [object.path, mode]),
          ...peer('libbpf', [object.path, mode]),
          ...(mode === 'whole' ? peer('cilium', [object.path]) : []),
          ...peer('aya', [object.path, mode]),
          ...(mode === 'outside' && outside === null
            ? [skep(UNVERIFIED, [object.path, 'unverified'])]
            : []),
        ],
        wanted: {
          against: 'libbpf',
          atMost,
          ...(why === undefined ? {} : { reason: why }),
          others: others.filter(({ against }) => mode === 'whole' || against !== 'cilium'),
        },
        facts: ['programs'],
        plan: { sampleMs: 0 },
      });
    }
  }
  return reportRows(name, rows, context, notes, 'µs');
}

/**
 * @param {string} as
 * @param {readonly string[]} args
 * @returns {Subject}
 */
function skep(as, args) {
  const command = [process.execPath, join(ROOT, 'bench/skep/programs.mjs')];
  return { name: as, command, args };
}
