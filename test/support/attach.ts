/** Programs attached by bare system calls, which skep does not make yet: each until it is closed. */

import { existsSync, readFileSync } from 'node:fs';
import { AttributeBlock } from '../../src/kernel/linux-memory.ts';
import { loadNative } from '../../src/kernel/native.ts';
import type { Program } from '../../src/programs/program.ts';
import { BPF_CMD } from '../../src/uapi/commands.ts';
import { errnoName } from '../../src/uapi/errno.ts';

const RAW_TRACEPOINT_BYTES = 16;
const KPROBE_TYPE = '/sys/bus/event_source/devices/kprobe/type';
/** Requests of `linux/perf_event.h`. */
const PERF_EVENT_IOC_SET_BPF = 0x40042408;
const PERF_EVENT_IOC_ENABLE = 0x2400;
/** `PERF_ATTR_SIZE_VER5`, and where `struct perf_event_attr` has its size and the name of a function. */
const PERF_ATTRIBUTES = { bytes: 112, size: 4, functionName: 56 } as const;

/** Something attached. Close it, or declare it with `using`. */
export class Attached {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  close(): void {
    loadNative().close(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Whether functions of the kernel can be probed here (`CONFIG_KPROBE_EVENTS`). */
export const hasKprobes: boolean = existsSync(KPROBE_TYPE);

/**
 * Attaches a program whose place the kernel knows from its load: fentry, fexit, LSM
 * (`BPF_RAW_TRACEPOINT_OPEN` without a name).
 */
export function attach(program: Program): Attached {
  const block = new AttributeBlock(loadNative(), true);
  block.clear(RAW_TRACEPOINT_BYTES);
  block.setU32(8, program.fd);
  const fd = block.call(BPF_CMD.RAW_TRACEPOINT_OPEN, RAW_TRACEPOINT_BYTES);
  return new Attached(accepted(fd, 'BPF_RAW_TRACEPOINT_OPEN'));
}

/** Attaches a kprobe program to the entry of a function (perf_event_open(2)). */
export function attachKprobe(program: Program, functionName: string): Attached {
  const native = loadNative();
  const name = new TextEncoder().encode(`${functionName}\0`);
  const attributes = new DataView(new ArrayBuffer(PERF_ATTRIBUTES.bytes));
  attributes.setUint32(0, Number(readFileSync(KPROBE_TYPE, 'latin1')), true);
  attributes.setUint32(PERF_ATTRIBUTES.size, PERF_ATTRIBUTES.bytes, true);
  const address = BigInt(native.address(name.buffer)) + BigInt(name.byteOffset);
  attributes.setBigUint64(PERF_ATTRIBUTES.functionName, address, true);
  const fd = native.perfEventOpen(native.address(attributes.buffer), -1, 0, -1, 0);
  const event = new Attached(accepted(fd, `perf_event_open of ${name.length} bytes of a name`));
  try {
    accepted(native.ioctl(fd, PERF_EVENT_IOC_SET_BPF, program.fd), 'PERF_EVENT_IOC_SET_BPF');
    accepted(native.ioctl(fd, PERF_EVENT_IOC_ENABLE, 0), 'PERF_EVENT_IOC_ENABLE');
    return event;
  } catch (error) {
    event.close();
    throw error;
  }
}

function accepted(result: number, call: string): number {
  if (result < 0) {
    throw new Error(`${call}: ${errnoName(-result)}`);
  }
  return result;
}
