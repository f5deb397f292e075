/** Opening one object: small, of everyday size, or with a lot of BTF. */

import { fixture, manyTypes, realObject } from '../inputs.mjs';
import { compareOpening, openSubjects, reasonsFor } from './opening.mjs';

/** @import { Context } from '../run.mjs' */
/** @import { Report } from '../report.mjs' */
/** @import { Opening } from './opening.mjs' */

export const name = 'open';

/** Structs in the object whose BTF is large. */
const MANY_TYPES = 10_000;

/** Its reasons quote the suite `floors`. */
export const quotesFloors = true;

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
  const { names, unchecked } = reasonsFor(context.floor);
  /** @type {Readonly<Record<string, Opening['reasons']>>} */
  const reasons = {
    tiny: { aya: names },
    'maps of maps': {
      libbpf: unchecked,
      aya: `aya leaves the slots empty that the object fills (0.3 of 5.7 µs, by parseSlots in a loop); ${names}`,
    },
  };
  const opening = inputs.map((input) => ({ input, atMost: 1, reasons: reasons[input.name] ?? {} }));
  return compareOpening('open', opening, openSubjects(notes), context, notes);
}
