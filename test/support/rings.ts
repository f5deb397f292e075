/**
 * What fills ring buffers in tests: the program of fixtures/run/ring.bpf.c on the running kernel,
 * and the kernel itself where it is one in the process.
 */

import { dirname } from 'node:path';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import type { Place } from './kernels.ts';
import { loadProgram } from './program.ts';

/** What is to be written: `struct request` of ring.bpf.c. */
export interface RingRequest {
  readonly count: number;
  readonly tag?: number;
  /** `BPF_RB_*`; only programs can have any. */
  readonly flags?: bigint;
  /** The number of the first record; each has the next one. */
  readonly first?: number;
  /** Every how-manieth record is discarded; only programs can. */
  readonly discardEvery?: number;
}

/** Writes records into one ring buffer. Close it. */
export interface RingProducer {
  /** How many records found room. */
  produce(request: RingRequest): number;
  close(): void;
}

/** @param pin the path of the pinned ring buffer */
export function ringProducer(place: Pick<Place, 'kernel'>, pin: string): RingProducer {
  return place.kernel instanceof MemoryKernel
    ? memoryProducer(place.kernel, pin)
    : programProducer(pin);
}

function programProducer(pin: string): RingProducer {
  const program = loadProgram('ring', dirname(pin), { events: pin });
  return {
    produce: (request) => program.run({ context: ringContext(request) }),
    close: () => program.close(),
  };
}

function memoryProducer(kernel: MemoryKernel, pin: string): RingProducer {
  // A process of its own, as programs are: the test's has no descriptor more for it.
  const other = kernel.process();
  const fd = other.openPinnedMap(pin, 'read-write');
  return {
    produce({ count, tag = 0, first = 0, flags = 0n, discardEvery = 0 }) {
      if (flags !== 0n || discardEvery !== 0) {
        throw new Error('only programs have flags, and discard records');
      }
      let sent = 0;
      while (sent < count && other.produce(fd, eventOf(first + sent, tag, sent))) {
        sent += 1;
      }
      return sent;
    },
    close: () => other.close(fd),
  };
}

/** `struct event` of ring.bpf.c. */
function eventOf(number: number, tag: number, index: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(64));
  view.setBigUint64(0, BigInt(number), true);
  view.setUint32(8, tag, true);
  view.setUint32(12, index >> 1, true);
  return new Uint8Array(view.buffer);
}

/** A request as the program takes it. */
function ringContext({
  count,
  tag = 0,
  flags = 0n,
  first = 0,
  discardEvery = 0,
}: RingRequest): Uint8Array {
  const view = new DataView(new ArrayBuffer(32));
  view.setUint32(0, count, true);
  view.setUint32(4, tag, true);
  view.setBigUint64(8, flags, true);
  view.setBigUint64(16, BigInt(first), true);
  view.setBigUint64(24, BigInt(discardEvery), true);
  return new Uint8Array(view.buffer);
}
