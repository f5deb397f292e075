/**
 * Reading a ring buffer's memory.
 *
 * Layout (`kernel/bpf/ringbuf.c`): a page with the consumer's position, which only the reader writes;
 * a page with the producers'; the data, mapped twice in a row, so that no record is torn. Positions
 * are `unsigned long`s that only grow; modulo the size they are offsets. A record has a header of 8
 * bytes, the first 4 of which are its length and two bits, and takes a multiple of 8 bytes.
 *
 * Whoever has the map may have its memory mapped, and read. A cursor that finds the consumer's position
 * moved by another goes on there: what lies before it may be overwritten already.
 */

import { Memory } from '../codec/codec.ts';
import { SkepError } from '../errors.ts';
import { RecordCursor } from './record-cursor.ts';
import { SharedPosition } from './shared-position.ts';

/** `BPF_RINGBUF_BUSY_BIT` makes a header negative as a signed number. */
const BUSY = -0x8000_0000;
/** `BPF_RINGBUF_DISCARD_BIT`. */
const DISCARDED = 0x4000_0000;
/** What is left of a header without the two. */
const LENGTH = 0x3fff_ffff;
/** `BPF_RINGBUF_HDR_SZ`. */
const HEADER_BYTES = 8;

/** The memory of a ring buffer. */
export interface RingMemory {
  /** Its page, writable. */
  readonly consumer: ArrayBuffer;
  /** Its page. */
  readonly producer: ArrayBuffer;
  /** The data, twice. */
  readonly data: ArrayBuffer;
  readonly littleEndian: boolean;
}

/** Moves over the records of a ring buffer. */
export class RingCursor extends RecordCursor {
  /** How many records the programs discarded, of those passed so far. */
  discarded = 0;
  readonly #name: string;
  readonly #consumer: SharedPosition;
  readonly #producer: SharedPosition;
  readonly #headers: Int32Array;
  readonly #mask: number;
  /** Like all positions here its lower half, signed. */
  #position: number;
  /** As far as the kernel was told. */
  #given: number;
  /** How many bytes it is told of at once; what is below a portion, when there is nothing to read. */
  readonly #portion: number;
  /** How far the producers were when last asked. */
  #end: number;
  /** Bytes that the record stood on takes in the ring; 0 for none. */
  #held = 0;
  #closed = false;

  /** @internal */
  constructor(name: string, { consumer, producer, data, littleEndian }: RingMemory) {
    super();
    this.#name = name;
    this.#consumer = new SharedPosition(consumer, 0, littleEndian);
    this.#producer = new SharedPosition(producer, 0, littleEndian);
    this.#headers = new Int32Array(data);
    this.#mask = data.byteLength / 2 - 1;
    this.#position = this.#consumer.load();
    this.#given = this.#position;
    this.#end = this.#position;
    this.#portion = data.byteLength / 32;
    this.memory = new Memory(new Uint8Array(data), littleEndian);
  }

  next(): boolean {
    this.#pass();
    const header = this.#seek();
    if (header === BUSY) {
      return false;
    }
    this.start = (this.#position & this.#mask) + HEADER_BYTES;
    this.size = header;
    this.#held = takes(header);
    return true;
  }

  release(): void {
    if (!this.#closed) {
      this.#pass();
      this.#give();
    }
  }

  ready(): boolean {
    if (this.#held === 0) {
      return this.#seek() !== BUSY;
    }
    // Behind the record stood on, so nothing may be given back yet, discarded or not.
    const end = this.#producer.load();
    let position = this.#unread((this.#position + this.#held) | 0);
    while (((end - position) | 0) > 0) {
      const header = this.#header(position);
      if (header < 0) return false;
      if ((header & DISCARDED) === 0) return true;
      position = (position + takes(header & LENGTH)) | 0;
    }
    return false;
  }

  /** Bytes that are not given back yet, headers included. */
  available(): number {
    this.#checkOpen();
    return Math.max((this.#producer.load() - this.#unread(this.#position)) | 0, 0);
  }

  /**
   * Gives back what it has passed, the record stood on included. From here on it finds nothing, and its
   * memory may be unmapped.
   *
   * @internal
   */
  close(): void {
    this.release();
    this.#closed = true;
    this.#end = this.#position;
    this.forget();
  }

  /** Passes what was discarded; the length of the record there, or {@link BUSY} if none is ready. */
  #seek(): number {
    for (;;) {
      // Not only if they are equal: where others moved the position to, no record need begin.
      if (((this.#end - this.#position) | 0) <= 0 && !this.#look()) {
        return BUSY;
      }
      const header = this.#header(this.#position);
      // Asked after the header was read, so that it was a header then.
      if (this.#consumer.loadBehind() !== this.#given) {
        this.#follow();
        continue;
      }
      if (header < 0) {
        // The program that finishes this record wakes a reader only if that is where it is.
        this.#give();
        return BUSY;
      }
      if ((header & DISCARDED) === 0) {
        return header;
      }
      this.discarded += 1;
      this.#advance(takes(header & LENGTH));
    }
  }

  /** Asks how far the producers are; whether that is further than here. */
  #look(): boolean {
    this.#checkOpen();
    // In this order: a program that finishes a record wakes the reader only if that is where it is.
    this.#give();
    if (this.#consumer.load() !== this.#given) {
      this.#follow();
    }
    const end = this.#producer.load();
    if (((end - this.#position) | 0) <= 0) {
      return false;
    }
    this.#end = end;
    return true;
  }

  #checkOpen(): void {
    if (this.#closed) {
      throw new SkepError('ERR_SKEP_CLOSED', `map "${this.#name}" is closed`);
    }
  }

  /** A position, or how far another reader is, if that is further. */
  #unread(position: number): number {
    const consumed = this.#consumer.load();
    return ((consumed - position) | 0) > 0 ? consumed : position;
  }

  /** Another reader has moved the consumer's position: goes there, unless it is further already. */
  #follow(): void {
    this.#given = this.#consumer.load();
    const position = this.#unread(this.#position);
    if (position !== this.#position) {
      this.#position = position;
      this.#end = position;
    }
  }

  /** The header at a position: its bits and all before it are there once it is not busy. */
  #header(position: number): number {
    return Atomics.load(this.#headers, (position & this.#mask) >>> 2);
  }

  /** Leaves the record stood on. */
  #pass(): void {
    if (this.#held !== 0) {
      this.#advance(this.#held);
      this.#held = 0;
      this.size = 0;
    }
  }

  #advance(bytes: number): void {
    this.#position = (this.#position + bytes) | 0;
    if (((this.#position - this.#given) | 0) >= this.#portion) {
      this.#give();
    }
  }

  /** Gives room back to the kernel. Afterwards it is where the kernel thinks it is, perhaps further on. */
  #give(): void {
    while (this.#given !== this.#position) {
      if (this.#consumer.move(this.#position, this.#given)) {
        this.#given = this.#position;
      } else {
        this.#follow();
      }
    }
  }
}

/** Bytes that a record of this length takes, with its header. */
function takes(length: number): number {
  return (length + HEADER_BYTES + 7) & ~7;
}
