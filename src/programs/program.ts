/** Handles to loaded programs: what the kernel says of one, pins, test runs, and an end. */

import { dirname } from 'node:path';
import { SkepError, SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { linuxKernel } from '../kernel/linux.ts';
import type { InfoTable, ProgramInfo, TestRunOutcome } from '../kernel/program-calls.ts';
import { closedInTime, watchForLeak } from '../maps/leaks.ts';
import { checkPinPath, pinAt } from '../maps/pin-path.ts';
import { InfoRecords } from '../obj/btf/ext-records.ts';
import { Instructions } from '../obj/instructions/instructions.ts';
import { programTypeName } from '../uapi/program-types.ts';
import {
  type ContextCodec,
  type ContextInput,
  decodeContext,
  encodeContext,
} from './context-codec.ts';
import {
  checkTestRunOptions,
  type TestRun,
  type TestRunOptions,
  testRunError,
  testRunRequest,
  testRunResult,
} from './test-run.ts';

const INSPECT = Symbol.for('nodejs.util.inspect.custom');

/** What {@link Program.info} tells. */
export interface DescribedProgram extends ProgramInfo {
  /** The type as bpftool prints it. */
  readonly typeName: string;
}

/** What {@link Program.code} tells. */
export interface LoadedCode {
  /** As the verifier left them; empty if the caller may not see them. */
  readonly instructions: Instructions;
  /** `struct bpf_func_info` of these instructions; undefined if there is none. */
  readonly functionInfo: InfoRecords | undefined;
  /** `struct bpf_line_info` of these instructions; undefined if there is none. */
  readonly lineInfo: InfoRecords | undefined;
}

/** How a program is opened. */
export interface OpenProgramOptions {
  /** The kernel to ask; the running one by default. */
  readonly kernel?: Kernel;
}

/** A loaded program that a handle takes over. */
export interface OwnedProgram {
  readonly kernel: Kernel;
  /** The handle's from now on. */
  readonly fd: number;
  /** The program's name in its object; the kernel's name for it by default. */
  readonly name?: string;
  /** Where it is pinned, if it is. */
  readonly pinPath?: string | null;
  /** Tells the codec of the struct that it takes, when that is first needed; undefined for none. */
  readonly context?: () => ContextCodec | undefined;
}

/**
 * A program in the kernel. It owns a file descriptor: {@link Program.close} it, or declare it with
 * `using`. After that every method throws `ERR_SKEP_CLOSED`. The program lives on while it is pinned,
 * attached, in a program array, or held by somebody else.
 *
 * @example
 * using app = load(ObjectFile.open('app.bpf.o'));
 * app.program('entry').run({ data: packet }).returnValue;
 */
export class Program {
  /** The program's name in its object, or the kernel's name for it (15 characters). */
  readonly name: string;
  readonly kernel: Kernel;
  #fd: number;
  #type: number | undefined;
  #pinPath: string | null;
  readonly #context: (() => ContextCodec | undefined) | undefined;

  /** @internal */
  constructor(program: OwnedProgram) {
    this.kernel = program.kernel;
    this.#context = program.context;
    this.#fd = program.fd;
    this.#pinPath = program.pinPath ?? null;
    this.name = program.name ?? this.info().name;
  }

  /** @internal Takes a descriptor over, which is closed if that fails. */
  static adopt(program: OwnedProgram): Program {
    let handle: Program;
    try {
      handle = new Program(program);
    } catch (error) {
      program.kernel.close(program.fd);
      throw error;
    }
    watchForLeak(handle, Program.adopt);
    return handle;
  }

  /**
   * Opens a pinned program.
   *
   * @throws SyscallError `ENOENT` if there is none, `EINVAL` if what is there is no program
   */
  static openPinned(path: string, options: OpenProgramOptions = {}): Program {
    const place = checkPinPath(path);
    const kernel = options.kernel ?? linuxKernel();
    return Program.adopt({ kernel, fd: kernel.openPinnedProgram(place), pinPath: place });
  }

  /** Opens a program by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById(id: number, options: OpenProgramOptions = {}): Program {
    const kernel = options.kernel ?? linuxKernel();
    return Program.adopt({ kernel, fd: kernel.openProgramById(id) });
  }

  /** Whether {@link Program.close} was called. */
  get closed(): boolean {
    return this.#fd < 0;
  }

  /** The file descriptor, which stays this handle's. */
  get fd(): number {
    if (this.#fd < 0) {
      throw new SkepError('ERR_SKEP_CLOSED', `program "${this.name}" is closed`);
    }
    return this.#fd;
  }

  /** Where the program was pinned by this handle, or found; null if it is not known to be pinned. */
  get pinPath(): string | null {
    return this.#pinPath;
  }

  /** What the kernel says of the program, as of now: how often it ran changes. */
  info(): DescribedProgram {
    const info = this.kernel.programInfo(this.fd);
    this.#type = info.type;
    return { ...info, typeName: programTypeName(info.type) };
  }

  /** The program's code, as the verifier left it. Empty without CAP_BPF or CAP_SYS_ADMIN. */
  code(): LoadedCode {
    const { instructions, functionInfo, lineInfo } = this.kernel.programCode(this.fd);
    const { littleEndian } = this.kernel;
    const records = (table: InfoTable | null) =>
      table === null ? undefined : new InfoRecords(table.bytes, table.recordBytes, littleEndian);
    return {
      instructions: new Instructions(instructions, littleEndian ? 'little' : 'big'),
      functionInfo: records(functionInfo),
      lineInfo: records(lineInfo),
    };
  }

  /**
   * Runs the program on what the caller gives it, without attaching it (4.12): see docs/programs.md for
   * what each type of program takes.
   *
   * @typeParam C what the context is given as
   * @throws TypeError, RangeError for options that no program of this type takes; ValueError for a context
   *   that is not of the type that the program takes
   * @throws SyscallError `ENOTSUPP` for types that cannot be run, `EINVAL` for what the type does not
   *   take; the message says what is likely
   *
   * @example
   * const { returnValue, data } = program.run({ data: packet, repeat: 1000 });
   */
  run<C extends ContextInput = Uint8Array>(options: TestRunOptions<C> = {}): TestRun<C> {
    checkTestRunOptions(options);
    const type = this.#type ?? this.info().type;
    const { littleEndian } = this.kernel;
    const given = options.context;
    const codec =
      given instanceof Uint8Array || given === undefined ? undefined : this.#context?.();
    const bytes = given === undefined ? null : encodeContext(type, given, codec, littleEndian);
    const request = testRunRequest(type, options, bytes);
    let outcome: TestRunOutcome;
    try {
      outcome = this.kernel.runProgram(this.fd, request);
    } catch (error) {
      throw error instanceof SyscallError
        ? testRunError(this.name, programTypeName(type), request, error)
        : error;
    }
    const { context, ...result } = testRunResult(type, request, outcome);
    const decoded = context && decodeContext(context, given, codec, littleEndian);
    return { ...result, context: decoded as C | null };
  }

  /**
   * Pins the program at an absolute path on a BPF file system, so that it outlives the process. Missing
   * directories are made.
   *
   * @throws SkepError `ERR_SKEP_PIN_PATH` for a path that cannot hold pins, with the remedy
   * @throws SyscallError `EEXIST` if something is there already
   */
  pin(path: string): void {
    this.#pinPath = pinAt(this.kernel, this.fd, path);
  }

  /**
   * Removes a pin of the program: the one at {@link Program.pinPath} if no path is given. The program
   * stays usable through this handle. False if there was none.
   *
   * @throws SkepError `ERR_SKEP_PIN_PATH` if another program is pinned there
   */
  unpin(path: string | null = this.#pinPath): boolean {
    void this.fd;
    if (path === null) {
      return false;
    }
    const place = checkPinPath(path);
    if (place === this.#pinPath) {
      this.#pinPath = null;
    } else {
      this.#checkOwnPin(place);
    }
    return this.kernel.unpin(place);
  }

  /** Closes the handle. Closing twice does nothing. */
  close(): void {
    if (this.#fd < 0) {
      return;
    }
    closedInTime(this);
    const fd = this.#fd;
    this.#fd = -1;
    this.kernel.close(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What console.log shows. */
  [INSPECT](): string {
    const type = this.#type === undefined ? '' : ` { ${programTypeName(this.#type)} }`;
    return `Program "${this.name}"${this.closed ? ' (closed)' : ''}${type}`;
  }

  /** Refuses to remove what is another program's. */
  #checkOwnPin(path: string): void {
    if (this.kernel.fileSystem(dirname(path)) !== 'bpf') {
      // No pin at all, which is for the kernel's front to say.
      return;
    }
    let fd: number;
    try {
      fd = this.kernel.openPinnedProgram(path);
    } catch (error) {
      if (error instanceof SyscallError && error.errnoName === 'ENOENT') {
        return;
      }
      throw error;
    }
    const { id } = this.kernel.programInfo(fd);
    this.kernel.close(fd);
    if (id !== this.info().id) {
      throw new SkepError(
        'ERR_SKEP_PIN_PATH',
        `what is pinned at "${path}" is another program than "${this.name}"; unpin it by a handle of its own`,
      );
    }
  }
}
