/** Opening objects with many maps or programs: how the time grows. */

import { fixture, manyMaps, manyPrograms } from '../inputs.mjs';
import { fittedExponent } from '../measure.mjs';
import { digits, micros } from '../report.mjs';
import { compareOpening, JUDGED, NAMES, openSubjects, PEERS, withOptions } from './opening.mjs';

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
 * @returns {Opening[]}
 */
function openingsOf(notes) {
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
          ...(what === 'maps' && size === Math.min(...SIZES) ? { reasons: { libbpf: NAMES } } : {}),
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
    verdicts: judgeGrowth(what, series[0]?.points ?? [], series[1]?.points ?? []),
  };
}

/**
 * @param {string} what
 * @param {readonly { size: number, time: number }[]} points of growing size
 * @param {readonly { size: number, time: number }[]} larger the same with a larger young generation
 * @returns {Verdict[]}
 */
function judgeGrowth(what, points, larger) {
  const [before, after] = points.slice(-2);
  if (before === undefined || after === undefined) {
    return [];
  }
  const reason = reasonForGrowth(what, after, larger);
  return [
    {
      name: `open-many: cost per item, ${many(after.size)} ${what} against ${many(before.size)}`,
      value: after.time / after.size / (before.time / before.size),
      atMost: AT_MOST_GROWTH,
      of: 'growth',
      ...reason,
    },
    {
      name: `open-many: time by number of ${what}, ${many(points[0]?.size ?? 0)} to ${many(after.size)}`,
      value: fittedExponent(points),
      atMost: AT_MOST_EXPONENT,
      of: 'exponent',
      ...reason,
    },
  ];
}

/**
 * Why the cost of one grows, with what it is when V8 collects garbage less often.
 * @param {string} what
 * @param {{ size: number, time: number }} usual the largest size
 * @param {readonly { size: number, time: number }[]} larger with a larger young generation
 * @returns {{ reason?: string }}
 */
function reasonForGrowth(what, usual, larger) {
  const [before, after] = larger.slice(-2).map(({ size, time }) => time / size);
  if (before === undefined || after === undefined) {
    return {};
  }
  const items = what === 'programs' ? 'section headers and programs' : what;
  const options = LARGE_YOUNG_GENERATION.join(' ');
  return {
    reason: `${many(usual.size)} ${items} outgrow V8's young generation and the caches: the same code with a larger young generation (${options}) takes ${micros(after)} µs each instead of ${micros(usual.time / usual.size)}, a growth of ${digits(after / before)}`,
  };
}

/** @param {number} count */
function many(count) {
  return count.toLocaleString('en-US');
}
