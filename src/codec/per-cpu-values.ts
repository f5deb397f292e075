/** The values that one entry of a per-CPU map has: one for each CPU that could ever be present. */

import { describeValue } from './codec.ts';

/** What {@link PerCpuValues.sum} gives without a selector: nothing for values that are no numbers. */
export type Sum<V> = unknown extends V
  ? number | bigint
  : V extends bigint
    ? bigint
    : V extends number
      ? number
      : never;

/**
 * An object with values at its indices.
 *
 * Every read of an entry makes one, and was most of what skep adds to the system call. V8 asks its
 * runtime for room when an object that is no array gets its first index (110 ns, and twice that right
 * behind a system call), and again as the object grows. So the last index comes first.
 */
class Indexed<V> {
  [cpu: number]: V;

  constructor(values: ArrayLike<V>, length: number) {
    const object = writtenDown<V>(new.target.prototype, values, length);
    if (object !== null) {
      // biome-ignore lint/correctness/noConstructorReturn: an object that V8 makes in half the time
      return object;
    }
    for (let cpu = length - 1; cpu >= 0; cpu -= 1) {
      this[cpu] = values[cpu]!;
    }
  }
}

/**
 * An object that has its indices in the source has room for them from the start; what is left is to set
 * its prototype (50 ns). This counts where there are few values, and decoding them takes no longer.
 */
function writtenDown<V>(
  prototype: object,
  values: ArrayLike<V>,
  length: number,
): Indexed<V> | null {
  switch (length) {
    case 1:
      return { __proto__: prototype, 0: values[0] } as Indexed<V>;
    case 2:
      return { __proto__: prototype, 0: values[0], 1: values[1] } as Indexed<V>;
    case 4: {
      const [a, b, c, d] = [values[0], values[1], values[2], values[3]];
      return { __proto__: prototype, 0: a, 1: b, 2: c, 3: d } as Indexed<V>;
    }
    default:
      return null;
  }
}

/**
 * One value per possible CPU, in the order of the CPUs' numbers; CPUs that are offline count. A copy:
 * to change the map, set the key again.
 *
 * @example
 * const hits = map.get('requests');
 * console.log(hits?.sum(), hits?.[0], Math.max(...hits.map(Number)));
 */
export class PerCpuValues<V> extends Indexed<V> implements Iterable<V> {
  /** The value of a CPU, by its number from 0. */
  readonly [cpu: number]: V;
  readonly #length: number;

  /** @throws RangeError for no values: every machine has a CPU */
  constructor(values: ArrayLike<V>) {
    const { length } = values;
    if (length === 0) {
      throw new RangeError('values per CPU need one for each CPU; there is none');
    }
    super(values, length);
    this.#length = length;
  }

  /** Number of possible CPUs. */
  get length(): number {
    return this.#length;
  }

  /** The value of a CPU; undefined for a number that no CPU has. */
  get(cpu: number): V | undefined {
    return cpu >= 0 && cpu < this.length ? this[cpu] : undefined;
  }

  /** What a function makes of each CPU's value. */
  map<R>(callback: (value: V, cpu: number) => R): PerCpuValues<R> {
    return new PerCpuValues(Array.from(this, callback));
  }

  /** One value out of all, as by `Array.prototype.reduce`. */
  reduce(callback: (total: V, value: V, cpu: number) => V): V;
  reduce<R>(callback: (total: R, value: V, cpu: number) => R, initial: R): R;
  reduce(
    callback: (total: never, value: V, cpu: number) => unknown,
    ...initial: [] | [unknown]
  ): unknown {
    let total: unknown = initial.length === 0 ? this[0] : initial[0];
    for (let cpu = initial.length === 0 ? 1 : 0; cpu < this.length; cpu += 1) {
      total = callback(total as never, this[cpu]!, cpu);
    }
    return total;
  }

  /**
   * The sum of all CPUs' values, or of what a function picks from each:
   * `sum((value) => value.packets)`. Bigints are summed without a limit; numbers as numbers.
   *
   * @throws TypeError if there is anything but numbers, or anything but bigints, to sum
   */
  sum(): Sum<V>;
  sum(select: (value: V, cpu: number) => bigint): bigint;
  sum(select: (value: V, cpu: number) => number): number;
  sum(select?: (value: V, cpu: number) => unknown): unknown {
    let total: number | bigint | undefined;
    for (let cpu = 0; cpu < this.length; cpu += 1) {
      const value: unknown = select === undefined ? this[cpu] : select(this[cpu]!, cpu);
      total = add(total, value);
    }
    return total;
  }

  /** The values as an array. */
  toArray(): V[] {
    return Array.from(this);
  }

  /** The values, in the order of the CPUs. */
  *[Symbol.iterator](): Generator<V, void, undefined> {
    for (let cpu = 0; cpu < this.length; cpu += 1) {
      yield this[cpu]!;
    }
  }

  /** As an array, for JSON. */
  toJSON(): V[] {
    return this.toArray();
  }

  [Symbol.for('nodejs.util.inspect.custom')](): V[] {
    return this.toArray();
  }
}

function add(total: number | bigint | undefined, value: unknown): number | bigint {
  if (typeof value !== 'number' && typeof value !== 'bigint') {
    throw new TypeError(
      `${describeValue(value)} is nothing to sum; pick a number, as in sum((value) => value.packets), or use reduce()`,
    );
  }
  if (total === undefined) {
    return value;
  }
  if (typeof total !== typeof value) {
    throw new TypeError(
      `${describeValue(total)} and ${describeValue(value)} have no sum: one is a number, the other a bigint`,
    );
  }
  return (total as number) + (value as number);
}
