/**
 * Runs the tests on the kernel under other kernels: Debian's, from packages, each in a machine that QEMU
 * emulates. Prints each run as `npm test` does, then a table of all.
 *
 * Usage: npm run test:vm -- [options] VERSION... [-- FILE.test.ts... or options of vitest]
 */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { byAge, readArguments, UsageError } from './arguments.mjs';
import { compileTests, sourcePlaces } from './compile.mjs';
import { runGuest } from './guest.mjs';
import { fetchKernel } from './kernels.mjs';
import { missingPackages } from './needs.mjs';
import {
  hostRun,
  lostTests,
  printRun,
  reportProblem,
  resultsOf,
  summaryLines,
  totalsOf,
} from './report.mjs';
import { testFiles } from './tests.mjs';

/** @typedef {import('./report.mjs').Run} Run */

const HELP = `npm run test:vm -- [options] VERSION... [-- FILE.test.ts... or options of vitest]

  npm run test:vm -- 6.1 6.12

Runs the tests on the kernel under each of these kernels of Debian, in a machine that QEMU emulates.

  --cache DIR          where kernels are kept (default: node_modules/.cache/skep-vm)
  --output DIR         where reports and what the guests said are kept (default: nowhere)
  --host-report FILE   the report of a run on this kernel, kept by SKEP_REPORT=FILE npm test: a test that
                       passed under an older kernel must have been run in it
  --memory MIB         of each guest (default: 1400)
  --cpus N             of each guest (default: 2)
  --timeout SECONDS    after which a guest is taken to hang (default: 1800)
  --verbose            shows what the guests say
`;

/** How much of what a guest said is shown if it gave no report. */
const TAIL_LINES = 40;

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

const CACHE = join(root, 'node_modules/.cache/skep-vm');

/**
 * Ends with words for the user; status 2 is for wrong usage, 1 for what is missing here.
 *
 * @param {string} message
 * @param {number} [status]
 * @returns {never}
 */
function fail(message, status = 1) {
  console.error(message);
  process.exit(status);
}

/**
 * A run in a machine, printed.
 *
 * @param {import('./kernels.mjs').GuestKernel} kernel
 * @param {import('./guest.mjs').GuestOptions} options
 * @returns {Promise<Run>}
 */
async function runOn(kernel, options) {
  console.log(`\n== Linux ${kernel.release}`);
  const end = await runGuest(kernel, options);
  if (end.report !== null) {
    writeFileSync(join(options.directory, `${kernel.release}.json`), JSON.stringify(end.report));
  }
  const results = end.report === null ? [] : resultsOf(end.report);
  const problem = end.problem ?? reportProblem(end.report);
  const run = { kernel: kernel.release, results, problem, seconds: end.seconds };
  if (problem !== null) {
    console.log(
      `what the guest said last:\n${end.console.split('\n').slice(-TAIL_LINES).join('\n')}`,
    );
  }
  printRun(run, sourcePlaces(options.compiled));
  return run;
}

/** The arguments, and what is missing here: words for the user instead of a run. */
function prepare() {
  try {
    const args = readArguments(process.argv.slice(2));
    const missing = args.help ? null : missingPackages();
    if (missing !== null) {
      fail(missing);
    }
    return args;
  } catch (error) {
    if (error instanceof UsageError) {
      fail(`${error.message}\n\n${HELP}`, 2);
    }
    throw error;
  }
}

/**
 * Kernels, all fetched before the first is run.
 *
 * @param {string[]} versions
 * @param {string} cache
 */
function fetchKernels(versions, cache) {
  try {
    return versions.map((version) => fetchKernel(version, cache));
  } catch (error) {
    return fail(
      error instanceof Error ? error.message : String(error),
      error instanceof UsageError ? 2 : 1,
    );
  }
}

async function main() {
  const args = prepare();
  if (args.help) {
    console.log(HELP);
    return 0;
  }
  const kernels = fetchKernels(args.versions, resolve(args.cache ?? CACHE));
  const scratch = mkdtempSync(join(tmpdir(), 'skep-vm-'));
  // Also when it is interrupted; QEMU ends then, too.
  process.once('exit', () => rmSync(scratch, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => process.exit(1));
  }
  const directory = args.output === undefined ? scratch : resolve(args.output);
  mkdirSync(directory, { recursive: true });
  const compiled = join(scratch, 'compiled');
  mkdirSync(compiled);
  compileTests(root, compiled);
  const { memoryMiB, cpus, timeoutSeconds, verbose, forVitest } = args;
  const options = {
    ...{ root, compiled, directory, scratch, memoryMiB, cpus, timeoutSeconds, verbose },
    arguments:
      forVitest.length > 0
        ? forVitest.map((argument) => argument.replace(/\.test\.ts$/, '.test.js'))
        : testFiles(root),
  };
  /** @type {Run[]} */
  const runs = [];
  for (const kernel of kernels) {
    runs.push(await runOn(kernel, options));
  }
  if (args.hostReport !== null) {
    const run = hostRun(release(), args.hostReport);
    console.log(`\n== Linux ${run.kernel}, from its report`);
    printRun(run, (text) => text);
    runs.push(run);
    runs.sort((one, other) => byAge(one.kernel, other.kernel));
  }
  return conclude(runs);
}

/**
 * Compares and sums up; the exit status.
 *
 * @param {Run[]} runs from the oldest kernel to the newest
 */
function conclude(runs) {
  const lost = lostTests(runs);
  console.log('');
  lost.forEach(({ text }) => {
    console.log(`LOST ${text}`);
  });
  console.log(summaryLines(runs, lost).join('\n'));
  const isBad = runs.some((run) => run.problem !== null || totalsOf(run).failed > 0);
  return isBad || lost.length > 0 ? 1 : 0;
}

process.exit(await main());
