/** Opening objects with many maps or programs: how the time grows. */

import { fixture, manyMaps, manyPrograms } from '../inputs.mjs';
import { fittedExponent } from '../measure.mjs';
import { digits, micros } from '../report.mjs';
import {
  compareOpening,
  JUDGED,
  openSubjects,
  PEERS,
  reasonsFor,
  withOptions,
} from './opening.mjs';

/** @import { MaybeInput } from '../inputs.mjs' */
/** @import { Peer } from '../peers/subjects.mjs' */
/** @import { Outcome } from '../processes.mjs' */
/** @import { Report, Table, Verdict } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */
/** @import { Opening } from './opening.mjs' */

export const name = 'open-many';

/** Its reasons quote the suite `floors`. */
export const quotesFloors = true;

const SIZES = [10, 100, 1_000, 10_000];
/** Longer samples than usual, so that each has its share of the garbage collection. */
const SAMPLE_FACTOR = 5;
/** The size that is judged, and by how much its cost per item may grow up to the next one. */
const JUDGED_SIZE = 1_000;
const AT_MOST_OF_LIBBPF = 0.2;
const AT_MOST_GROWTH = 1.5;
/** Samples of what takes libbpf most of a second. */
const FEW_SAMPLES = 5;
/** With these V8 lets more become garbage before it collects. */
const LARGE_YOUNG_GENERATION = ['--max-semi-space-size=64'];
/** Subjects whose growth is shown. */
const SERIES = [JUDGED, withOptions(LARGE_YOUNG_GENERATION), ...PEERS];
/** The exponent of the fitted power of the size. */
const AT_MOST_EXPONENT = 1.1;

/**
 * What there may be much of. Peers that are left out at the largest size take seconds for one opening there.
 *
 * @type {readonly { what: string, make: (size: number) => MaybeInput, atMost: number | null, without: readonly Peer[] }[]}
 */
const FAMILIES = [
  { what: 'maps', make: manyMaps, atMost: AT_MOST_OF_LIBBPF, without: [] },
  {
    what: 'programs',
    make: (size) => manyPrograms(size, { oneSection: false }),
    atMost: AT_MOST_OF_LIBBPF,
    without: ['libbpf'],
  },
  {
    what: 'programs in one section',
    make: (size) => manyPrograms(size, { oneSection: true }),
    atMost: null,
    without: ['aya'],
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
  const openings = openingsOf(notes, context);
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
    notes: [...notes, ...FAMILIES.flatMap(leftOut)],
  };
}

/** @param {(typeof FAMILIES)[number]} family */
function leftOut({ what, without }) {
  const most = many(Math.max(...SIZES));
  return without.map(
    (peer) =>
      `open-many: ${peer} takes seconds for one opening of ${most} ${what}, and is left out there`,
  );
}

/**
 * @param {string[]} notes gets why an object cannot be opened
 * @param {Context} context
 * @returns {Opening[]}
 */
function openingsOf(notes, { floor }) {
  const { names, unchecked } = reasonsFor(floor);
  /** @type {Opening[]} */
  const openings = [];
  const most = Math.max(...SIZES);
  for (const { what, make, atMost, without } of FAMILIES) {
    for (const size of SIZES) {
      const input = make(size);
      if (!('missing' in input)) {
        openings.push({
          input,
          atMost: size === JUDGED_SIZE ? atMost : null,
          ...(what === 'maps' && size === Math.min(...SIZES)
            ? { reasons: { libbpf: unchecked, aya: names } }
            : {}),
          // The two sizes that growth is judged by.
          ...(size >= JUDGED_SIZE ? { node: LARGE_YOUNG_GENERATION } : {}),
          ...(size === most ? { without, samples: FEW_SAMPLES } : {}),
        });
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
  const series = SERIES.map((subject) => ({
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
    verdicts: judgeGrowth(what, series),
  };
}

/**
 * @typedef {object} Series
 * @property {string} subject
 * @property {readonly { size: number, time: number }[]} points of growing size
 */

/**
 * @param {string} what
 * @param {readonly Series[]} series
 * @returns {Verdict[]}
 */
function judgeGrowth(what, series) {
  const points = series[0]?.points ?? [];
  const growth = growthAtLast(points);
  const after = points.at(-1);
  if (growth === undefined || after === undefined) {
    return [];
  }
  const reason = reasonForGrowth(what, after, series.slice(1));
  const before = points.at(-2)?.size ?? 0;
  return [
    {
      name: `open-many: cost per item, ${many(after.size)} ${what} against ${many(before)}`,
      value: growth,
      atMost: AT_MOST_GROWTH,
      of: 'growth',
      reason,
    },
    {
      name: `open-many: time by number of ${what}, ${many(points[0]?.size ?? 0)} to ${many(after.size)}`,
      value: fittedExponent(points),
      atMost: AT_MOST_EXPONENT,
      of: 'exponent',
    },
  ];
}

/**
 * How many times as much one costs at the largest size as at the one before.
 * @param {Series['points']} points
 */
function growthAtLast(points) {
  const [before, after] = points.slice(-2).map(({ size, time }) => time / size);
  return before === undefined || after === undefined ? undefined : after / before;
}

/**
 * Why the cost of one grows: what it does when V8 collects garbage less often, and with the peers.
 * @param {string} what
 * @param {Series['points'][number]} usual the largest size
 * @param {readonly Series[]} others
 */
function reasonForGrowth(what, usual, others) {
  const items = what === 'programs' ? 'section headers and programs' : what;
  const growths = others.flatMap(({ subject, points }) => {
    const growth = points.at(-1)?.size === usual.size ? growthAtLast(points) : undefined;
    return growth === undefined ? [] : [`${digits(growth)} for ${subject}`];
  });
  return `${many(usual.size)} ${items} outgrow V8's young generation and the processor's caches, which is so for others, too: the growth is ${growths.join(', ')}`;
}

/** @param {number} count */
function many(count) {
  return count.toLocaleString('en-US');
}
