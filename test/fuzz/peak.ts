/**
 * The most memory that this process had at any time while something ran, also if it gave it back, as
 * Linux counts it: the marks of high water in `/proc/self/status`. That of resident memory is begun
 * anew by a 5 in `clear_refs` (proc_pid_clear_refs(5)); that of addresses never goes down.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** What memory has grown by while something ran, in bytes. */
export interface Growth {
  /**
   * The larger one of two: memory that was written to, at its peak, and objects and buffers that are
   * there in the end, or were not collected yet.
   */
  readonly memory: number;
  /** Addresses at their peak, above all that there were at any time before, written to or not. */
  readonly addresses: number;
}

interface Marks {
  readonly resident: number;
  readonly addresses: number;
}

const NONE: Marks = { resident: 0, addresses: 0 };

/**
 * Looks at all threads of the process while something runs, once or several times: what it takes the
 * second time it may have from what the allocator kept of the first, so that growth is told from the
 * least that there was before any of them.
 */
export class MemoryWatch {
  #heap = Number.POSITIVE_INFINITY;
  #marks: Marks | null = null;

  begin(): void {
    this.#heap = Math.min(this.#heap, heapBytes());
    const now = beginMarks();
    const { resident, addresses } = this.#marks ?? now ?? NONE;
    this.#marks = now && {
      resident: Math.min(resident, now.resident),
      addresses: Math.min(addresses, now.addresses),
    };
  }

  end(): Growth {
    const heap = heapBytes() - this.#heap;
    if (this.#marks === null) {
      return { memory: heap, addresses: 0 };
    }
    const { resident, addresses } = readMarks();
    return {
      memory: Math.max(heap, resident - this.#marks.resident),
      addresses: addresses - this.#marks.addresses,
    };
  }
}

/** Whether this system tells of peaks. Where it does not, what is left in the end is all that counts. */
export function tellsPeaks(): boolean {
  return beginMarks() !== null;
}

let collect: (() => void) | undefined;

/** Collects garbage now: what earlier inputs left is not what the next one takes. */
export function collectGarbage(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}

function heapBytes(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}

/** Null where there is no such thing. */
function beginMarks(): Marks | null {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    return null;
  }
  return readMarks();
}

function readMarks(): Marks {
  const text = readFileSync('/proc/self/status', 'latin1');
  const found = /^VmPeak:\s+(\d+) kB$[\s\S]*?^VmHWM:\s+(\d+) kB$/m.exec(text);
  return found === null
    ? NONE
    : { addresses: Number(found[1]) * 1024, resident: Number(found[2]) * 1024 };
}
