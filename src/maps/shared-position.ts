/**
 * A 64-bit position in memory shared with the kernel, which only grows.
 *
 * Its lower half is enough to compute with: as a signed number, differences are right modulo 2^32,
 * which no buffer reaches, and V8 keeps such numbers without allocating.
 */

const BITS_32 = 32n;

/** A position, loaded and moved as the kernel does: what was written before it is there. */
export class SharedPosition {
  readonly #halves: Int32Array;
  /** The same memory, for the one move in 4 GiB that changes its upper half. */
  readonly #whole: BigUint64Array;
  /** Which half is the lower one. */
  readonly #low: number;

  /** @param offset in bytes, a multiple of 8 */
  constructor(memory: ArrayBuffer, offset: number, littleEndian: boolean) {
    this.#halves = new Int32Array(memory, offset, 2);
    this.#whole = new BigUint64Array(memory, offset, 1);
    this.#low = littleEndian ? 0 : 1;
  }

  /** The lower half. */
  load(): number {
    return Atomics.load(this.#halves, this.#low);
  }

  /**
   * The lower half, as an ordinary load: 0.6 ns, where V8 calls a function of 8 to 20 ns for an atomic
   * one. Only right behind an atomic load, which keeps it from being asked before that.
   */
  loadBehind(): number {
    return this.#halves[this.#low] ?? 0;
  }

  /**
   * Moves it on, unless somebody else who has the memory mapped did so before. The kernel must never
   * see half of a new position, nor one that goes backwards.
   *
   * @param previous its lower half so far
   * @returns false if that is not where it is; nothing is changed then
   */
  move(next: number, previous: number): boolean {
    if (next < 0 || previous >= 0) {
      return Atomics.compareExchange(this.#halves, this.#low, previous, next) === previous;
    }
    const whole = Atomics.load(this.#whole, 0);
    if (Number(BigInt.asIntN(32, whole)) !== previous) {
      return false;
    }
    const upper = (whole >> BITS_32) + 1n;
    return (
      Atomics.compareExchange(this.#whole, 0, whole, (upper << BITS_32) | BigInt(next)) === whole
    );
  }
}
