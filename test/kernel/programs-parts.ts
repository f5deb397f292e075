/** Programs put together by hand, for the scenarios about the calls that kernels have for programs. */

import type { Kernel, MapAttributes } from '../../src/kernel/kernel.ts';
import type {
  LogRequest,
  ProgramAttributes,
  TestRunOutcome,
  TestRunRequest,
} from '../../src/kernel/program-calls.ts';
import { type Instruction, Instructions } from '../../src/obj/instructions/instructions.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { BPF_PROG_TYPE } from '../../src/uapi/program-types.ts';

export const SLEEPABLE = 1 << 4;

const make = (opcode: number, dst: number, src: number, offset: number, imm: number | bigint) => ({
  opcode,
  dst,
  src,
  offset,
  imm,
});

/** `rDST = NUMBER`. */
export const set = (dst: number, imm: number): Instruction => make(0xb7, dst, 0, 0, imm);
export const EXIT: Instruction = make(0x95, 0, 0, 0, 0);
/** `call +DISTANCE`. */
export const call = (distance: number): Instruction => make(0x85, 0, 1, 0, distance);
/** `rDST = map[fd:FD]`. */
export const mapAt = (dst: number, fd: number): Instruction => make(0x18, dst, 1, 0, BigInt(fd));
/** `rDST = map[fd:FD][0]+OFFSET`. */
export const valueAt = (dst: number, fd: number, offset: number): Instruction =>
  make(0x18, dst, 2, 0, (BigInt(offset) << 32n) | BigInt(fd));
/** `*(u32 *)(rDST + OFFSET) = NUMBER`. */
export const store = (dst: number, offset: number, imm: number): Instruction =>
  make(0x62, dst, 0, offset, imm);

/** Instructions in the byte order of a kernel. */
export function bytesOf(kernel: Kernel, ...list: readonly Instruction[]): Uint8Array {
  return Instructions.encode(list, kernel.littleEndian ? 'little' : 'big').bytes;
}

/** An XDP program of these instructions, or something else. */
export function attributesOf(
  kernel: Kernel,
  list: readonly Instruction[],
  other: Partial<ProgramAttributes> = {},
): ProgramAttributes {
  return {
    type: BPF_PROG_TYPE.XDP,
    instructions: bytesOf(kernel, ...list),
    license: 'GPL',
    name: 'entry',
    flags: 0,
    expectedAttachType: 0,
    kernelVersion: 0,
    btf: null,
    target: null,
    descriptors: [],
    ...other,
  };
}

/** Loads an XDP program of these instructions, or something else. */
export function loadProgram(
  kernel: Kernel,
  list: readonly Instruction[],
  other: Partial<ProgramAttributes> = {},
  log: LogRequest | null = null,
): number {
  return kernel.loadProgram(attributesOf(kernel, list, other), log);
}

/**
 * Runs a program again as long as something interrupts its repetitions. From Node.js 22 on a ring of
 * io_uring, closed a moment ago by libuv, does (`io_ring_exit_work` in `io_uring/io_uring.c`).
 */
export function runUninterrupted(
  kernel: Kernel,
  fd: number,
  request: TestRunRequest,
): TestRunOutcome {
  for (let attempts = 1; ; attempts += 1) {
    try {
      return kernel.runProgram(fd, request);
    } catch (error) {
      const isInterrupted = (error as { errnoName?: string }).errnoName === 'EINTR';
      if (!isInterrupted || attempts === 10) {
        throw error;
      }
    }
  }
}

/** A map of 4-byte keys and values: an array of one entry, or something else. */
export function createMap(kernel: Kernel, other: Partial<MapAttributes> = {}): number {
  return kernel.createMap({
    type: BPF_MAP_TYPE.ARRAY,
    keySize: 4,
    valueSize: 4,
    maxEntries: 1,
    flags: 0,
    name: 'data',
    numaNode: 0,
    mapExtra: 0n,
    innerMapFd: null,
    btf: null,
    ...other,
  });
}

/** What a program is run on: nothing but what is given. */
export function requestOf(given: Partial<TestRunRequest>): TestRunRequest {
  return {
    data: null,
    dataOut: null,
    context: null,
    contextOut: null,
    repeat: 0,
    flags: 0,
    cpu: 0,
    batchSize: 0,
    ...given,
  };
}

/** A log with room for so many bytes. */
export function logOf(level: number, bytes: number): LogRequest {
  return { level, buffer: new Uint8Array(bytes), wholeBytes: 0 };
}

/** The text in a log, up to its NUL. */
export function textOf({ buffer }: LogRequest): string {
  return new TextDecoder().decode(buffer.subarray(0, buffer.indexOf(0)));
}

/** A key or value of 4 bytes. */
export function u32(kernel: Kernel, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, kernel.littleEndian);
  return bytes;
}

/** Ids of the types below. */
export const TYPES = { int: 1, prototype: 2, entry: 3, helper: 4 } as const;
const STRINGS = '\0int\0entry\0helper\0entry.c\0return helper();\0';

/** Types that describe a program of two functions without parameters, `entry` and `helper`. */
export function typeBytes(kernel: Kernel): Uint8Array {
  const at = (text: string) => STRINGS.indexOf(`${text}\0`);
  const types = [
    [at('int'), 1 << 24, 4, (1 << 24) | 32],
    [0, 13 << 24, TYPES.int],
    [at('entry'), (12 << 24) | 1, TYPES.prototype],
    [at('helper'), 12 << 24, TYPES.prototype],
  ].flat();
  const header = 24;
  const bytes = new Uint8Array(header + types.length * 4 + STRINGS.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xeb9f, kernel.littleEndian);
  view.setUint8(2, 1);
  const lengths = [header, 0, types.length * 4, types.length * 4, STRINGS.length];
  for (const [index, word] of [...lengths, ...types].entries()) {
    view.setUint32(4 + index * 4, word, kernel.littleEndian);
  }
  bytes.set(new TextEncoder().encode(STRINGS), header + types.length * 4);
  return bytes;
}

/** `struct bpf_func_info`: where functions start, and their types. */
export function functionInfo(kernel: Kernel, ...records: readonly (readonly [number, number])[]) {
  return { bytes: words(kernel, records.flat()), recordBytes: 8 };
}

/** `struct bpf_line_info`: line 7 of the source, for instructions at these slots. */
export function lineInfo(kernel: Kernel, ...slots: readonly number[]) {
  const at = (text: string) => STRINGS.indexOf(`${text}\0`);
  const records = slots.map((slot) => [slot, at('entry.c'), at('return helper();'), 7 << 10]);
  return { bytes: words(kernel, records.flat()), recordBytes: 16 };
}

function words(kernel: Kernel, list: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(list.length * 4));
  for (const [index, word] of list.entries()) {
    view.setUint32(index * 4, word, kernel.littleEndian);
  }
  return new Uint8Array(view.buffer);
}
