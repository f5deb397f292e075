/**
 * Loads the programs of one object into one kernel: links, resolves, assembles and verifies them. What
 * is found out about the kernel on the way is kept for all of them.
 */

import { SkepError, SyscallError, VerifierError, type VerifierLog } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { AttachTarget, ProgramAttributes } from '../kernel/program-calls.ts';
import type { Btf } from '../obj/btf/btf.ts';
import type { CoreRelocation } from '../obj/btf/ext.ts';
import type { SourceLines } from '../obj/btf/ext-lines.ts';
import { CoreResolver, type CoreResult } from '../obj/core/resolve.ts';
import { type LinkedProgram, Linker } from '../obj/link.ts';
import type { ObjectFile } from '../obj/object.ts';
import type { Extern } from '../obj/relocations-externs.ts';
import { BPF_PROG_TYPE, programTypeName } from '../uapi/program-types.ts';
import { type AssemblyContext, assemble } from './assemble.ts';
import { attachTargetOf } from './attach-target.ts';
import { ExternResolver, type ResolvedExtern } from './externs.ts';
import { kconfigContents } from './kconfig.ts';
import { KernelTypes, type ModuleTypes } from './kernel-types.ts';
import { hasNewerReads, replaceNewerReads } from './older-helpers.ts';
import { explainPoison, type Poison } from './poison.ts';
import type { Program } from './program.ts';
import { type ProgramShape, reshaped } from './program-shape.ts';
import { parseVerifierLog } from './verifier-log.ts';
import { privilegeAdvice } from './verifier-privileges.ts';
import { Refusal, type Verified, verify } from './verify.ts';

/** How many programs are linked together. */
const LINKED_AHEAD = 63;

/** What the programs of an object are loaded with. */
export interface ProgramLoading {
  readonly kernel: Kernel;
  readonly object: ObjectFile;
  /** The programs that are going to be loaded, in this order. */
  readonly programs: readonly string[];
  /** The descriptor of a map of the object; null if it was left out. */
  mapFd(map: string): number | null;
  /** The object's BTF in the kernel; null if there is none, or it was refused. Not to be closed. */
  btfFd(): number | null;
  /** Whether the kernel has `bpf_probe_read_kernel` and those like it (5.5); asked after a refusal. */
  hasProbeReadKernel(): boolean;
  /** Types that CO-RE looks at instead of the kernel's own. */
  readonly kernelBtf: Btf | undefined;
  /** Options of the kernel by name, instead of its own. */
  readonly kernelConfig: Readonly<Record<string, string | number | bigint | boolean>>;
  /** 0: no log of what is right. */
  readonly logLevel: number;
  /** Told what the verifier wrote about each program that it took; not called at level 0. */
  readonly onVerifierLog: ((program: string, log: VerifierLog) => void) | undefined;
}

/** The function of a struct (struct_ops) that a program is. */
export interface StructMember {
  /** The kernel's struct. */
  readonly target: AttachTarget;
  /** The member's index in it. */
  readonly member: number;
}

/** A program that was loaded. */
export interface LoadedProgram {
  /** The caller's to close. */
  readonly fd: number;
  /** What was left out or replaced because the kernel does not know it; undefined if nothing. */
  readonly leftOut: string | undefined;
}

/** Loads programs. Close it when all are loaded: it holds descriptors of modules. */
export class ProgramLoader implements AssemblyContext {
  /** Of the kernel that programs are loaded into. */
  readonly types: KernelTypes;
  readonly #loading: ProgramLoading;
  #core: CoreResolver | undefined;
  #externs: ExternResolver | undefined;
  /** Descriptors of modules as programs name them; the first stands for the kernel itself. */
  readonly #descriptors: number[] = [0];
  readonly #modules = new Map<ModuleTypes, number>();
  readonly #linker: Linker;
  /** Those that are linked, and not loaded yet: the next one last. */
  #linked: LinkedProgram[] = [];
  /** Whether it is known that the kernel does not have the helpers of 5.5. */
  #lacksNewerReads = false;

