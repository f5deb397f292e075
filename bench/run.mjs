/**
 * The benchmarks: skep beside its peers, each in a process of its own, in turns.
 *
 * Usage: npm run bench -- [--quick] [SUITE...]
 *
 * Prints tables and which targets are met, and writes every sample to bench/results/. A missed
 * target is no error; only what cannot be measured is.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { pinned } from './processes.mjs';
import { renderSummary, renderTable } from './report.mjs';
import * as inspect from './suites/inspect.mjs';
import * as kernelBtf from './suites/kernel-btf.mjs';
import * as mapOps from './suites/map-ops.mjs';
import * as mapsOfMaps from './suites/maps-of-maps.mjs';
import * as memory from './suites/memory.mjs';
import * as open from './suites/open.mjs';
import * as openMany from './suites/open-many.mjs';
import * as programs from './suites/programs.mjs';
import * as ring from './suites/ring.mjs';
import { BUILD, findCc, findClang, ROOT, versionOf } from './toolchain.mjs';

/** @import { Plan } from './measure.mjs' */
/** @import { Report, Verdict } from './report.mjs' */

/**
 * @typedef {object} Context What a suite is given.
 * @property {Plan} plan how long each subject measures in one pass
 * @property {number} passes how often each subject is run
 * @property {(what: string) => void} progress says what is being measured
 */

/** @typedef {{ name: string, run: (context: Context) => Report | Promise<Report> }} Suite */

/** @type {readonly Suite[]} */
const SUITES = [open, openMany, kernelBtf, inspect, mapOps, mapsOfMaps, memory, programs, ring];

const PASSES = 3;
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
    const chosen = SUITES.filter(({ name }) => positionals.includes(name));
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
    clang: clang === null ? null : versionOf(clang),
    cc: cc === null ? null : versionOf(cc),
    libbpf: process.env.SKEP_BENCH_LIBBPF === undefined ? 'of the system' : 'SKEP_BENCH_LIBBPF',
  };
}

async function main() {
  const { quick, suites } = readArguments();
  buildLibrary();
  mkdirSync(BUILD, { recursive: true });
  const before = environment();
  const plan = quick ? QUICK : FULL;
  /** @type {Context} */
  const context = {
    plan,
    passes: PASSES,
    progress: (what) => process.stderr.write(`... ${what}\n`),
  };
  const pin = before.pinnedTo === null ? 'not pinned' : `pinned to processor ${before.pinnedTo}`;
  console.log(
    `Node.js ${before.node}, Linux ${before.kernel}, ${before.processors} x ${before.processor}, ${pin}.\n` +
      `Medians and ranges of ${PASSES} passes of ${plan.samples} samples; ratios are medians over pairs of samples.\n`,
  );
  /** @type {Verdict[]} */
  const verdicts = [];
  /** @type {Record<string, unknown>} */
  const results = {};
  for (const suite of suites) {
    const report = await suite.run(context);
    for (const table of report.tables) {
      console.log(`${renderTable(table)}\n`);
    }
    for (const note of report.notes) {
      console.log(`note: ${note}\n`);
    }
    verdicts.push(...report.verdicts);
    results[suite.name] = report;
  }
  console.log(renderSummary(verdicts));
  const loadAfter = loadavg()[0] ?? 0;
  if (Math.max(before.load, loadAfter) > before.processors) {
    const loads = `${before.load.toFixed(1)} before, ${loadAfter.toFixed(1)} after`;
    console.log(`The machine was busy with other work (load ${loads}): trust no single figure.`);
  }
  const folder = join(ROOT, 'bench/results');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${before.date.replaceAll(':', '-')}.json`);
  const document = { environment: { ...before, loadAfter }, plan, passes: PASSES, results };
  writeFileSync(path, `${JSON.stringify(document, null, 1)}\n`);
  console.log(`all samples: ${relative(process.cwd(), path)}`);
}

await main();
