/**
 * Reading the buffers of perf events, one for each CPU.
 *
 * Layout (`struct perf_event_mmap_page`, `enum perf_event_type` of `include/uapi/linux/perf_event.h`):
 * a page with positions, of which only the tail is the reader's, then the data. Records have a header
 * of 8 bytes and take a multiple of 8; a record that reaches the end goes on at the start.
 */

import { Memory } from '../codec/codec.ts';
import { SkepError } from '../errors.ts';
import { RecordCursor } from './record-cursor.ts';
import { SharedPosition } from './shared-position.ts';

/** Offsets of `data_head` and `data_tail`. */
const HEAD = 1024;
const TAIL = 1032;
const HEADER_BYTES = 8;
/** The largest record: its size has 16 bits. */
const LARGEST_RECORD = 1 << 16;
/** `PERF_RECORD_LOST`: an id of 64 bits, then how many. */
const RECORD_LOST = 2;
const LOST_COUNT = 16;
/** `PERF_RECORD_SAMPLE`: with `PERF_SAMPLE_RAW` alone, the size of the data in 4 bytes, then the data. */
const RECORD_SAMPLE = 9;
const SAMPLE_DATA = 12;

/** The buffer of one CPU. */
export class PerfBuffer {
  readonly cpu: number;
  /** The data. */
  readonly memory: Memory;
  /** How many records found no room; the kernel says so with the next one that does. */
  lost = 0;
  readonly #head: SharedPosition;
  readonly #tail: SharedPosition;
  readonly #mask: number;
  /** How many bytes the kernel gets back at once. */
  readonly #portion: number;
  #position: number;
  #given: number;
  #end: number;

  /** @param memory a page with positions, then the data: a power of two of pages */
  constructor(cpu: number, memory: ArrayBuffer, pageSize: number, littleEndian: boolean) {
    this.cpu = cpu;
    this.memory = new Memory(new Uint8Array(memory, pageSize), littleEndian);
    this.#head = new SharedPosition(memory, HEAD, littleEndian);
    this.#tail = new SharedPosition(memory, TAIL, littleEndian);
    this.#mask = memory.byteLength - pageSize - 1;
    this.#portion = (this.#mask + 1) / 16;
    this.#position = this.#tail.load();
    this.#given = this.#position;
    this.#end = this.#position;
  }

  /** The offset of the record there; -1 if there is none. */
  peek(): number {
    if (this.#position === this.#end) {
      this.give();
      this.#end = this.#head.load();
      if (this.#position === this.#end) {
        return -1;
      }
    }
    return this.#position & this.#mask;
  }

  /** Whether there is something behind so many bytes. */
  hasBehind(bytes: number): boolean {
    return ((this.#position + bytes) | 0) !== this.#head.load();
  }

  /** Leaves so many bytes behind. */
  advance(bytes: number): void {
    this.#position = (this.#position + bytes) | 0;
    if (((this.#position - this.#given) | 0) >= this.#portion) {
      this.give();
    }
  }

  /** Tells the kernel how far the reader is. */
  give(): void {
    if (this.#given !== this.#position) {
      // Nobody else has a mapping of this event.
      this.#tail.move(this.#position, this.#given);
      this.#given = this.#position;
    }
  }
}

/** Moves over the records of all CPUs, CPU by CPU; those of one are in order. */
export class PerfCursor extends RecordCursor {
  readonly #name: string;
  readonly #buffers: readonly PerfBuffer[];
  /** For records that reach the end of their buffer. */
  readonly #scratch: Memory;
  #current = 0;
  /** Bytes of the record stood on, with its header; 0 for none. */
  #held = 0;
  #closed = false;

  /** @internal */
  constructor(name: string, buffers: readonly PerfBuffer[], littleEndian: boolean) {
    super();
    this.#name = name;
    this.#buffers = buffers;
    this.#scratch = new Memory(new Uint8Array(LARGEST_RECORD), littleEndian);
  }

  override get cpu(): number {
    return this.#held === 0 ? -1 : this.#buffers[this.#current]!.cpu;
  }

  next(): boolean {
    this.#pass();
    if (this.#closed) {
      throw new SkepError('ERR_SKEP_CLOSED', `map "${this.#name}" is closed`);
    }
    return this.#seek();
  }

  release(): void {
    this.#pass();
    if (!this.#closed) {
      for (const buffer of this.#buffers) {
        buffer.give();
      }
    }
  }

  ready(): boolean {
    if (this.#held > 0) {
      // Behind the record stood on there may be a note of lost ones only; next() will tell.
      return this.#buffers.some((buffer, index) =>
        buffer.hasBehind(index === this.#current ? this.#held : 0),
      );
    }
    if (this.#closed) {
      throw new SkepError('ERR_SKEP_CLOSED', `map "${this.#name}" is closed`);
    }
    if (!this.#seek()) {
      return false;
    }
    // Not stood on yet: the next seek finds it again.
    this.#held = 0;
    this.size = 0;
    return true;
  }

  /** From here on it finds nothing, and its memory may be unmapped. @internal */
  close(): void {
    this.#held = 0;
    this.release();
    this.#closed = true;
    this.forget();
  }

  #pass(): void {
    if (this.#held !== 0) {
      this.#buffers[this.#current]!.advance(this.#held);
      this.#held = 0;
      this.size = 0;
    }
  }

  /** Stands on the next record, of this CPU or of one behind it; false if there is none. */
  #seek(): boolean {
    const count = this.#buffers.length;
    for (let tries = 0; tries < count; tries += 1) {
      if (this.#seekIn(this.#buffers[this.#current]!)) {
        return true;
      }
      this.#current = this.#current + 1 === count ? 0 : this.#current + 1;
    }
    return false;
  }

  #seekIn(buffer: PerfBuffer): boolean {
    for (let at = buffer.peek(); at !== -1; at = buffer.peek()) {
      const { view, littleEndian } = buffer.memory;
      const type = view.getUint32(at, littleEndian);
      const bytes = view.getUint16(at + 6, littleEndian);
      this.#point(buffer.memory, at, bytes);
      if (type === RECORD_SAMPLE) {
        const size = this.memory.view.getUint32(this.start + HEADER_BYTES, littleEndian);
        this.start += SAMPLE_DATA;
        this.size = size;
        this.#held = bytes;
        return true;
      }
      if (type === RECORD_LOST) {
        const lost = this.memory.view.getBigUint64(this.start + LOST_COUNT, littleEndian);
        buffer.lost += Number(lost);
      }
      buffer.advance(bytes);
    }
    return false;
  }

  /** Makes a record readable in one piece: where it lies, or put together in a copy. */
  #point(memory: Memory, at: number, bytes: number): void {
    const rest = memory.bytes.length - at;
    if (bytes <= rest) {
      this.memory = memory;
      this.start = at;
      return;
    }
    this.#scratch.bytes.set(memory.bytes.subarray(at));
    this.#scratch.bytes.set(memory.bytes.subarray(0, bytes - rest), rest);
    this.memory = this.#scratch;
    this.start = 0;
  }
}
