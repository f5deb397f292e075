/**
 * Fills `.kconfig`: options of the running kernel that programs read as constants.
 *
 * Rules: libbpf's `bpf_object__resolve_externs` and `bpf_object__process_kconfig_line`. Three kinds of
 * option: `CONFIG_*` from the kernel's configuration, the few `LINUX_*` of kconfig-virtual.ts, and
 * whatever the caller gives, which goes before both. A weak option that is not set is 0.
 */

import { nearest } from '../bytes/nearest.ts';
import { Memory, ValueError } from '../codec/codec.ts';
import { SkepError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { STB } from '../obj/elf.ts';
import type { ObjectFile } from '../obj/object.ts';
import { isExtern } from '../obj/relocations-externs.ts';
import { configured } from './kconfig-file.ts';
import {
  describeOption,
  type Option,
  type OptionValue,
  writeConfigured,
  writeGiven,
  writeKnown,
} from './kconfig-value.ts';
import { VIRTUAL_OPTIONS, virtualOption } from './kconfig-virtual.ts';

/** Where Linux keeps its configuration, for messages. */
const PLACES = '/boot/config-$(uname -r), /proc/config.gz';
const GIVE = 'give their values in the load option kernelConfig';

/**
 * The contents of `.kconfig`, laid out as `object.data` says; none if the object has no options. The
 * kernel is asked for its configuration only if an option needs it that the caller has not given.
 *
 * @param overrides values by the option's name: a boolean, `'y'`, `'m'` or `'n'` for bool and
 *   tristate, a number or bigint for integers, text for arrays of char, without quotes
 * @throws ValueError for an override that the option's type cannot hold, with its path from
 *   `kernelConfig` on
 * @throws TypeError for an override of an option that the object does not have
 * @throws SkepError `ERR_SKEP_LOAD` naming all options that the kernel does not have and that are
 *   not weak, or for one whose value its type cannot hold
 */
export function kconfigContents(
  object: ObjectFile,
  kernel: Kernel,
  overrides: Readonly<Record<string, OptionValue>> = {},
): Uint8Array {
  const section = object.data.get('.kconfig');
  const { btf } = object;
  const variables = btf === undefined ? [] : (section?.variables ?? []);
  const options = new Map(
    variables.map((variable) => [variable.name, describeOption(btf!, variable)]),
  );
  const memory = new Memory(new Uint8Array(section?.size ?? 0), kernel.littleEndian);
  const left = writeOverrides(memory, options, overrides);
  if (left.length > 0) {
    new Filling(memory, kernel, strongExterns(object)).fill(left);
  }
  return memory.bytes;
}

/** Writes what the caller gave; the options that are left. */
function writeOverrides(
  memory: Memory,
  options: ReadonlyMap<string, Option>,
  overrides: Readonly<Record<string, OptionValue>>,
): Option[] {
  for (const [name, value] of Object.entries(overrides)) {
    const option = options.get(name);
    if (option === undefined) {
      throw new TypeError(`load options: kernelConfig: ${describeUnknown(name, options)}`);
    }
    try {
      writeGiven(memory, option, value);
    } catch (error) {
      throw error instanceof ValueError ? error.within('kernelConfig') : error;
    }
  }
  return [...options.values()].filter(({ name }) => !Object.hasOwn(overrides, name));
}

function describeUnknown(name: string, options: ReadonlyMap<string, Option>): string {
  const near = nearest(name, options.keys());
  const hint =
    near !== undefined
      ? `did you mean "${near}"?`
      : options.size === 0
        ? 'it has none'
        : `it has ${[...options.keys()].join(', ')}`;
  return `the object has no kernel option "${name}"; ${hint}`;
}

/**
 * Names of the externs that must exist. One that BTF lists and no symbol refers to is not among them:
 * nothing reads it.
 */
function strongExterns({ elf: { symbols } }: ObjectFile): Set<string> {
  const names = new Set<string>();
  for (let symbol = 1; symbol < symbols.count; symbol += 1) {
    if (symbols.binding(symbol) === STB.GLOBAL && isExtern(symbols, symbol)) {
      names.add(symbols.name(symbol));
    }
  }
  return names;
}

/** Options that the kernel does not have, in words. */
interface Missing {
  readonly text: string;
  /** Whether they would be 0 if they were weak; they are refused all the same if nobody can tell. */
  readonly mayBeWeak: boolean;
}

/** Options on their way from a kernel into `.kconfig`. */
class Filling {
  readonly #memory: Memory;
  readonly #kernel: Kernel;
  readonly #strong: ReadonlySet<string>;
  #text: string | null | undefined;

  constructor(memory: Memory, kernel: Kernel, strong: ReadonlySet<string>) {
    this.#memory = memory;
    this.#kernel = kernel;
    this.#strong = strong;
  }

  fill(options: readonly Option[]): void {
    const isConfiguration = ({ name }: Option) => name.startsWith('CONFIG_');
    const missing = [
      ...this.#fillVirtual(options.filter((option) => !isConfiguration(option))),
      ...this.#fillConfigured(options.filter(isConfiguration)),
    ];
    if (missing.length > 0) {
      const texts = missing.map(({ text }) => text).join('; ');
      const weak = missing.every(({ mayBeWeak }) => mayBeWeak) ? 'declare them __weak, or ' : '';
      throw new SkepError(
        'ERR_SKEP_LOAD',
        `the kernel does not have what .kconfig asks for: ${texts}; ${weak}${GIVE}`,
      );
    }
  }

  /** What is known without a configuration; what is missing. */
  #fillVirtual(options: readonly Option[]): Missing[] {
    const missing: Missing[] = [];
    for (const option of options) {
      const value = virtualOption(this.#kernel, () => this.#configuration(), option.name);
      if (value !== undefined) {
        writeKnown(this.#memory, option, value);
      } else if (!option.name.startsWith('LINUX_') || this.#strong.has(option.name)) {
        // Weak ones may come from a newer loader's list, but only with that prefix: libbpf's rule.
        missing.push({
          text: `${option.name} (known are CONFIG_*, ${VIRTUAL_OPTIONS.join(', ')})`,
          mayBeWeak: option.name.startsWith('LINUX_'),
        });
      }
    }
    return missing;
  }

  /** What stands in the kernel's configuration; what is missing. */
  #fillConfigured(options: readonly Option[]): Missing[] {
    if (options.length === 0) return [];
    const text = this.#configuration();
    if (text === null) {
      // Weak ones as well: that nobody knows does not mean that they are not set.
      const names = options.map(({ name }) => name).join(', ');
      const reason = `the kernel does not tell its configuration; looked at ${this.#places()}`;
      return [{ text: `${names} (${reason})`, mayBeWeak: false }];
    }
    const values = configured(text, new Set(options.map(({ name }) => name)));
    const missing: string[] = [];
    for (const option of options) {
      const value = values.get(option.name);
      if (value !== undefined) {
        writeConfigured(this.#memory, option, value);
      } else if (this.#strong.has(option.name)) {
        missing.push(option.name);
      }
    }
    return missing.length === 0
      ? []
      : [
          {
            text: `${missing.join(', ')} (not set in the kernel's configuration: ${this.#places()})`,
            mayBeWeak: true,
          },
        ];
  }

  /** Where a configuration is looked for; that of a kernel of a test is an option of it. */
  #places(): string {
    return this.#kernel.name === 'linux'
      ? PLACES
      : 'the option configuration of the in-process kernel';
  }

  #configuration(): string | null {
    this.#text = this.#text === undefined ? this.#kernel.configuration() : this.#text;
    return this.#text;
  }
}
