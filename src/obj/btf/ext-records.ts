/**
 * Records of 32-bit words, the first of which says which instruction they are about: the tables of
 * `.BTF.ext`, and what the kernel is given as `func_info` and `line_info` with a program.
 *
 * Format: `struct bpf_func_info` and `struct bpf_line_info` of include/uapi/linux/bpf.h. In an object
 * the first word counts bytes from the start of the section, for the kernel instructions of 8 bytes
 * from the start of the program.
 */

import { CodeRoom } from '../code-room.ts';

/** A view of records, by ascending first word as compilers write them and the kernel demands. */
export class InfoRecords {
  readonly bytes: Uint8Array;
  /** Bytes of one record; may be more than this version knows of. */
  readonly recordBytes: number;
  /** Number of records. */
  readonly count: number;
  readonly #view: DataView;
  readonly #little: boolean;

  constructor(bytes: Uint8Array, recordBytes: number, littleEndian: boolean) {
    this.bytes = bytes;
    this.recordBytes = recordBytes;
    this.count = Math.floor(bytes.length / recordBytes);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#little = littleEndian;
  }

  /** A word of a record, both by position. */
  word(record: number, word: number): number {
    return this.#view.getUint32(record * this.recordBytes + word * 4, this.#little);
  }

  setWord(record: number, word: number, value: number): void {
    this.#view.setUint32(record * this.recordBytes + word * 4, value, this.#little);
  }

  /**
   * The position of the first record whose first word is not below `start`.
   *
   * @param from, to positions that it lies between
   */
  firstFrom(start: number, from = 0, to = this.count): number {
    let low = from;
    let high = to;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.word(middle, 0) < start) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /**
   * The records of the code [start, end) of a section, in bytes, as those of instructions that start at
   * `to` of a program. A copy; undefined if there are none.
   *
   * @param room where the copy goes
   */
  moved(start: number, end: number, to: number, room = new CodeRoom()): InfoRecords | undefined {
    const first = this.firstFrom(start);
    // Next to the first, as a function has few of the records of a section.
    let reach = 1;
    while (first + reach < this.count && this.word(first + reach, 0) < end) {
      reach *= 2;
    }
    const behind = this.firstFrom(end, first, Math.min(first + reach, this.count));
    if (behind <= first) {
      return undefined;
    }
    const { recordBytes } = this;
    const bytes = room.take((behind - first) * recordBytes);
    bytes.set(this.bytes.subarray(first * recordBytes, behind * recordBytes));
    const records = new InfoRecords(bytes, recordBytes, this.#little);
    // Without calls: there are dozens for each program, most of which are moved before V8 compiles this.
    const view = records.#view;
    const little = this.#little;
    for (let at = 0; at < bytes.length; at += recordBytes) {
      // An instruction has 8 bytes.
      view.setUint32(at, to + ((view.getUint32(at, little) - start) >>> 3), little);
    }
    return records;
  }

  /** The records of several tables of one shape, behind each other. A copy, if there are two. */
  static concat(parts: readonly InfoRecords[], room: CodeRoom): InfoRecords | undefined {
    const first = parts[0];
    if (first === undefined || parts.length === 1) {
      return first;
    }
    const bytes = room.take(parts.reduce((sum, part) => sum + part.bytes.length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part.bytes, at);
      at += part.bytes.length;
    }
    return new InfoRecords(bytes, first.recordBytes, first.#little);
  }
}
