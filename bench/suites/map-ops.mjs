/** Entries of a hash of 100,000: single look-ups and updates, and walks over all. */

import { join } from 'node:path';
import { installNpmBpf, npmBpfScript, VERSION } from '../peers/npm-bpf.mjs';
import { peersOf } from '../peers/subjects.mjs';
import { notMeasured, whyNoMaps } from '../privileges.mjs';
import { ROOT } from '../toolchain.mjs';
import { reportRows } from './rows.mjs';

/** @import { Subject } from '../processes.mjs' */
/** @import { Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */
/** @import { Row } from './rows.mjs' */

export const name = 'map-ops';

const PEER = 'npm bpf';
const LIBBPF_BATCH = 'libbpf batch';
const CILIUM_BATCH = 'cilium batch';
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

/** Its reasons quote the suite `floors`. */
export const quotesFloors = true;

/** Parts of skep's time, as subjects of their own. */
const JAVASCRIPT = 'skep, nothing called';
const OUTSIDE = 'skep, outside of bpf(2)';

/**
 * Why it takes longer than in C, Go or Rust.
 * @param {Context['floor']} floor
 */
function reasonsFor(floor) {
  const call = `checks, copies of key and value, and what they are decoded from and to (the subject "${JAVASCRIPT}"), and a call from JavaScript into native code (floors: ${floor('call')}), the code of both being cold after each system call, which is the same`;
  return {
    call,
    perCpu: `${call}; each CPU's value is an element of an object with a prototype and indices (floors: such an object of two, ${floor('indexed')})`,
    walk: `entries become pairs of JavaScript values (floors: a [number, bigint] pair in for...of, ${floor('pairs')}), which the peer leaves as numbers in one buffer`,
    batch: `all but the subject "${OUTSIDE}" is the same call of bpf(2) with the same entries: what differs is where the system has put the memory of map and process`,
  };
}

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
  const rows = [
    ...SINGLE.map((one) => singleRow(one, subjects, context)),
    perCpuRow(subjects, context),
    ...KINDS.filter(({ kind }) => !isBytes(kind)).map((one) => walkRow(one, subjects, context)),
    ...['batch', 'batch-update'].map((operation) => batchRow(operation, subjects, context)),
  ];
  notes.push(
    'map-ops: a hash with keys of 32 bits, in random order; libbpf walks by next key and look-up, and in batches of 4,096 that nobody decodes; cilium/ebpf walks by Map.Iterate, and in batches of 4,096; aya and npm bpf walk by next key and look-up; batches of npm bpf (RawMap.getBatch, setBatch) give and take a buffer for each key and value; aya has no batches; single operations have twice the passes, of half the samples; bytes have no target against npm bpf, of whose time libbpf itself takes 0.6 to 0.8; aya has only typed entries',
  );
  return reportRows(name, rows, context, notes, 'ns');
}

/** @typedef {ReturnType<typeof subjectsOf>} Subjects */

/**
 * The system call is nearly all of it, and a busy machine changes its cost from second to second.
 * @param {Context} context
 */
function often(context) {
  return { passes: 2, plan: { samples: Math.ceil(context.plan.samples / 2) } };
}

/**
 * @param {(typeof SINGLE)[number]} one
 * @param {Subjects} subjects
 * @param {Context} context
 * @returns {Row}
 */
function singleRow({ operation, kind, what, bytes }, subjects, context) {
  const reason = reasonsFor(context.floor).call;
  const typed = isBytes(kind) ? [] : subjects.aya(operation, kind);
  return {
    name: `${operation}, ${what}`,
    subjects: [
      ...subjects.skep(operation, kind),
      ...subjects.skep(operation, kind, 'javascript'),
      ...subjects.libbpf(operation, bytes),
      ...subjects.cilium(operation, kind),
      ...typed,
      ...subjects.npm(operation, operation === 'update' && kind === 'into' ? 'raw' : kind),
    ],
    wanted: {
      against: 'libbpf',
      atMost: { into: AT_MOST.raw, raw: null, u64: AT_MOST.decoded, u32: AT_MOST.decoded }[kind],
      reason,
      others: [
        { against: 'cilium', atMost: null, reason },
        ...(isBytes(kind) ? [] : [{ against: 'aya', atMost: null, reason }]),
        { against: PEER, atMost: isBytes(kind) ? null : AT_MOST.peer },
      ],
    },
    ...often(context),
  };
}

