/**
 * The lines of source of a program, by instruction.
 *
 * Format: `struct bpf_line_info` of include/uapi/linux/bpf.h: instruction, offsets of the file's name
 * and of the line's text in the strings of BTF, and line and column in one word
 * (`BPF_LINE_INFO_LINE_NUM`, `BPF_LINE_INFO_LINE_COL`).
 */

import type { Btf } from './btf.ts';
import type { InfoRecords } from './ext-records.ts';

/** A line of source. */
export interface SourceLine {
  /** The instruction that it starts at; it goes on to that of the next line. */
  readonly slot: number;
  /** As the compiler was told; often relative to a folder that nobody knows. */
  readonly file: string;
  /** From 1; 0 for code that stands in no line. */
  readonly line: number;
  /** From 1; 0 if it is not known. */
  readonly column: number;
  /** The line itself, with its indentation; '' if the compiler did not find it. */
  readonly text: string;
}

/** Looks lines up in records that are about the instructions of a program. */
export class SourceLines implements Iterable<SourceLine> {
  readonly #records: InfoRecords;
  readonly #btf: Btf;

  constructor(records: InfoRecords, btf: Btf) {
    this.#records = records;
    this.#btf = btf;
  }

  /**
   * The line that an instruction comes from; undefined in front of the first one.
   *
   * @throws ObjectError `ERR_SKEP_BTF` for a text that is not there
   */
  at(slot: number): SourceLine | undefined {
    const record = this.#records.firstFrom(slot + 1) - 1;
    return record === -1 ? undefined : this.#read(record);
  }

  *[Symbol.iterator](): Iterator<SourceLine> {
    for (let record = 0; record < this.#records.count; record += 1) {
      yield this.#read(record);
    }
  }

  #read(record: number): SourceLine {
    const records = this.#records;
    const place = records.word(record, 3);
    return {
      slot: records.word(record, 0),
      file: this.#btf.string(records.word(record, 1)),
      line: place >>> 10,
      column: place & 0x3ff,
      text: this.#btf.string(records.word(record, 2)),
    };
  }
}
