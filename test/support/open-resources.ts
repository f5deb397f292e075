/** What this process holds, as /proc tells it: descriptors with what is behind them, and mapped files. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Descriptors and mappings, each a line that says which it is. */
export type Resources = ReadonlySet<string>;

/** So long the ends of child processes, sockets and unmapped addresses may take. */
const PATIENCE_MS = 2000;
const PAUSE_MS = 10;

/**
 * Memory that somebody mapped on purpose: of BPF maps and perf events, and of files that are neither code
 * nor anonymous. What the C library, V8 and addons map is either, or private.
 */
const MAPPED = /^(\S+) ..-s \S+ \S+ \d+ +(.*(?:bpf-map|perf_event).*|\/(?!dev\/zero|memfd:).*)$/gm;

/** What is open now. */
export function openResources(): Resources {
  const found = new Set<string>();
  for (const fd of readdirSync('/proc/self/fd')) {
    const target = targetOf(fd);
    if (target !== null) {
      found.add(`file descriptor ${fd}: ${target}`);
    }
  }
  for (const [, addresses, name] of readFileSync('/proc/self/maps', 'latin1').matchAll(MAPPED)) {
    found.add(`mapping at ${addresses}: ${name}`);
  }
  return found;
}

/** What is open now and was not before; waits for what is about to be closed. */
export async function findLeaks(
  before: Resources,
  patienceMs: number = PATIENCE_MS,
): Promise<readonly string[]> {
  for (let waited = 0; ; waited += PAUSE_MS) {
    const leaks = [...openResources()].filter((line) => !before.has(line));
    if (leaks.length === 0 || waited >= patienceMs) {
      return leaks;
    }
    await delay(PAUSE_MS);
  }
}

/** @throws Error with the list, if there is one */
export function compareResources(leaks: readonly string[], who: string): void {
  if (leaks.length > 0) {
    throw new Error(`${who} left open:\n  ${leaks.join('\n  ')}`);
  }
}

/** What is behind a descriptor; null if it is gone, as the one is that lists the directory. */
function targetOf(fd: string): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return null;
  }
}
