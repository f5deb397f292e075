/**
 * Runs tests by vitest, with a BPF file system of their own where that is permitted, under any
 * Node.js. What `npm test` and `npm run test:node` share.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * What came of a run.
 *
 * @typedef {object} Totals
 * @property {number} status of the process; not 0 for failures of any kind
 * @property {number} passed
 * @property {number} failed
 * @property {string[]} skipped full names, with the reasons that tests gave
 */

/**
 * Runs a command with its output shown; its exit status.
 *
 * @param {string} command
 * @param {string[]} args
 */
export function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error !== undefined) {
    console.error(`${command}: ${error.message}`);
  }
  return status ?? 1;
}

/** Builds `dist`, and the shim if it is missing; whether the tests can run. */
export function build() {
  if (run('npm', ['run', '--silent', 'build:ts']) !== 0) {
    return false;
  }
  if (
    process.platform === 'linux' &&
    !existsSync(join(root, `native/skep.linux-${process.arch}-gnu.node`))
  ) {
    // Without it the tests on the kernel are skipped, and say why.
    run('npm', ['run', '--silent', 'build:native']);
  }
  return true;
}

/** Whether this process may mount a file system for itself and its children alone. */
function mayMount() {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    return false;
  }
  const probe = spawnSync('unshare', ['--mount', 'mount', '-t', 'bpf', 'bpf', '/sys/fs/bpf']);
  return probe.status === 0;
}

/**
 * Runs vitest; the totals of its report.
 *
 * @param {string} node the executable of Node.js
 * @param {string[]} args further arguments of vitest
 * @param {string} [keptReport] a file for the report of vitest's JSON reporter, with its exit status as `status`
 * @returns {Totals}
 */
export function runTests(node, args, keptReport) {
  if (keptReport !== undefined) {
    // A place that cannot be written is found before the tests run; what is there is not taken for theirs.
    mkdirSync(dirname(resolve(keptReport)), { recursive: true });
    writeFileSync(keptReport, '');
  }
  const output = mkdtempSync(join(tmpdir(), 'skep-test-'));
  const report = join(output, 'report.json');
  const vitest = [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...args,
  ];
  // securityfs, where it can be mounted, tells how the kernel is locked down: tests know why it refuses.
  const security = 'mount -t securityfs securityfs /sys/kernel/security 2>/dev/null';
  const inside = `mount -t bpf bpf /sys/fs/bpf && { ${security} || true; } && exec "$@"`;
  const status = mayMount()
    ? run('unshare', ['--mount', 'sh', '-c', inside, 'sh', node, ...vitest])
    : run(node, vitest);
  try {
    if (keptReport !== undefined && existsSync(report)) {
      const content = JSON.parse(readFileSync(report, 'utf8'));
      writeFileSync(keptReport, JSON.stringify({ ...content, status }));
    }
    return read(report, status);
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
}

/**
 * @param {string} report
 * @param {number} status
 * @returns {Totals}
 */
function read(report, status) {
  if (!existsSync(report)) {
    return { status: status === 0 ? 1 : status, passed: 0, failed: 0, skipped: [] };
  }
  /**
   * @type {{ numPassedTests: number, numFailedTests: number, testResults:
   *   { assertionResults: { status: string, fullName: string, meta?: { skipped?: string } }[] }[] }}
   */
  const { numPassedTests, numFailedTests, testResults } = JSON.parse(readFileSync(report, 'utf8'));
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  const skipped = tests.filter(({ status: of }) => ['pending', 'skipped', 'todo'].includes(of));
  return {
    status: status === 0 && numFailedTests > 0 ? 1 : status,
    passed: numPassedTests,
    failed: numFailedTests,
    skipped: skipped.map(({ fullName, meta }) =>
      meta?.skipped === undefined ? fullName : `${fullName} (${meta.skipped})`,
    ),
  };
}

/**
 * Totals in words: `9882 passed, 0 failed, 1 skipped`.
 *
 * @param {Totals} totals
 */
export function totalsText({ passed, failed, skipped }) {
  const line = `${passed} passed, ${failed} failed`;
  return skipped.length > 0 ? `${line}, ${skipped.length} skipped` : line;
}
