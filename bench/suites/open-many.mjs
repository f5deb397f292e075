/** Opening objects with many maps or programs: how the time grows. */

import { fixture, manyMaps, manyPrograms } from '../inputs.mjs';
import { fittedExponent } from '../measure.mjs';
import { micros } from '../report.mjs';
import { compareOpening, JUDGED, openSubjects, PEERS } from './opening.mjs';

/** @import { MaybeInput } from '../inputs.mjs' */
/** @import { Peer } from '../peers/subjects.mjs' */
/** @import { Outcome } from '../processes.mjs' */
/** @import { Report, Table, Verdict } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */
/** @import { Opening } from './opening.mjs' */

export const name = 'open-many';

const SIZES = [10, 100, 1_000, 10_000];
/** Longer samples than usual, so that each has its share of the garbage collection. */
const SAMPLE_FACTOR = 5;
/** The size that is judged, and by how much its cost per item may grow up to the next one. */
const JUDGED_SIZE = 1_000;
const AT_MOST_OF_LIBBPF = 0.2;
const AT_MOST_GROWTH = 1.5;
/** The exponent of the fitted power of the size. */
const AT_MOST_EXPONENT = 1.1;

/**
 * What there may be much of. Peers that are quadratic in it are left out at the largest size, where one
 * opening takes them seconds.
 *
 * @type {readonly { what: string, make: (size: number) => MaybeInput, atMost: number | null, quadratic: readonly Peer[] }[]}
 */
const FAMILIES = [
  { what: 'maps', make: manyMaps, atMost: AT_MOST_OF_LIBBPF, quadratic: ['libbpf'] },
  {
    what: 'programs',
    make: (size) => manyPrograms(size, { oneSection: false }),
    atMost: AT_MOST_OF_LIBBPF,
    quadratic: ['libbpf'],
  },
  {
    what: 'programs in one section',
    make: (size) => manyPrograms(size, { oneSection: true }),
    atMost: null,
    quadratic: ['aya'],
  },
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
  const openings = openingsOf(notes);
  if (openings.length === 0) {
    const fixtures = ['maps/many.bpf.o', 'programs/every-section.bpf.o'];
    notes.push(`${fixtures.join(' and ')} of the fixtures are opened instead; no target is judged`);
    openings.push(...fixtures.map((file) => ({ input: fixture(file), atMost: null })));
    return compareOpening('open-many', openings, subjects, context, notes);
  }
  const report = await compareOpening('open-many', openings, subjects, context, notes);
  const growth = FAMILIES.map(({ what, make }) => growthOf(what, make, report.outcomes));
  return {
    ...report,
    tables: [...report.tables, ...growth.map(({ table }) => table)],
    verdicts: [...report.verdicts, ...growth.flatMap(({ verdicts }) => verdicts)],
    notes: [...notes, ...FAMILIES.map(leftOut)],
  };
}

/** @param {(typeof FAMILIES)[number]} family */
function leftOut({ what, quadratic }) {
  const most = many(Math.max(...SIZES));
  return `open-many: ${quadratic.join(', ')} would take seconds for ${most} ${what}, and is left out there`;
}

/**
 * @param {string[]} notes gets why an object cannot be opened
 * @returns {Opening[]}
 */
function openingsOf(notes) {
  /** @type {Opening[]} */
  const openings = [];
  const most = Math.max(...SIZES);
  for (const { make, atMost, quadratic } of FAMILIES) {
    for (const size of SIZES) {
      const input = make(size);
      if (!('missing' in input)) {
        const without = size === most ? quadratic : [];
        openings.push({ input, atMost: size === JUDGED_SIZE ? atMost : null, without });
      } else if (!notes.includes(input.missing)) {
        notes.push(input.missing);
      }
    }
  }
  return openings;
}

/**
 * What one map or program costs in objects of growing size.
 * @param {string} what
 * @param {(size: number) => MaybeInput} make
 * @param {ReadonlyMap<string, ReadonlyMap<string, Outcome>>} outcomes
 * @returns {{ table: Table, verdicts: Verdict[] }}
 */
function growthOf(what, make, outcomes) {
  const series = [JUDGED, ...PEERS].map((subject) => ({
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
  const columns = [
    `µs per item`,
    ...SIZES.map((size) => `${many(size)} ${what}`),
    'exponent',
    'last two',
  ];
  return {
    table: { title: `cost of one of many ${what}`, columns, rows },
    verdicts: judgeGrowth(what, series[0]?.points ?? []),
  };
}

/**
 * @param {string} what
 * @param {readonly { size: number, time: number }[]} points of growing size
 * @returns {Verdict[]}
 */
function judgeGrowth(what, points) {
  const [before, after] = points.slice(-2);
  if (before === undefined || after === undefined) {
    return [];
  }
  return [
    {
      name: `open-many: cost per item, ${many(after.size)} ${what} against ${many(before.size)}`,
      value: after.time / after.size / (before.time / before.size),
      atMost: AT_MOST_GROWTH,
      of: 'growth',
    },
    {
      name: `open-many: time by number of ${what}, ${many(points[0]?.size ?? 0)} to ${many(after.size)}`,
      value: fittedExponent(points),
      atMost: AT_MOST_EXPONENT,
      of: 'exponent',
    },
  ];
}

/** @param {number} count */
function many(count) {
  return count.toLocaleString('en-US');
}
