/** Ring buffers: what it takes to read a record that waits. */

import { join } from 'node:path';
import { peersOf } from '../peers/subjects.mjs';
import { notMeasured, whyNoBpfFileSystem, whyNoMaps, withBpfFileSystem } from '../privileges.mjs';
import { findBpftool, ROOT } from '../toolchain.mjs';
import { reportRows } from './rows.mjs';

/** @import { Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

export const name = 'ring';

const RECORDS = '100000';
const OBJECT = join(ROOT, 'fixtures/run/ring.bpf.o');

/** Its reasons quote the suite `floors`. */
export const quotesFloors = true;

/** What skep does, without skep: see skep/plain.mjs. */
const PLAIN = 'plain JavaScript';

/**
 * Why reading takes longer than in C, Go or Rust, with the least that each thing takes.
 * @param {Context['floor']} floor
 */
function reasonsFor(floor) {
  const checks = `the subject "${PLAIN}" does no more than that; skep also looks for records that are being written or were given up, gives freed space back, and is safe from a handle that is closed meanwhile`;
  const objects = `each record becomes an object (floors: an object of a bigint and two numbers, ${floor('object')}; finding a record, ${floor('headers')}) that a function is called with`;
  const copies = `each record becomes a Uint8Array of its own (floors: a copy of 64 bytes, ${floor('copy')}), where C and Rust read in place`;
  const turns = `a loop that waits takes a promise for each record (floors: a turn of for await, ${floor('loop')})`;
  return {
    loads: `a record is found by Atomics.load, for which V8 calls a function (floors: ${floor('atomic')}), and read through typed arrays that check each index; ${checks}`,
    objects: `${objects}; ${checks}`,
    copies: `${copies}; ${checks}`,
    awaitedObjects: `${turns}; ${objects}; ${checks}`,
    awaitedCopies: `${turns}; ${copies}; ${checks}`,
  };
}

/**
 * What is measured. `cilium` is the function of cilium/ebpf's reader that does as much: one record that is
 * read into again and again, or a new one each time; `fields` is the former, with three fields decoded, and
 * then the other peers read three fields, too.
 *
 * @type {readonly { mode: string, what: string, atMostNs?: number, cilium: string, ahead: boolean, why: keyof ReturnType<typeof reasonsFor> }[]}
 */
const READINGS = [
  {
    mode: 'cursor',
    what: 'cursor, one field',
    atMostNs: 30,
    cilium: 'read-into',
    ahead: true,
    why: 'loads',
  },
  {
    mode: 'consume',
    what: 'consume(), three fields',
    cilium: 'fields',
    ahead: false,
    why: 'objects',
  },
  { mode: 'consume-bytes', what: 'consume(), bytes', cilium: 'read', ahead: true, why: 'copies' },
  {
    mode: 'await',
    what: 'for await, three fields',
    atMostNs: 300,
    cilium: 'fields',
    ahead: false,
    why: 'awaitedObjects',
  },
  {
    mode: 'await-bytes',
    what: 'for await, bytes',
    atMostNs: 300,
    cilium: 'read',
    ahead: false,
    why: 'awaitedCopies',
  },
];

/**
 * What peers in C and Rust read of a record.
 * @param {string} cilium
 */
function readsOf(cilium) {
  return cilium === 'fields' ? 'fields' : 'number';
}

/**
 * @param {Context} context
 * @returns {Report | Promise<Report>}
 */
export function run(context) {
  const bpftool = findBpftool();
  const reason =
    whyNoMaps() ??
    whyNoBpfFileSystem() ??
    (bpftool === null ? 'bpftool is missing (Debian: apt-get install bpftool)' : null);
  if (reason !== null || bpftool === null) {
    return notMeasured(name, reason ?? '');
  }
  const notes = [
    'ring: 100,000 records of 64 bytes that wait in a ring of 16 MiB; peers read one number of each, or decode three fields where skep does; libbpf calls back for each (ring_buffer__consume), cilium/ebpf is asked for each (Reader.ReadInto with one record; Reader.Read, which copies into new memory, beside what is bytes in skep), aya too (RingBuf::next)',
  ];
  const peer = peersOf('ring', notes);
  const command = withBpfFileSystem([process.execPath, join(ROOT, 'bench/skep/ring.mjs')]);
  const plain = [process.execPath, join(ROOT, 'bench/skep/plain.mjs')];
  const reasons = reasonsFor(context.floor);
  const rows = READINGS.map(({ mode, what, atMostNs, cilium, ahead, why }) => ({
    name: what,
    subjects: [
      { name: 'skep', command, args: [OBJECT, RECORDS, mode] },
      { name: PLAIN, command: plain, args: ['records', RECORDS, mode] },
      ...peer('libbpf', [OBJECT, RECORDS, readsOf(cilium)]),
      ...peer('cilium', [OBJECT, RECORDS, cilium]),
      ...peer('aya', [OBJECT, RECORDS, readsOf(cilium), bpftool]).map((aya) => ({
        ...aya,
        command: withBpfFileSystem(aya.command),
      })),
    ],
    wanted: {
      against: 'libbpf',
      atMost: null,
      reason: reasons[why],
      others: [
        { against: 'cilium', atMost: ahead ? 1 : null, reason: reasons[why] },
        { against: 'aya', atMost: null, reason: reasons[why] },
      ],
      ...(atMostNs === undefined ? {} : { atMostNs }),
    },
    // What was produced is read once: each sample is one operation.
    plan: { sampleMs: 0 },
  }));
  return reportRows(name, rows, context, notes, 'ns');
}
