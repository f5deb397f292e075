/**
 * The main job on a real object: read it, show what is in it, create and pin its maps on the running
 * kernel, open them again, remove them. Where the kernel is out of reach the demo says so, and shows
 * the plan instead.
 *
 * Usage: npm run demo
 */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const object = 'fixtures/objects/demo.bpf.o';

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

/** @param {string[]} args */
function skep(...args) {
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
 * Why the kernel cannot be used; undefined if it can. Root may mount a BPF file system for this
 * process alone, which leaves nothing behind.
 */
function kernelProblem() {
  if (process.platform !== 'linux') {
    return 'this is not Linux';
  }
  if (process.getuid?.() !== 0) {
    return 'this is not root (sudo npm run demo uses the kernel)';
  }
  const probe = spawnSync('unshare', ['--mount', 'mount', '-t', 'bpf', 'bpf', '/sys/fs/bpf']);
  return probe.status === 0 ? undefined : 'no BPF file system can be mounted here';
}

function onKernel() {
  const pins = '/sys/fs/bpf/demo';
  return (
    skep('load', object, '--pin-dir', pins) &&
    skep('map', 'show', `${pins}/tenants`) &&
    skep('map', 'dump', `${pins}/tenants`) &&
    // The second time every map is found at its pin.
    skep('load', object, '--pin-dir', pins) &&
    ['tenants', 'events', 'flows', 'tenant_one', 'tenant_zero'].every((name) =>
      skep('map', 'unpin', `${pins}/${name}`),
    )
  );
}

if (process.argv[2] === '--on-kernel') {
  process.exit(onKernel() ? 0 : 1);
}

build();
if (!skep('inspect', object)) {
  process.exit(1);
}
const problem = kernelProblem();
if (problem === undefined) {
  const inside = 'mount -t bpf bpf /sys/fs/bpf && exec "$@"';
  const again = [process.execPath, fileURLToPath(import.meta.url), '--on-kernel'];
  process.exit(run('unshare', ['--mount', 'sh', '-c', inside, 'sh', ...again]) ? 0 : 1);
}
console.log(`\nThe maps are not created: ${problem}. This is what would be done:`);
process.exit(skep('load', object, '--pin-dir', '/sys/fs/bpf/demo', '--plan') ? 0 : 1);
