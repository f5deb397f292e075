/**
 * Uses the package as it would be published: packs it, looks at what is in the tarball, installs that by
 * npm into an empty project, and runs test/package there: imports, `require`, the command, types, and
 * as root on Linux a real load. Then publint and @arethetypeswrong/cli have a look; if npm cannot install
 * them, that is said, and with SKEP_REQUIRE_KERNEL=1, as in CI, a failure.
 *
 * Usage: npm run test:package
 * The exit status is 1 if anything is wrong with the package, and 2 for wrong usage.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readArguments } from './arguments.mjs';
import { build, root, runTests, totalsText } from './vitest.mjs';

/** What may be in the tarball; `files` of package.json says it in other words. */
const ALLOWED = [
  /^(?:package\.json|README\.md|LICENSE|CHANGELOG\.md)$/,
  /^dist\/bundle\/[\w-]+\.js(?:\.map)?$/,
  /^dist\/(?!cli\/).*\.d\.ts(?:\.map)?$/,
  /^dist\/bundle\/licenses\.txt$/,
  /^src\/.*\.ts$/,
  /^native\/(?:Cargo\.toml|Cargo\.lock|build\.rs|src\/(?:\w+\/)?\w+\.rs|skep\.linux-\w+-gnu\.node)$/,
];
const REQUIRED = [
  ...['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'native/Cargo.lock'],
  ...['dist/bundle/index.js', 'dist/bundle/command.js', 'dist/index.d.ts', 'src/index.ts'],
];

/** Second opinions. They are installed beside the project: no other command needs them. */
const JUDGES = [
  { name: 'publint', version: '0.3.25', args: ['--strict'] },
  {
    name: '@arethetypeswrong/cli',
    version: '0.18.5',
    bin: 'attw',
    args: ['--profile', 'esm-only', '--no-emoji', '--format', 'table-flipped'],
  },
];

/**
 * Runs npm; its standard output.
 *
 * @param {string[]} args
 * @param {string} cwd
 */
function npm(args, cwd) {
  const options = /** @type {const} */ ({ cwd, encoding: 'utf8', maxBuffer: 1 << 26 });
  const { status, stdout, stderr } = spawnSync('npm', args, options);
  if (status !== 0) {
    throw new Error(`npm ${args.join(' ')}: ${stderr}`);
  }
  return stdout;
}

/**
 * Packs into a folder; the path of the tarball.
 *
 * @param {string} folder
 */
function pack(folder) {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
  /** @type {{ filename: string, size: number, unpackedSize: number, files: { path: string }[] }[]} */
  const [tarball] = JSON.parse(npm(args, root));
  if (tarball === undefined) {
    throw new Error('npm pack made no tarball');
  }
  const paths = tarball.files.map(({ path }) => path);
  const shim = process.platform === 'linux' ? [`native/skep.linux-${process.arch}-gnu.node`] : [];
  const missing = [...REQUIRED, ...shim].filter((path) => !paths.includes(path));
  const strange = paths.filter((path) => !ALLOWED.some((pattern) => pattern.test(path)));
  if (missing.length > 0 || strange.length > 0) {
    throw new Error(`tarball: missing ${missing.join() || 'nothing'}, strange ${strange.join()}`);
  }
  const [size, unpacked] = [tarball.size, tarball.unpackedSize].map((n) => Math.round(n / 1024));
  console.log(`${tarball.filename}: ${size} KiB, unpacked ${unpacked} KiB, files: ${paths.length}`);
  return join(folder, tarball.filename);
}

/**
 * Installs the tarball into an empty project.
 *
 * @param {string} folder
 * @param {string} tarball
 */
function install(folder, tarball) {
  const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  writeFileSync(join(folder, 'package.json'), '{ "name": "uses-skep", "private": true }\n');
  const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
  const types = `@types/node@${devDependencies['@types/node']}`;
  console.log(npm(['install', ...quiet, tarball, types], folder).trim());
}

/**
 * The line of npm's standard error that says what is wrong; warnings come before it.
 *
 * @param {string} text
 */
function errorLine(text) {
  const lines = text.trim().split('\n');
  return lines.find((line) => line.startsWith('npm error')) ?? lines[0] ?? '';
}

/**
 * Asks a second opinion; false if it is a bad one.
 *
 * @param {typeof JUDGES[number]} judge
 * @param {string} folder where it is installed
 * @param {string} tarball
 */
function ask({ name, version, bin = name, args }, folder, tarball) {
  console.log(`\n== ${name} ${version}`);
  const quiet = ['--no-save', '--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
  const prefix = join(folder, 'judges');
  const wanted = [
    'install',
    ...quiet,
    '--loglevel=error',
    '--prefix',
    prefix,
    `${name}@${version}`,
  ];
  const installed = spawnSync('npm', wanted, { encoding: 'utf8' });
  if (installed.status !== 0) {
    const isNeeded = process.env.SKEP_REQUIRE_KERNEL === '1';
    const reason = installed.error?.message ?? errorLine(installed.stderr);
    console.log(`${isNeeded ? 'FAILED' : 'SKIPPED'}: npm cannot install it: ${reason}`);
    return !isNeeded;
  }
  const command = join(prefix, 'node_modules/.bin', bin);
  return (
    spawnSync(process.execPath, [command, tarball, ...args], { stdio: 'inherit' }).status === 0
  );
}

readArguments({}, 'Usage: npm run test:package');
if (!build()) {
  process.exit(1);
}
const folder = mkdtempSync(join(tmpdir(), 'skep-package-'));
let isGood = false;
try {
  const tarball = pack(folder);
  install(folder, tarball);
  process.env.SKEP_PACKAGE_PROJECT = folder;
  const totals = runTests(process.execPath, ['test/package']);
  isGood = totals.status === 0;
  for (const judge of JUDGES) {
    isGood = ask(judge, folder, tarball) && isGood;
  }
  console.log(`\n${totalsText(totals)}`);
} catch (error) {
  isGood = false;
  console.error(error instanceof Error ? error.message : String(error));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(isGood ? 0 : 1);
