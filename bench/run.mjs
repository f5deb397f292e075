/**
 * The benchmarks: skep beside its peers, each in a process of its own, in turns.
 *
 * Usage: npm run bench -- [--quick] [SUITE...]
 *
 * Prints tables, which targets are met and where a peer is faster, and writes to bench/results/: every
 * sample; and, unless it was quick, the tables and a chart of the last figures of each suite. A missed target
 * is no error; only what cannot be measured is.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { VERSION as NPM_BPF } from './peers/npm-bpf.mjs';
import { versionsOfPeers } from './peers/subjects.mjs';
import { pinned } from './processes.mjs';
import { renderSlower, renderSummary, renderTable } from './report.mjs';
import { NPM_NAME, writeLatest, writeSamples } from './results.mjs';
import * as floors from './suites/floors.mjs';
import * as heldMemory from './suites/held-memory.mjs';
import * as kernelBtf from './suites/kernel-btf.mjs';
import * as mapOps from './suites/map-ops.mjs';
import * as mapsOfMaps from './suites/maps-of-maps.mjs';
import * as memory from './suites/memory.mjs';
import * as open from './suites/open.mjs';
import * as openMany from './suites/open-many.mjs';
import * as packageSize from './suites/package-size.mjs';
import * as programs from './suites/programs.mjs';
import * as ring from './suites/ring.mjs';
import * as start from './suites/start.mjs';
import { BUILD, findCc, findClang, ROOT, versionOf } from './toolchain.mjs';

/** @import { Plan } from './measure.mjs' */
/** @import { Report } from './report.mjs' */
/** @import { Floor } from './suites/floors.mjs' */

/**
 * @typedef {object} Context What a suite is given.
 * @property {Plan} plan how long each subject measures in one pass
 * @property {number} passes how often each subject is run
 * @property {(what: string) => void} progress says what is being measured
 * @property {(floor: Floor) => string} floor what V8 and Node.js took for a single thing in this run
 */

/** @typedef {{ name: string, quotesFloors?: boolean, run: (context: Context) => Report | Promise<Report> }} Suite */

/**
 * The floors come first, since reasons quote them.
 * @type {readonly Suite[]}
 */
const SUITES = [
  floors,
  open,
  openMany,
  kernelBtf,
  start,
  mapOps,
  mapsOfMaps,
  memory,
  programs,
  ring,
  heldMemory,
  packageSize,
];

const PASSES = 3;
const QUICK_PASSES = 1;
const FULL = { samples: 11, sampleMs: 20, warmUpMs: 500 };
const QUICK = { samples: 5, sampleMs: 5, warmUpMs: 250 };

/**
 * @param {string} problem
 * @returns {never}
 */
function usage(problem) {
  const names = SUITES.map(({ name }) => name).join(' ');
  console.error(`${problem}\nusage: npm run bench -- [--quick] [SUITE...]   suites: ${names}`);
  process.exit(2);
}

/** The arguments. */
function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      options: { quick: { type: 'boolean', default: false } },
      allowPositionals: true,
    });
    const unknown = positionals.find((name) => !SUITES.some((suite) => suite.name === name));
    if (unknown !== undefined) {
      usage(`there is no suite "${unknown}"`);
    }
    const named = SUITES.filter(({ name }) => positionals.includes(name));
    const chosen = named.some(({ quotesFloors = false }) => quotesFloors)
      ? [floors, ...named.filter((suite) => suite !== floors)]
      : named;
    return { quick: values.quick, suites: chosen.length === 0 ? SUITES : chosen };
  } catch (error) {
    return usage(error instanceof Error ? error.message : String(error));
  }
}

/** Builds the library if that was not done yet; says if the build is older than the sources. */
function buildLibrary() {
  const entry = join(ROOT, 'dist/index.js');
  const shim = join(ROOT, `native/skep.linux-${process.arch}-gnu.node`);
  if (!existsSync(entry) || !existsSync(shim)) {
    spawnSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: 'inherit' });
  }
  if (!existsSync(entry)) {
    throw new Error('dist/index.js is missing and does not build; run "npm run build"');
  }
  if (!existsSync(shim)) {
    console.log('The native shim does not build: the kernel BTF is read instead of mapped.\n');
  }
  if (newest(join(ROOT, 'src')) > newest(join(ROOT, 'dist'))) {
    console.log('dist/ is older than src/: this measures the old build. Run "npm run build".\n');
  }
}

/**
 * When the newest file of a folder was written.
 * @param {string} folder
 */
