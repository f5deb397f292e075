/** The steps of a load that are about programs: loading them, filling program arrays, pinning. */

import { SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { openKernelBtf } from '../kernel/kernel-btf.ts';
import { Btf } from '../obj/btf/btf.ts';
import type { ObjectFile } from '../obj/object.ts';
import { features } from '../probes/features.ts';
import { ProgramLoader } from '../programs/program-loader.ts';
import { ERRNO } from '../uapi/errno.ts';
import { isErrno, pinAmongOthers, unpinOwn } from './execute-pins.ts';
import { StructOpsExecution } from './execute-struct-ops.ts';
import type { CheckedOptions } from './options.ts';
import type { FillProgramsStep, LoadProgramStep, PinProgramStep, ProgramStep } from './steps.ts';

/** A program that a load has loaded. */
export interface LoadedProgram {
  readonly fd: number;
  readonly pinPath: string | null;
}

/** What the load that programs are part of gives them. */
export interface ProgramContext {
  readonly kernel: Kernel;
  readonly object: ObjectFile;
  readonly options: CheckedOptions;
  /** The descriptor of a map; null if it is not loaded. */
  mapFd(map: string): number | null;
  /** Whether a map was there before the load. */
  isReused(map: string): boolean;
  /** The object's BTF in the kernel; null if there is none that programs can refer to. */
  btfFd(): number | null;
  makePinDirectory(path: string): void;
  /** Notes what undoes a step, for a load that fails later. */
  undo(action: () => void): void;
}

/** Runs steps about programs, and keeps the programs until they are handed on. */
export class ProgramExecution {
  /** By name in the object. */
  readonly programs = new Map<string, LoadedProgram>();
  /** The structs of functions whose programs these are. */
  readonly structOps = new StructOpsExecution(() => this.#programLoader().types);
  readonly #context: ProgramContext;
  /** Descriptors of what was in slots, as long as the load may fail. */
  readonly #replaced: number[] = [];
  /** Types for CO-RE instead of the kernel's. */
  readonly #givenTypes: Btf | undefined;
  #loader: ProgramLoader | undefined;
  #upcoming: readonly string[] = [];

  /**
   * @throws SkepError `ERR_SKEP_FILE` if the given types cannot be read; ObjectError `ERR_SKEP_BTF` if
   *   they are damaged
   */
  constructor(context: ProgramContext) {
    this.#context = context;
    const { programs, kernelBtf } = context.options;
    // Now, as a wrong path is better told before anything is created.
    this.#givenTypes = programs === null ? undefined : kernelTypes(kernelBtf);
  }

  /** Notes which programs are going to be loaded; before the first. */
  expect(programs: readonly string[]): void {
    this.#upcoming = programs;
  }

  /** @returns what a program was loaded without; undefined if nothing */
  run(step: ProgramStep): string | undefined {
    switch (step.step) {
      case 'load-program':
        return this.#load(step);
      case 'fill-programs':
        this.#fill(step);
        return undefined;
      case 'pin-program':
        this.#pin(step);
        return undefined;
    }
  }

  /** The contents of `.kconfig`. */
  kconfig(): Uint8Array {
    return this.#programLoader().kconfig();
  }

  /** Closes what only loading needs. */
  closeTemporaries(): void {
    this.#loader?.close();
    this.#loader = undefined;
    for (const fd of this.#replaced.splice(0)) {
      this.#context.kernel.close(fd);
    }
  }

  /** Closes every program: the load has failed. */
  rollBack(): void {
    for (const { fd } of this.programs.values()) {
      this.#context.kernel.close(fd);
    }
    this.programs.clear();
  }

  #load({ program, attributes }: LoadProgramStep): string | undefined {
    const { kernel, options } = this.#context;
    const target = options.programs?.get(program)?.attachProgram;
    if (target !== undefined && target.kernel !== kernel) {
      throw new TypeError(
        `load options: programs.${program}.attachProgram: "${target.name}" is of another kernel`,
      );
    }
    const { fd, leftOut } = this.#programLoader().load(
      attributes,
      target,
      this.structOps.memberOf(program),
    );
    this.programs.set(program, { fd, pinPath: null });
    return leftOut;
  }

  /**
   * Fills slots, of an array that was there before too, as libbpf does: its tail calls are to go to the
   * programs of this load.
   */
  #fill({ map, slots }: FillProgramsStep): void {
    const { kernel } = this.#context;
    const fd = this.#context.mapFd(map);
    if (fd === null) {
      return;
    }
    for (const { index, program } of slots) {
      const key = this.#number(index);
      if (this.#context.isReused(map)) {
        this.#keepSlot(fd, key);
      }
      try {
        kernel.update(fd, key, this.#number(this.programs.get(program)!.fd), 0);
      } catch (error) {
        throw error instanceof SyscallError ? slotError(map, index, program, error) : error;
      }
    }
  }

  /** Notes how a slot becomes what it was. What was in it can be told only with CAP_SYS_ADMIN. */
  #keepSlot(fd: number, key: Uint8Array): void {
    const { kernel } = this.#context;
    const id = new Uint8Array(4);
    let before: number | undefined;
    try {
      if (kernel.lookup(fd, key, id, 0)) {
        before = kernel.openProgramById(new DataView(id.buffer).getUint32(0, kernel.littleEndian));
      }
    } catch (error) {
      // It is emptied then, or has just changed. Anything else would lose what is in it.
      if (!isErrno(error, ERRNO.EPERM) && !isErrno(error, ERRNO.ENOENT)) {
        throw error;
      }
    }
    this.#context.undo(() => {
      if (before === undefined) {
        kernel.delete(fd, key);
      } else {
        kernel.update(fd, key, this.#number(before), 0);
      }
    });
    if (before !== undefined) {
      this.#replaced.push(before);
    }
  }

  #pin({ program, path }: PinProgramStep): void {
    const { kernel, options, makePinDirectory, undo } = this.#context;
    const { fd } = this.programs.get(program)!;
    pinAmongOthers(
      kernel,
      { fd, path, what: `program "${program}"` },
      () => makePinDirectory(path),
      (taken) => {
        if (!options.replacePrograms) {
          throw pinTaken(program, path, taken);
        }
        this.#unpinOther(program, path);
        return false;
      },
    );
    undo(() => unpinOwn(kernel, 'program', fd, path));
    this.programs.set(program, { fd, pinPath: path });
  }

  /**
   * Removes the pin of another program, and keeps the program so that it can be pinned again. A program
   * can be renamed over another's name too, but a load that is killed would leave the first name.
   */
  #unpinOther(program: string, path: string): void {
    const { kernel, undo } = this.#context;
    let other: number;
    try {
      other = kernel.openPinnedProgram(path);
    } catch (error) {
      if (isErrno(error, ERRNO.ENOENT)) {
        return;
      }
      // EINVAL: a map. EACCES: a directory.
      const isOther = isErrno(error, ERRNO.EINVAL) || isErrno(error, ERRNO.EACCES);
      throw isOther ? pinTaken(program, path, error, NO_PROGRAM) : error;
    }
    this.#replaced.push(other);
    if (kernel.unpin(path)) {
      undo(() => kernel.pin(other, path));
    }
  }

  #programLoader(): ProgramLoader {
    const { kernel, object, options, mapFd, btfFd } = this.#context;
    this.#loader ??= new ProgramLoader({
      kernel,
      object,
      programs: this.#upcoming,
      mapFd,
      btfFd,
      hasProbeReadKernel: () => features(kernel).feature('probe_read_kernel').answer !== 'no',
      kernelBtf: this.#givenTypes,
      kernelConfig: options.kernelConfig,
      logLevel: options.logLevel,
      onVerifierLog: options.onVerifierLog,
    });
    return this.#loader;
  }

  /** A key or value of a program array. */
  #number(value: number): Uint8Array {
    const view = new DataView(new ArrayBuffer(4));
    view.setUint32(0, value, this.#context.kernel.littleEndian);
    return new Uint8Array(view.buffer);
  }
}