/**
 * @param {Subjects} subjects
 * @param {Context} context
 * @returns {Row}
 */
function perCpuRow(subjects, context) {
  const reason = reasonsFor(context.floor).perCpu;
  return {
    name: 'lookup, per-CPU u64, summed',
    subjects: [
      ...subjects.skep('per-cpu', 'u64'),
      ...subjects.skep('per-cpu', 'u64', 'javascript'),
      ...subjects.libbpf('per-cpu', '8'),
      ...subjects.cilium('per-cpu', 'u64'),
      ...subjects.aya('per-cpu', 'u64'),
    ],
    wanted: {
      against: 'libbpf',
      atMost: null,
      reason,
      others: ['cilium', 'aya'].map((against) => ({ against, atMost: null, reason })),
    },
    ...often(context),
  };
}

/**
 * @param {(typeof KINDS)[number]} one
 * @param {Subjects} subjects
 * @param {Context} context
 * @returns {Row}
 */
function walkRow({ kind, what, bytes }, subjects, context) {
  const { walk } = reasonsFor(context.floor);
  return {
    name: `walk, ${what}, an entry`,
    subjects: [
      ...subjects.skep('iterate', kind),
      ...subjects.libbpf('next-key', bytes),
      ...subjects.libbpf('batch', bytes, LIBBPF_BATCH),
      ...subjects.cilium('iterate', kind),
      ...subjects.cilium('batch', kind, CILIUM_BATCH),
      ...subjects.aya('iterate', kind),
      ...subjects.npm('iterate', kind),
    ],
    wanted: {
      against: 'libbpf',
      atMost: AT_MOST.nextKey,
      others: [
        { against: LIBBPF_BATCH, atMost: AT_MOST.batch, reason: walk },
        { against: 'cilium', atMost: 1 },
        { against: CILIUM_BATCH, atMost: null, reason: walk },
        { against: 'aya', atMost: 1 },
        { against: PEER, atMost: AT_MOST.peer },
      ],
    },
    // A walk takes long enough to be a sample by itself.
    plan: { sampleMs: 0, samples: Math.ceil(context.plan.samples / 2) },
  };
}

/**
 * Batches of bytes, as every peer that has them takes them.
 * @param {string} operation
 * @param {Subjects} subjects
 * @param {Context} context
 * @returns {Row}
 */
function batchRow(operation, subjects, context) {
  const { batch } = reasonsFor(context.floor);
  return {
    name: `${operation === 'batch' ? 'batches read' : 'batches set'}, bytes, an entry`,
    subjects: [
      ...subjects.skep(operation, 'into'),
      ...subjects.skep(operation, 'into', 'outside'),
      ...subjects.libbpf(operation, '8'),
      ...subjects.cilium(operation, 'u64'),
      ...subjects.npm(operation, 'raw'),
    ],
    wanted: {
      against: 'libbpf',
      atMost: AT_MOST.raw,
      reason: batch,
      others: [
        { against: 'cilium', atMost: null, reason: batch },
        { against: PEER, atMost: null },
      ],
    },
    plan: { sampleMs: 0, samples: context.plan.samples },
  };
}

/** @param {string[]} notes gets the version of each peer, or why it cannot take part */
function subjectsOf(notes) {
  const peer = peersOf('map-ops', notes);
  const npm = installNpmBpf();
  notes.push('missing' in npm ? npm.missing : `npm bpf is ${VERSION}`);
  return {
    /** @type {(operation: string, kind: string, part?: 'whole' | 'javascript' | 'outside') => Subject[]} */
    skep: (operation, kind, part = 'whole') => [
      {
        name: { whole: 'skep', javascript: JAVASCRIPT, outside: OUTSIDE }[part],
        command: [process.execPath, join(ROOT, 'bench/skep/map-ops.mjs')],
        args: [operation, kind, part],
      },
    ],
    /** @type {(operation: string, bytes: string, as?: string) => Subject[]} */
    libbpf: (operation, bytes, as) => peer('libbpf', [operation, bytes], as),
    /** @type {(operation: string, kind: string, as?: string) => Subject[]} */
    cilium: (operation, kind, as) => peer('cilium', [operation, kind], as),
    /** @type {(operation: string, kind: string) => Subject[]} */
    aya: (operation, kind) => peer('aya', [operation, kind]),
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
