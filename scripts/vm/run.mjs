/**
 * Runs the tests on the kernel under other kernels: Debian's, from packages, each in a machine that QEMU
 * emulates. Prints each run as `npm test` does, then a table of all.
 *
 * Usage: npm run test:vm -- [options] VERSION... [-- FILE.test.ts... or options of vitest]
 */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { release, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compileTests, sourcePlaces } from './compile.mjs';
import { runGuest } from './guest.mjs';
import { fetchKernel } from './kernels.mjs';
import { missingPackages } from './needs.mjs';
import { lostTests, printRun, printSummary, resultsOf, totalsOf } from './report.mjs';
import { testFiles } from './tests.mjs';

/** @typedef {import('./report.mjs').Run} Run */

const HELP = `npm run test:vm -- [options] VERSION... [-- FILE.test.ts... or options of vitest]

  npm run test:vm -- 6.1 6.12

Runs the tests on the kernel under each of these kernels of Debian, in a machine that QEMU emulates.

  --cache DIR          where kernels are kept (default: node_modules/.cache/skep-vm)
  --output DIR         where reports and what the guests said are kept (default: nowhere)
  --host-report FILE   the report of a run on this kernel, as vitest's JSON reporter writes it: a test
                       that passed under an older kernel must have been run in it
  --memory MIB         of each guest (default: 1400)
  --cpus N             of each guest (default: 2)
  --timeout SECONDS    after which a guest is taken to hang (default: 1800)
  --verbose            shows what the guests say
`;

/** How much of what a guest said is shown if it gave no report. */
const TAIL_LINES = 40;

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** Ends with words for the user; status 2 is for wrong usage, 1 for what is missing here. */
function fail(/** @type {string} */ message, status = 1) {
  console.error(message);
  process.exit(status);
}

function readArguments() {
  const dashes = process.argv.indexOf('--', 2);
  const own = process.argv.slice(2, dashes === -1 ? undefined : dashes);
  try {
    const { values, positionals } = parseArgs({
      args: own,
      allowPositionals: true,
      options: {
        cache: { type: 'string', default: join(root, 'node_modules/.cache/skep-vm') },
        output: { type: 'string' },
        'host-report': { type: 'string' },
        memory: { type: 'string', default: '1400' },
        cpus: { type: 'string', default: '2' },
        timeout: { type: 'string', default: '1800' },
        verbose: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    return {
      values,
      versions: positionals,
      forVitest: dashes === -1 ? [] : process.argv.slice(dashes + 1),
    };
  } catch (error) {
    fail(`${error instanceof Error ? error.message : error}\n\n${HELP}`, 2);
    throw error;
  }
}

/**
 * Sorts versions, and releases, from the oldest to the newest.
 *
 * @param {string} one
 * @param {string} other
 */
function byAge(one, other) {
  return one.localeCompare(other, 'en', { numeric: true });
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
  const run = { kernel: kernel.release, results, problem: end.problem, seconds: end.seconds };
  if (end.problem !== null) {
    console.log(
      `what the guest said last:\n${end.console.split('\n').slice(-TAIL_LINES).join('\n')}`,
    );
  }
  printRun(run, sourcePlaces(options.compiled));
  return run;
}

/**
 * The run on this host that somebody else has made.
 *
 * @param {string} file
 * @returns {Run}
 */
function hostRun(file) {
  const results = resultsOf(JSON.parse(readFileSync(file, 'utf8')));
  return { kernel: `${release()} (this host)`, results, problem: null, seconds: 0 };
}

async function main() {
  const { values, versions, forVitest } = readArguments();
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  if (versions.length === 0) {
    fail(`which kernels? two numbers each are expected\n\n${HELP}`, 2);
  }
  const missing = missingPackages();
  if (missing !== null) {
    fail(missing);
  }
  const scratch = mkdtempSync(join(tmpdir(), 'skep-vm-'));
  // Also when it is interrupted; QEMU ends then, too.
  process.once('exit', () => rmSync(scratch, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => process.exit(1));
  }
  const directory = values.output === undefined ? scratch : resolve(values.output);
  mkdirSync(directory, { recursive: true });
  const compiled = join(scratch, 'compiled');
  mkdirSync(compiled);
  compileTests(root, compiled);
  const options = {
    ...{ root, compiled, directory, scratch },
    memoryMiB: Number(values.memory),
    cpus: Number(values.cpus),
    timeoutSeconds: Number(values.timeout),
    verbose: values.verbose,
    arguments:
      forVitest.length > 0
        ? forVitest.map((argument) => argument.replace(/\.test\.ts$/, '.test.js'))
        : testFiles(root),
  };
  /** @type {Run[]} */
  const runs = [];
  const kernels = versions
    .sort(byAge)
    .map((version) => fetchKernel(version, resolve(values.cache)));
  for (const kernel of kernels) {
    runs.push(await runOn(kernel, options));
  }
  if (values['host-report'] !== undefined) {
    runs.push(hostRun(values['host-report']));
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
  lost.forEach((line) => {
    console.log(`LOST ${line}`);
  });
  printSummary(runs);
  const isBad = runs.some((run) => run.problem !== null || totalsOf(run).failed > 0);
  return isBad || lost.length > 0 ? 1 : 0;
}

process.exit(await main());
