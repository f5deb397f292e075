/**
 * What a run leaves in bench/results/: every sample, named by the time of the run; and `latest.json` with
 * `latest.svg`, the figures of the last full run of each suite.
 */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderChart } from './chart.mjs';
import { ROOT } from './toolchain.mjs';

/** @import { Plan } from './measure.mjs' */
/** @import { Report, ResultRow, Verdict } from './report.mjs' */

const FOLDER = join(ROOT, 'bench/results');
const LATEST = join(FOLDER, 'latest.json');
const CHART = join(FOLDER, 'latest.svg');

/**
 * @typedef {object} Environment What the figures depend on beside the code.
 * @property {string} date
 * @property {string} node
 * @property {string} kernel
 * @property {string} processor
 * @property {number} processors
 * @property {Readonly<Record<string, string>>} peers the versions of those that took part
 */

/**
 * @typedef {object} Run
 * @property {Environment & Record<string, unknown>} environment
 * @property {Plan} plan
 * @property {number} passes
 * @property {Readonly<Record<string, Report>>} results by suite
 */

/**
 * @typedef {object} Latest The file `latest.json`. Times in nanoseconds.
 * @property {Record<string, unknown>} environment of the last run
 * @property {Record<string, { date: string, rows: readonly ResultRow[], verdicts: readonly Verdict[] }>} suites
 */

/**
 * Writes every sample of a run.
 * @param {Run} run
 * @returns {string} the path of the file
 */
export function writeSamples(run) {
  mkdirSync(FOLDER, { recursive: true });
  const path = join(FOLDER, `${run.environment.date.replaceAll(':', '-')}.json`);
  writeFileSync(path, `${JSON.stringify(run, null, 1)}\n`);
  return path;
}

/**
 * Puts the figures of a run in the place of older ones of the same suites, and draws the chart anew.
 * @param {Run} run
 * @param {readonly string[]} order of the suites
 * @returns {string} the path of the chart
 */
export function writeLatest(run, order) {
  const before = readLatest();
  const { environment, results } = run;
  const peers = { ...before?.environment.peers, ...environment.peers };
  const fresh = Object.entries(results).map(([suite, { rows = [], verdicts }]) => [
    suite,
    { date: environment.date, rows, verdicts },
  ]);
  const all = { ...before?.suites, ...Object.fromEntries(fresh) };
  const suites = Object.fromEntries(
    order.flatMap((suite) => (all[suite] === undefined ? [] : [[suite, all[suite]]])),
  );
  const latest = { environment: { ...environment, peers }, suites };
  writeFileSync(LATEST, `${JSON.stringify(latest, rounded, 2)}\n`);
  writeFileSync(CHART, drawChart(latest));
  return CHART;
}

/** @returns {{ environment: Environment, suites: Latest['suites'] } | null} */
function readLatest() {
  return existsSync(LATEST) ? JSON.parse(readFileSync(LATEST, 'utf8')) : null;
}

/**
 * Four digits are more than the noise leaves.
 * @param {string} _key
 * @param {unknown} value
 */
function rounded(_key, value) {
  return typeof value === 'number' && !Number.isInteger(value)
    ? Number(value.toPrecision(4))
    : value;
}

/** @param {{ environment: Environment, suites: Latest['suites'] }} latest */
function drawChart({ environment, suites }) {
  const { date, kernel, node, peers, processor, processors } = environment;
  const versions = Object.entries(peers).map(([peer, version]) => `${peer} ${version}`);
  return renderChart(
    Object.values(suites).flatMap(({ rows }) => rows),
    {
      title: "skep's time as a multiple of each peer's: left of 1x is faster (lower is better)",
      lines: [
        'Dots: medians over pairs of samples taken one after the other; bars: quartiles. Logarithmic scale.',
        `Linux ${kernel}, ${processors} x ${processor}, Node.js ${node}, each process on one processor; ${date.slice(0, 10)}.`,
        `${versions.join('; ')}.`,
      ],
    },
  );
}
