/** What suites that create maps need of the machine: root, and a BPF file system of their own. */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './toolchain.mjs';

/** Mounts in a namespace that only the command sees, then becomes the command. */
const MOUNT = ['unshare', '--mount', 'sh', '-c', 'mount -t bpf bpf /sys/fs/bpf && exec "$@"', 'sh'];

/** @returns {string | null} why maps cannot be created here; null if they can */
export function whyNoMaps() {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) {
    return 'creating maps takes root';
  }
  return existsSync(join(ROOT, `native/skep.linux-${process.arch}-gnu.node`))
    ? null
    : 'the native shim does not build';
}

/** @returns {string | null} why there is no BPF file system for a subject; null if there is */
export function whyNoBpfFileSystem() {
  const [program = '', ...args] = withBpfFileSystem(['true']);
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return status === 0 ? null : `no BPF file system can be mounted: ${(stderr ?? '').trim()}`;
}

/**
 * The command with a BPF file system of its own at /sys/fs/bpf.
 * @param {readonly string[]} command
 */
export function withBpfFileSystem(command) {
  return [...MOUNT, ...command];
}

/**
 * What a suite reports that cannot run.
 * @param {string} suite
 * @param {string} reason
 * @returns {import('./report.mjs').Report}
 */
export function notMeasured(suite, reason) {
  return { tables: [], verdicts: [], notes: [`${suite} is not measured: ${reason}`], data: null };
}
