/** What a kernel can do, asked once. */

import { byLowerCase, namedNumber } from '../bytes/named-number.ts';
import { nearest } from '../bytes/nearest.ts';
import { SkepError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { Btf } from '../obj/btf/btf.ts';
import { BPF_FUNC } from '../uapi/helpers.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { BPF_PROG_TYPE } from '../uapi/program-types.ts';
import { type Answer, unknown } from './answer.ts';
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

const MAP_TYPES = byLowerCase(BPF_MAP_TYPE);
const PROGRAM_TYPES = byLowerCase(BPF_PROG_TYPE);
const HELPERS: ReadonlyMap<string, number> = new Map(Object.entries(BPF_FUNC));
/** How errors call the kernel's types. */
const KERNEL_BTF = '/sys/kernel/btf/vmlinux';
const PROGRAM_TYPE = { where: '', what: 'program type' };

/** What reading the kernel's BTF throws; no probe throws it for another reason. */
const UNREADABLE: ReadonlySet<string> = new Set(['ERR_SKEP_FILE', 'ERR_SKEP_BTF']);

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

  /**
   * Whether the kernel has maps of a type.
   *
   * @param type a name as bpftool prints it (`hash_of_maps`), or `BPF_MAP_TYPE_*`
   * @throws TypeError for a name that no type has
   */
  mapType(type: string | number): Answer {
    const number = namedNumber(type, MAP_TYPES, { where: '', what: 'map type' });
    return this.#once(`map ${number}`, () => probeMapType(this.#kernel, number));
  }

  /**
   * Whether the kernel has programs of a type.
   *
   * @param type a name as bpftool prints it (`sched_cls`), or `BPF_PROG_TYPE_*`
   * @throws TypeError for a name that no type has
   */
  programType(type: string | number): Answer {
    const number = namedNumber(type, PROGRAM_TYPES, PROGRAM_TYPE);
    return this.#once(`program ${number}`, () => probeProgramType(this.#kernel, number));
  }

  /**
   * Whether programs of a type may call a helper. For `tracing`, `lsm`, `ext` and `struct_ops` it is known
   * at most that no program may.
   *
   * @param programType as of {@link FeatureSet.programType}
   * @param helper its name (`redirect_map`, with or without `bpf_`), or `BPF_FUNC_*`
   * @throws TypeError for a name that no type or helper has
   */
  helper(programType: string | number, helper: string | number): Answer {
    const type = namedNumber(programType, PROGRAM_TYPES, PROGRAM_TYPE);
    const name = typeof helper === 'string' ? helper.replace(/^bpf_/, '') : helper;
    const number = namedNumber(name, HELPERS, { where: '', what: 'helper' });
    return this.#once(`helper ${type} ${number}`, () =>
      probeHelper(this.#kernel, this.#kernelTypes, type, number),
    );
  }

  /** @throws RangeError for a name that is none of {@link FEATURES} */
  feature(name: FeatureName): Answer {
    if (!Object.hasOwn(LOADER_FEATURES, name)) {
      const near = nearest(`${name}`, Object.keys(LOADER_FEATURES));
      const hint = near === undefined ? '' : `; did you mean "${near}"?`;
      throw new RangeError(`there is no feature "${name}"${hint}`);
    }
    return this.#once(`feature ${name}`, () => probeFeature(this.#kernel, this.#kernelTypes, name));
  }

  /** The kernel's own types; undefined if it has none. */
  readonly #kernelTypes = (): Btf | undefined => {
    if (this.#types === undefined) {
      const bytes = this.#kernel.kernelBtf();
      this.#types = bytes === null ? null : Btf.parse(bytes, KERNEL_BTF);
    }
    return this.#types ?? undefined;
  };

  #once(key: string, probe: () => Answer): Answer {
    const known = this.#answers.get(key);
    if (known !== undefined) {
      return known;
    }
    const answer = askingTypes(probe);
    if (answer.answer !== 'unknown') {
      this.#answers.set(key, answer);
    }
    return answer;
  }
}

/** The answer of a probe; that nobody can tell, if it would be in types that cannot be read. */
function askingTypes(probe: () => Answer): Answer {
  try {
    return probe();
  } catch (error) {
    if (error instanceof SkepError && UNREADABLE.has(error.code)) {
      return unknown(`the types of the kernel cannot be used: ${error.message}`);
    }
    throw error;
  }
}

const sets = new WeakMap<Kernel, FeatureSet>();

/**
 * What a kernel can do; the same object each time for one kernel.
 *
 * @param kernel the running one by default
 * @throws KernelUnavailableError if there is none
 *
 * @example
 * const canRedirect = features().helper('xdp', 'redirect_map').answer === 'yes';
 */
export function features(kernel: Kernel = linuxKernel()): FeatureSet {
  let set = sets.get(kernel);
  if (set === undefined) {
    set = new FeatureSet(kernel);
    sets.set(kernel, set);
  }
  return set;
}
