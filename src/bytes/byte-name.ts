/** Bytes as a string, for what has to be found again by them: keys of maps. */

/** V8 takes so many arguments in one call anywhere; a key may have megabytes. */
const CALL_ARGUMENTS = 8192;

/** A string with one character for each byte. */
export function nameOfBytes(bytes: Uint8Array): string {
  if (bytes.length <= CALL_ARGUMENTS) {
    return String.fromCharCode(...bytes);
  }
  let name = '';
  for (let at = 0; at < bytes.length; at += CALL_ARGUMENTS) {
    name += String.fromCharCode(...bytes.subarray(at, at + CALL_ARGUMENTS));
  }
  return name;
}
