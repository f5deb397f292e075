/**
 * The part of the in-process kernel that is about programs: they are kept as Linux keeps them, and
 * do what a test says. And what the kernel says of itself, which a test says too.
 *
 * Semantics: `bpf_prog_load`, `bpf_prog_get_info_by_fd` and the rest of `kernel/bpf/syscall.c`.
 */

import type { SyscallError } from '../../errors.ts';
import { type Instruction, Instructions } from '../../obj/instructions/instructions.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { BPF_PROG_TYPE } from '../../uapi/program-types.ts';
import { checkRoom } from '../check-room.ts';
import type {
  BtfInfo,
  LogRequest,
  ProgramAttributes,
  ProgramCalls,
  ProgramCode,
  ProgramInfo,
  TestRunOutcome,
  TestRunRequest,
} from '../program-calls.ts';
import { refused } from '../refused.ts';
import { type Descriptors, describeMap, isStream } from './descriptors.ts';
import { checkPath } from './file-system.ts';
import { loadProgram } from './load-program.ts';
import type { Capability, Machine } from './machine.ts';
import { BtfObject, type KernelObject } from './objects.ts';
import { ProgramObject, SLEEPABLE, tagOf } from './program-object.ts';
import { releaseVersion } from './system-options.ts';
import { checkAnswer, type TestRunAnswer, type TestRunFunction } from './test-run.ts';
import { flowKeys, LIVE_FRAMES, padded, type RunRules, runRules } from './test-run-rules.ts';

/** `r0 = 0`, `exit`. */
const NOTHING: readonly Instruction[] = [
  { opcode: 0xb7, dst: 0, src: 0, offset: 0, imm: 0 },
  { opcode: 0x95, dst: 0, src: 0, offset: 0, imm: 0 },
];
const INFO = 'BPF_OBJ_GET_INFO_BY_FD';
const TEST_RUN = 'BPF_PROG_TEST_RUN';
/** `INT_MAX`: ids are below. */
const LARGEST_ID = 0x7fff_ffff;

/** What a process of the in-process kernel is made of. */
export interface MemoryProcess {
  readonly machine: Machine;
  readonly descriptors: Descriptors;
  readonly capabilities: ReadonlySet<Capability>;
}

/** Programs, BTF by id, and the kernel itself, in the in-process kernel. */
export abstract class MemoryPrograms implements ProgramCalls {
  readonly #process: MemoryProcess;

  constructor(process: MemoryProcess) {
    this.#process = process;
  }

  /**
   * A program without instructions to speak of, whatever this process may do: so that there is something
   * to put into program arrays.
   *
   * @param type `BPF_PROG_TYPE_*`
   * @returns a descriptor
   */
  createProgram(type: number, name = ''): number {
    const { machine, descriptors } = this.#process;
    const { littleEndian } = machine.options;
    const instructions = Instructions.encode(NOTHING, littleEndian ? 'little' : 'big');
    const program = machine.addProgram({
      attributes: {
        type,
        instructions: instructions.bytes,
        license: 'GPL',
        name,
        flags: type === BPF_PROG_TYPE.SYSCALL ? SLEEPABLE : 0,
        expectedAttachType: 0,
        kernelVersion: 0,
        btf: null,
        target: null,
        descriptors: [],
      },
      instructions,
      tag: tagOf(instructions),
      maps: [],
      btf: null,
      target: { program: null, btfId: 0 },
    });
    return descriptors.add(program, 'read-write');
  }

  /**
   * Says what a program does when it is run (`BPF_PROG_TEST_RUN`); until then, `ENOTSUPP` is the answer.
   * It is for all processes of this kernel, and for programs that are still to come. What the program is run
   * on is checked as Linux does before.
   *
   * @param program its name, or its id, which goes before
   * @example
   * kernel.onTestRun('entry', ({ data }) => ({ returnValue: data?.[0] === 0x45 ? 2 : 1 }));
   */
  onTestRun(program: string | number, run: TestRunFunction): void {
    this.#process.machine.testRuns.set(program, run);
  }

