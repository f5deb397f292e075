/** What a run in virtual machines needs of this host, and how to get it. Nothing is installed here. */

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Programs that the host must have, and Debian's packages that have them. */
const NEEDED = {
  'qemu-system-x86_64': 'qemu-system-x86',
  busybox: 'busybox-static',
  'apt-get': 'apt',
  'apt-cache': 'apt',
  dpkg: 'dpkg',
  xz: 'xz-utils',
  ldd: 'libc-bin',
};

/**
 * Programs that tests run beside skep. They are copied into the guest, with their libraries. All are
 * required: a test that compares with one of them must not be skipped for the lack of it.
 */
const COMPARED_WITH = {
  bpftool: 'bpftool',
  strace: 'strace',
  ip: 'iproute2',
  ss: 'iproute2',
  python3: 'python3',
  readelf: 'binutils',
  ls: 'coreutils',
  prlimit: 'util-linux',
  setpriv: 'util-linux',
  taskset: 'util-linux',
  unshare: 'util-linux',
};

/** The programs of the host that the guest gets. */
export const GUEST_PROGRAMS = Object.keys(COMPARED_WITH);

/** Where Debian has programs, before what else is on the path: a wrapper of a version manager is no use. */
const PLACES = [
  '/usr/bin',
  '/usr/sbin',
  '/bin',
  '/sbin',
  ...(process.env.PATH ?? '').split(delimiter),
];

/**
 * The path of a program of this host; undefined if there is none.
 *
 * @param {string} name
 */
export function findProgram(name) {
  return PLACES.map((place) => join(place, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** What is missing and the command that installs it, in words; null if all is there. */
export function missingPackages() {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `virtual machines are run on Linux on x86-64; this is ${process.platform} on ${process.arch}`;
  }
  const missing = Object.entries({ ...NEEDED, ...COMPARED_WITH }).filter(
    ([program]) => findProgram(program) === undefined,
  );
  if (missing.length === 0) {
    return null;
  }
  const packages = [...new Set(missing.map(([, name]) => name))];
  return [
    `missing here: ${missing.map(([program]) => program).join(', ')}`,
    `  apt-get install --no-install-recommends ${packages.join(' ')}`,
  ].join('\n');
}