  constructor(loading: ProgramLoading) {
    this.#loading = loading;
    this.#linker = new Linker(loading.object);
    this.types = new KernelTypes(loading.kernel, loading.kernelBtf);
  }

  /**
   * Loads a program. Every map that it uses exists by now.
   *
   * @param target the program that it is for; undefined if it is for the kernel
   * @param member the function that it is, if it is one of a struct
   * @throws VerifierError if the verifier refuses it
   * @throws SyscallError if the kernel refuses it for another reason
   * @throws SkepError `ERR_SKEP_LOAD` for what this kernel does not have; ObjectError for what the object
   *   has wrong
   */
  load(shape: ProgramShape, target: Program | undefined, member?: StructMember): LoadedProgram {
    const { kernel, logLevel } = this.#loading;
    const linked = this.#linkAhead(shape.name);
    const poisons = assemble(linked, this);
    const plain = this.#attributes(shape, linked, target);
    const attributes =
      member === undefined
        ? plain
        : { ...plain, target: member.target, expectedAttachType: member.member };
    const { outcome, hasOlderReads } = this.#verify(shape, linked, attributes);
    if (outcome instanceof Refusal) {
      throw refusalError(shape, outcome, poisons, linked.lines);
    }
    const { fd, log, truncated, leftOut } = outcome;
    try {
      if (logLevel !== 0) {
        this.#loading.onVerifierLog?.(shape.name, parseVerifierLog(log, truncated));
      }
    } catch (error) {
      kernel.close(fd);
      throw error;
    }
    const isWhole = leftOut === undefined && !hasOlderReads;
    return { fd, leftOut: isWhole ? undefined : describeLack(leftOut, hasOlderReads) };
  }

  /** What `.kconfig` holds. @throws SkepError `ERR_SKEP_LOAD` for options that the kernel does not have */
  kconfig(): Uint8Array {
    const { object, kernel, kernelConfig } = this.#loading;
    return kconfigContents(object, kernel, kernelConfig);
  }

  /** Closes what was opened on the way; programs keep what they need. */
  close(): void {
    this.types.close();
  }

  mapFd(map: string): number | null {
    return this.#loading.mapFd(map);
  }

  core(relocation: CoreRelocation): CoreResult {
    if (this.#core === undefined) {
      const { object, kernelBtf } = this.#loading;
      if (kernelBtf === undefined && this.types.kernelBtf === undefined) {
        throw noKernelTypes();
      }
      // With CO-RE relocations there is BTF.
      this.#core = new CoreResolver(object.btf!, this.types.targets());
    }
    return this.#core.resolve(relocation);
  }

  extern(extern: Extern): ResolvedExtern | null {
    const { object, kernel } = this.#loading;
    this.#externs ??= new ExternResolver(object, kernel, this.types);
    return this.#externs.resolve(extern);
  }

  moduleIndex(module: ModuleTypes): number {
    let index = this.#modules.get(module);
    if (index === undefined) {
      index = this.#descriptors.length;
      this.#descriptors.push(module.fd);
      this.#modules.set(module, index);
    }
    return index;
  }

