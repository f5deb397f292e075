/** Loading a map of maps whose slots the object fills. */

import { join } from 'node:path';
import { manySlots } from '../inputs.mjs';
import { buildLibbpf } from '../peers/libbpf.mjs';
import { notMeasured, whyNoMaps } from '../privileges.mjs';
import { ROOT } from '../toolchain.mjs';
import { reportRows } from './rows.mjs';

/** @import { Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

export const name = 'maps-of-maps';

const SLOTS = 64;
const AT_MOST = 0.1;

/**
 * @param {Context} context
 * @returns {Report | Promise<Report>}
 */
export function run(context) {
  const object = manySlots(SLOTS);
  const reason = whyNoMaps() ?? ('missing' in object ? object.missing : null);
  if (reason !== null || 'missing' in object) {
    return notMeasured(name, reason ?? '');
  }
  const libbpf = buildLibbpf('load');
  const row = {
    name: `load with ${SLOTS} static slots`,
    subjects: [
      {
        name: 'skep',
        command: [process.execPath, join(ROOT, 'bench/skep/load.mjs')],
        args: [object.path, 'outer'],
      },
      ...('missing' in libbpf
        ? []
        : [{ name: 'libbpf', command: [libbpf.path], args: [object.path, 'outer'] }]),
    ],
    wanted: { against: 'libbpf', atMost: AT_MOST },
    facts: ['slots'],
    plan: { sampleMs: 0 },
  };
  const notes = [
    'maps-of-maps: opening, loading and closing; the kernel waits for a grace period after each update of a map of maps, or once after a batch of them',
    'missing' in libbpf ? libbpf.missing : `libbpf is ${libbpf.version}`,
  ];
  return reportRows(name, [row], context, notes, 'µs');
}
