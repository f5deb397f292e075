/** What programs of each type can be run on, and how much comes back: the same on both kernels. */

import { expect, it } from 'vitest';
import { hasCode } from '../../src/errors.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import type { TestRunRequest } from '../../src/kernel/program-calls.ts';
import { BPF_ATTACH_TYPE } from '../../src/uapi/attach-types.ts';
import { BPF_PROG_TYPE as T } from '../../src/uapi/program-types.ts';
import { describeKernels } from '../support/kernels.ts';
import {
  EXIT,
  loadProgram,
  requestOf,
  runUninterrupted,
  SLEEPABLE,
  set,
} from './programs-parts.ts';

const bytes = (length: number, value = 0) => new Uint8Array(length).fill(value);
const words = (...list: readonly number[]) => new Uint8Array(Uint32Array.from(list).buffer);
const data = bytes(64);
const context = bytes(8);

type Request = readonly [string, Partial<TestRunRequest>];

const REQUESTS: readonly Request[] = [
  ['nothing', {}],
  ['13 bytes', { data: bytes(13) }],
  ['14 bytes', { data: bytes(14) }],
  ['19 bytes', { data: bytes(19) }],
  ['3712 bytes', { data: bytes(3712) }],
  ['3713 bytes', { data: bytes(3713) }],
  ['4097 bytes', { data: bytes(4097) }],
  ['73152 bytes', { data: bytes(73_152) }],
  ['73153 bytes', { data: bytes(73_153) }],
  ['a packet, for a copy', { data, dataOut: bytes(64) }],
  ['room without a packet', { dataOut: bytes(64) }],
  ['a short context', { data, context: bytes(4) }],
  ['a long context of zeros', { data, context: bytes(300) }],
  ['a long context', { data, context: bytes(300, 1) }],
  ['a context of over a page', { data, context: bytes(5000) }],
  ['room for a context', { data, contextOut: bytes(300) }],
  ['too little room for a context', { data, contextOut: bytes(10) }],
  ['a context alone', { context }],
  ['12 arguments', { context: bytes(96) }],
  ['more than 12 arguments', { context: bytes(97) }],
  ['a context of 64 KiB', { context: bytes(0x1_0000) }],
  ['a context alone, with room', { context, contextOut: bytes(8) }],
  ['an address of no family', { context: bytes(72) }],
  ['an address', { context: words(0, 0, 2), contextOut: bytes(100) }],
  ['an address in version 6', { context: words(0, 0, 10) }],
  ['a flag for CPUs', { data, flags: 1 }],
  ['a flag for checksums', { data, flags: 4 }],
  ['a flag that there is not', { data, flags: 0x100 }],
  ['a context and a flag', { context, flags: 0x100 }],
  ['a batch', { data, batchSize: 4 }],
  ['a context and a batch', { context, batchSize: 4 }],
  ['a batch that is too large', { data, flags: 2, batchSize: 300 }],
  ['live frames with room', { data, flags: 2, context: words(0, 64), contextOut: bytes(24) }],
  ['large live frames', { data: bytes(3600), flags: 2 }],
  ['a CPU', { data, cpu: 1 }],
  ['a context and a CPU', { context, cpu: 1 }],
  ['a CPU that there is not', { context, cpu: 9999, flags: 1 }],
  ['repetitions', { data, repeat: 3 }],
  ['a context and repetitions', { context, repeat: 3 }],
  ['an end in front of a start', { data, context: words(8, 4) }],
  ['an end behind the packet', { data, context: words(0, 65) }],
  ['metadata', { data, context: words(4, 64), contextOut: bytes(24) }],
  ['metadata of 3 bytes', { data, context: words(3, 64) }],
  ['metadata of 256 bytes', { data: bytes(400), context: words(256, 400) }],
  ['metadata and no packet', { data, context: words(52, 64) }],
];

/** Programs. What becomes of the requests is recorded of Linux 6.18 on x86-64, in golden/test-runs. */
const TYPES = [
  ['xdp', { type: T.XDP }],
  ['xdp for a devmap', { type: T.XDP, expectedAttachType: BPF_ATTACH_TYPE.XDP_DEVMAP }],
  ['tc', { type: T.SCHED_CLS }],
  ['socket filter', { type: T.SOCKET_FILTER }],
  ['cgroup socket buffer', { type: T.CGROUP_SKB }],
  ['lightweight tunnel', { type: T.LWT_IN }],
  ['cgroup socket', { type: T.CGROUP_SOCK }],
  ['socket operations', { type: T.SOCK_OPS }],
  ['raw tracepoint', { type: T.RAW_TRACEPOINT }],
  ['tracepoint', { type: T.TRACEPOINT }],
  ['kprobe', { type: T.KPROBE }],
  ['syscall', { type: T.SYSCALL, flags: SLEEPABLE }],
  ['socket lookup', { type: T.SK_LOOKUP, expectedAttachType: BPF_ATTACH_TYPE.SK_LOOKUP }],
  ['flow dissector', { type: T.FLOW_DISSECTOR }],
  ['netfilter', { type: T.NETFILTER, expectedAttachType: BPF_ATTACH_TYPE.NETFILTER }],
] as const;

describeKernels('a test run', (place) => {
  it.for(TYPES)(
    'takes of a program what it can be run on: %s',
    async ([name, attributes], context) => {
      if (name === 'netfilter') {
        place.needsLinux(context, '6.4', 'programs of type netfilter');
      }
      const fd = loadProgram(place.kernel, [set(0, 1), EXIT], attributes);
      try {
        const { kernel } = place;
        if (kernel instanceof MemoryKernel) {
          kernel.onTestRun('entry', () => ({ returnValue: 1 }));
        }
        const outcomes = REQUESTS.map(([what, request]) => {
          try {
            const run = runUninterrupted(kernel, fd, requestOf(request));
            const { returnValue, dataBytes, contextBytes } = run;
            return `${what}: ${returnValue}, ${dataBytes} and ${contextBytes} bytes`;
          } catch (error) {
            expect(hasCode(error, 'ERR_SKEP_SYSCALL'), String(error)).toBe(true);
            return `${what}: ${(error as { errnoName: string }).errnoName}`;
          }
        });
        // Recorded of the running kernel: vitest run -u -t 'run .kernel'.
        await expect(`${outcomes.join('\n')}\n`).toMatchFileSnapshot(
          `golden/test-runs/${name.replaceAll(' ', '-')}.txt`,
        );
      } finally {
        place.kernel.close(fd);
      }
    },
  );
});
