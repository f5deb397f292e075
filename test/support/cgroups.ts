/** Cgroups for tests: where the hierarchy of version 2 is mounted, and new ones below. */

import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';

/** Where cgroup2 is mounted; null if it is not, or not for us to change. */
export const cgroupRoot: string | null = existsSync('/proc/self/mounts')
  ? (/^\S+ (\S+) cgroup2 rw/m.exec(readFileSync('/proc/self/mounts', 'latin1'))?.[1] ?? null)
  : null;

/** The directory of the cgroup that this process is in. */
export function ownCgroup(): string {
  const path = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'latin1'))?.[1] ?? '/';
  return `${cgroupRoot}${path}`;
}

/** Calls `use` with the directory of a new cgroup. */
export function withCgroup<T>(use: (path: string) => T): T {
  const path = `${cgroupRoot}/skep-test-${process.pid}`;
  mkdirSync(path);
  try {
    return use(path);
  } finally {
    rmdirSync(path);
  }
}
