/** Maps of maps: loading one whose slots the object fills, and filling slots one by one. */

import { join } from 'node:path';
import { manySlots } from '../inputs.mjs';
import { peersOf } from '../peers/subjects.mjs';
import { notMeasured, whyNoMaps } from '../privileges.mjs';
import { ROOT } from '../toolchain.mjs';
import { reportRows } from './rows.mjs';

/** @import { Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

export const name = 'maps-of-maps';

const SLOTS = 64;
/** Of libbpf's time to load. */
const AT_MOST = 0.1;

const OUTSIDE = 'skep, outside of bpf(2)';
const GRACE_PERIOD = `nearly all of it is the grace period that the kernel waits for at each update, in steps of its clock (one more or less for whoever asks, by when it asks); what is skep's own is the subject "${OUTSIDE}"`;

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
  const notes = [
    'maps-of-maps: loading is opening, loading and closing; the kernel waits for a grace period after each update of a map of maps, or once after a batch of them; aya leaves slots empty that an object fills, and takes part in filling them only',
    'maps-of-maps: a slot filled: an inner map is created, given a value, put into the slot, closed, found there again, and asked for its value',
  ];
  const skep = { name: 'skep', command: [process.execPath, join(ROOT, 'bench/skep/load.mjs')] };
  const peer = peersOf('maps-of-maps', notes);
  // Nothing of it is short.
  const plan = { sampleMs: 0 };
  const loading = {
    name: `load with ${SLOTS} static slots`,
    subjects: [
      { ...skep, args: ['load', object.path, 'outer'] },
      ...peer('libbpf', ['load', object.path, 'outer']),
      ...peer('cilium', ['load', object.path, 'outer']),
    ],
    wanted: { against: 'libbpf', atMost: AT_MOST, others: [{ against: 'cilium', atMost: 1 }] },
    facts: ['slots'],
    plan,
  };
  const filling = {
    name: 'a slot filled and read back',
    subjects: [
      { ...skep, args: ['insert', object.path, 'outer'] },
      { ...skep, name: OUTSIDE, args: ['insert-outside', object.path, 'outer'] },
      ...peer('libbpf', ['insert', object.path, 'outer']),
      ...peer('cilium', ['insert']),
      ...peer('aya', ['insert', object.path, 'outer']),
    ],
    wanted: {
      against: 'libbpf',
      atMost: null,
      reason: GRACE_PERIOD,
      others: ['cilium', 'aya'].map((against) => ({ against, atMost: null, reason: GRACE_PERIOD })),
    },
    facts: ['value'],
    // So many that who waits from which tick of the clock on is not always the same.
    plan: { sampleMs: 150 },
  };
  return reportRows(name, [loading, filling], context, notes, 'µs');
}
