/**
 * Ring buffers of both directions (`kernel/bpf/ringbuf.c`): their memory is all there is to them. A
 * page with the reader's position, one with the writer's, and the data, which the kernel maps twice in
 * a row so that no record is cut.
 */

import { alignUp } from '../../bytes/align.ts';
import { ERRNO } from '../../uapi/errno.ts';
import type { Interest } from '../kernel.ts';
import { movedBuffer, Signal, type Watched } from './signal.ts';
import { Store } from './store.ts';

const HEADER_BYTES = 8;
/** The upper bits of a record's length: it is being written; nobody wants it. */
const BUSY = 0x8000_0000;
const DISCARDED = 0x4000_0000;

/** A store with memory that can be mapped, and waited for. */
export class RingStore extends Store implements Watched {
  readonly sizeBytes: number;
  readonly signal = new Signal();
  readonly #pageSize: number;
  readonly #littleEndian: boolean;
  /** Whether user space writes, and programs read. */
  readonly #fromUser: boolean;
  /** By offset in the mapping: the reader's page, the writer's, the data. */
  readonly #parts: [ArrayBuffer, ArrayBuffer, ArrayBuffer];

  constructor(sizeBytes: number, pageSize: number, littleEndian: boolean, fromUser: boolean) {
    super();
    this.sizeBytes = sizeBytes;
    this.#pageSize = pageSize;
    this.#littleEndian = littleEndian;
    this.#fromUser = fromUser;
    this.#parts = [
      new ArrayBuffer(pageSize),
      new ArrayBuffer(pageSize),
      new ArrayBuffer(2 * sizeBytes),
    ];
  }

  /**
   * The memory that a mapping begins in, or a negative errno as `ringbuf_map_mmap_kern` and
   * `ringbuf_map_mmap_user` have it.
   *
   * @param length whole pages
   */
  mapped(offset: number, length: number, writable: boolean): ArrayBuffer | number {
    const isFirst = offset === 0;
    if (writable && (this.#fromUser ? isFirst : !isFirst || length !== this.#pageSize)) {
      return -ERRNO.EPERM;
    }
    if (offset + length > 2 * this.#pageSize + 2 * this.sizeBytes) {
      return -ERRNO.EINVAL;
    }
    return this.#parts[Math.min(offset / this.#pageSize, 2)]!;
  }

  /** Moves what a mapping shows into fresh memory. */
  detach(memory: ArrayBuffer): void {
    const index = this.#parts.indexOf(memory);
    if (index !== -1) {
      this.#parts[index] = movedBuffer(memory);
    }
  }

  /** Whether there is something to read, or room to write. */
  isReady(interest: Interest): boolean {
    const unread = this.#written - this.#read;
    return interest === 'readable' ? unread > 0 : unread < this.sizeBytes;
  }

  /** Writes a record as `bpf_ringbuf_output` does in a program; false if there is no room. */
  output(record: Uint8Array): boolean {
    const written = this.#written;
    const bytes = HEADER_BYTES + alignUp(record.length, 8);
    // Never to the last byte (`> rb->mask`): a full ring would look like an empty one.
    if (written - this.#read + bytes >= this.sizeBytes) {
      return false;
    }
    const framed = new Uint8Array(bytes);
    new DataView(framed.buffer).setUint32(0, record.length, this.#littleEndian);
    framed.set(record, HEADER_BYTES);
    const data = new Uint8Array(this.#parts[2]);
    for (let index = 0; index < bytes; index += 1) {
      const place = (written + index) % this.sizeBytes;
      data[place] = framed[index]!;
      data[place + this.sizeBytes] = framed[index]!;
    }
    this.#move(1, written + bytes);
    this.signal.raise();
    return true;
  }

  /** Takes the records that user space has sent, as `bpf_user_ringbuf_drain` does in a program. */
  drain(limit: number): Uint8Array[] {
    const records: Uint8Array[] = [];
    const view = new DataView(this.#parts[2]);
    let read = this.#read;
    while (read < this.#written && records.length < limit) {
      const at = read % this.sizeBytes;
      const header = view.getUint32(at, this.#littleEndian);
      if (header >= BUSY) {
        break;
      }
      const length = header & ~DISCARDED;
      if ((header & DISCARDED) === 0) {
        const start = at + HEADER_BYTES;
        records.push(new Uint8Array(this.#parts[2].slice(start, start + length)));
      }
      read += HEADER_BYTES + alignUp(length, 8);
    }
    this.#move(0, read);
    this.signal.raise();
    return records;
  }

  get #read(): number {
    return this.#position(0);
  }

  get #written(): number {
    return this.#position(1);
  }

  #position(part: 0 | 1): number {
    return Number(new DataView(this.#parts[part]).getBigUint64(0, this.#littleEndian));
  }

  #move(part: 0 | 1, position: number): void {
    new DataView(this.#parts[part]).setBigUint64(0, BigInt(position), this.#littleEndian);
  }
}
