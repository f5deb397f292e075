/** What every kernel asks of the memory that a caller hands in. */

/**
 * @param view what the kernel reads or writes
 * @param needed how many bytes of it
 * @param what how errors call it: `the key`
 * @throws TypeError for what is no view of bytes, or lies in shared memory
 * @throws RangeError if it is shorter than that, which a detached one always is
 */
export function checkMemory(
  view: Uint8Array,
  needed: number,
  what: string,
): asserts view is Uint8Array<ArrayBuffer> {
  // Not only for the types' sake: what merely looks like a view could name any address.
  if (!(view instanceof Uint8Array)) {
    throw new TypeError(`${what} is no Uint8Array`);
  }
  if (needed === 0) {
    // Where nothing is moved the view may have lost its memory.
    return;
  }
  if (view.byteLength < needed) {
    throw new RangeError(`${what} has ${view.byteLength} bytes, the kernel moves ${needed}`);
  }
  if (!(view.buffer instanceof ArrayBuffer)) {
    throw new TypeError(`${what} lies in shared memory; the kernel needs memory of one thread`);
  }
}
