/** Opening objects with many maps or programs: how the time grows. */

import { fixture, manyMaps, manyPrograms } from '../inputs.mjs';
import { fittedExponent } from '../measure.mjs';
import { digits, micros } from '../report.mjs';
import { compareOpening, JUDGED, openSubjects } from './opening.mjs';

/** @import { MaybeInput } from '../inputs.mjs' */
/** @import { Outcome } from '../processes.mjs' */
/** @import { Report, Table, Verdict } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */
/** @import { Opening } from './opening.mjs' */

export const name = 'open-many';

const SIZES = [10, 100, 1_000, 10_000];
/** libbpf is quadratic in maps and in sections: 10,000 of them would take seconds for one opening. */
const PEER_LIMIT = 1_000;
/** Longer samples than usual, so that each has its share of the garbage collection. */
const SAMPLE_FACTOR = 5;
/** The size that is judged, and by how much its cost per item may grow up to the next one. */
const JUDGED_SIZE = 1_000;
const AT_MOST_OF_LIBBPF = 0.2;
const AT_MOST_GROWTH = 1.5;

/** @type {readonly { what: string, make: (size: number) => MaybeInput }[]} */
const FAMILIES = [
  { what: 'maps', make: manyMaps },
  { what: 'programs', make: (size) => manyPrograms(size, { oneSection: false }) },
];

/**
 * @param {Context} given
 * @returns {Promise<Report>}
 */
export async function run(given) {
  const plan = { ...given.plan, sampleMs: given.plan.sampleMs * SAMPLE_FACTOR };
  const context = { ...given, plan };
  /** @type {string[]} */
  const notes = [];
  const subjects = openSubjects(notes);
  /** @type {Opening[]} */
  const openings = [];
  for (const { make } of FAMILIES) {
    for (const size of SIZES) {
      const atMost = size === JUDGED_SIZE ? AT_MOST_OF_LIBBPF : null;
      add(openings, notes, make(size), atMost, size > PEER_LIMIT);
    }
  }
  add(openings, notes, manyPrograms(JUDGED_SIZE, { oneSection: true }), null, false);
  if (openings.length === 0) {
    const fixtures = ['maps/many.bpf.o', 'programs/every-section.bpf.o'];
    notes.push(`${fixtures.join(' and ')} of the fixtures are opened instead; no target is judged`);
    openings.push(...fixtures.map((file) => ({ input: fixture(file), atMost: null })));
    return compareOpening('open-many', openings, subjects, context, notes);
  }
  const report = await compareOpening('open-many', openings, subjects, context, notes);
  const growth = FAMILIES.map(({ what, make }) => growthOf(what, make, report.outcomes));
  return {
    tables: [...report.tables, ...growth.map(({ table }) => table)],
    verdicts: [...report.verdicts, ...growth.flatMap(({ verdicts }) => verdicts)],
    notes,
    data: report.data,
  };
}

/**
 * @param {Opening[]} openings
 * @param {string[]} notes
 * @param {MaybeInput} input
 * @param {number | null} atMost
 * @param {boolean} alone
 */
function add(openings, notes, input, atMost, alone) {
  if (!('missing' in input)) {
    openings.push({ input, atMost, alone });
  } else if (!notes.includes(input.missing)) {
    notes.push(input.missing);
  }
}

/**
 * What one map or program costs in objects of growing size.
 * @param {string} what
 * @param {(size: number) => MaybeInput} make
 * @param {ReadonlyMap<string, ReadonlyMap<string, Outcome>>} outcomes
 * @returns {{ table: Table, verdicts: Verdict[] }}
 */
function growthOf(what, make, outcomes) {
  const subjects = [JUDGED, 'libbpf'];
  const series = subjects.map((subject) => ({
    subject,
    points: SIZES.flatMap((size) => {
      const input = make(size);
      const outcome = 'missing' in input ? undefined : outcomes.get(input.name)?.get(subject);
      return outcome === undefined ? [] : [{ size, time: outcome.warm.median }];
    }),
  }));
  const rows = series
    .filter(({ points }) => points.length > 1)
    .map(({ subject, points }) => [
      subject,
      ...SIZES.map((size) => {
        const point = points.find((candidate) => candidate.size === size);
        return point === undefined ? '-' : micros(point.time / size);
      }),
      fittedExponent(points).toFixed(2),
      fittedExponent(points.slice(-2)).toFixed(2),
    ]);
  const ours = series[0]?.points ?? [];
  const [before, after] = ours.slice(-2);
  /** @type {Verdict[]} */
  const verdicts = [];
  if (before !== undefined && after !== undefined) {
    verdicts.push({
      name: `open-many: cost per item, ${digits(after.size)} ${what} against ${digits(before.size)}`,
      value: after.time / after.size / (before.time / before.size),
      atMost: AT_MOST_GROWTH,
      of: 'growth',
    });
  }
  const columns = [
    `µs per item`,
    ...SIZES.map((size) => `${digits(size)} ${what}`),
    'exponent',
    'last two',
  ];
  return { table: { title: `cost of one of many ${what}`, columns, rows }, verdicts };
}
