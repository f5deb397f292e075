/**
 * Runs the tests: builds what they need, gives them a BPF file system of their own where that is
 * permitted, and prints the totals as the last line.
 *
 * Usage: node scripts/test.mjs [arguments of vitest]
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * @param {string} command
 * @param {string[]} args
 */
function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error !== undefined) {
    console.error(`${command}: ${error.message}`);
  }
  return status ?? 1;
}

/** Whether this process may mount a file system for itself and its children alone. */
function mayMount() {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    return false;
  }
  const probe = spawnSync('unshare', ['--mount', 'mount', '-t', 'bpf', 'bpf', '/sys/fs/bpf']);
  return probe.status === 0;
}

if (run('npm', ['run', '--silent', 'build:ts']) !== 0) {
  process.exit(1);
}
if (
  process.platform === 'linux' &&
  !existsSync(join(root, `native/skep.linux-${process.arch}-gnu.node`))
) {
  // Without it the tests on the kernel are skipped, and say why.
  run('npm', ['run', '--silent', 'build:native']);
}

const output = mkdtempSync(join(tmpdir(), 'skep-test-'));
const report = join(output, 'report.json');
const vitest = [
  join(root, 'node_modules/vitest/vitest.mjs'),
  'run',
  '--reporter=default',
  '--reporter=json',
  `--outputFile.json=${report}`,
  ...process.argv.slice(2),
];
const status = mayMount()
  ? run('unshare', [
      '--mount',
      'sh',
      '-c',
      'mount -t bpf bpf /sys/fs/bpf && exec "$@"',
      'sh',
      process.execPath,
      ...vitest,
    ])
  : run(process.execPath, vitest);

let failed = 1;
if (existsSync(report)) {
  const totals = JSON.parse(readFileSync(report, 'utf8'));
  failed = totals.numFailedTests;
  const skipped = totals.numPendingTests + totals.numTodoTests;
  const line = `${totals.numPassedTests} passed, ${failed} failed`;
  for (const { fullName } of totals.testResults
    .flatMap(
      (/** @type {{ assertionResults: { status: string, fullName: string }[] }} */ file) =>
        file.assertionResults,
    )
    .filter(
      (/** @type {{ status: string }} */ { status }) =>
        status === 'pending' || status === 'skipped',
    )) {
    console.log(`skipped: ${fullName}`);
  }
  console.log(skipped > 0 ? `${line}, ${skipped} skipped` : line);
}
rmSync(output, { recursive: true, force: true });
process.exit(status === 0 && failed > 0 ? 1 : status);
