/**
 * Records of ring buffers and perf event arrays where they lie, without a copy and without an object
 * for each: one cursor is moved from record to record.
 *
 * The memory is shared with the kernel, and JavaScript that writes to what is mapped for reading ends
 * the process. So the cursor reads, and shows nobody the memory itself.
 */

import { type Codec, Memory } from '../codec/codec.ts';

/** The record that a cursor stands on. Offsets and lengths are in bytes. */
export interface RecordView {
  /** Length of the record; 0 if the cursor stands on none. */
  readonly length: number;
  /** The CPU whose buffer it lies in; -1 where all CPUs have one. */
  readonly cpu: number;
  u8(offset: number): number;
  u16(offset: number): number;
  u32(offset: number): number;
  u64(offset: number): bigint;
  i8(offset: number): number;
  i16(offset: number): number;
  i32(offset: number): number;
  i64(offset: number): bigint;
  /** A 64-bit number as a JavaScript number, exact up to 2^53; faster than {@link RecordView.u64}. */
  number64(offset: number): number;
  /** A copy of bytes: of the whole record, or of a part. */
  bytes(offset?: number, length?: number): Uint8Array;
  /** Decodes a value. @throws RangeError if the record ends before the value does */
  read<V>(codec: Codec<V, never>, offset?: number): V;
}

const NOTHING = new Memory(new Uint8Array(0), true);
const TWO_32 = 0x1_0000_0000;

/**
 * Moves over the records that wait, and reads the one it stands on.
 *
 * What it stands on is valid until the next {@link RecordCursor.next} or
 * {@link RecordCursor.release}, which gives its room back to the kernel. Reading outside of it is a
 * `RangeError`.
 *
 * @example
 * const cursor = ring.cursor();
 * let sum = 0;
 * while (cursor.next()) sum += cursor.u32(8);
 */
export abstract class RecordCursor implements RecordView {
  /** Where the record lies. @internal */
  protected memory: Memory = NOTHING;
  /** Its first byte. @internal */
  protected start = 0;
  /** @internal */
  protected size = 0;

  get length(): number {
    return this.size;
  }

  get cpu(): number {
    return -1;
  }

  /**
   * Gives back the record it stood on, and goes to the next.
   *
   * @returns false if none is ready now
   * @throws SkepError `ERR_SKEP_CLOSED` if the map was closed
   */
  abstract next(): boolean;

  /** Gives back the record it stands on. Nothing if it stands on none. */
  abstract release(): void;

  /** Whether {@link RecordCursor.next} would find a record now. */
  abstract ready(): boolean;

  u8(offset: number): number {
    return this.memory.view.getUint8(this.#at(offset, 1));
  }

  u16(offset: number): number {
    return this.memory.view.getUint16(this.#at(offset, 2), this.memory.littleEndian);
  }

  u32(offset: number): number {
    return this.memory.view.getUint32(this.#at(offset, 4), this.memory.littleEndian);
  }

  u64(offset: number): bigint {
    return this.memory.view.getBigUint64(this.#at(offset, 8), this.memory.littleEndian);
  }

  i8(offset: number): number {
    return this.memory.view.getInt8(this.#at(offset, 1));
  }

  i16(offset: number): number {
    return this.memory.view.getInt16(this.#at(offset, 2), this.memory.littleEndian);
  }

  i32(offset: number): number {
    return this.memory.view.getInt32(this.#at(offset, 4), this.memory.littleEndian);
  }

  i64(offset: number): bigint {
    return this.memory.view.getBigInt64(this.#at(offset, 8), this.memory.littleEndian);
  }

  number64(offset: number): number {
    const { view, littleEndian } = this.memory;
    const at = this.#at(offset, 8);
    const first = view.getUint32(at, littleEndian);
    const second = view.getUint32(at + 4, littleEndian);
    return littleEndian ? second * TWO_32 + first : first * TWO_32 + second;
  }

  bytes(offset = 0, length = this.size - offset): Uint8Array {
    const at = this.#at(offset, length);
    return this.memory.bytes.slice(at, at + length);
  }

  read<V>(codec: Codec<V, never>, offset = 0): V {
    if (!(offset >= 0 && offset + codec.sizeBytes <= this.size)) {
      throw new RangeError(
        `a record of ${this.size} bytes has no ${codec.name} (${codec.sizeBytes} bytes) at ${offset}`,
      );
    }
    return codec.read(this.memory, this.start + offset);
  }

  /** Stands on nothing, and lets go of the memory. @internal */
  protected forget(): void {
    this.memory = NOTHING;
    this.size = 0;
  }

  #at(offset: number, length: number): number {
    // Written so that NaN is refused too.
    if (!(offset >= 0 && length >= 0 && offset + length <= this.size)) {
      throw new RangeError(
        `a record of ${this.size} bytes has no ${length} bytes at offset ${offset}`,
      );
    }
    return this.start + offset;
  }
}