  /**
   * A linked program. Some of those behind it are linked at once: after each call of the verifier the
   * processor's caches are cold, and linking one takes several times as long.
   */
  #linkAhead(name: string): LinkedProgram {
    const ahead = this.#linked.pop();
    if (ahead?.definition.name === name) {
      return ahead;
    }
    const linked = this.#linker.link(name);
    const { programs } = this.#loading;
    const next = programs.indexOf(name) + 1;
    this.#linked = [];
    for (const other of programs.slice(next, next + LINKED_AHEAD)) {
      try {
        this.#linked.push(this.#linker.link(other));
      } catch {
        // Told when it is that one's turn.
        break;
      }
    }
    this.#linked.reverse();
    return linked;
  }

  /** Gives it to the kernel; once more with older helpers, if it was refused and they are missing. */
  #verify(
    { attachTypeOptional }: ProgramShape,
    { instructions }: LinkedProgram,
    attributes: ProgramAttributes,
  ): { readonly outcome: Verified | Refusal; readonly hasOlderReads: boolean } {
    const { kernel, logLevel } = this.#loading;
    const options = { level: logLevel, attachTypeOptional };
    // In place: the attributes have the same memory.
    let hasOlderReads = this.#lacksNewerReads && replaceNewerReads(instructions);
    const outcome = verify(kernel, attributes, options);
    if (!(outcome instanceof Refusal) || hasOlderReads || !hasNewerReads(instructions)) {
      return { outcome, hasOlderReads };
    }
    this.#lacksNewerReads = !this.#loading.hasProbeReadKernel();
    hasOlderReads = this.#lacksNewerReads && replaceNewerReads(instructions);
    return {
      outcome: hasOlderReads ? verify(kernel, attributes, options) : outcome,
      hasOlderReads,
    };
  }

  #attributes(
    shape: ProgramShape,
    linked: LinkedProgram,
    target: Program | undefined,
  ): ProgramAttributes {
    const { kernel, object } = this.#loading;
    const btf = this.#loading.btfFd();
    return {
      type: shape.type,
      instructions: linked.instructions.bytes,
      license: object.license,
      name: shape.kernelName,
      flags: shape.flags,
      expectedAttachType: shape.attachType,
      kernelVersion: this.#kernelVersion(shape.type),
      btf:
        btf === null
          ? null
          : {
              fd: btf,
              functionInfo: linked.functionInfo ?? null,
              lineInfo: linked.lineInfo ?? null,
            },
      target: shape.needsTarget
        ? attachTargetOf(
            reshaped(linked.definition, shape),
            shape.attachTo,
            this.types,
            kernel,
            target?.fd,
          )
        : null,
      descriptors: this.#descriptors.length > 1 ? this.#descriptors : [],
    };
  }

  /** Only kernels before 5.0 look at it, and only for kprobes: nobody else waits for it to be found. */
  #kernelVersion(type: number): number {
    const { kernel, object } = this.#loading;
    return object.kernelVersion ?? (type === BPF_PROG_TYPE.KPROBE ? kernel.version() : 0);
  }
}

function describeLack(leftOut: Verified['leftOut'], hasOlderReads: boolean): string {
  const notes = [
    ...(leftOut ? [`loaded without its ${leftOut.what}: ${leftOut.refusal.message}`] : []),
    ...(hasOlderReads ? ['calls bpf_probe_read, as there is no bpf_probe_read_kernel'] : []),
  ];
  return notes.join('; ');
}

function refusalError(
  { name, type }: ProgramShape,
  { error, log, truncated }: Refusal,
  poisons: readonly Poison[],
  lines: SourceLines | undefined,
): SkepError {
  if (log !== '') {
    const explained = explainPoison(log, poisons);
    const advice = privilegeAdvice(log);
    const parsed = withPlace(parseVerifierLog(explained, truncated), lines);
    return new VerifierError(name, parsed, error, advice);
  }
  const { command, errno, errnoName, hint } = error;
  return new SyscallError(`program "${name}" (${programTypeName(type)})`, {
    command,
    errno,
    errnoName,
    hint,
    cause: error,
  });
}

/** Before 6.8 the verifier tells the line's text alone: file and number are those of the object then. */
function withPlace(log: VerifierLog, lines: SourceLines | undefined): VerifierLog {
  const { place } = log;
  if (lines === undefined || place?.source == null || place.source.file !== null) {
    return log;
  }
  const known = lines.at(place.slot);
  if (known === undefined || known.text.trim() !== place.source.text) {
    return log;
  }
  const file = known.file.slice(known.file.lastIndexOf('/') + 1);
  return { ...log, place: { ...place, source: { ...place.source, file, line: known.line } } };
}

function noKernelTypes(): SkepError {
  return new SkepError(
    'ERR_SKEP_LOAD',
    'programs of the object adjust themselves to the types of the kernel (CO-RE), but this kernel does not tell them (CONFIG_DEBUG_INFO_BTF); give them by the option kernelBtf',
  );
}
