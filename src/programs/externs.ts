/**
 * Finds in the kernel what an object declares in `.ksyms`: addresses, variables, functions (kfuncs).
 *
 * Rules: libbpf's `bpf_object__read_kallsyms_file`, `bpf_object__resolve_ksym_var_btf_id` and
 * `bpf_object__resolve_ksym_func_btf_id`. Unlike there, only what a program refers to that is loaded has
 * to be found, and an address that the kernel hides is not taken for the address 0.
 */

import { nearest } from '../bytes/nearest.ts';
import { SkepError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { Btf } from '../obj/btf/btf.ts';
import { resolveType, skipModifiers } from '../obj/btf/layout.ts';
import { spellType } from '../obj/btf/spell.ts';
import { areTypesCompatible } from '../obj/core/compatible.ts';
import type { ObjectFile } from '../obj/object.ts';
import { type Extern, readExterns } from '../obj/relocations-externs.ts';
import type { FoundType, KernelTypes, ModuleTypes } from './kernel-types.ts';

/** Where an extern is in the kernel. */
export type ResolvedExtern =
  | { readonly kind: 'address'; readonly address: bigint }
  | {
      /** A typed variable: id of the `var`, and the descriptor of its module's BTF, 0 for the kernel. */
      readonly kind: 'variable';
      readonly typeId: number;
      readonly fd: number;
    }
  | {
      /** A function: id of the `func`, and the module that has it, null for the kernel. */
      readonly kind: 'kfunc';
      readonly typeId: number;
      readonly module: ModuleTypes | null;
    };

/** The start of the kernel's code, which is at 0 for those alone who may not know. */
const KERNEL_START = '_stext';
const REMEDY = 'declare it __weak if the program can do without';

/** The externs of one object in one kernel. Nothing is looked at before it is asked for. */
export class ExternResolver {
  readonly #object: ObjectFile;
  readonly #kernel: Kernel;
  readonly #types: KernelTypes;
  readonly #resolved = new Map<string, ResolvedExtern | null>();
  #addresses: ReadonlyMap<string, bigint> | undefined;

  constructor(object: ObjectFile, kernel: Kernel, types: KernelTypes) {
    this.#object = object;
    this.#kernel = kernel;
    this.#types = types;
  }

  /**
   * Finds an extern of `.ksyms`; null if it is weak and the kernel does not have it.
   *
   * @throws SkepError `ERR_SKEP_LOAD` if it is not there, or has another type
   * @throws TypeError for an option of `.kconfig`
   */
  resolve(extern: Extern): ResolvedExtern | null {
    let resolved = this.#resolved.get(extern.name);
    if (resolved === undefined) {
      resolved = this.#find(extern);
      this.#resolved.set(extern.name, resolved);
    }
    return resolved;
  }

  /**
   * Finds several, so that one error names all that are not there.
   *
   * @throws SkepError `ERR_SKEP_LOAD`
   */
  resolveAll(externs: Iterable<Extern>): void {
    const errors = new Map<string, SkepError>();
    for (const extern of externs) {
      try {
        this.resolve(extern);
      } catch (error) {
        if (!(error instanceof SkepError) || error.code !== 'ERR_SKEP_LOAD') throw error;
        errors.set(extern.name, error);
      }
    }
    const [first] = errors.values();
    if (first !== undefined) {
      const all = Array.from(errors.values(), ({ message }) => message).join('\n');
      throw errors.size === 1 ? first : new SkepError('ERR_SKEP_LOAD', all, { cause: first });
    }
  }

  #find(extern: Extern): ResolvedExtern | null {
    switch (extern.kind) {
      case 'address':
        return this.#findAddress(extern);
      case 'variable':
        return this.#findVariable(extern);
      case 'kfunc':
        return this.#findFunction(extern);
      default:
        throw new TypeError(`"${extern.name}" is an option of .kconfig, not a symbol`);
    }
  }

  /** By its whole name: addresses have no flavours. */
  #findAddress(extern: Extern): ResolvedExtern | null {
    this.#addresses ??= this.#readAddresses();
    const address = this.#addresses.get(extern.name);
    const isHidden = address === 0n && this.#addresses.get(KERNEL_START) === 0n;
    if (address !== undefined && !isHidden) {
      return { kind: 'address', address };
    }
    if (extern.isWeak) {
      return null;
    }
    throw isHidden
      ? fail(
          extern,
          'is in the kernel, which hides addresses from this process (it needs CAP_SYSLOG, and kernel.kptr_restrict below 2)',
        )
      : fail(extern, `is not among the kernel's symbols (/proc/kallsyms); ${REMEDY}`);
  }

  /** The addresses of all symbols that the object asks for: the kernel's list is walked once. */
  #readAddresses(): ReadonlyMap<string, bigint> {
    const names = new Set([KERNEL_START]);
    for (const { kind, name } of readExterns(this.#object.elf.symbols, this.#object.btf).values()) {
      if (kind === 'address') {
        names.add(name);
      }
    }
    return this.#kernel.symbolAddresses(names);
  }

  /** Like a function, but weak or not, one of another type is an error: libbpf's rule. */
  #findVariable(extern: Extern): ResolvedExtern | null {
    const found = this.#types.find('var', extern.name);
    if (found === undefined) {
      return this.#absent(extern, 'variable with a type', undefined);
    }
    const { typeId, btf, module } = found;
    const variable = btf.type(typeId);
    if (variable.kind !== 'var' || !this.#isLike(extern, btf, variable.typeId)) {
      throw this.#otherType(extern, found);
    }
    return { kind: 'variable', typeId, fd: module?.fd ?? 0 };
  }

  #findFunction(extern: Extern): ResolvedExtern | null {
    const name = extern.essentialName;
    const found = this.#types.find('func', name);
    if (found === undefined) {
      return this.#absent(extern, 'function', () => nearest(name, this.#kfuncs()));
    }
    const { typeId, btf, module } = found;
    if (!this.#isLike(extern, btf, btf.sizeOrType(typeId))) {
      // Flavours declare a function as several kernels have it; all but one are of another type.
      if (extern.isWeak) return null;
      throw this.#otherType(extern, found);
    }
    return { kind: 'kfunc', typeId, module };
  }

  /** Whether a type is what the extern declares, roughly: kinds count, names and sizes do not. */
  #isLike(extern: Extern, btf: Btf, typeId: number): boolean {
    // With externs there is BTF: readExterns has said so otherwise.
    const local = { btf: this.#object.btf!, id: extern.typeId };
    return areTypesCompatible(local, { btf, id: skipModifiers(btf, typeId) });
  }

  /** null for a weak extern, for which nobody is asked why; else the error. */
  #absent(extern: Extern, what: string, suggest: (() => string | undefined) | undefined): null {
    if (extern.isWeak) {
      return null;
    }
    if (this.#types.kernelBtf === undefined) {
      throw fail(
        extern,
        `is to be found by its type, but the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)`,
      );
    }
    const modules = this.#types.areModulesHidden
      ? 'the kernel (its modules cannot be looked at without CAP_SYS_ADMIN)'
      : 'the kernel or of a module that is loaded';
    const near = suggest?.();
    const hint = near === undefined ? REMEDY : `did you mean "${near}"?`;
    throw fail(extern, `is no ${what} of ${modules}; ${hint}`);
  }

  /** Both types as C: what a reader compares. */
  #otherType(extern: Extern, { typeId, btf, module }: FoundType): SkepError {
    const theirs = spellType(btf, btf.sizeOrType(typeId), extern.essentialName);
    const ours = spellType(this.#object.btf!, extern.typeId, extern.name);
    const owner = module === null ? 'the kernel' : `module ${module.name}`;
    // The comparison is libbpf's: a declaration of a struct is another kind of type than the struct.
    const hint = '; structs must be defined, as in vmlinux.h, not only declared';
    return fail(
      extern,
      `is declared \`${ours}\`, but ${owner} has \`${theirs}\`${hasForward(this.#object.btf!, extern.typeId) ? hint : ''}`,
    );
  }

  /** Names of the functions that the kernel marks for programs (pahole of 2024, Linux 6.10). */
  *#kfuncs(): Generator<string, void, undefined> {
    const btf = this.#types.kernelBtf;
    for (const id of btf?.idsOfKind('decl_tag') ?? []) {
      if (btf!.nameOf(id) === 'bpf_kfunc') {
        yield btf!.nameOf(btf!.sizeOrType(id));
      }
    }
  }
}

function fail({ name }: Extern, problem: string): SkepError {
  return new SkepError('ERR_SKEP_LOAD', `extern "${name}" ${problem}`);
}

/** Whether a prototype is about structs that the object only declares. */
function hasForward(btf: Btf, prototypeId: number): boolean {
  const prototype = btf.type(prototypeId);
  if (prototype.kind !== 'func_proto') {
    return false;
  }
  const types = [prototype.returnTypeId, ...prototype.parameters.map(({ typeId }) => typeId)];
  return types.some((typeId) => {
    const type = resolveType(btf, typeId);
    return type.kind === 'ptr' && resolveType(btf, type.typeId).kind === 'fwd';
  });
}
