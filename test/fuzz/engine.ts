/**
 * The search: inputs that reach something new are kept, and further ones are made from them. What is
 * reached is counted by code that instrument.mjs puts into every block; without it (in `npm test`)
 * inputs are made from the corpus alone.
 */

import { baseBytes } from './draft.ts';
import { BYTE_EDITS, EDITS, type Edit, TYPE_EDITS } from './edits.ts';
import { judge, type Outcome } from './judge.ts';
import type { Random } from './random.ts';
import type { Part, Recipe } from './recipe.ts';
import { TARGETS } from './targets.ts';

/** Most edits of one file. */
const MOST_EDITS = 10;
/** Inputs of the corpus are made shorter for so long. */
const SHORTENING_MILLISECONDS = 30_000;
/** Inputs with more bytes are not kept: they would make all further ones slow. */
const MOST_KEPT_BYTES = 100_000;

const ELF_NAMES = Object.keys(EDITS).filter((name) => !TYPE_EDITS.includes(name));
const BYTE_NAMES = Object.keys(BYTE_EDITS);

/** A block, and the bit for the order of magnitude of its count. */
type Reached = readonly [block: number, bit: number];

function magnitude(count: number): number {
  return 1 << Math.min(31 - Math.clz32(count), 16);
}

/** What a search has come to. */
export class Search {
  readonly corpus: Recipe[] = [];
  inputs = 0;
  readonly #random: Random;
  readonly #targets: readonly string[];
  /** How often each block was entered by the input that runs; undefined if nobody counts. */
  readonly #counts: Uint32Array | undefined;
  /** By block, a bit for each order of magnitude that its count had. */
  readonly #seen: Uint32Array;

  /** @param targets names of targets; all by default */
  constructor(random: Random, targets: readonly string[] = Object.keys(TARGETS)) {
    this.#random = random;
    this.#targets = targets;
    this.#counts = (globalThis as { skepCounts?: Uint32Array }).skepCounts;
    this.#seen = new Uint32Array(this.#counts?.length ?? 0);
  }

  /** Whether a block was entered by any input. */
  isReached(block: number): boolean {
    return this.#seen[block] !== 0;
  }

  /** Runs an input, and keeps it if it reached something new. */
  run(recipe: Recipe): Outcome {
    this.#counts?.fill(0);
    const outcome = judge(recipe);
    this.inputs += 1;
    const isNew = this.#note();
    if (isNew && outcome.finding === null && outcome.bytes <= MOST_KEPT_BYTES) {
      this.corpus.push(recipe);
    }
    return outcome;
  }

  /** Blocks that the input that ran last entered, all their counts together. */
  get work(): number {
    return this.#counts?.reduce((sum, count) => sum + count, 0) ?? 0;
  }

