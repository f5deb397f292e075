/** What is read when it is first asked for. */

/**
 * Reads something once, and keeps what came of it, "there is none" and errors too: an object may have
 * thousands of programs that ask.
 */
export class Once<T> {
  readonly #read: () => T;
  #outcome: { readonly value: T } | { readonly error: unknown } | undefined;

  constructor(read: () => T) {
    this.#read = read;
  }

  /** @throws whatever reading it threw */
  get(): T {
    this.#outcome ??= this.#try();
    if ('error' in this.#outcome) {
      throw this.#outcome.error;
    }
    return this.#outcome.value;
  }

  #try(): { readonly value: T } | { readonly error: unknown } {
    try {
      return { value: this.#read() };
    } catch (error) {
      return { error };
    }
  }
}
