/** Ring buffers: what it takes to read a record that waits. */

import { join } from 'node:path';
import { buildLibbpf } from '../peers/libbpf.mjs';
import { notMeasured, whyNoBpfFileSystem, whyNoMaps, withBpfFileSystem } from '../privileges.mjs';
import { findBpftool, ROOT } from '../toolchain.mjs';
import { reportRows } from './rows.mjs';

/** @import { Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

export const name = 'ring';

const RECORDS = '100000';
const OBJECT = join(ROOT, 'fixtures/run/ring.bpf.o');

const READINGS = [
  { mode: 'cursor', what: 'cursor, one field', atMostNs: 30 },
  { mode: 'consume', what: 'consume(), three fields' },
  { mode: 'await', what: 'for await, three fields', atMostNs: 300 },
  { mode: 'await-bytes', what: 'for await, bytes', atMostNs: 300 },
];

/**
 * @param {Context} context
 * @returns {Report | Promise<Report>}
 */
export function run(context) {
  const reason =
    whyNoMaps() ??
    whyNoBpfFileSystem() ??
    (findBpftool() === null ? 'bpftool is missing (Debian: apt-get install bpftool)' : null);
  if (reason !== null) {
    return notMeasured(name, reason);
  }
  const libbpf = buildLibbpf('ring');
  const command = withBpfFileSystem([process.execPath, join(ROOT, 'bench/skep/ring.mjs')]);
  const rows = READINGS.map(({ mode, what, atMostNs }) => ({
    name: what,
    subjects: [
      { name: 'skep', command, args: [OBJECT, RECORDS, mode] },
      ...('missing' in libbpf
        ? []
        : [{ name: 'libbpf', command: [libbpf.path], args: [OBJECT, RECORDS] }]),
    ],
    wanted: { against: 'libbpf', atMost: null, ...(atMostNs === undefined ? {} : { atMostNs }) },
    // What was produced is read once: each sample is one operation.
    plan: { sampleMs: 0 },
  }));
  const notes = [
    'ring: 100,000 records of 64 bytes that wait in a ring of 16 MiB; libbpf calls back for each (ring_buffer__consume), and reads one field',
    'missing' in libbpf ? libbpf.missing : `libbpf is ${libbpf.version}`,
  ];
  return reportRows(name, rows, context, notes, 'ns');
}
