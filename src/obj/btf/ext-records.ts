/**
 * Records of 32-bit words, the first of which says which instruction they are about: the tables of
 * `.BTF.ext`, and what the kernel is given as `func_info` and `line_info` with a program.
 *
 * Format: `struct bpf_func_info` and `struct bpf_line_info` of include/uapi/linux/bpf.h. In an object
 * the first word counts bytes from the start of the section, for the kernel instructions of 8 bytes
 * from the start of the program.
 */

const INSTRUCTION_BYTES = 8;

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

  /** The position of the first record whose first word is not below `start`. */
  firstFrom(start: number): number {
    let low = 0;
    let high = this.count;
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
   * `moved` of a program. A copy; undefined if there are none.
   */
  moved(start: number, end: number, to: number): InfoRecords | undefined {
    const first = this.firstFrom(start);
    const behind = this.firstFrom(end);
    if (behind <= first) {
      return undefined;
    }
    const { recordBytes } = this;
    // Not slice(): that of Node's Buffer gives a view of the object.
    const bytes = new Uint8Array(this.bytes.subarray(first * recordBytes, behind * recordBytes));
    const records = new InfoRecords(bytes, recordBytes, this.#little);
    // Without calls: there are dozens for each program, most of which are moved before V8 compiles this.
    const view = records.#view;
    const little = this.#little;
    for (let at = 0; at < bytes.length; at += recordBytes) {
      const instruction = Math.floor((view.getUint32(at, little) - start) / INSTRUCTION_BYTES);
      view.setUint32(at, to + instruction, little);
    }
    return records;
  }

  /** The records of several tables of one shape, behind each other. A copy, if there are two. */
  static concat(parts: readonly InfoRecords[]): InfoRecords | undefined {
    const first = parts[0];
    if (first === undefined || parts.length === 1) {
      return first;
    }
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes.length, 0));
    let at = 0;
    for (const part of parts) {
      bytes.set(part.bytes, at);
      at += part.bytes.length;
    }
    return new InfoRecords(bytes, first.recordBytes, first.#little);
  }
}
