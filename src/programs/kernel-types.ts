/**
 * The types of the running kernel and of its modules, read when somebody asks, and looked up by name.
 *
 * Rules: libbpf's `load_module_btfs` and `find_ksym_btf_id`: modules are looked at only for what the
 * kernel itself does not have. A module's BTF is split (Documentation/bpf/btf.rst): its ids and strings
 * go on where the kernel's end.
 */

import { SkepError, SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { Btf } from '../obj/btf/btf.ts';
import type { BtfKindName } from '../obj/btf/types.ts';
import type { CoreTarget } from '../obj/core/resolve.ts';

/** How errors call the kernel's BTF, and CO-RE and bpftool the kernel among its modules. */
const KERNEL_BTF = '/sys/kernel/btf/vmlinux';
const KERNEL_NAME = 'vmlinux';

/** The types of a module of the kernel. */
export interface ModuleTypes {
  readonly name: string;
  /** Id of its BTF object. */
  readonly id: number;
  /** Its own types behind the kernel's; read when first asked for. @throws SyscallError */
  readonly btf: Btf;
  /**
   * A descriptor of its BTF, opened when first asked for; it lives as long as the {@link KernelTypes}.
   *
   * @throws SyscallError if the module is gone
   */
  readonly fd: number;
}

/** A type that was found by its name. */
export interface FoundType {
  readonly typeId: number;
  /** The BTF that has it. */
  readonly btf: Btf;
  /** null for the kernel itself. */
  readonly module: ModuleTypes | null;
}

/** Indices of kernels' BTF. The kernel gives the same bytes each time, so that all loads share one. */
const parsed = new WeakMap<Uint8Array, Btf>();

/** The types of a kernel. Whoever makes one closes it. */
export class KernelTypes {
  readonly #kernel: Kernel;
  readonly #given: Btf | undefined;
  #kernelBtf: Btf | 'none' | undefined;
  #modules: readonly LoadedModule[] | undefined;
  #areModulesHidden = false;

  /** @param given what CO-RE is to look at instead, without modules; nothing else looks at it */
  constructor(kernel: Kernel, given?: Btf) {
    this.#kernel = kernel;
    this.#given = given;
  }

  /**
   * The kernel's own BTF; undefined if it has none (`CONFIG_DEBUG_INFO_BTF`).
   *
   * @throws SkepError `ERR_SKEP_LOAD` if it cannot be read, or is damaged; `cause` says which
   */
  get kernelBtf(): Btf | undefined {
    this.#kernelBtf ??= readTypes(this.#kernel);
    return this.#kernelBtf === 'none' ? undefined : this.#kernelBtf;
  }

  /** Whether modules could not be looked at for want of CAP_SYS_ADMIN, as far as anybody tried. */
  get areModulesHidden(): boolean {
    return this.#areModulesHidden;
  }

  /**
   * The kernel's modules that have BTF (5.11), by id; none if the caller may not know. Which they are
   * is asked once.
   */
  modules(): readonly ModuleTypes[] {
    this.#modules ??= this.#listModules();
    return this.#modules;
  }

  /** What CO-RE looks at, in this order; a walk that stops at the kernel touches no module. */
  *targets(): Generator<CoreTarget, void, undefined> {
    const first = this.#given ?? this.kernelBtf;
    if (first !== undefined) {
      yield { name: KERNEL_NAME, btf: first };
    }
    if (this.#given !== undefined) {
      return;
    }
    for (const module of this.modules()) {
      if (isThere(module)) {
        yield module;
      }
    }
  }

  /** The first type of this kind and name: in the kernel, else in a module's own types. */
  find(kind: BtfKindName, name: string): FoundType | undefined {
    const found = this.findInKernel(kind, name);
    if (found !== undefined) {
      return found;
    }
    for (const module of this.modules()) {
      const inModule = this.findInModule(module, kind, name);
      if (inModule !== undefined) {
        return inModule;
      }
    }
    return undefined;
  }

  /** Like {@link KernelTypes.find}, in the kernel itself alone. */
  findInKernel(kind: BtfKindName, name: string): FoundType | undefined {
    const btf = this.kernelBtf;
    const typeId = btf?.find(name, kind) ?? 0;
    return btf === undefined || typeId === 0 ? undefined : { typeId, btf, module: null };
  }

  /** Like {@link KernelTypes.find}, in one module alone; what the kernel has does not count. */
  findInModule(module: ModuleTypes, kind: BtfKindName, name: string): FoundType | undefined {
    if (!isThere(module)) {
      return undefined;
    }
    const { btf } = module;
    let typeId = btf.find(name, kind);
    if (typeId !== 0 && typeId < btf.firstId) {
      // The kernel's, which come first. That a module has the same name is rare, and modules are small.
      const isOwn = (id: number) => id >= btf.firstId && btf.nameOf(id) === name;
      typeId = btf.idsOfKind(kind).find(isOwn) ?? 0;
    }
    return typeId === 0 ? undefined : { typeId, btf, module };
  }

  /** Closes the descriptors of modules. Twice does nothing. */
  close(): void {
    for (const module of this.#modules ?? []) {
      module.close();
    }
  }

  #listModules(): LoadedModule[] {
    const base = this.kernelBtf;
    const found: LoadedModule[] = [];
    try {
      // Without the kernel's types a module's mean nothing.
      for (let id = base === undefined ? null : this.#kernel.nextBtfId(0); id !== null; ) {
        const name = this.#moduleName(id);
        if (name !== undefined) {
          found.push(new LoadedModule(this.#kernel, base!, id, name));
        }
        id = this.#kernel.nextBtfId(id);
      }
    } catch (error) {
      // EINVAL: Linux before 5.4, which has no modules with BTF.
      if (!isRefused(error, 'EPERM') && !isRefused(error, 'EINVAL')) {
        throw error;
      }
      this.#areModulesHidden = isRefused(error, 'EPERM');
    }
    return found;
  }

  /** The name of the module that a BTF object is of; undefined for other BTF, and if it is gone. */
  #moduleName(id: number): string | undefined {
    let fd: number;
    try {
      fd = this.#kernel.openBtfById(id);
    } catch (error) {
      if (isRefused(error, 'ENOENT')) return undefined;
      throw error;
    }
    try {
      const { name, isKernel } = this.#kernel.btfInfo(fd);
      return isKernel && name !== KERNEL_NAME ? name : undefined;
    } finally {
      this.#kernel.close(fd);
    }
  }
}

/** A module that was there when modules were listed. */
class LoadedModule implements ModuleTypes {
  readonly name: string;
  readonly id: number;
  readonly #kernel: Kernel;
  readonly #base: Btf;
  #btf: Btf | undefined;
  #fd: number | undefined;

  constructor(kernel: Kernel, base: Btf, id: number, name: string) {
    this.#kernel = kernel;
    this.#base = base;
    this.id = id;
    this.name = name;
  }

  get btf(): Btf {
    const place = `/sys/kernel/btf/${this.name}`;
    this.#btf ??= Btf.parse(this.#kernel.readBtf(this.id), place, this.#base);
    return this.#btf;
  }

  get fd(): number {
    this.#fd ??= this.#kernel.openBtfById(this.id);
    return this.#fd;
  }

  close(): void {
    if (this.#fd !== undefined) {
      this.#kernel.close(this.#fd);
      this.#fd = undefined;
    }
  }
}

function readTypes(kernel: Kernel): Btf | 'none' {
  try {
    const bytes = kernel.kernelBtf();
    return bytes === null ? 'none' : parseOnce(bytes);
  } catch (cause) {
    if (cause instanceof SkepError) {
      const problem = `the types of the running kernel cannot be used: ${cause.message}`;
      throw new SkepError('ERR_SKEP_LOAD', problem, { cause });
    }
    throw cause;
  }
}

function parseOnce(bytes: Uint8Array): Btf {
  let btf = parsed.get(bytes);
  if (btf === undefined) {
    btf = Btf.parse(bytes, KERNEL_BTF);
    parsed.set(bytes, btf);
  }
  return btf;
}

/** Whether a module's types can be read: it may have been removed since it was listed. */
function isThere(module: ModuleTypes): boolean {
  try {
    return module.btf !== undefined;
  } catch (error) {
    if (isRefused(error, 'ENOENT')) return false;
    throw error;
  }
}

function isRefused(error: unknown, errnoName: string): boolean {
  return error instanceof SyscallError && error.errnoName === errnoName;
}