function newest(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true });
  const times = files
    .filter((file) => file.isFile())
    .map((file) => statSync(join(file.parentPath, file.name)).mtimeMs);
  return Math.max(0, ...times);
}

/** What the figures depend on beside the code. */
function environment() {
  const clang = findClang();
  const cc = findCc();
  return {
    date: new Date().toISOString(),
    node: process.version,
    kernel: release(),
    processor: cpus()[0]?.model ?? '',
    processors: cpus().length,
    pinnedTo: pinned([]).cpu,
    load: loadavg()[0] ?? 0,
    commit: commit(),
    clang: clang === null ? null : versionOf(clang),
    cc: cc === null ? null : versionOf(cc),
    libbpf: process.env.SKEP_BENCH_LIBBPF === undefined ? 'of the system' : 'SKEP_BENCH_LIBBPF',
  };
}

/** What is checked out, in a few words; null outside of a checkout of git. */
function commit() {
  /** @param {readonly string[]} args */
  const git = (...args) => {
    const { status, stdout } = spawnSync('git', args, { cwd: ROOT, encoding: 'utf8' });
    return status === 0 ? stdout.trim() : null;
  };
  const hash = git('rev-parse', '--short', 'HEAD');
  // Results of runs change the tree, but nothing that is measured.
  const changes = git('status', '--porcelain', '--', '.', ':!bench/results');
  return hash === null ? null : `${hash}${changes === '' ? '' : ' with changes'}`;
}

async function main() {
  const { quick, suites } = readArguments();
  buildLibrary();
  mkdirSync(BUILD, { recursive: true });
  const before = environment();
  const plan = quick ? QUICK : FULL;
  const passes = quick ? QUICK_PASSES : PASSES;
  const pin = before.pinnedTo === null ? 'not pinned' : `pinned to processor ${before.pinnedTo}`;
  console.log(
    `Node.js ${before.node}, Linux ${before.kernel}, ${before.processors} x ${before.processor}, ${pin}.\n` +
      `Medians and ranges of ${passes} passes of ${plan.samples} samples; ratios are medians over pairs of samples of the same turn.\n`,
  );
  const results = await measureAll(suites, plan, passes);
  const reports = Object.values(results);
  console.log(renderSummary(reports.flatMap(({ verdicts }) => verdicts)));
  console.log(renderSlower(reports.flatMap(({ rows = [] }) => rows)));
  const loadAfter = loadavg()[0] ?? 0;
  if (Math.max(before.load, loadAfter) > before.processors) {
    const loads = `${before.load.toFixed(1)} before, ${loadAfter.toFixed(1)} after`;
    console.log(`The machine was busy with other work (load ${loads}): trust no single figure.`);
  }
  const conditions = { ...before, loadAfter, peers: peersIn(reports) };
  const run = { environment: conditions, plan, passes, results };
  console.log(`all samples: ${relative(process.cwd(), writeSamples(run))}`);
  if (!quick) {
    const order = SUITES.map(({ name }) => name);
    const written = writeLatest(run, order).map((path) => relative(process.cwd(), path));
    console.log(`tables and chart: ${written.join(', ')}`);
  }
}

/**
 * The versions of the peers that took part.
 * @param {readonly Report[]} reports
 */
function peersIn(reports) {
  const ratios = reports.flatMap(({ rows = [] }) => rows.flatMap((row) => row.ratios));
  const withNpm = ratios.some(({ against }) => against === NPM_NAME);
  return { ...versionsOfPeers(), ...(withNpm ? { [NPM_NAME]: NPM_BPF } : {}) };
}

/**
 * Runs suites, and prints what each found as soon as it is through.
 * @param {readonly Suite[]} suites
 * @param {Plan} plan
 * @param {number} passes
 * @returns {Promise<Record<string, Report>>}
 */
async function measureAll(suites, plan, passes) {
  /** @type {Record<string, Report>} */
  const results = {};
  /** @type {Context} */
  const context = {
    plan,
    passes,
    progress: (what) => process.stderr.write(`... ${what}\n`),
    floor: (floor) => floors.quoting(results[floors.name]?.medians ?? new Map())(floor),
  };
  for (const suite of suites) {
    const report = await suite.run(context);
    for (const table of report.tables) {
      console.log(`${renderTable(table)}\n`);
    }
    for (const note of report.notes) {
      console.log(`note: ${note}\n`);
    }
    results[suite.name] = report;
  }
  return results;
}

await main();
