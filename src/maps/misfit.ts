/** What does not fit a map's types, told by the name of the map. */

import { ValueError } from '../codec/codec.ts';

/** Which of an entry's two parts; maps without keys have one. */
export type EntryPart = 'key' | 'value';

/** How a message starts that names its map. */
const NAMED = 'map "';

/**
 * An error of encoding a key or a value. A codec knows neither whose value it is nor which of the
 * two; whoever called it does: `map "flows": value.port: expected u16, ...`. The `path` stays that
 * inside the key or the value.
 *
 * @param name the map's name
 * @returns what is to be thrown; errors of others stay as they are, such as those of another map that
 *   a getter of the value has used
 */
export function misfit(error: unknown, name: string, part: EntryPart): unknown {
  if (!(error instanceof ValueError) || error.message.startsWith(NAMED)) {
    return error;
  }
  const named = new ValueError(error.problem, error.path);
  named.message = `${NAMED}${name}": ${error.within(part).message}`;
  // The first line of the stack is the message as it was.
  Error.captureStackTrace(named, misfit);
  return named;
}
