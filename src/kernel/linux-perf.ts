/**
 * Perf events that receive what programs write by `bpf_perf_event_output`.
 *
 * `struct perf_event_attr`: `include/uapi/linux/perf_event.h`.
 */

import { readFileSync } from 'node:fs';
import { AttributeBlock } from './linux-memory.ts';
import type { Native } from './native.ts';
import { refused } from './refused.ts';

const ATTRIBUTE_BYTES = 112;
const PERF_TYPE_SOFTWARE = 1;
const PERF_COUNT_SW_BPF_OUTPUT = 10;
/** Records hold what the program wrote, and nothing else. */
const PERF_SAMPLE_RAW = 1 << 10;
const PERF_FLAG_FD_CLOEXEC = 1 << 3;
/** `_IO('$', 0)`. */
const PERF_EVENT_IOC_ENABLE = 0x2400;
/** Whatever process runs on the CPU. */
const ANY_PROCESS = -1;

/**
 * Opens and enables the event of one CPU; a descriptor.
 *
 * @param wakeupEvents how many records wake a reader
 */
export function openOutputEvent(
  native: Native,
  littleEndian: boolean,
  cpu: number,
  wakeupEvents: number,
): number {
  const attributes = new AttributeBlock(native, littleEndian);
  attributes.setU32(0, PERF_TYPE_SOFTWARE);
  attributes.setU32(4, ATTRIBUTE_BYTES);
  attributes.setU64(8, BigInt(PERF_COUNT_SW_BPF_OUTPUT));
  // A period of 1: each write is a record.
  attributes.setU64(16, 1n);
  attributes.setU64(24, BigInt(PERF_SAMPLE_RAW));
  attributes.setU32(48, wakeupEvents);
  const fd = attributes.openPerfEvent(ANY_PROCESS, cpu, -1, PERF_FLAG_FD_CLOEXEC);
  if (fd < 0) {
    throw refused('perf_event_open', -fd, `the perf event of CPU ${cpu}`);
  }
  const enabled = native.ioctl(fd, PERF_EVENT_IOC_ENABLE, 0);
  if (enabled < 0) {
    native.close(fd);
    throw refused('ioctl', -enabled, `the perf event of CPU ${cpu}`);
  }
  return fd;
}

/** The CPUs that are running now. */
export function readOnlineCpus(): number[] {
  return listCpus(readFileSync('/sys/devices/system/cpu/online', 'latin1'));
}

/** The numbers in a list like `0-3,8-11`. */
export function listCpus(list: string): number[] {
  const cpus: number[] = [];
  for (const part of list.trim().split(',')) {
    const [first, last = first] = part.split('-').map(Number);
    for (let cpu = first!; cpu <= last!; cpu += 1) {
      cpus.push(cpu);
    }
  }
  return cpus;
}