/**
 * Looks whether something is in the place of a pin, before the time of verifying is spent for nothing.
 *
 * @throws SyscallError `EEXIST` if there is
 */
export function checkPinFree(kernel: Kernel, { program, path }: PinProgramStep): void {
  if (kernel.fileSystem(path) !== 'missing') {
    throw pinTaken(program, path);
  }
}

const ANY_PROGRAM =
  'something is pinned there already, as by an earlier load; programs are not reused: remove that pin, or choose another path, or replace it by the option replacePrograms';
const NO_PROGRAM = 'what is there is no program, and is left alone; choose another path';

function pinTaken(
  program: string,
  path: string,
  cause?: SyscallError,
  hint = ANY_PROGRAM,
): SyscallError {
  return new SyscallError(`program "${program}", pin ${path}`, {
    command: 'BPF_OBJ_PIN',
    errno: ERRNO.EEXIST,
    errnoName: 'EEXIST',
    hint,
    cause,
  });
}

function kernelTypes(given: CheckedOptions['kernelBtf']): Btf | undefined {
  if (given === undefined || given instanceof Btf) {
    return given;
  }
  return typeof given === 'string' ? openKernelBtf(given) : Btf.parse(given, 'kernelBtf');
}

function slotError(map: string, index: number, program: string, cause: SyscallError): SyscallError {
  const { command, errno, errnoName } = cause;
  const hint =
    errnoName === 'EINVAL'
      ? 'all programs of an array, and those that use it, must be of one type'
      : cause.hint;
  return new SyscallError(`slot ${index} of map "${map}", program "${program}"`, {
    command,
    errno,
    errnoName,
    hint,
    cause,
  });
}
