/**
 * Memory for the code of many programs. A block of memory of its own for the instructions of each, and
 * two for its tables, cost V8 more to make, and to find unused, than filling them takes.
 */

/** Bytes of the first block, which is enough for one small program; each has twice as many, up to the last. */
const FIRST_BLOCK_BYTES = 1 << 10;
const LARGEST_BLOCK_BYTES = 1 << 14;
/** What is longer gets memory of its own, so that little of a block is left over. */
const MOST_BYTES = LARGEST_BLOCK_BYTES / 4;
/** A multiple of what instructions and tables consist of. */
const ALIGNMENT = 8;

/** Hands out pieces of blocks. A block lives as long as any of its pieces. */
export class CodeRoom {
  #block = new ArrayBuffer(0);
  #used = 0;

  /** Bytes that nobody else has, all zero. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    if (bytes > MOST_BYTES) {
      return new Uint8Array(bytes);
    }
    if (this.#used + bytes > this.#block.byteLength) {
      const twice = Math.max(FIRST_BLOCK_BYTES, this.#block.byteLength * 2, bytes);
      this.#block = new ArrayBuffer(Math.min(twice, LARGEST_BLOCK_BYTES));
      this.#used = 0;
    }
    const piece = new Uint8Array(this.#block, this.#used, bytes);
    this.#used += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    return piece;
  }
}