  /**
   * The smallest inputs found that reach together what all of them reach, each with the edits only that
   * it needs for that, as far as there is time to find out.
   *
   * @param announce is told each input before it runs
   */
  distil(announce: (recipe: Recipe) => void): Recipe[] {
    const size = ({ parts }: Recipe) => parts.reduce((sum, { edits }) => sum + edits.length, 0);
    const kept: Recipe[] = [];
    const end = performance.now() + SHORTENING_MILLISECONDS;
    const reachedBy = (recipe: Recipe) => {
      announce(recipe);
      return this.#reachedBy(recipe);
    };
    this.#seen.fill(0);
    for (const recipe of [...this.corpus].sort((one, other) => size(one) - size(other))) {
      const reached = reachedBy(recipe);
      const isNew = ([block, bit]: Reached) => (this.#seen[block]! & bit) === 0;
      const gains = reached.filter(isNew);
      if (gains.length === 0) {
        continue;
      }
      const least = leaveOut(recipe, (smaller) => {
        if (performance.now() > end) {
          return false;
        }
        const found = new Set(reachedBy(smaller).map(String));
        return gains.every((gain) => found.has(String(gain)));
      });
      for (const [block, bit] of reachedBy(least)) {
        this.#seen[block]! |= bit;
      }
      kept.push(least);
    }
    return kept;
  }

  #reachedBy(recipe: Recipe): Reached[] {
    const reached: Reached[] = [];
    this.#counts?.fill(0);
    judge(recipe);
    this.#counts?.forEach((count, block) => {
      if (count !== 0) {
        reached.push([block, magnitude(count)]);
      }
    });
    return reached;
  }

  /** A new input. */
  next(): Recipe {
    const random = this.#random;
    const target = random.pick(this.#targets);
    const known = this.corpus.filter((recipe) => recipe.target === target);
    if (known.length === 0 || random.once(20)) {
      return this.#change(this.#fresh(target));
    }
    // Those found last lead on more often than the first ones.
    const at = random.once(2)
      ? random.below(known.length)
      : known.length - 1 - random.below(Math.min(known.length, 50));
    return this.#change(known[at]!);
  }

  /** Every base of a target as it is. */
  *bases(target: string): Iterable<Recipe> {
    const { parts } = TARGETS[target]!;
    for (const base of parts[0]!) {
      const others = parts.slice(1).map((bases) => ({ base: this.#random.pick(bases), edits: [] }));
      yield { target, parts: [{ base, edits: [] }, ...others], seed: this.#random.next() };
    }
  }

  #fresh(target: string): Recipe {
    const random = this.#random;
    const parts = TARGETS[target]!.parts.map((bases) => ({ base: random.pick(bases), edits: [] }));
    return { target, parts, seed: random.next() };
  }

  #change(recipe: Recipe): Recipe {
    const random = this.#random;
    const which = random.below(recipe.parts.length);
    const parts = recipe.parts.map((part, index) =>
      index === which ? this.#changePart(recipe.target, part) : part,
    );
    return { ...recipe, parts, seed: random.once(4) ? random.next() : recipe.seed };
  }

  #changePart(target: string, { base, edits }: Part): Part {
    const random = this.#random;
    const changed = [...edits];
    if (changed.length > 1 && random.once(8)) {
      changed.splice(random.below(changed.length), 1);
    }
    if (changed.length > 0 && random.once(4)) {
      const at = random.below(changed.length);
      const [name, ...numbers] = changed[at]!;
      numbers[random.below(3)] = random.next();
      changed[at] = [name, ...numbers];
    }
    for (let more = 1 + random.below(3); more > 0; more -= 1) {
      changed.push(this.#edit(target, base));
    }
    return { base, edits: changed.slice(-MOST_EDITS) };
  }

  #edit(target: string, base: string): Edit {
    const random = this.#random;
    const isStructured = isObject(base) && !random.once(8);
    const wantsTypes = TARGETS[target]!.types === true ? !random.once(8) : random.once(2);
    const names = !isStructured ? BYTE_NAMES : wantsTypes ? TYPE_EDITS : ELF_NAMES;
    return [random.pick(names), random.next(), random.next(), random.next()];
  }

  /** Notes what was reached; whether something of it is new. */
  #note(): boolean {
    const counts = this.#counts;
    let isNew = false;
    for (let block = 0; block < (counts?.length ?? 0); block += 1) {
      const count = counts![block]!;
      if (count !== 0) {
        const bit = magnitude(count);
        if ((this.#seen[block]! & bit) === 0) {
          this.#seen[block]! |= bit;
          isNew = true;
        }
      }
    }
    return isNew;
  }
}

function isObject(base: string): boolean {
  const [first] = baseBytes(base);
  return first === 0x7f || first === 0x9f || first === 0xeb;
}

/** Leaves edits out, one after the other, as long as something holds. */
export function leaveOut(recipe: Recipe, holds: (smaller: Recipe) => boolean): Recipe {
  let least = recipe;
  for (let part = 0; part < recipe.parts.length; part += 1) {
    for (let at = least.parts[part]!.edits.length - 1; at >= 0; at -= 1) {
      const parts = least.parts.map((each, index) =>
        index === part ? { ...each, edits: each.edits.filter((_, edit) => edit !== at) } : each,
      );
      const smaller = { ...least, parts };
      if (holds(smaller)) {
        least = smaller;
      }
    }
  }
  return least;
}