  /** Ids of all programs that somebody holds, ascending. */
  programIds(): number[] {
    return idsOf(this.#process.machine.programs);
  }

  loadProgram(attributes: ProgramAttributes, log: LogRequest | null): number {
    const { machine, descriptors } = this.#process;
    const parts = loadProgram(attributes, log, {
      littleEndian: machine.options.littleEndian,
      kernelTypes: machine.kernelTypes,
      may: (capability) => this.#may(capability),
      open: (fd) => descriptors.get(fd),
    });
    return descriptors.add(machine.addProgram(parts), 'read-write');
  }

  programInfo(fd: number): ProgramInfo {
    const program = this.#program(fd, INFO);
    const { attributes, instructions, maps, btf, target, tag } = program.parts;
    return {
      id: program.id,
      type: program.type,
      tag,
      name: program.name,
      jitedBytes: 0,
      translatedBytes: this.#may('CAP_BPF') ? instructions.bytes.length : 0,
      loadTime: program.loadTime,
      userId: 0,
      mapIds: maps.map(({ id }) => id),
      gplCompatible: program.gplCompatible,
      btfId: btf?.id ?? 0,
      runTimeNanoseconds: 0n,
      runCount: 0n,
      recursionMisses: 0n,
      verifiedInstructions: 0,
      attachTypeId: attributes.target?.typeId ?? 0,
      attachBtfObjectId: target.btfId,
    };
  }

  programCode(fd: number): ProgramCode {
    const { parts, functionInfo, lineInfo } = this.#program(fd, INFO);
    if (!this.#may('CAP_BPF')) {
      return { instructions: new Uint8Array(), functionInfo: null, lineInfo: null };
    }
    const copied = (table: typeof functionInfo) =>
      table === null ? null : { ...table, bytes: table.bytes.slice() };
    return {
      instructions: parts.instructions.bytes.slice(),
      functionInfo: copied(functionInfo),
      lineInfo: copied(lineInfo),
    };
  }

  openProgramById(id: number): number {
    const { programs } = this.#process.machine;
    return this.#openById('BPF_PROG_GET_FD_BY_ID', 'program', programs, id);
  }

  nextProgramId(after: number): number | null {
    const { programs } = this.#process.machine;
    return this.#nextId('BPF_PROG_GET_NEXT_ID', 'list of programs', programs, after);
  }

  openPinnedProgram(path: string): number {
    checkPath(path);
    const { machine, descriptors } = this.#process;
    descriptors.checkAlive();
    const object = machine.files.get(path);
    if (typeof object === 'number') {
      throw refused('BPF_OBJ_GET', -object, path);
    }
    if (!(object instanceof ProgramObject)) {
      throw refused('BPF_OBJ_GET', ERRNO.EINVAL, path, `it is no program but a bpf-${object.kind}`);
    }
    return descriptors.add(object, 'read-write');
  }

  runProgram(fd: number, request: TestRunRequest): TestRunOutcome {
    const program = this.#program(fd, TEST_RUN);
    for (const buffer of [request.data, request.dataOut, request.context, request.contextOut]) {
      checkRoom(buffer ?? new Uint8Array(), buffer?.length ?? 0, 'a buffer of a test run');
    }
    const refuse = (errno: number, hint?: string): SyscallError =>
      refused(TEST_RUN, errno, `program at file descriptor ${fd}`, hint);
    const { testRuns, options } = this.#process.machine;
    const rules = runRules(program.type);
    if (rules === undefined) {
      throw refuse(ERRNO.ENOTSUPP);
    }
    const run = testRuns.get(program.id) ?? testRuns.get(program.name);
    if (run === undefined) {
      const hint = 'no test has said what the program does: see onTestRun of the in-process kernel';
      throw refuse(ERRNO.ENOTSUPP, hint);
    }
    const { expectedAttachType } = program.parts.attributes;
    const refusal = rules.check(request, { ...options, expectedAttachType });
    if (refusal < 0) {
      throw refuse(-refusal);
    }
    const answer = checkAnswer(run(request), program.name);
    if (program.type === BPF_PROG_TYPE.SYSCALL) {
      // These have no room of their own for what they leave.
      request.context?.set((answer.context ?? request.context).subarray(0, request.context.length));
    }
    const outcome = outcomeOf(rules, request, answer);
    if (outcome === null) {
      throw refuse(ERRNO.ENOSPC);
    }
    return outcome;
  }

  linkStructOps(mapFd: number): number {
    const open = this.#process.descriptors.get(mapFd);
    // There are no maps of the type that has one.
    const isOpen = open !== undefined || isStream(mapFd);
    throw refused('BPF_LINK_CREATE', isOpen ? ERRNO.EINVAL : ERRNO.EBADF, describeMap(mapFd));
  }

  openBtfById(id: number): number {
    const { tables } = this.#process.machine;
    return this.#openById('BPF_BTF_GET_FD_BY_ID', 'BTF object', tables, id);
  }

  nextBtfId(after: number): number | null {
    const { tables } = this.#process.machine;
    return this.#nextId('BPF_BTF_GET_NEXT_ID', 'list of BTF objects', tables, after);
  }

  btfInfo(fd: number): BtfInfo {
    const object = this.#object(fd, INFO);
    if (!(object instanceof BtfObject)) {
      throw refused(INFO, ERRNO.EINVAL, `file descriptor ${fd}`, 'it is no BTF');
    }
    const { id, name, bytes } = object;
    return { id, name, isKernel: name !== '', size: bytes.length };
  }

  version(): number {
    return releaseVersion(this.#process.machine.options.release);
  }

  configuration(): string | null {
    return this.#process.machine.options.configuration;
  }

  symbolAddresses(names: ReadonlySet<string>): ReadonlyMap<string, bigint> {
    const { symbols } = this.#process.machine.options;
    const isVisible = this.#may('CAP_SYS_ADMIN');
    const found = [...names].filter((name) => Object.hasOwn(symbols, name));
    return new Map(found.map((name) => [name, isVisible ? symbols[name]! : 0n]));
  }

  kernelBtf(): Uint8Array | null {
    return this.#process.machine.options.kernelBtf;
  }

  /** Capabilities imply each other as Linux has it: CAP_SYS_ADMIN is the others too. */
  #may(capability: Capability): boolean {
    const { capabilities, descriptors } = this.#process;
    descriptors.checkAlive();
    return capabilities.has(capability) || capabilities.has('CAP_SYS_ADMIN');
  }

  #object(fd: number, command: string): KernelObject {
    const open = this.#process.descriptors.get(fd);
    if (open === undefined) {
      // Asking for information has an errno of its own, in Linux either.
      const closed = command === INFO ? ERRNO.EBADFD : ERRNO.EBADF;
      throw refused(command, isStream(fd) ? ERRNO.EINVAL : closed, `file descriptor ${fd}`);
    }
    return open.object;
  }

