/** Entries of a hash of 100,000: single look-ups and updates, and walks over all. */

import { join } from 'node:path';
import { buildLibbpf } from '../peers/libbpf.mjs';
import { installNpmBpf, npmBpfScript, VERSION } from '../peers/npm-bpf.mjs';
import { notMeasured, whyNoMaps } from '../privileges.mjs';
import { ROOT } from '../toolchain.mjs';
import { reportRows } from './rows.mjs';

/** @import { Subject } from '../processes.mjs' */
/** @import { Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */
/** @import { Row } from './rows.mjs' */

export const name = 'map-ops';

const PEER = 'npm bpf';
const BATCH = 'libbpf batch';
const AT_MOST = {
  /** Of libbpf's time: bytes, and what is decoded. */
  raw: 1.15,
  decoded: 1.5,
  /** Of the time of npm `bpf`. */
  peer: 0.67,
  /** Of libbpf's time for next key and look-up, and for batches that are not decoded. */
  nextKey: 0.25,
  batch: 1.4,
};

/** @typedef {'into' | 'raw' | 'u64' | 'u32'} Kind */

/** @type {{ kind: Kind, what: string, bytes: string }[]} */
const KINDS = [
  { kind: 'into', what: 'bytes', bytes: '8' },
  { kind: 'raw', what: 'bytes in fresh memory', bytes: '8' },
  { kind: 'u64', what: 'u64 as bigint', bytes: '8' },
  { kind: 'u32', what: 'u32 as number', bytes: '4' },
];

/** Fresh memory is a matter of look-ups only. */
const SINGLE = ['lookup', 'update'].flatMap((operation) =>
  KINDS.filter(({ kind }) => operation === 'lookup' || kind !== 'raw').map((one) => ({
    operation,
    ...one,
  })),
);

/** @param {Kind} kind */
function isBytes(kind) {
  return kind === 'into' || kind === 'raw';
}

/**
 * @param {Context} context
 * @returns {Report | Promise<Report>}
 */
export function run(context) {
  const reason = whyNoMaps();
  if (reason !== null) {
    return notMeasured(name, reason);
  }
  /** @type {string[]} */
  const notes = [];
  const subjects = subjectsOf(notes);
  // The system call is nearly all of it, and a busy machine changes its cost from second to second.
  const often = { passes: 2, plan: { samples: Math.ceil(context.plan.samples / 2) } };
  /** @type {Row[]} */
  const rows = SINGLE.map(({ operation, kind, what, bytes }) => ({
    name: `${operation}, ${what}`,
    subjects: [
      ...subjects.skep(operation, kind),
      ...subjects.libbpf(operation, bytes),
      ...subjects.npm(operation, operation === 'update' && kind === 'into' ? 'raw' : kind),
    ],
    wanted: {
      against: 'libbpf',
      atMost: { into: AT_MOST.raw, raw: null, u64: AT_MOST.decoded, u32: AT_MOST.decoded }[kind],
      others: [{ against: PEER, atMost: isBytes(kind) ? null : AT_MOST.peer }],
    },
    ...often,
  }));
  const walks = KINDS.filter(({ kind }) => !isBytes(kind)).map(({ kind, what, bytes }) => ({
    name: `walk, ${what}, an entry`,
    subjects: [
      ...subjects.skep('iterate', kind),
      ...subjects.libbpf('next-key', bytes),
      ...subjects.libbpf('batch', bytes, BATCH),
      ...subjects.npm('iterate', kind),
    ],
    wanted: {
      against: 'libbpf',
      atMost: AT_MOST.nextKey,
      others: [
        { against: BATCH, atMost: AT_MOST.batch },
        { against: PEER, atMost: AT_MOST.peer },
      ],
    },
    // A walk takes long enough to be a sample by itself.
    plan: { sampleMs: 0, samples: Math.ceil(context.plan.samples / 2) },
  }));
  notes.push(
    'map-ops: a hash with keys of 32 bits, in random order; libbpf walks by next key and look-up, and in batches of 4,096 that nobody decodes; npm bpf walks by next key and look-up; single operations have twice the passes, of half the samples; bytes have no target against npm bpf, of whose time libbpf itself takes 0.6 to 0.8',
  );
  return reportRows(name, [...rows, ...walks], context, notes, 'ns');
}

/** @param {string[]} notes gets the version of each peer, or why it cannot take part */
function subjectsOf(notes) {
  const libbpf = buildLibbpf('map-ops');
  const npm = installNpmBpf();
  notes.push('missing' in libbpf ? libbpf.missing : `libbpf is ${libbpf.version}`);
  notes.push('missing' in npm ? npm.missing : `npm bpf is ${VERSION}`);
  return {
    /** @type {(operation: string, kind: string) => Subject[]} */
    skep: (operation, kind) => [
      {
        name: 'skep',
        command: [process.execPath, join(ROOT, 'bench/skep/map-ops.mjs')],
        args: [operation, kind],
      },
    ],
    /** @type {(operation: string, bytes: string, as?: string) => Subject[]} */
    libbpf: (operation, bytes, as = 'libbpf') =>
      'missing' in libbpf ? [] : [{ name: as, command: [libbpf.path], args: [operation, bytes] }],
    /** @type {(operation: string, kind: string) => Subject[]} */
    npm: (operation, kind) =>
      'missing' in npm
        ? []
        : [
            {
              name: PEER,
              command: [process.execPath, npmBpfScript('map-ops')],
              args: [operation, kind, npm.folder],
            },
          ],
  };
}
