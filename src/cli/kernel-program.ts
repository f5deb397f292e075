/**
 * A program of the kernel as data: what `skep program list --json` and `skep program show --json` print.
 * Numbers of 64 bits are decimal strings.
 */

import { uptime } from 'node:os';
import { SkepError, SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { Btf } from '../obj/btf/btf.ts';
import { KernelTypes } from '../programs/kernel-types.ts';
import type { DescribedProgram, Program } from '../programs/program.ts';
import { mapTypeName } from '../uapi/map-types.ts';

/** A program in a list. Sizes in bytes. */
export interface ListedProgram {
  readonly id: number;
  /** As bpftool prints it, e.g. `sched_cls`. */
  readonly type: string;
  /** `BPF_PROG_TYPE_*`. */
  readonly typeNumber: number;
  /**
   * The name of its main function, where the kernel has its types; else the kernel's name for it, cut to
   * 15 characters; '' for none.
   */
  readonly name: string;
  /** A hash of its instructions, as 16 hexadecimal digits. */
  readonly tag: string;
  readonly gplCompatible: boolean;
  /** When it was loaded, by the clock of this machine: ISO 8601, in UTC. */
  readonly loadedAt: string;
  readonly userId: number;
  /** Of instructions, as the verifier left them. */
  readonly translatedBytes: number;
  /** Of machine code; 0 if it is interpreted, or if the caller may not know. */
  readonly jitedBytes: number;
  readonly mapIds: readonly number[];
  /** Id of its BTF object, 0 for none. */
  readonly btfId: number;
  /** How often it ran, and the nanoseconds of all runs, while statistics were on. */
  readonly runCount: string;
  readonly runTimeNanoseconds: string;
}

/** A map that a program uses. */
export interface UsedMap {
  readonly id: number;
  /** null if the caller may not open it, or it is gone. */
  readonly type: string | null;
  readonly name: string | null;
}

/** What a program was loaded for. */
export interface ShownTarget {
  /** Id of the BTF object that has it, and of its type there. */
  readonly btfId: number;
  readonly typeId: number;
  /** `vmlinux`, the name of a module, or '' for the types of another program; null if not known. */
  readonly of: string | null;
  /** The function, hook or struct; null if the caller may not know. */
  readonly name: string | null;
}

/** All that is known of one program. */
export interface ShownProgram extends ListedProgram {
  /** Instructions that the verifier went through; 0 if the kernel does not say (before 5.16). */
  readonly verifiedInstructions: number;
  /** How often it was not run because it was running already. */
  readonly recursionMisses: string;
  readonly maps: readonly UsedMap[];
  /** null for nothing. */
  readonly target: ShownTarget | null;
  /** Where it was found; null if it was found otherwise. */
  readonly pinPath: string | null;
}

/** The kernel keeps this many characters of a name. */
const NAME_LENGTH = 15;

/** Describes a program for a list. @throws SyscallError if the kernel does not answer */
export function listedProgram(program: Program): ListedProgram {
  const info = program.info();
  return {
    id: info.id,
    type: info.typeName,
    typeNumber: info.type,
    name: fullName(program, info),
    tag: info.tag,
    gplCompatible: info.gplCompatible,
    loadedAt: wallClock(program.kernel, info.loadTime),
    userId: info.userId,
    translatedBytes: info.translatedBytes,
    jitedBytes: info.jitedBytes,
    mapIds: info.mapIds,
    btfId: info.btfId,
    runCount: info.runCount.toString(),
    runTimeNanoseconds: info.runTimeNanoseconds.toString(),
  };
}

/** Describes a program by itself. @throws SyscallError if the kernel does not answer */
export function shownProgram(program: Program): ShownProgram {
  const info = program.info();
  return {
    ...listedProgram(program),
    verifiedInstructions: info.verifiedInstructions,
    recursionMisses: info.recursionMisses.toString(),
    maps: info.mapIds.map((id) => usedMap(program.kernel, id)),
    target: info.attachTypeId === 0 ? null : shownTarget(program.kernel, info),
    pinPath: program.pinPath,
  };
}

/**
 * A program's name as a whole: of longer ones the kernel keeps 15 characters, but its types have all
 * (bpftool's `get_prog_full_name`).
 */
export function fullName(program: Program, info: DescribedProgram): string {
  if (info.name.length < NAME_LENGTH || info.btfId === 0) {
    return info.name;
  }
  return unlessHidden(() => {
    const { functionInfo } = program.code();
    const btf = Btf.parse(program.kernel.readBtf(info.btfId));
    const name = functionInfo === undefined ? '' : nameOfType(btf, functionInfo.word(0, 1));
    return name.startsWith(info.name) ? name : info.name;
  }, info.name);
}

function usedMap(kernel: Kernel, id: number): UsedMap {
  return unlessHidden<UsedMap>(
    () => {
      const fd = kernel.openMapById(id);
      try {
        const { type, name } = kernel.mapInfo(fd);
        return { id, type: mapTypeName(type), name };
      } finally {
        kernel.close(fd);
      }
    },
    { id, type: null, name: null },
  );
}

function shownTarget(kernel: Kernel, info: DescribedProgram): ShownTarget {
  const { attachTypeId: typeId, attachBtfObjectId: btfId } = info;
  return unlessHidden<ShownTarget>(
    () => {
      const fd = kernel.openBtfById(btfId);
      try {
        const { name: of, isKernel } = kernel.btfInfo(fd);
        return { btfId, typeId, of, name: nameInBtf(kernel, btfId, typeId, isKernel, of) };
      } finally {
        kernel.close(fd);
      }
    },
    { btfId, typeId, of: null, name: null },
  );
}

/** The name of a type in BTF that the kernel holds: of its own, of a module, of a program. */
function nameInBtf(
  kernel: Kernel,
  btfId: number,
  typeId: number,
  isKernel: boolean,
  of: string,
): string | null {
  if (!isKernel) {
    return nameOfType(Btf.parse(kernel.readBtf(btfId)), typeId);
  }
  const types = new KernelTypes(kernel);
  try {
    const found = of === 'vmlinux' ? types.kernelBtf : moduleBtf(types, btfId);
    return found === undefined ? null : nameOfType(found, typeId);
  } finally {
    types.close();
  }
}

/** @throws ObjectError `ERR_SKEP_BTF` if there is no such type */
function nameOfType(btf: Btf, id: number): string {
  btf.type(id);
  return btf.nameOf(id);
}

function moduleBtf(types: KernelTypes, btfId: number): Btf | undefined {
  return types.modules().find(({ id }) => id === btfId)?.btf;
}

/** What may be withheld is left out, rather than that nothing is told. */
function unlessHidden<T>(call: () => T, otherwise: T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof SyscallError || (error instanceof SkepError && isOfBtf(error))) {
      return otherwise;
    }
    throw error;
  }
}

/** Types that cannot be read are like none; ERR_SKEP_LOAD is said of the kernel's own. */
function isOfBtf({ code }: SkepError): boolean {
  return code === 'ERR_SKEP_BTF' || code === 'ERR_SKEP_LOAD';
}

/** The time of a moment that is told in nanoseconds since boot; the kernel in this process starts with it. */
function wallClock({ name }: Kernel, sinceBoot: bigint): string {
  const bootedAt = name === 'linux' ? Date.now() - uptime() * 1000 : performance.timeOrigin;
  // The uptime has hundredths of a second, so the rest says nothing.
  return new Date(bootedAt + Number(sinceBoot / 1_000_000n)).toISOString().replace(/\.\d+Z$/, 'Z');
}