  #program(fd: number, command: string): ProgramObject {
    const object = this.#object(fd, command);
    if (!(object instanceof ProgramObject)) {
      throw refused(command, ERRNO.EINVAL, `file descriptor ${fd}`, 'it is no program');
    }
    return object;
  }

  #openById(
    command: string,
    what: string,
    objects: ReadonlyMap<number, KernelObject>,
    id: number,
  ): number {
    if (!Number.isInteger(id) || id < 0 || id > 0xffff_ffff) {
      throw new TypeError(`the id of a ${what} is an integer of 32 bits, not ${String(id)}`);
    }
    const refuse = (errno: number) => refused(command, errno, `${what} with id ${id}`);
    if (!this.#may('CAP_SYS_ADMIN')) {
      throw refuse(ERRNO.EPERM);
    }
    const object = objects.get(id);
    if (object === undefined) {
      throw refuse(ERRNO.ENOENT);
    }
    return this.#process.descriptors.add(object, 'read-write');
  }

  #nextId(
    command: string,
    what: string,
    objects: ReadonlyMap<number, KernelObject>,
    after: number,
  ): number | null {
    // The number that the kernel gets: 32 bits of it.
    const start = after >>> 0;
    if (start >= LARGEST_ID) {
      throw refused(command, ERRNO.EINVAL, what);
    }
    if (!this.#may('CAP_SYS_ADMIN')) {
      throw refused(command, ERRNO.EPERM, what);
    }
    return idsOf(objects).find((id) => id > start) ?? null;
  }
}

function idsOf(objects: ReadonlyMap<number, KernelObject>): number[] {
  return [...objects.keys()].sort((a, b) => a - b);
}

/** What the kernel makes of what a program left; null if that has no room. */
function outcomeOf(
  rules: RunRules,
  request: TestRunRequest,
  answer: TestRunAnswer,
): TestRunOutcome | null {
  const { data, dataOut, context, contextOut } = request;
  const { contextBytes } = rules;
  const isLive = (request.flags & LIVE_FRAMES) !== 0;
  const packet = {
    packet: answer.data ?? data ?? new Uint8Array(),
    'flow keys': flowKeys(answer.data),
    nothing: new Uint8Array(),
  }[rules.gives];
  const left = padded(answer.context ?? context ?? new Uint8Array(), contextBytes);
  const wantsContext = contextBytes > 0 && contextOut !== null && contextOut.length > 0;
  // Live frames go their way: nothing of them comes back.
  const fits = isLive || (copyOut(packet, dataOut) && copyOut(left, contextOut));
  if (!fits) {
    return null;
  }
  return {
    returnValue: isLive ? 0 : answer.returnValue >>> 0,
    durationNanoseconds: answer.durationNanoseconds ?? 0,
    dataBytes: isLive ? (dataOut?.length ?? 0) : packet.length,
    contextBytes: wantsContext ? left.length : 0,
  };
}

/** Copies what there is room for; whether that was all. Without a place there is nothing to copy. */
function copyOut(bytes: Uint8Array, room: Uint8Array | null): boolean {
  // No room is none that was asked for, as the kernel has it.
  if (room === null || room.length === 0) {
    return true;
  }
  room.set(bytes.subarray(0, room.length));
  return bytes.length <= room.length;
}
