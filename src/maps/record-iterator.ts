/**
 * `for await` over records.
 *
 * Not an async generator: records that wait are handed out as promises that are resolved already,
 * without a turn of the event loop in between. So that the loop leaves time for everything else, it
 * pauses for one turn after so many.
 */

/** Records handed out in one turn of the event loop. */
const PER_TURN = 1024;

/** Where records come from. */
export interface Feed<R> {
  /** Called before the first record. @throws TypeError if somebody else iterates */
  begin(): void;
  /** Called after the last. */
  end(): void;
  /** Goes to the next record; false if none is ready. */
  next(): boolean;
  /** The record gone to. */
  value(): R;
  /** Calls `ready` once a record is, or the feed was closed. */
  whenReady(ready: () => void): void;
  /** Takes that back. */
  forget(ready: () => void): void;
}

interface Request<R> {
  readonly promise: Promise<IteratorResult<R, undefined>>;
  readonly resolve: (result: IteratorResult<R, undefined>) => void;
  readonly reject: (reason: unknown) => void;
}

/** Iterates over a feed until it is left, aborted or closed. */
export class RecordIterator<R> implements AsyncIterableIterator<R, undefined> {
  readonly #feed: Feed<R>;
  readonly #signals: readonly AbortSignal[];
  #state: 'new' | 'running' | 'ended' = 'new';
  #left = PER_TURN;
  /** The request that waits for a record or for the next turn. */
  #request: Request<R> | null = null;
  #pause: NodeJS.Immediate | null = null;
  /** Why it was aborted, until the loop is told. */
  #unheard: { readonly reason: unknown } | null = null;

  /** @param signals any of which ends it */
  constructor(feed: Feed<R>, ...signals: readonly (AbortSignal | undefined)[]) {
    this.#feed = feed;
    this.#signals = [...new Set(signals)].filter((signal) => signal !== undefined);
  }

  next(): Promise<IteratorResult<R, undefined>> {
    if (this.#state === 'running' && this.#left > 0 && this.#request === null) {
      this.#left -= 1;
      try {
        if (this.#feed.next()) {
          return Promise.resolve({ done: false, value: this.#feed.value() });
        }
      } catch (error) {
        this.#end();
        return Promise.reject(error);
      }
    }
    return this.#later();
  }

  return(): Promise<IteratorResult<R, undefined>> {
    this.#end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
  }

  #later(): Promise<IteratorResult<R, undefined>> {
    if (this.#request !== null) {
      // Whoever asks several times at once gets records in that order.
      const ask = () => this.next();
      return this.#request.promise.then(ask, ask);
    }
    if (this.#state === 'new') {
      try {
        this.#begin();
      } catch (error) {
        this.#end();
        return Promise.reject(error);
      }
      return this.next();
    }
    if (this.#unheard !== null) {
      const { reason } = this.#unheard;
      this.#unheard = null;
      return Promise.reject(reason);
    }
    if (this.#state === 'ended') {
      return Promise.resolve({ done: true, value: undefined });
    }
    this.#request = newRequest();
    const { promise } = this.#request;
    if (this.#left > 0) {
      this.#wait();
    } else {
      this.#pause = setImmediate(this.#resume);
    }
    return promise;
  }

  #begin(): void {
    for (const signal of this.#signals) {
      signal.throwIfAborted();
    }
    this.#feed.begin();
    this.#state = 'running';
    for (const signal of this.#signals) {
      signal.addEventListener('abort', this.#abort);
    }
  }

  #wait(): void {
    try {
      this.#feed.whenReady(this.#resume);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Answers the request in a turn of its own, or waits on. */
  readonly #resume = (): void => {
    // Of several maps one is ready; the others are not waited for while there are records.
    this.#feed.forget(this.#resume);
    this.#left = PER_TURN - 1;
    this.#pause = null;
    try {
      if (this.#feed.next()) {
        const value = this.#feed.value();
        const request = this.#request;
        this.#request = null;
        request?.resolve({ done: false, value });
        return;
      }
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#wait();
  };

  readonly #abort = (): void => {
    const reason: unknown = this.#signals.find(({ aborted }) => aborted)?.reason;
    if (this.#request === null) {
      // The loop's body is running; it hears of it when it asks for more.
      this.#unheard = { reason };
      this.#end();
      return;
    }
    this.#fail(reason);
  };

  #fail(reason: unknown): void {
    const request = this.#request;
    this.#request = null;
    try {
      this.#end();
    } finally {
      request?.reject(reason);
    }
  }

  #end(): void {
    const wasRunning = this.#state === 'running';
    this.#state = 'ended';
    if (wasRunning) {
      for (const signal of this.#signals) {
        signal.removeEventListener('abort', this.#abort);
      }
      if (this.#pause !== null) clearImmediate(this.#pause);
      this.#feed.forget(this.#resume);
      this.#feed.end();
    }
    this.#request?.resolve({ done: true, value: undefined });
    this.#request = null;
  }
}

function newRequest<R>(): Request<R> {
  let resolve!: Request<R>['resolve'];
  let reject!: Request<R>['reject'];
  const promise = new Promise<IteratorResult<R, undefined>>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
