/**
 * Pointers for bpf(2) and perf_event_open(2). This file is the one place where JavaScript memory
 * becomes an address, and where it is checked that the kernel stays inside it: a view that is shorter
 * than what the kernel reads or writes never gets a pointer, or is not copied.
 */

import { checkRoom, checkView, tooShort } from './check-room.ts';
import type { Native } from './native.ts';

const TWO_32 = 0x1_0000_0000;
const ATTRIBUTE_BYTES = 256;
/** Buffers above this are not kept alive for the sake of their address. */
const KEPT_BYTES = 1 << 16;

/** Keys and values up to here are copied to memory whose address is known. */
export const STAGED_BYTES = 64;
/** Words of an entry's call: command and size, then the attributes. */
const ENTRY_FD = 2;
const ENTRY_KEY = 4;
const ENTRY_VALUE = 6;
const ENTRY_FLAGS = 8;
const STAGED_KEY = 64;
const STAGED_VALUE = STAGED_KEY + STAGED_BYTES;
const STAGE_BYTES = STAGED_VALUE + STAGED_BYTES;

/**
 * Where the memory of a view is, is not asked of the view: a class that extends `Uint8Array`, or a proxy,
 * may answer what it likes. These throw a `TypeError` for what is none.
 */
const bufferOf = getterOf<ArrayBufferLike>('buffer');
const offsetOf = getterOf<number>('byteOffset');
const lengthOf = getterOf<number>('byteLength');

function getterOf<T>(name: 'buffer' | 'byteOffset' | 'byteLength'): (view: Uint8Array) => T {
  const prototype = Object.getPrototypeOf(Uint8Array.prototype);
  const getter = Object.getOwnPropertyDescriptor(prototype, name)!.get!;
  return (view) => getter.call(view);
}

/**
 * A `union bpf_attr`, or a `struct perf_event_attr`, and the means to point it at other memory. The
 * views it points to must be reachable until the call returns; a synchronous caller that holds them
 * sees to that by itself.
 */
export class AttributeBlock {
  readonly #native: Native;
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #address: number;
  readonly #littleEndian: boolean;
  #lastBuffer: ArrayBuffer | undefined;
  #lastAddress = 0;

  constructor(native: Native, littleEndian: boolean) {
    const buffer = new ArrayBuffer(ATTRIBUTE_BYTES);
    this.#native = native;
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
    this.#address = native.address(buffer);
    this.#littleEndian = littleEndian;
  }

  /** Zeroes the first `size` bytes; what is not set afterwards is sent as zero. */
  clear(size: number): void {
    this.#bytes.fill(0, 0, size);
  }

  setU32(offset: number, value: number): void {
    this.#view.setUint32(offset, value, this.#littleEndian);
  }

  setU64(offset: number, value: bigint): void {
    this.#view.setBigUint64(offset, value, this.#littleEndian);
  }

  u32(offset: number): number {
    return this.#view.getUint32(offset, this.#littleEndian);
  }

