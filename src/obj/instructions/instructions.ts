/**
 * The instructions of a program, read and changed in place: a view of bytes with one accessor per
 * field, and plain objects for whoever asks.
 *
 * Format: RFC 9669, `struct bpf_insn` of include/uapi/linux/bpf.h. A slot is 8 bytes: opcode, two
 * register numbers in one byte (which half is which depends on the byte order), a signed 16-bit
 * offset, a signed 32-bit immediate. A 64-bit load takes two slots, the second of which has nothing but
 * the upper half of the number.
 */

import type { ByteOrder } from '../elf.ts';

/** Bytes of a slot. */
export const SLOT_BYTES = 8;

/** The opcode of the one instruction that takes two slots: BPF_LD | BPF_IMM | BPF_DW. */
export const LOAD_IMM64 = 0x18;

/** One instruction as plain data. What its fields mean, `operationOf` knows. */
export interface Instruction {
  /** The first byte: class, size, mode, operation, source. */
  readonly opcode: number;
  /** Number of the destination register, 0 to 15. */
  readonly dst: number;
  /** Number of the source register, or a kind of call or of 64-bit number (`BPF_PSEUDO_*`). */
  readonly src: number;
  /** Signed, 16 bits: bytes in memory accesses, slots in jumps. */
  readonly offset: number;
  /** Signed, 32 bits; for 64-bit loads a bigint, signed, of both slots. */
  readonly imm: number | bigint;
}

/**
 * A view of instructions in either byte order. Positions are slots, as in jumps, in the kernel's
 * log and in bpftool, so that 64-bit loads take two of them. Nothing is copied: who changes the bytes
 * changes what the view shows, and the other way round.
 */
export class Instructions implements Iterable<Instruction> {
  readonly bytes: Uint8Array;
  readonly byteOrder: ByteOrder;
  /** Number of slots. */
  readonly length: number;
  readonly #view: DataView;
  readonly #little: boolean;

  /** @throws RangeError if the bytes are no whole number of slots */
  constructor(bytes: Uint8Array, byteOrder: ByteOrder) {
    if (bytes.length % SLOT_BYTES !== 0) {
      throw new RangeError(`${bytes.length} bytes are no whole instructions of ${SLOT_BYTES}`);
    }
    this.bytes = bytes;
    this.byteOrder = byteOrder;
    this.length = bytes.length / SLOT_BYTES;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#little = byteOrder === 'little';
  }

  /** The bytes of plain instructions, in order. */
  static encode(list: Iterable<Instruction>, byteOrder: ByteOrder): Instructions {
    const all = [...list];
    const slots = all.reduce((sum, { opcode }) => sum + (opcode === LOAD_IMM64 ? 2 : 1), 0);
    const encoded = new Instructions(new Uint8Array(slots * SLOT_BYTES), byteOrder);
    let slot = 0;
    for (const instruction of all) {
      slot = encoded.set(slot, instruction);
    }
    return encoded;
  }

  opcode(slot: number): number {
    return this.#view.getUint8(slot * SLOT_BYTES);
  }

  dst(slot: number): number {
    const registers = this.#view.getUint8(slot * SLOT_BYTES + 1);
    return this.#little ? registers & 15 : registers >> 4;
  }

  src(slot: number): number {
    const registers = this.#view.getUint8(slot * SLOT_BYTES + 1);
    return this.#little ? registers >> 4 : registers & 15;
  }

  offset(slot: number): number {
    return this.#view.getInt16(slot * SLOT_BYTES + 2, this.#little);
  }

  imm(slot: number): number {
    return this.#view.getInt32(slot * SLOT_BYTES + 4, this.#little);
  }

  /** The number of a 64-bit load, signed. The second slot must be there: see {@link isWide}. */
  imm64(slot: number): bigint {
    const low = BigInt(this.imm(slot) >>> 0);
    return (BigInt(this.imm(slot + 1)) << 32n) | low;
  }

  /** Whether a 64-bit load starts here and its second slot is there. */
  isWide(slot: number): boolean {
    return this.opcode(slot) === LOAD_IMM64 && slot + 1 < this.length;
  }

  /** Number of slots of the instruction that starts here: 1 or 2. */
  slots(slot: number): number {
    return this.isWide(slot) ? 2 : 1;
  }

  setOpcode(slot: number, opcode: number): void {
    this.#view.setUint8(slot * SLOT_BYTES, opcode);
  }

  setRegisters(slot: number, dst: number, src: number): void {
    const registers = this.#little ? (src << 4) | dst : (dst << 4) | src;
    this.#view.setUint8(slot * SLOT_BYTES + 1, registers);
  }

  setSrc(slot: number, src: number): void {
    this.setRegisters(slot, this.dst(slot), src);
  }

  setOffset(slot: number, offset: number): void {
    this.#view.setInt16(slot * SLOT_BYTES + 2, offset, this.#little);
  }

  setImm(slot: number, imm: number): void {
    this.#view.setInt32(slot * SLOT_BYTES + 4, imm, this.#little);
  }

  /** Sets the number of a 64-bit load in both slots; what is above 64 bits is cut off. */
  setImm64(slot: number, imm: bigint): void {
    this.setImm(slot, Number(BigInt.asIntN(32, imm)));
    this.setImm(slot + 1, Number(BigInt.asIntN(32, imm >> 32n)));
  }

  /** The instruction that starts at a slot, as plain data. */
  at(slot: number): Instruction {
    return {
      opcode: this.opcode(slot),
      dst: this.dst(slot),
      src: this.src(slot),
      offset: this.offset(slot),
      imm: this.isWide(slot) ? this.imm64(slot) : this.imm(slot),
    };
  }

  /** Writes an instruction; returns the slot behind it. */
  set(slot: number, { opcode, dst, src, offset, imm }: Instruction): number {
    this.setOpcode(slot, opcode);
    this.setRegisters(slot, dst, src);
    this.setOffset(slot, offset);
    if (opcode !== LOAD_IMM64) {
      this.setImm(slot, Number(imm));
      return slot + 1;
    }
    this.bytes.fill(0, (slot + 1) * SLOT_BYTES, (slot + 2) * SLOT_BYTES);
    this.setImm64(slot, BigInt(imm));
    return slot + 2;
  }

  /** The instructions in order, as plain data; 64-bit loads once. */
  *[Symbol.iterator](): Iterator<Instruction> {
    for (let slot = 0; slot < this.length; slot += this.slots(slot)) {
      yield this.at(slot);
    }
  }
}
