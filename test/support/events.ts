/**
 * What fills perf event arrays in tests: the program of fixtures/run/perf.bpf.c on the running
 * kernel, and the kernel itself where it is one in the process.
 */

import { dirname } from 'node:path';
import { SyscallError } from '../../src/errors.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import type { Place } from './kernels.ts';
import { loadProgram } from './program.ts';

/** Writes records into one perf event array. Close it. */
export interface EventProducer {
  /** Sends records, numbered from `first`; how many found somebody who listens. */
  send(count: number, first: number): number;
  close(): void;
}

/** @param pin the path of the pinned array */
export function eventProducer(place: Pick<Place, 'kernel'>, pin: string): EventProducer {
  return place.kernel instanceof MemoryKernel
    ? memoryProducer(place.kernel, pin)
    : programProducer(pin);
}

function programProducer(pin: string): EventProducer {
  const program = loadProgram('perf', dirname(pin), { events: pin });
  return {
    send: (count, first) => program.run({ packet: eventRequest(count, first) }),
    close: () => program.close(),
  };
}

function memoryProducer(kernel: MemoryKernel, pin: string): EventProducer {
  const other = kernel.process();
  const fd = other.openPinnedMap(pin, 'read-write');
  let calls = 0;
  return {
    send(count, first) {
      // Each call on the next CPU, as a program may find itself on any.
      const cpu = calls % other.possibleCpus();
      calls += 1;
      let sent = 0;
      for (let index = 0; index < count; index += 1) {
        sent += sendOne(other, fd, cpu, first + index) ? 1 : 0;
      }
      return sent;
    },
    close: () => other.close(fd),
  };
}

/** Sends one `struct event` of perf.bpf.c; false if nobody listens. */
function sendOne(kernel: MemoryKernel, fd: number, cpu: number, number: number): boolean {
  const view = new DataView(new ArrayBuffer(32));
  view.setBigUint64(0, BigInt(number), true);
  view.setUint32(8, cpu, true);
  try {
    kernel.outputEvent(fd, cpu, new Uint8Array(view.buffer));
    return true;
  } catch (error) {
    if (error instanceof SyscallError && error.errnoName === 'ENOENT') {
      return false;
    }
    throw error;
  }
}

/** `struct request` of perf.bpf.c: behind the header of an Ethernet frame. */
export function eventRequest(count: number, first = 0): Uint8Array {
  const view = new DataView(new ArrayBuffer(64));
  view.setUint16(14, count, true);
  view.setBigUint64(16, BigInt(first), true);
  return new Uint8Array(view.buffer);
}
