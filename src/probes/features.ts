/** What a kernel can do, asked once. */

import type { Kernel } from '../kernel/kernel.ts';
import { Btf } from '../obj/btf/btf.ts';
import type { Answer } from './answer.ts';
import { type FeatureName, LOADER_FEATURES, probeFeature } from './loader-features.ts';
import { probeMapType } from './map-types.ts';
import { probeHelper, probeProgramType } from './program-types.ts';

/** A feature by name, for tables. */
export interface FeatureDescription {
  readonly name: FeatureName;
  /** In words. */
  readonly title: string;
  /** The first version of Linux that has it. */
  readonly since: string;
}

/** All features that {@link FeatureSet.feature} knows, oldest first. */
export const FEATURES: readonly FeatureDescription[] = Object.entries(LOADER_FEATURES).map(
  ([name, { title, since }]) => ({ name: name as FeatureName, title, since }),
);

/**
 * What one kernel can do. Each question is put to the kernel when it is asked for the first time, by
 * doing it on a small scale; the answer is kept, unless it is that nobody can tell. Nothing stays behind.
 */
export class FeatureSet {
  readonly #kernel: Kernel;
  readonly #answers = new Map<string, Answer>();
  #types: Btf | null | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** @param type `BPF_MAP_TYPE_*` */
  mapType(type: number): Answer {
    return this.#once(`map ${type}`, () => probeMapType(this.#kernel, type));
  }

  /** @param type `BPF_PROG_TYPE_*` */
  programType(type: number): Answer {
    return this.#once(`program ${type}`, () => probeProgramType(this.#kernel, type));
  }

  /**
   * Whether programs of a type may call a helper. For `tracing`, `lsm`, `ext` and `struct_ops` it is known
   * at most that no program may.
   *
   * @param programType `BPF_PROG_TYPE_*`
   * @param helper `BPF_FUNC_*`
   */
  helper(programType: number, helper: number): Answer {
    return this.#once(`helper ${programType} ${helper}`, () =>
      probeHelper(this.#kernel, this.#kernelTypes, programType, helper),
    );
  }

  /** @throws RangeError for a name that is none of {@link FEATURES} */
  feature(name: FeatureName): Answer {
    if (!Object.hasOwn(LOADER_FEATURES, name)) {
      throw new RangeError(`there is no feature "${name}"`);
    }
    return this.#once(`feature ${name}`, () => probeFeature(this.#kernel, this.#kernelTypes, name));
  }

  /** The kernel's own types; undefined if it has none. */
  readonly #kernelTypes = (): Btf | undefined => {
    if (this.#types === undefined) {
      const bytes = this.#kernel.kernelBtf();
      this.#types = bytes === null ? null : Btf.parse(bytes, 'the BTF of the kernel');
    }
    return this.#types ?? undefined;
  };

  #once(key: string, probe: () => Answer): Answer {
    const known = this.#answers.get(key);
    if (known !== undefined) {
      return known;
    }
    const answer = probe();
    if (answer.answer !== 'unknown') {
      this.#answers.set(key, answer);
    }
    return answer;
  }
}

const sets = new WeakMap<Kernel, FeatureSet>();

/**
 * What a kernel can do; the same object each time for one kernel.
 *
 * @example
 * if (features(kernel).feature('batches').answer === 'yes') { ... }
 */
export function features(kernel: Kernel): FeatureSet {
  let set = sets.get(kernel);
  if (set === undefined) {
    set = new FeatureSet(kernel);
    sets.set(kernel, set);
  }
  return set;
}
