/**
 * The part of {@link Kernel} that is about programs: loading and running them, and what the kernel
 * tells of itself, which loading them needs.
 *
 * Semantics are those of bpf(2); `include/uapi/linux/bpf.h` describes each command. As everywhere, what
 * the kernel refuses is thrown as a `SyscallError`, and descriptors belong to the caller.
 */

/** What a program is loaded with (`BPF_PROG_LOAD`). */
export interface ProgramAttributes {
  /** `BPF_PROG_TYPE_*`. */
  readonly type: number;
  /** In the byte order of the machine. */
  readonly instructions: Uint8Array;
  readonly license: string;
  /** At most 15 of the characters `[A-Za-z0-9_.]`; '' for none (4.15). */
  readonly name: string;
  /** `BPF_F_*` of programs: sleepable (5.10), XDP frags (5.18), and so on. */
  readonly flags: number;
  /** `BPF_*` attach type; 0 for none (4.17). */
  readonly expectedAttachType: number;
  /** `LINUX_VERSION_CODE`: kernels before 5.0 compare it for kprobes. */
  readonly kernelVersion: number;
  /** What describes the instructions (5.0); null for nothing. */
  readonly btf: {
    readonly fd: number;
    /** `struct bpf_func_info` and how many bytes each record has; null for none. */
    readonly functionInfo: InfoTable | null;
    /** `struct bpf_line_info`; null for none. */
    readonly lineInfo: InfoTable | null;
  } | null;
  /** What it is made for (5.5); null for nothing. */
  readonly target: AttachTarget | null;
  /**
   * Descriptors that instructions name by index: BTF of modules that kfuncs come from (5.16). Empty for
   * none; the first one is never used, as 0 stands for the kernel itself.
   */
  readonly descriptors: readonly number[];
}

/** Records as the kernel takes them. */
export interface InfoTable {
  readonly bytes: Uint8Array;
  readonly recordBytes: number;
}

/** A function, hook or struct of the kernel, or a function of another program. */
export interface AttachTarget {
  /** Id of its type: in the kernel's BTF, or in that of a module or of the program. */
  readonly typeId: number;
  /** Descriptor of a module's BTF (5.11), or of a program (5.6); null for the kernel's own BTF. */
  readonly fd: number | null;
}

/** What the verifier is asked to tell, and where it tells it. */
export interface LogRequest {
  /** 1: what it looks at; 2: every instruction; 4 added: statistics (5.2). */
  readonly level: number;
  /** Filled with text that ends with a NUL. At least 128 bytes. */
  readonly buffer: Uint8Array;
  /** After the call: how many bytes the whole log takes (6.4); 0 where the kernel does not say. */
  wholeBytes: number;
}

/** What the kernel says of a program (`struct bpf_prog_info`). */
export interface ProgramInfo {
  readonly id: number;
  /** `BPF_PROG_TYPE_*`. */
  readonly type: number;
  /** A hash of its instructions, as 16 hexadecimal digits. */
  readonly tag: string;
  readonly name: string;
  /** Bytes of machine code; 0 if it is interpreted, or if the caller may not know. */
  readonly jitedBytes: number;
  /** Bytes of instructions after the verifier rewrote them. */
  readonly translatedBytes: number;
  /** When it was loaded: nanoseconds since boot. */
  readonly loadTime: bigint;
  /** Who loaded it. */
  readonly userId: number;
  /** Ids of the maps that it uses, as far as the kernel tells. */
  readonly mapIds: readonly number[];
  readonly gplCompatible: boolean;
  /** Id of its BTF object, 0 for none. */
  readonly btfId: number;
  /** Nanoseconds that it ran, and how often, while statistics were on (5.1). */
  readonly runTimeNanoseconds: bigint;
  readonly runCount: bigint;
  /** How often it was not run because it was running already (5.12). */
  readonly recursionMisses: bigint;
  /** Instructions that the verifier went through (5.16); 0 before. */
  readonly verifiedInstructions: number;
  /** Id of the type that it is attached to, and of the BTF object that has it (5.17); 0 for none. */
  readonly attachTypeId: number;
  readonly attachBtfObjectId: number;
}

/** The code of a loaded program, and what describes it. */
export interface ProgramCode {
  /** As the verifier left them; empty if the caller may not see them. */
  readonly instructions: Uint8Array;
  /** `struct bpf_func_info` and `struct bpf_line_info` of these instructions; null for none. */
  readonly functionInfo: InfoTable | null;
  readonly lineInfo: InfoTable | null;
}