  /** Sets 64 bits of flags, of which the upper half has no use yet. */
  setFlags(offset: number, flags: number): void {
    this.setU32(this.#littleEndian ? offset : offset + 4, flags);
  }

  setBytes(offset: number, bytes: Uint8Array): void {
    this.#bytes.set(bytes, offset);
  }

  /**
   * Sets the pointer at `offset` to the first byte of `view`, which the kernel will read or write
   * `needed` bytes of; to null if there is no view.
   *
   * @throws RangeError if the view is shorter than that, which a detached one always is; TypeError for
   *   what is no view of bytes, or one of memory that threads share
   */
  setPointer(offset: number, view: Uint8Array | null, needed: number, what: string): void {
    // Where nothing is moved there is nothing to point at; the view may have lost its memory.
    if (view === null || needed === 0) {
      this.#setAddress(offset, 0);
      return;
    }
    checkView(view, what);
    const length = lengthOf(view);
    // So that no number at all is too much as well.
    if (!(needed <= length)) {
      throw tooShort(length, needed, what);
    }
    const buffer = bufferOf(view);
    if (!(buffer instanceof ArrayBuffer)) {
      throw new TypeError(`${what} lies in shared memory; the kernel needs memory of one thread`);
    }
    this.#setAddress(offset, this.#addressOf(buffer) + offsetOf(view));
  }

  /**
   * Sets the pointer at `offset` to all of `view`, and the 32 bits at `size` to how long that is, in
   * units of `unitBytes`; both to 0 if there is no view.
   *
   * @throws TypeError as {@link AttributeBlock.setPointer} does
   */
  setMemory(
    offset: number,
    size: number,
    view: Uint8Array | null,
    what: string,
    unitBytes = 1,
  ): void {
    if (view !== null) {
      checkView(view, what);
    }
    const length = view === null ? 0 : lengthOf(view);
    this.setPointer(offset, view, length, what);
    this.setU32(size, length / unitBytes);
  }

  /**
   * Writes a pointer to all of `view` into other memory, for structs that the kernel takes pointers
   * from behind the attributes.
   */
  writePointer(memory: Uint8Array, offset: number, view: Uint8Array<ArrayBuffer>): void {
    const address = this.#addressOf(view.buffer) + offsetOf(view);
    const target = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
    target.setBigUint64(offset, BigInt(address), this.#littleEndian);
  }

  /** Calls bpf(2) with the first `size` bytes; the result, or `-errno`. */
  call(command: number, size: number): number {
    return this.#native.bpf(command, this.#address, size);
  }

  /**
   * Calls perf_event_open(2), which reads as many bytes as the struct says that it has: no more than the
   * block. A descriptor, or `-errno`.
   */
  openPerfEvent(process: number, cpu: number, group: number, flags: number): number {
    return this.#native.perfEventOpen(this.#address, process, cpu, group, flags);
  }

  /**
   * The address of a buffer, kept for small ones: a handle has its keys and values in one buffer of
   * its own. A buffer that was detached since never gets here, as its views have length 0.
   */
  #addressOf(buffer: ArrayBuffer): number {
    if (buffer === this.#lastBuffer) {
      return this.#lastAddress;
    }
    const address = this.#native.address(buffer);
    if (buffer.byteLength <= KEPT_BYTES) {
      this.#lastBuffer = buffer;
      this.#lastAddress = address;
    }
    return address;
  }

  #setAddress(offset: number, address: number): void {
    const low = address % TWO_32;
    const high = (address - low) / TWO_32;
    this.setU32(this.#littleEndian ? offset : offset + 4, low);
    this.setU32(this.#littleEndian ? offset + 4 : offset, high);
  }
}

/**
 * The attributes of commands on one entry (`BPF_MAP_*_ELEM`, `BPF_MAP_GET_NEXT_KEY`), with room for a
 * small key and a small value behind them. Nothing but the descriptor changes from call to call, and
 * no address has to be found out: V8 keeps small arrays where they have none, until they are asked
 * for their buffer, which costs more than the rest of the call.
 */
export class EntryBlock {
  readonly #call: () => number;
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #address: number;
  /** Which word has the lower half of a 64-bit field, and which the upper. */
  readonly #low: number;
  readonly #high: number;
  #hasKey = false;

  constructor(native: Native, littleEndian: boolean) {
    const buffer = new ArrayBuffer(STAGE_BYTES);
    this.#bytes = new Uint8Array(buffer);
    this.#words = new Uint32Array(buffer);
    this.#address = native.address(buffer);
    this.#call = native.prepare(buffer);
    this.#low = littleEndian ? 0 : 1;
    this.#high = 1 - this.#low;
    this.#setAddress(ENTRY_VALUE, this.#address + STAGED_VALUE);
  }

  /** The key for the next call; null for a null pointer. At most {@link STAGED_BYTES} are needed. */
  setKey(key: Uint8Array | null, needed: number): void {
    const hasKey = key !== null && needed > 0;
    if (hasKey !== this.#hasKey) {
      this.#hasKey = hasKey;
      this.#setAddress(ENTRY_KEY, hasKey ? this.#address + STAGED_KEY : 0);
    }
    if (hasKey) {
      this.#copyIn(key, STAGED_KEY, needed, 'the key');
    }
  }

  /** The value for the next call. At most {@link STAGED_BYTES} are needed. */
  setValue(value: Uint8Array, needed: number): void {
    this.#copyIn(value, STAGED_VALUE, needed, 'the value');
  }

  /** What the kernel wrote as value, or as next key. */
  getValue(value: Uint8Array, needed: number): void {
    copyBytes(this.#bytes, STAGED_VALUE, value, 0, needed);
  }

  /** Calls bpf(2) for the map at `fd` with the first `size` bytes; the result, or `-errno`. */
  call(command: number, fd: number, flags: number, size: number): number {
    const words = this.#words;
    words[0] = command;
    words[1] = size;
    words[ENTRY_FD] = fd;
    words[ENTRY_FLAGS + this.#low] = flags;
    return this.#call();
  }

  #copyIn(view: Uint8Array, at: number, needed: number, what: string): void {
    checkRoom(view, needed, what);
    copyBytes(view, 0, this.#bytes, at, needed);
  }

  #setAddress(word: number, address: number): void {
    this.#words[word + this.#low] = address % TWO_32;
    this.#words[word + this.#high] = Math.floor(address / TWO_32);
  }
}

/**
 * Copies a few bytes. Four at a time: after a system call each branch costs more than the four; and
 * `set()` or a view of larger elements cost more than all of them.
 */
function copyBytes(
  from: Uint8Array,
  start: number,
  to: Uint8Array,
  at: number,
  count: number,
): void {
  let index = 0;
  for (; index + 3 < count; index += 4) {
    to[at + index] = from[start + index]!;
    to[at + index + 1] = from[start + index + 1]!;
    to[at + index + 2] = from[start + index + 2]!;
    to[at + index + 3] = from[start + index + 3]!;
  }
  for (; index < count; index += 1) {
    to[at + index] = from[start + index]!;
  }
}
