/** Errors in an object, with the name of its file. */

import { SkepError } from '../errors.ts';

/**
 * Calls what reads an object. Errors about its contents do not say which file they are in; several
 * may have been named in a script, so they are thrown again with the name in front.
 *
 * @throws SkepError with the same code, the original as its cause
 */
export function naming<Result>(file: string, read: () => Result): Result {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof SkepError && !cause.message.startsWith(file)) {
      throw new SkepError(cause.code, `${file}: ${cause.message}`, { cause });
    }
    throw cause;
  }
}
