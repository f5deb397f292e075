/** Opening one object: small, of everyday size, or with a lot of BTF. */

import { fixture, manyTypes, realObject } from '../inputs.mjs';
import { compareOpening, NAMES, openSubjects } from './opening.mjs';

/** @import { Context } from '../run.mjs' */
/** @import { Report } from '../report.mjs' */
/** @import { Opening } from './opening.mjs' */

export const name = 'open';

/** Structs in the object whose BTF is large. */
const MANY_TYPES = 10_000;

/**
 * Why a peer may be faster, by what is opened.
 * @type {Readonly<Record<string, Opening['reasons']>>}
 */
const REASONS = {
  tiny: { aya: 'strings, a DataView and a Map are 0.3 of 1.1 µs' },
  'maps of maps': { libbpf: NAMES, aya: 'aya leaves the slots empty that the object fills' },
};

/**
 * @param {Context} context
 * @returns {Report | Promise<Report>}
 */
export function run(context) {
  /** @type {string[]} */
  const notes = [];
  const real = realObject();
  if ('missing' in real) {
    notes.push(`dwarf of the fixtures stands in for an everyday object: ${real.missing}`);
  }
  const types = manyTypes(MANY_TYPES);
  const inputs = [
    fixture('plain/tiny.bpf.o', 'tiny'),
    fixture('demo.bpf.o', 'demo'),
    fixture('nested/hash-of-maps.bpf.o', 'maps of maps'),
    'missing' in real ? fixture('plain/dwarf.bpf.o', 'dwarf') : real,
    ...('missing' in types ? [] : [types]),
  ];
  const opening = inputs.map((input) => ({ input, atMost: 1, reasons: REASONS[input.name] ?? {} }));
  return compareOpening('open', opening, openSubjects(notes), context, notes);
}
