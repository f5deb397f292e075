/**
 * What a program is loaded for, where the kernel wants to know before it looks at the code: a function
 * or hook of the kernel (fentry, fexit, fmod_ret, lsm, tp_btf, iter), or a function of another program
 * (freplace).
 *
 * Rules: libbpf's `libbpf_find_attach_btf_id`, `find_kernel_btf_id` and `btf_get_kernel_prefix_kind`.
 * Structs of functions (struct_ops) are in attach-target-struct-ops.ts.
 */

import { SkepError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { AttachTarget } from '../kernel/program-calls.ts';
import { Btf } from '../obj/btf/btf.ts';
import type { ProgramDefinition } from '../obj/programs.ts';
import { BPF_ATTACH_TYPE } from '../uapi/attach-types.ts';
import { BPF_PROG_TYPE } from '../uapi/program-types.ts';
import { nearestName } from './attach-target-names.ts';
import type { FoundType, KernelTypes, ModuleTypes } from './kernel-types.ts';

/** How the kernel's BTF has a hook: under which name, as what. */
interface Naming {
  readonly prefix: string;
  readonly kind: 'func' | 'typedef';
  /** For messages. */
  readonly what: string;
}

const FUNCTION: Naming = { prefix: '', kind: 'func', what: 'function' };
const HOOK: Naming = { prefix: 'bpf_lsm_', kind: 'func', what: 'hook' };
const ITERATOR: Naming = { prefix: 'bpf_iter_', kind: 'func', what: 'iterator' };
const TRACEPOINT: Naming = { prefix: 'btf_trace_', kind: 'typedef', what: 'tracepoint' };

/** Programs of type TRACING and LSM that are for one place, by their expected attach type. */
const NAMINGS: ReadonlyMap<number, Naming> = new Map([
  [BPF_ATTACH_TYPE.TRACE_RAW_TP, TRACEPOINT],
  [BPF_ATTACH_TYPE.TRACE_FENTRY, FUNCTION],
  [BPF_ATTACH_TYPE.TRACE_FEXIT, FUNCTION],
  [BPF_ATTACH_TYPE.TRACE_FSESSION, FUNCTION],
  [BPF_ATTACH_TYPE.MODIFY_RETURN, FUNCTION],
  [BPF_ATTACH_TYPE.TRACE_ITER, ITERATOR],
  [BPF_ATTACH_TYPE.LSM_MAC, HOOK],
  [BPF_ATTACH_TYPE.LSM_CGROUP, HOOK],
]);

/** What is needed of a program; what a load option changed, changed. */
type Attaching = Pick<ProgramDefinition, 'name' | 'section' | 'typeNumber' | 'attachTypeNumber'>;

/**
 * What a program is to be loaded for; null for kinds of program that need no target, and for
 * struct_ops.
 *
 * @param attachTo name of the function, hook, tracepoint or iterator, `module:name` for one of a module
 *   (or `vmlinux:name`)
 * @param targetProgram descriptor of a loaded program, if the function is one of its: for freplace
 *   always, for fentry and fexit to look at programs
 * @throws SkepError `ERR_SKEP_LOAD` if there is no such thing
 * @throws SyscallError
 */
export function attachTargetOf(
  program: Attaching,
  attachTo: string | null,
  types: KernelTypes,
  kernel: Kernel,
  targetProgram?: number,
): AttachTarget | null {
  const naming = namingOf(program);
  // Kinds for many places at once (fentry.multi) are told where when they are attached.
  if (naming === undefined) {
    return null;
  }
  if (attachTo === null) {
    throw fail(
      program,
      `does not say which ${naming.what} it is for: write SEC("${program.section}/NAME"), or give the load option attachTo`,
    );
  }
  if (targetProgram !== undefined) {
    return inProgram(program, attachTo, kernel, targetProgram);
  }
  if (program.typeNumber === BPF_PROG_TYPE.EXT) {
    throw fail(
      program,
      `replaces the function "${attachTo}" of a loaded program, but which program was not said; give it in the load option attachProgram`,
    );
  }
  const { typeId, module } = inKernel(program, attachTo, naming, types);
  return { typeId, fd: module?.fd ?? null };
}

/** How the place of a program is named; undefined if it has none. */
function namingOf({ typeNumber, attachTypeNumber }: Attaching): Naming | undefined {
  switch (typeNumber) {
    case BPF_PROG_TYPE.EXT:
      return FUNCTION;
    case BPF_PROG_TYPE.TRACING:
    case BPF_PROG_TYPE.LSM:
      return NAMINGS.get(attachTypeNumber);
    default:
      return undefined;
  }
}

/** A function of a program, found in the program's own BTF. */
function inProgram(
  program: Attaching,
  name: string,
  kernel: Kernel,
  targetProgram: number,
): AttachTarget {
  const target = kernel.programInfo(targetProgram);
  const called = `program "${target.name}" (id ${target.id})`;
  if (target.btfId === 0) {
    throw fail(program, `cannot attach to ${called}: that was loaded without BTF`);
  }
  const btf = Btf.parse(kernel.readBtf(target.btfId), called);
  const typeId = btf.find(name, 'func');
  if (typeId === 0) {
    // A program has few functions: all of them are a better answer than one that is near.
    const names = btf.idsOfKind('func').map((id) => btf.nameOf(id));
    throw fail(program, `cannot attach to "${name}": ${called} has ${names.join(', ')}`);
  }
  return { typeId, fd: targetProgram };
}

/** A place in the kernel, or in the first module that has it if the kernel does not. */
function inKernel(
  program: Attaching,
  attachTo: string,
  naming: Naming,
  types: KernelTypes,
): FoundType {
  if (types.kernelBtf === undefined) {
    throw fail(
      program,
      `is for the ${naming.what} "${attachTo}", but the kernel has no BTF to find it in (CONFIG_DEBUG_INFO_BTF)`,
    );
  }
  const colon = attachTo.indexOf(':');
  const owner = colon === -1 ? null : attachTo.slice(0, colon);
  const name = naming.prefix + attachTo.slice(colon + 1);
  const found =
    owner === null
      ? types.find(naming.kind, name)
      : owner === 'vmlinux'
        ? types.findInKernel(naming.kind, name)
        : inModules(modulesNamed(program, owner, types), naming, name, types);
  if (found === undefined) {
    throw fail(program, notFound(attachTo.slice(colon + 1), owner, naming, types));
  }
  return found;
}

/** The first of several modules that has a place: more than one may have the name while one goes. */
function inModules(
  modules: readonly ModuleTypes[],
  naming: Naming,
  name: string,
  types: KernelTypes,
): FoundType | undefined {
  for (const module of modules) {
    const found = types.findInModule(module, naming.kind, name);
    if (found !== undefined) {
      return found;
    }
  }
  return undefined;
}

/** Modules by name, whole: libbpf takes a beginning of it too. */
function modulesNamed(program: Attaching, name: string, types: KernelTypes): ModuleTypes[] {
  const modules = types.modules();
  const named = modules.filter((module) => module.name === name);
  if (named.length === 0) {
    const known = types.areModulesHidden
      ? 'modules cannot be looked at without CAP_SYS_ADMIN'
      : modules.length === 0
        ? 'no module with BTF is loaded'
        : `loaded are ${modules.map((module) => module.name).join(', ')}`;
    throw fail(program, `is for module "${name}", which is not there: ${known}`);
  }
  return named;
}

/** Why a place was not found, with a name that is near, if the kernel itself has one. */
function notFound(
  name: string,
  owner: string | null,
  { prefix, kind, what }: Naming,
  types: KernelTypes,
): string {
  const hidden = types.areModulesHidden
    ? ' (modules cannot be looked at without CAP_SYS_ADMIN)'
    : '';
  const place =
    owner === null ? `kernel${hidden}` : owner === 'vmlinux' ? 'kernel' : `module "${owner}"`;
  const near = nearestName(types.kernelBtf!, kind, prefix, name);
  const inlined =
    what === 'function' ? '; functions that the compiler inlined everywhere are gone' : '';
  const hint = near === undefined ? inlined : `; did you mean "${near}"?`;
  return `is for the ${what} "${name}", which the BTF of the ${place} does not have${hint}`;
}

function fail({ name }: Attaching, problem: string): SkepError {
  return new SkepError('ERR_SKEP_LOAD', `program "${name}" ${problem}`);
}
