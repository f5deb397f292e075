/** Suggestions for names that do not exist. */

/**
 * The candidate that a name was most likely meant to be; undefined if none is near. Near is a third
 * of the name's length in characters added, left out, replaced or in each other's place.
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  const limit = Math.max(1, Math.floor(name.length / 3));
  let best: string | undefined;
  let bestDistance = limit + 1;
  for (const candidate of candidates) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Levenshtein's distance, where two neighbours that changed places (`xpd`) count once. */
function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let at = 1; at <= to.length; at += 1) {
      const replaced = last[at - 1]! + (from[row - 1] === to[at - 1] ? 0 : 1);
      current.push(Math.min(replaced, last[at]! + 1, current[at - 1]! + 1));
      if (at > 1 && from[row - 1] === to[at - 2] && from[row - 2] === to[at - 1]) {
        current[at] = Math.min(current[at]!, beforeLast[at - 2]! + 1);
      }
    }
    beforeLast = last;
    last = current;
  }
  return last[to.length]!;
}
