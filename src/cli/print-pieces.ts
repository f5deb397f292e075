/** Prints what may be too long for the memory: text in pieces, each made when the ones before are out. */

import { print } from './terminal.ts';

/** Output is handed over in portions of this many characters. */
const PORTION = 1 << 16;

/** Prints text as it comes, in portions. It ends early, with the process, if nobody reads it. */
export async function printPieces(texts: Iterable<string>): Promise<void> {
  let portion = '';
  for (const text of texts) {
    portion += text;
    if (portion.length >= PORTION) {
      print(portion);
      portion = '';
      // A turn of the event loop, in which a closed pipe is noticed.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  if (portion !== '') {
    print(portion);
  }
}
