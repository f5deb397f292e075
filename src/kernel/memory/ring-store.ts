/**
 * Ring buffers (`kernel/bpf/ringbuf.c`): their memory is all there is to them. A page that the reader
 * writes its position to, a page with the writer's, and the data, twice in a row so that no record is
 * cut.
 */

import { alignUp } from '../../bytes/align.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { Store } from './store.ts';

const HEADER_BYTES = 8;

export class RingStore extends Store {
  readonly sizeBytes: number;
  readonly pageSize: number;
  readonly #consumer: ArrayBuffer;
  readonly #producer: ArrayBuffer;
  readonly #littleEndian: boolean;
  readonly #waiting = new Set<() => void>();

  constructor(sizeBytes: number, pageSize: number, littleEndian: boolean) {
    super();
    this.sizeBytes = sizeBytes;
    this.pageSize = pageSize;
    this.#littleEndian = littleEndian;
    this.#consumer = new ArrayBuffer(pageSize);
    this.#producer = new ArrayBuffer(pageSize + 2 * sizeBytes);
  }

  /** The memory that a mapping shows, or a negative errno. */
  mapped(offset: number, length: number, writable: boolean): ArrayBuffer | number {
    if (offset === 0 && length === this.pageSize) {
      return this.#consumer;
    }
    if (writable) {
      return -ERRNO.EPERM;
    }
    return offset === this.pageSize && length === this.#producer.byteLength
      ? this.#producer
      : -ERRNO.EINVAL;
  }

  /** Whether there is something to read. */
  get isReadable(): boolean {
    return this.#position(this.#consumer) !== this.#position(this.#producer);
  }

  /** Calls back when the next record comes; a function that takes that back. */
  onRecord(call: () => void): () => void {
    this.#waiting.add(call);
    return () => this.#waiting.delete(call);
  }

  /** Writes a record as `bpf_ringbuf_output` does; false if there is no room. */
  output(record: Uint8Array): boolean {
    const position = this.#position(this.#producer);
    const used = position - this.#position(this.#consumer);
    const bytes = HEADER_BYTES + alignUp(record.length, 8);

    // Never to the last byte (`> rb->mask`): a full ring would look like an empty one.
    if (used + bytes >= this.sizeBytes) {
      return false;
    }
    const data = new Uint8Array(this.#producer, this.pageSize);
    const header = new Uint8Array(bytes);
    new DataView(header.buffer).setUint32(0, record.length, this.#littleEndian);
    header.set(record, HEADER_BYTES);
    const at = position % this.sizeBytes;
    for (let index = 0; index < bytes; index += 1) {
      const place = (at + index) % this.sizeBytes;
      data[place] = header[index]!;
      data[place + this.sizeBytes] = header[index]!;
    }
    new DataView(this.#producer).setBigUint64(0, BigInt(position + bytes), this.#littleEndian);
    for (const call of [...this.#waiting]) {
      call();
    }
    return true;
  }

  #position(page: ArrayBuffer): number {
    return Number(new DataView(page).getBigUint64(0, this.#littleEndian));
  }
}
