/**
 * What every kernel asks of a program that a caller hands in, so that both ask the same. What the kernel
 * finds by counting must lie in memory of the caller: the kernel does not know where that ends.
 */

import { Instructions, LOAD_IMM64, SLOT_BYTES } from '../obj/instructions/instructions.ts';
import { BPF_CLASS, BPF_JMP_OP, BPF_PSEUDO, BPF_PSEUDO_CALLS } from '../uapi/opcodes.ts';
import { checkView } from './check-room.ts';
import type { InfoTable, LogRequest, ProgramAttributes } from './program-calls.ts';

const CALL = BPF_CLASS.JMP | BPF_JMP_OP.CALL;
const LARGEST_U32 = 0xffff_ffff;
const LOWEST_I32 = -0x8000_0000;

/**
 * Refuses attributes of a program that do not fit `union bpf_attr`.
 *
 * @param littleEndian the byte order of the machine
 * @throws RangeError for parts that are no whole number of records, and for descriptors that are named
 *   and not there; TypeError for numbers of more than 32 bits, and for text that ends early
 */
export function checkProgram(
  attributes: ProgramAttributes,
  log: LogRequest | null,
  littleEndian: boolean,
): void {
  checkNumbers(attributes);
  const { instructions, btf, descriptors } = attributes;
  checkRecords(instructions, SLOT_BYTES, 'the instructions');
  checkTable(btf?.functionInfo);
  checkTable(btf?.lineInfo);
  if (attributes.license.includes('\0')) {
    throw new TypeError('a license cannot contain a NUL character');
  }
  if (descriptors.length > 0) {
    checkDescriptors(instructions, descriptors.length, littleEndian);
  }
  if (log !== null) {
    checkView(log.buffer, 'the log');
  }
}

function checkNumbers(attributes: ProgramAttributes): void {
  const { name, target } = attributes;
  checkBits(attributes.type, 'type', name);
  checkBits(attributes.flags, 'flags', name);
  checkBits(attributes.expectedAttachType, 'expected attach type', name);
  checkBits(attributes.kernelVersion, 'kernel version', name);
  checkBits(target?.typeId ?? 0, "target's type", name);
}

function checkBits(value: number, what: string, program: string): void {
  // Operators of JavaScript give signed numbers: the bits are what counts.
  if (!Number.isInteger(value) || value < LOWEST_I32 || value > LARGEST_U32) {
    throw new TypeError(
      `the ${what} of program "${program}" is an integer of 32 bits, not ${String(value)}`,
    );
  }
}

function checkTable(table: InfoTable | null | undefined): void {
  if (table !== undefined && table !== null) {
    checkRecords(table.bytes, table.recordBytes, 'the information on instructions');
  }
}

function checkRecords(bytes: Uint8Array, recordBytes: number, what: string): void {
  checkView(bytes, what);
  if (!(recordBytes > 0) || bytes.length % recordBytes !== 0) {
    throw new RangeError(`${what}: ${bytes.length} bytes are no records of ${recordBytes} bytes`);
  }
}

/** The kernel reads the descriptor that an instruction names without knowing how many there are. */
function checkDescriptors(bytes: Uint8Array, count: number, littleEndian: boolean): void {
  const instructions = new Instructions(bytes, littleEndian ? 'little' : 'big');
  for (let slot = 0; slot < instructions.length; slot += instructions.slots(slot)) {
    const index = descriptorIndex(instructions, slot);
    if (index < 0 || index >= count) {
      throw new RangeError(
        `instruction ${slot} names descriptor ${index}, of which there are ${count}`,
      );
    }
  }
}

/** Which descriptor an instruction names; 0, which is always there, if it names none. */
function descriptorIndex(instructions: Instructions, slot: number): number {
  const source = instructions.src(slot);
  switch (instructions.opcode(slot)) {
    case LOAD_IMM64:
      return source === BPF_PSEUDO.MAP_IDX || source === BPF_PSEUDO.MAP_IDX_VALUE
        ? instructions.imm(slot)
        : 0;
    case CALL:
      return source === BPF_PSEUDO_CALLS.KFUNC_CALL ? instructions.offset(slot) : 0;
    default:
      return 0;
  }
}
