/**
 * Memory for one entry on its way to the kernel or back.
 *
 * Encoding runs code of others: getters of the values, codecs written by hand. That code may use the
 * same map, or close it. So a call has its memory for itself from its first key byte until its value
 * is decoded, and asks for the file descriptor only when everything is encoded.
 */

import { type Codec, Memory } from '../codec/codec.ts';

/** Room for a key and a value. */
export class EntryRoom {
  readonly key: Memory;
  readonly value: Memory;
  /** Whether a call uses it now. Whoever has borrowed it clears this, whatever happens. */
  busy = false;

  /** Sizes in bytes. */
  constructor(keyBytes: number, valueBytes: number, littleEndian: boolean) {
    // One buffer for both, whose address the kernel's front remembers; values first, for alignment.
    const buffer = new ArrayBuffer(valueBytes + keyBytes);
    this.value = new Memory(new Uint8Array(buffer, 0, valueBytes), littleEndian);
    this.key = new Memory(new Uint8Array(buffer, valueBytes), littleEndian);
  }

  /** This room, or another one while a call uses this. Allocates nothing unless calls nest. */
  borrow(): EntryRoom {
    const room = this.busy ? this.#another() : this;
    room.busy = true;
    return room;
  }

  /**
   * Encodes a key, for calls in which nobody else's code runs between that and the kernel.
   *
   * @returns the key's bytes, which the next call overwrites
   */
  encodeKey<K>(codec: Codec<unknown, K>, key: K): Uint8Array {
    const room = this.borrow();
    try {
      codec.write(room.key, 0, key);
      return room.key.bytes;
    } finally {
      room.busy = false;
    }
  }

  #another(): EntryRoom {
    const { key, value } = this;
    return new EntryRoom(key.bytes.length, value.bytes.length, key.littleEndian);
  }
}
