/**
 * The main job on a real object: read it, show what is in it, create and pin its maps, look into
 * them, find them again, remove them. On the running kernel where that is within reach; otherwise on
 * a kernel inside this process, and the demo says so.
 *
 * Usage: npm run demo, or node scripts/demo.mjs --in-process for the latter with what is built
 */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const object = 'fixtures/objects/demo.bpf.o';
const pins = '/sys/fs/bpf/demo';

/** What the demo asks of a kernel, one command after the other. */
const onKernel = [
  ['load', object, '--pin-dir', pins],
  ['map', 'show', `${pins}/tenants`],
  ['map', 'set', `${pins}/tenant_one`, '443', '7'],
  ['map', 'dump', `${pins}/tenants`, '--key-type', 'u32'],
  // The second time every map is found at its pin.
  ['load', object, '--pin-dir', pins],
  ...['tenants', 'events', 'flows', 'tenant_one', 'tenant_zero'].map((name) => [
    ...['map', 'unpin'],
    `${pins}/${name}`,
  ]),
];

/**
 * Runs a command with its output shown; whether it succeeded.
 *
 * @param {string} command
 * @param {string[]} args
 */
function run(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error !== undefined) {
    console.error(`${command}: ${error.message}`);
  }
  return status === 0;
}

/**
 * Runs `skep` in a process of its own.
 *
 * @param {string[]} args
 */
function skep(args) {
  console.log(`\n$ skep ${args.join(' ')}`);
  return run(process.execPath, ['dist/cli/main.js', ...args]);
}

/** Builds what a fresh clone lacks. The shim needs Linux and cargo; without it there is no kernel. */
function build() {
  if (!run('npm', ['run', '--silent', 'build:ts'])) {
    process.exit(1);
  }
  const shim = `native/skep.linux-${process.arch}-gnu.node`;
  if (process.platform === 'linux' && !existsSync(new URL(`../${shim}`, import.meta.url))) {
    run('npm', ['run', '--silent', 'build:native']);
  }
}

/**
 * A module that {@link build} has made: not known before.
 *
 * @param {string} name
 */
function built(name) {
  return import(new URL(`../dist/${name}`, import.meta.url).href);
}

/**
 * Why the running kernel cannot be used; undefined if it can. Root may mount a BPF file system for
 * this process alone, which leaves nothing behind.
 */
async function kernelProblem() {
  if (process.platform !== 'linux') {
    return 'this is not Linux';
  }
  const { loadNative } = await built('kernel/native.js');
  try {
    loadNative();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  if (process.getuid?.() !== 0) {
    return 'this is not root (sudo npm run demo uses it)';
  }
  const probe = spawnSync('unshare', ['--mount', 'mount', '-t', 'bpf', 'bpf', '/sys/fs/bpf']);
  return probe.status === 0 ? undefined : 'no BPF file system can be mounted here';
}

/** All commands in this process, since their kernel is in it. */
async function inProcess() {
  const [{ run: runHere }, { MemoryKernel }] = await Promise.all([
    built('cli/run.js'),
    built('testing.js'),
  ]);
  console.log(`
What follows happens in a kernel inside this process (skep/testing), which answers as Linux
does, and is gone at the end.`);
  const kernel = new MemoryKernel();
  for (const args of onKernel) {
    console.log(`\n$ skep ${args.join(' ')}`);
    if ((await runHere(args, kernel)) !== 0) {
      return false;
    }
  }
  return true;
}

process.chdir(root);
if (process.argv[2] === '--on-kernel') {
  process.exit(onKernel.every(skep) ? 0 : 1);
}
if (process.argv[2] === '--in-process') {
  process.exit((await inProcess()) ? 0 : 1);
}

build();
if (!skep(['inspect', object])) {
  process.exit(1);
}
const problem = await kernelProblem();
if (problem === undefined) {
  const inside = 'mount -t bpf bpf /sys/fs/bpf && exec "$@"';
  const again = [process.execPath, fileURLToPath(import.meta.url), '--on-kernel'];
  process.exit(run('unshare', ['--mount', 'sh', '-c', inside, 'sh', ...again]) ? 0 : 1);
}
console.log(`\nThe running kernel is left alone: ${problem}.`);
process.exitCode = (await inProcess()) ? 0 : 1;
