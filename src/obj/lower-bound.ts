/** Looking up by offset. */

/** The position of the first whose offset is not below this one, in a list by offset. */
export function lowerBound(list: readonly { readonly offset: number }[], offset: number): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle]!.offset < offset) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
