/** Programs that are loaded again on another kernel: with the descriptors of that one. */

import { Instructions, LOAD_IMM64 } from '../obj/instructions/instructions.ts';
import { BPF_PSEUDO } from '../uapi/opcodes.ts';
import type { AttachTarget, LogRequest, ProgramAttributes } from './program-calls.ts';

/**
 * The attributes of a program with other descriptors: those in its instructions too.
 *
 * @param translated the descriptor that stands for one
 */
export function programOf(
  attributes: ProgramAttributes,
  littleEndian: boolean,
  translated: (fd: number) => number,
): ProgramAttributes {
  const { btf, descriptors } = attributes;
  const byteOrder = littleEndian ? 'little' : 'big';
  const code = new Instructions(attributes.instructions.slice(), byteOrder);
  for (let slot = 0; slot < code.length; slot += code.slots(slot)) {
    const source = code.src(slot);
    const isMap = source === BPF_PSEUDO.MAP_FD || source === BPF_PSEUDO.MAP_VALUE;
    if (code.opcode(slot) === LOAD_IMM64 && isMap) {
      code.setImm(slot, translated(code.imm(slot)));
    }
  }
  return {
    ...attributes,
    instructions: code.bytes,
    btf: btf === null ? null : { ...btf, fd: translated(btf.fd) },
    target: targetOf(attributes.target, translated),
    // 0 is no descriptor there, but stands for the kernel itself.
    descriptors: descriptors.map((fd) => (fd === 0 ? 0 : translated(fd))),
  };
}

/** A target with another descriptor, if it has one. */
export function targetOf(
  target: AttachTarget | null,
  translated: (fd: number) => number,
): AttachTarget | null {
  return target === null || target.fd === null ? target : { ...target, fd: translated(target.fd) };
}

/** A log of its own, as large as the one that was filled then. */
export function logOf(log: LogRequest | null): LogRequest | null {
  return log === null
    ? null
    : { level: log.level, buffer: new Uint8Array(log.buffer.length), wholeBytes: 0 };
}
