/**
 * What drains user ring buffers in tests: the program of fixtures/run/user-ring.bpf.c on the running
 * kernel, and the kernel itself where it is one in the process.
 */

import { expect } from 'vitest';
import { u32 } from '../../src/codec/numbers.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { Queue } from '../../src/maps/queue.ts';
import type { Place } from './kernels.ts';
import { loadProgram } from './program.ts';

/** Takes records out of one user ring buffer. Close it. */
export interface RingConsumer {
  /** The numbers at the start of records, of at most so many. */
  drain(limit?: number): number[];
  close(): void;
}

/** @param directory where the maps `commands` and `seen` of user-ring.bpf.c are pinned */
export function ringConsumer({ kernel }: Pick<Place, 'kernel'>, directory: string): RingConsumer {
  return kernel instanceof MemoryKernel
    ? memoryConsumer(kernel, directory)
    : programConsumer(directory);
}

function programConsumer(directory: string): RingConsumer {
  const program = loadProgram('user-ring', directory, {
    commands: `${directory}/commands`,
    seen: `${directory}/seen`,
  });
  const seen = Queue.openPinned(`${directory}/seen`, { value: u32 });
  return {
    drain(limit = 1 << 16) {
      const context = new Uint8Array(16);
      new DataView(context.buffer).setBigUint64(0, BigInt(limit), true);
      const count = program.run({ context });
      const numbers = [...seen.drain()];
      // A ring whose first record is still being written answers with an error.
      expect(numbers).toHaveLength(Math.max(count | 0, 0));
      return numbers;
    },
    close() {
      seen.close();
      program.close();
    },
  };
}

function memoryConsumer(kernel: MemoryKernel, directory: string): RingConsumer {
  const other = kernel.process();
  const fd = other.openPinnedMap(`${directory}/commands`, 'read-write');
  return {
    drain: (limit) =>
      other.drain(fd, limit).map((record) => new DataView(record.buffer).getUint32(0, true)),
    close: () => other.close(fd),
  };
}
