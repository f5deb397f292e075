/** Programs of a few instructions, to ask a kernel with. */

import { decodeText } from '../bytes/text.ts';
import { SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { ProgramAttributes } from '../kernel/program-calls.ts';
import { type Instruction, Instructions, LOAD_IMM64 } from '../obj/instructions/instructions.ts';
import { BPF_ALU_OP, BPF_CLASS, BPF_JMP_OP, BPF_PSEUDO } from '../uapi/opcodes.ts';

const LOG_BYTES = 4096;

/** `exit`. */
export const EXIT: Instruction = {
  opcode: BPF_CLASS.JMP | BPF_JMP_OP.EXIT,
  dst: 0,
  src: 0,
  offset: 0,
  imm: 0,
};

/** `rN = number`. */
export function setRegister(dst: number, imm: number): Instruction {
  return { opcode: BPF_CLASS.ALU64 | BPF_ALU_OP.MOV, dst, src: 0, offset: 0, imm };
}

/** A call of a helper. */
export function callHelper(imm: number): Instruction {
  return { opcode: BPF_CLASS.JMP | BPF_JMP_OP.CALL, dst: 0, src: 0, offset: 0, imm };
}

/** `r1 =` the address of a byte of the value of an array with one entry. */
export function addressOfValue(mapFd: number, offset: number): Instruction {
  const imm = (BigInt(offset) << 32n) | BigInt(mapFd);
  return { opcode: LOAD_IMM64, dst: 1, src: BPF_PSEUDO.MAP_VALUE, offset: 0, imm };
}

/** The smallest program there is: it returns 0. */
export const RETURN_ZERO: readonly Instruction[] = [setRegister(0, 0), EXIT];

/** What came of loading. */
export interface Attempt {
  /** null if the kernel took it. */
  readonly refusal: SyscallError | null;
  /** What the verifier said; '' if it was not asked. */
  readonly log: string;
}

/**
 * Loads a program and closes it again.
 *
 * @param withLog whether the verifier's words are of interest
 */
export function tryProgram(
  kernel: Kernel,
  type: number,
  instructions: readonly Instruction[],
  more: Partial<ProgramAttributes> = {},
  withLog = false,
): Attempt {
  const log = withLog ? { level: 1, buffer: new Uint8Array(LOG_BYTES), wholeBytes: 0 } : null;
  const attributes: ProgramAttributes = {
    type,
    instructions: Instructions.encode(instructions, kernel.littleEndian ? 'little' : 'big').bytes,
    license: 'GPL',
    name: '',
    flags: 0,
    expectedAttachType: 0,
    kernelVersion: 0,
    btf: null,
    target: null,
    descriptors: [],
    ...more,
  };
  let refusal: SyscallError | null = null;
  try {
    kernel.close(kernel.loadProgram(attributes, log));
  } catch (error) {
    if (!(error instanceof SyscallError)) {
      throw error;
    }
    refusal = error;
  }
  return { refusal, log: log === null ? '' : textOf(log.buffer) };
}

function textOf(buffer: Uint8Array): string {
  const end = buffer.indexOf(0);
  return decodeText(buffer, 0, end === -1 ? buffer.length : end);
}
