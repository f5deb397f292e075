/** Programs put together by hand, for what bpftool and its libbpf cannot load yet. */

import { endianness } from 'node:os';
import { AttributeBlock } from '../../src/kernel/linux-memory.ts';
import { loadNative } from '../../src/kernel/native.ts';
import { BPF_CMD } from '../../src/uapi/commands.ts';
import { errnoName } from '../../src/uapi/errno.ts';
import { TestProgram } from './program.ts';

/** One of `struct bpf_insn`: code, registers, offset, immediate value. */
export interface Instruction {
  readonly code: number;
  readonly to?: number;
  readonly from?: number;
  readonly offset?: number;
  readonly value?: number;
}

const LOAD_BYTES = 72;
const SYSCALL = 31;
const SLEEPABLE = 1 << 4;

/** Loads a `syscall` program (`BPF_PROG_LOAD`). Throws with the verifier's log. */
export function loadInstructions(instructions: readonly Instruction[]): TestProgram {
  const isLittle = endianness() === 'LE';
  const bytes = new Uint8Array(instructions.length * 8);
  const view = new DataView(bytes.buffer);
  instructions.forEach(({ code, to = 0, from = 0, offset = 0, value = 0 }, index) => {
    view.setUint8(index * 8, code);
    view.setUint8(index * 8 + 1, isLittle ? (from << 4) | to : (to << 4) | from);
    view.setInt16(index * 8 + 2, offset, isLittle);
    view.setInt32(index * 8 + 4, value, isLittle);
  });
  const license = new TextEncoder().encode('GPL\0');
  const log = new Uint8Array(1 << 16);
  const block = new AttributeBlock(loadNative(), isLittle);
  block.clear(LOAD_BYTES);
  block.setU32(0, SYSCALL);
  block.setU32(4, instructions.length);
  block.setPointer(8, bytes, bytes.length, 'the instructions');
  block.setPointer(16, license, license.length, 'the license');
  block.setU32(24, 1);
  block.setU32(28, log.length);
  block.setPointer(32, log, log.length, 'the log');
  block.setU32(44, SLEEPABLE);
  const fd = block.call(BPF_CMD.PROG_LOAD, LOAD_BYTES);
  if (fd < 0) {
    const text = new TextDecoder().decode(log.subarray(0, log.indexOf(0)));
    throw new Error(`BPF_PROG_LOAD: ${errnoName(-fd)}\n${text}`);
  }
  return new TestProgram(fd, block);
}
