/**
 * Perf events that receive what programs write by `bpf_perf_event_output`, one for each CPU.
 *
 * `struct perf_event_mmap_page`, `enum perf_event_type`: `include/uapi/linux/perf_event.h`.
 */

import { alignUp } from '../../bytes/align.ts';
import type { Interest } from '../kernel.ts';
import { KernelObject } from './objects.ts';
import { movedBuffer, Signal, type Watched } from './signal.ts';

const HEAD = 1024;
const TAIL = 1032;
const DATA_OFFSET = 1040;
const DATA_SIZE = 1048;
const HEADER_BYTES = 8;
const RECORD_LOST = 2;
const LOST_BYTES = 24;
const RECORD_SAMPLE = 9;
/** The size of a record is a number of 16 bits, and a multiple of 8. */
const LARGEST_RECORD = 0xfff8;
const LARGEST_DATA = LARGEST_RECORD - HEADER_BYTES - 4;

/** The event of a CPU. It has no memory before it is mapped. */
export class PerfEventObject extends KernelObject implements Watched {
  readonly kind = 'event';
  readonly cpu: number;
  readonly signal = new Signal();
  writableMappings = 0;
  readonly #littleEndian: boolean;
  #memory: ArrayBuffer | undefined;
  #dataStart = 0;
  #lost = 0;
  readonly #wakeupEvents: number;
  /** Records since a reader was woken last. */
  #unannounced = 0;
  #isAnnounced = false;

  /** @param wakeupEvents how many records wake a reader; 0 for none (`perf_output_end`) */
  constructor(cpu: number, littleEndian: boolean, wakeupEvents: number) {
    super(0, () => {});
    this.cpu = cpu;
    this.#littleEndian = littleEndian;
    this.#wakeupEvents = wakeupEvents;
  }

  /** The memory of the event: a page, then none or a power of two of pages; null if it is not like that. */
  mapped(length: number, pageSize: number): ArrayBuffer | null {
    const pages = (length - pageSize) / pageSize;
    if (!Number.isInteger(pages) || pages < 0 || (pages & (pages - 1)) !== 0) {
      return null;
    }
    if (this.#memory !== undefined) {
      return this.#memory.byteLength === length ? this.#memory : null;
    }
    this.#memory = new ArrayBuffer(length);
    this.#dataStart = pageSize;
    const view = new DataView(this.#memory);
    view.setBigUint64(DATA_OFFSET, BigInt(pageSize), this.#littleEndian);
    view.setBigUint64(DATA_SIZE, BigInt(length - pageSize), this.#littleEndian);
    return this.#memory;
  }

  /** Nobody maps it any more: what was in it is gone. */
  detach(): void {
    if (this.#memory !== undefined) {
      movedBuffer(this.#memory);
      this.#memory = undefined;
    }
  }

  isReady(interest: Interest): boolean {
    if (interest === 'writable') {
      return true;
    }
    // `perf_poll`: a wake-up is told once, whatever has been read since.
    const isAnnounced = this.#isAnnounced;
    this.#isAnnounced = false;
    return isAnnounced;
  }

  /**
   * Writes a sample; if there is no room for it, it is counted as lost.
   *
   * @returns false if it is lost
   * @throws RangeError for one that no record has room for
   */
  output(data: Uint8Array): boolean {
    const body = alignUp(4 + data.length, 8);
    if (HEADER_BYTES + body > LARGEST_RECORD) {
      throw new RangeError(
        `a record of a perf event has ${LARGEST_DATA} bytes at most, not ${data.length}`,
      );
    }
    if (!this.#hasRoom((this.#lost > 0 ? LOST_BYTES : 0) + HEADER_BYTES + body)) {
      // Without a page for data, nothing is written, and nothing counted (`rb->paused`).
      this.#lost += this.#dataBytes() > 0 ? 1 : 0;
      return false;
    }
    if (this.#lost > 0) {
      const lost = this.#record(RECORD_LOST, LOST_BYTES);
      new DataView(lost.buffer).setBigUint64(16, BigInt(this.#lost), this.#littleEndian);
      this.#append(lost);
      this.#lost = 0;
    }
    const sample = this.#record(RECORD_SAMPLE, HEADER_BYTES + body);
    new DataView(sample.buffer).setUint32(HEADER_BYTES, body - 4, this.#littleEndian);
    sample.set(data, HEADER_BYTES + 4);
    this.#append(sample);
    this.#unannounced += 1;
    if (this.#wakeupEvents > 0 && this.#unannounced >= this.#wakeupEvents) {
      this.#unannounced -= this.#wakeupEvents;
      this.#isAnnounced = true;
      this.signal.raise();
    }
    return true;
  }

  #record(type: number, bytes: number): Uint8Array<ArrayBuffer> {
    const record = new Uint8Array(bytes);
    const view = new DataView(record.buffer);
    view.setUint32(0, type, this.#littleEndian);
    view.setUint16(6, bytes, this.#littleEndian);
    return record;
  }

  #append(record: Uint8Array): void {
    const memory = this.#memory!;
    const data = new Uint8Array(memory, this.#dataStart);
    const head = this.#position(HEAD);
    for (let index = 0; index < record.length; index += 1) {
      data[(head + index) % data.length] = record[index]!;
    }
    const next = BigInt(head + record.length);
    new DataView(memory).setBigUint64(HEAD, next, this.#littleEndian);
  }

  #hasRoom(bytes: number): boolean {
    // The last byte stays free (`CIRC_SPACE`): a ring that is full would look like an empty one.
    return this.#position(HEAD) - this.#position(TAIL) + bytes < this.#dataBytes();
  }

  #dataBytes(): number {
    return this.#memory === undefined ? 0 : this.#memory.byteLength - this.#dataStart;
  }

  #position(offset: number): number {
    return this.#memory === undefined
      ? 0
      : Number(new DataView(this.#memory).getBigUint64(offset, this.#littleEndian));
  }
}
