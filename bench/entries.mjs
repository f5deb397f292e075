/** What maps hold in the benchmarks, the same for every subject; `peers/libbpf/entries.h` in C. */

/** Entries in a map; their keys are the numbers below. */
export const ENTRIES = 100_000;
/** Length of the list of keys that are looked up, one after the other and over again. */
export const KEYS = 65_536;

/** Keys in an order without a pattern that a processor could learn. */
export function randomKeys() {
  const keys = new Uint32Array(KEYS);
  let state = 1;
  for (let index = 0; index < KEYS; index += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    keys[index] = (state >>> 8) % ENTRIES;
  }
  return keys;
}

/**
 * The value of a key.
 * @param {number} key
 */
export function valueFor(key) {
  return key * 3 + 7;
}
