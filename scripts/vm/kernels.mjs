/** Kernels of Debian: found in its archive by their version, fetched as packages, and unpacked. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { byAge, UsageError } from './arguments.mjs';

/**
 * A kernel to boot.
 *
 * @typedef {object} GuestKernel
 * @property {string} version as it was asked for, such as `6.1`
 * @property {string} release as `uname -r` says in the guest
 * @property {string} image path of its `vmlinuz`
 * @property {string} config path of its configuration
 * @property {string} modules directory of its modules
 */

/**
 * What a program prints; an error with its words if it fails.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {string} [cwd]
 */
function output(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', cwd });
  if (status !== 0) {
    throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
  }
  return stdout;
}

/**
 * The newest cloud kernel of a version that apt can fetch: small, and its image is of one package.
 *
 * @param {string} version two numbers, such as `6.12`
 */
function newestRelease(version) {
  const names = output('apt-cache', ['pkgnames', `linux-image-${version}.`]).split('\n');
  const end = '-cloud-amd64';
  const releases = names
    .filter((name) => name.endsWith(end))
    .map((name) => name.slice('linux-image-'.length));
  const newest = releases.sort(byAge).at(-1);
  if (newest === undefined) {
    throw new UsageError(
      `no package linux-image-${version}.*${end} is known to apt; apt-get update, or another version`,
    );
  }
  return newest;
}

/**
 * The unpacked kernel of a version; fetched if the cache has none.
 *
 * @param {string} version
 * @param {string} cache a directory, which is made if it is missing
 * @returns {GuestKernel}
 * @throws {UsageError} apt knows no kernel of that version
 */
export function fetchKernel(version, cache) {
  const release = newestRelease(version);
  const place = join(cache, release);
  if (!existsSync(place)) {
    // A name of its own until it is whole: what was interrupted is not taken for a kernel.
    const partial = `${place}.partial-${process.pid}`;
    mkdirSync(partial, { recursive: true });
    try {
      output('apt-get', ['download', `linux-image-${release}`], partial);
      const archive = readdirSync(partial).find((name) => name.endsWith('.deb'));
      output('dpkg', ['-x', join(partial, archive ?? ''), partial]);
      rmSync(join(partial, archive ?? ''));
      renameSync(partial, place);
    } finally {
      rmSync(partial, { recursive: true, force: true });
    }
  }
  const modules = ['lib/modules', 'usr/lib/modules'].map((path) => join(place, path, release));
  return {
    version,
    release,
    image: join(place, 'boot', `vmlinuz-${release}`),
    config: join(place, 'boot', `config-${release}`),
    modules: modules.find(existsSync) ?? '',
  };
}
