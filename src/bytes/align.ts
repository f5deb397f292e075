/** Rounding of sizes to alignments. */

/** The smallest multiple of `alignment` that is not below `size`; both in the same unit. */
export function alignUp(size: number, alignment: number): number {
  const rest = size % alignment;
  return rest === 0 ? size : size + alignment - rest;
}
