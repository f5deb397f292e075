/** What every kernel asks of the memory that a caller hands in, so that both ask the same. */

/**
 * Refuses memory that has no room for the bytes to be moved; detached views never have.
 *
 * @param view what the kernel reads or writes
 * @param needed how many bytes of it
 * @param what how errors call it: `the key`
 * @throws TypeError for what is no view of bytes; RangeError if it is shorter than that
 */
export function checkRoom(view: Uint8Array, needed: number, what: string): void {
  checkView(view, what);
  // Not its byteLength, which V8 calls a function for.
  if (view.length < needed) {
    throw tooShort(view.length, needed, what);
  }
}

/** Not only for the types' sake: what merely looks like a view could name any address. */
export function checkView(view: Uint8Array, what: string): void {
  if (!(view instanceof Uint8Array)) {
    throw new TypeError(`${what} is no Uint8Array`);
  }
}

/** The error for memory that is too short. */
export function tooShort(length: number, needed: number, what: string): RangeError {
  return new RangeError(`${what} has ${length} bytes, the kernel moves ${needed}`);
}
