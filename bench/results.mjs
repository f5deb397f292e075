/**
 * What a run leaves in bench/results/: every sample, named by the time of the run; and the figures of the last
 * full run of each suite, as `latest.json`, as tables in `latest.md`, and drawn in `latest.svg`.
 */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderChart } from './chart.mjs';
import { renderMarkdown } from './markdown.mjs';
import { ROOT } from './toolchain.mjs';

/** @import { Plan } from './measure.mjs' */
/** @import { Report, ResultRow, Table, Verdict } from './report.mjs' */

const FOLDER = join(ROOT, 'bench/results');
const LATEST = join(FOLDER, 'latest.json');
const TABLES = join(FOLDER, 'latest.md');
const CHART = join(FOLDER, 'latest.svg');

/** What the peer of Node.js is called, since its own name says little. */
export const NPM_NAME = 'npm bpf';
/** Those that take part in a run where everything is installed. */
const ALL_PEERS = ['libbpf', 'cilium/ebpf', 'aya', NPM_NAME];

/**
 * @typedef {object} Environment What the figures depend on beside the code.
 * @property {string} date
 * @property {string} node
 * @property {string} kernel
 * @property {string} processor
 * @property {number} processors
 * @property {string | null} commit what was measured
 * @property {number} load of the machine before the run
 * @property {number} loadAfter
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
 * @typedef {object} LatestSuite What the last full run of a suite found.
 * @property {string} date
 * @property {string | null} commit
 * @property {number} load before the run that it was part of
 * @property {number} loadAfter
 * @property {readonly ResultRow[]} rows
 * @property {readonly Verdict[]} verdicts
 * @property {readonly Table[]} tables
 * @property {readonly string[]} notes
 */

/**
 * @typedef {object} Latest The file `latest.json`. Times in nanoseconds.
 * @property {Environment} environment of the last run
 * @property {Readonly<Record<string, LatestSuite>>} suites
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
 * Puts the figures of a run in the place of older ones of the same suites, and writes the tables and the chart
 * anew. Suites that were not run keep what they had.
 * @param {Run} run
 * @param {readonly string[]} order of the suites
 * @returns {string[]} the paths of the tables and of the chart
 */
export function writeLatest(run, order) {
  const before = readLatest();
  const { environment, results } = run;
  const { date, commit, load, loadAfter } = environment;
  const peers = { ...before?.environment.peers, ...environment.peers };
  const fresh = Object.entries(results).map(([suite, report]) => {
    const { rows = [], verdicts, tables, notes } = report;
    return [suite, { date, commit, load, loadAfter, rows, verdicts, tables, notes }];
  });
  const all = { ...before?.suites, ...Object.fromEntries(fresh) };
  const suites = Object.fromEntries(
    order.flatMap((suite) => (all[suite] === undefined ? [] : [[suite, all[suite]]])),
  );
  /** @type {Latest} */
  const latest = { environment: { ...environment, peers }, suites };
  const conditions = describe(latest, order);
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(LATEST, `${JSON.stringify(latest, rounded, 2)}\n`);
  writeFileSync(TABLES, renderMarkdown(latest, conditions));
  writeFileSync(CHART, drawChart(latest, conditions));
  return [TABLES, CHART];
}

/** @returns {Latest | null} */
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

/**
 * What the figures depend on, and what is not among them.
 * @param {Latest} latest
 * @param {readonly string[]} order of all suites
 * @returns {string[]} sentences
 */
function describe({ environment, suites }, order) {
  const { date, commit, kernel, load, loadAfter, node, peers, processor, processors } = environment;
  const versions = Object.entries(peers).map(([peer, version]) => `${peer} ${version}`);
  const missing = [
    ...order.filter((suite) => (suites[suite]?.tables ?? []).length === 0),
    ...ALL_PEERS.filter((peer) => peers[peer] === undefined),
  ];
  return [
    `Linux ${kernel}, ${processors} x ${processor}, Node.js ${node}, each process on one processor; ${date.slice(0, 10)}.`,
    `${versions.join('; ')}.`,
    `Commit ${commit ?? 'unknown'}; load ${load.toFixed(1)} before, ${loadAfter.toFixed(1)} after.`,
    ...earlier(suites, date),
    ...(missing.length === 0 ? [] : [`Not measured: ${missing.join(', ')}.`]),
  ];
}

/**
 * Which suites are of runs before the last one.
 * @param {Latest['suites']} suites
 * @param {string} date of the last run
 * @returns {string[]} a sentence, or none
 */
function earlier(suites, date) {
  /** @type {Map<string, string[]>} */
  const runs = new Map();
  for (const [name, suite] of Object.entries(suites)) {
    const run = `${suite.date.slice(0, 10)}, commit ${suite.commit ?? 'unknown'}`;
    if (suite.date !== date) runs.set(run, [...(runs.get(run) ?? []), name]);
  }
  const texts = [...runs].map(([run, names]) => `${names.join(', ')} (${run})`);
  return texts.length === 0 ? [] : [`Of earlier runs: ${texts.join('; ')}.`];
}

/**
 * @param {Latest} latest
 * @param {readonly string[]} conditions
 */
function drawChart({ suites }, conditions) {
  return renderChart(
    Object.values(suites).flatMap(({ rows }) => rows),
    {
      title: "skep's time as a multiple of each peer's: left of 1x is faster (lower is better)",
      lines: [
        'Dots: medians over pairs of samples of the same turn; bars: quartiles. Logarithmic scale.',
        'Warm: after a process has become fast; its first operation takes longer in Node.js (latest.md, "cold").',
        ...conditions,
      ],
    },
  );
}
