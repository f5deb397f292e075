/** Memory for the index of a BTF table: where each type starts. */

/** Words of the shortest type: name, info, size or type. */
const LEAST_WORDS = 3;
/**
 * Words of a type in what compilers and kernels write, or fewer: large tables take room by that. Room for
 * as many of the shortest types would be twice as much, for which V8 collects garbage.
 */
const USUAL_WORDS = 6;

/**
 * What the indices of small tables are cut from: an array of its own for each would cost as much as
 * filling it. A table keeps the whole of it, 16 KiB, alive.
 */
const SHARED_WORDS = 4096;
let shared = new Uint32Array(SHARED_WORDS);
let sharedUsed = 0;

/** An index while it is filled, by type: its element `first` is the one of the first type. */
export interface Starts {
  array: Uint32Array;
  readonly first: number;
  /** The most types there can be. */
  readonly most: number;
  readonly isShared: boolean;
}

/** Takes memory for the index of a type section of so many words. One index is filled at a time. */
export function takeStarts(words: number): Starts {
  const most = Math.floor(words / LEAST_WORDS) + 1;
  if (most > SHARED_WORDS / 4) {
    const array = new Uint32Array(Math.ceil(words / USUAL_WORDS));
    return { array, first: 0, most, isShared: false };
  }
  if (sharedUsed + most > SHARED_WORDS) {
    shared = new Uint32Array(SHARED_WORDS);
    sharedUsed = 0;
  }
  return { array: shared, first: sharedUsed, most, isShared: true };
}

/** Makes more room in an index that is full. */
export function growStarts(starts: Starts): Uint32Array {
  const more = new Uint32Array(Math.min(starts.array.length * 2, starts.most));
  more.set(starts.array);
  starts.array = more;
  return more;
}

/** The index of `count` types; from now on the memory is theirs. */
export function keepStarts({ array, first, isShared }: Starts, count: number): Uint32Array {
  if (isShared) {
    sharedUsed = first + count;
  } else if (count * 2 < array.length) {
    return array.slice(0, count);
  }
  // What is left unused of a large one costs less than a copy, which takes half of the walk's time.
  return array.subarray(first, first + count);
}