/** What a program is run on (`BPF_PROG_TEST_RUN`). */
export interface TestRunRequest {
  /** A packet, for programs that get one; null for none. */
  readonly data: Uint8Array | null;
  /** Room for the packet as the program leaves it; null, or of 0 bytes, if nobody wants it. */
  readonly dataOut: Uint8Array | null;
  /**
   * The context, for programs that take one from the caller; null for none. Programs of type `syscall`
   * change it in place; others leave theirs in `contextOut`.
   */
  readonly context: Uint8Array | null;
  readonly contextOut: Uint8Array | null;
  /** How often it is run; 0 is once. */
  readonly repeat: number;
  /** `BPF_F_TEST_*`. */
  readonly flags: number;
  /** Which CPU runs it, with the flag for that. */
  readonly cpu: number;
  /** Packets in flight, with `BPF_F_TEST_XDP_LIVE_FRAMES`; 0 for the kernel's choice. */
  readonly batchSize: number;
}

/** What came of a test run. */
export interface TestRunOutcome {
  /** What the program returned: 32 bits, as the kernel has them. */
  readonly returnValue: number;
  /** Nanoseconds of one run: the mean if it was repeated. */
  readonly durationNanoseconds: number;
  /** Bytes that the whole packet takes, which may be more than there was room for. */
  readonly dataBytes: number;
  readonly contextBytes: number;
}

/** What the kernel says of BTF that it holds (`struct bpf_btf_info`). */
export interface BtfInfo {
  readonly id: number;
  /** `vmlinux`, or the name of a module; '' for what was loaded (5.11; '' before). */
  readonly name: string;
  /** Whether it is the kernel's or a module's. */
  readonly isKernel: boolean;
  /** Bytes. */
  readonly size: number;
}

/** Calls about programs. Every method throws `SyscallError` for what it is refused. */
export interface ProgramCalls {
  /**
   * Loads a program; a descriptor.
   *
   * @param log where the verifier writes; null for no log. It is filled on failure too. If the log did
   *   not fit, the call fails with `ENOSPC`, though the program may be right.
   */
  loadProgram(attributes: ProgramAttributes, log: LogRequest | null): number;
  programInfo(fd: number): ProgramInfo;
  programCode(fd: number): ProgramCode;
  /** A descriptor for the program with this id (`BPF_PROG_GET_FD_BY_ID`; needs CAP_SYS_ADMIN). */
  openProgramById(id: number): number;
  /** The lowest id above this one, or null (`BPF_PROG_GET_NEXT_ID`; needs CAP_SYS_ADMIN). */
  nextProgramId(after: number): number | null;
  /**
   * Opens a pinned program (`BPF_OBJ_GET`).
   *
   * @throws SyscallError with `ENOENT` if there is nothing at `path`; with `EINVAL` if what is there is
   *   a map or a link
   */
  openPinnedProgram(path: string): number;
  /** Runs a program (4.12). `ENOSPC`: there was no room for what it left; the outcome is lost. */
  runProgram(fd: number, request: TestRunRequest): TestRunOutcome;
  /**
   * Registers the struct of function pointers that a struct_ops map holds (`BPF_LINK_CREATE`, 6.4); a
   * descriptor. It is registered for as long as the link lives.
   */
  linkStructOps(mapFd: number): number;

  /** A descriptor for the BTF object with this id (needs CAP_SYS_ADMIN). */
  openBtfById(id: number): number;
  /** The lowest id of a BTF object above this one, or null (5.4; needs CAP_SYS_ADMIN). */
  nextBtfId(after: number): number | null;
  btfInfo(fd: number): BtfInfo;

  /** `LINUX_VERSION_CODE`: 0x061203 for 6.18.3. */
  version(): number;
  /** The options that it was built with, as the lines of `.config`; null if it does not tell. */
  configuration(): string | null;
  /**
   * Addresses of symbols (`/proc/kallsyms`); those that are not there are not in the answer. All are 0
   * for callers that may not know them.
   *
   * @throws SyscallError with `ENOTUNIQ` if a name has several addresses, which libbpf refuses too
   */
  symbolAddresses(names: ReadonlySet<string>): ReadonlyMap<string, bigint>;
  /**
   * The bytes of BTF of the kernel itself, from `/sys/kernel/btf/vmlinux` only; null if it has none (`CONFIG_DEBUG_INFO_BTF`). The same array
   * each time. It may be memory that must not be written.
   */
  kernelBtf(): Uint8Array | null;
}
