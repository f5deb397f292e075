/**
 * Test runs: a program is called once or many times on a packet or context that the caller makes, without
 * being attached (`BPF_PROG_TEST_RUN`, 4.12).
 *
 * What each type of program takes is in the kernel: `net/bpf/test_run.c`, `kernel/bpf/syscall.c` and
 * `kernel/trace/bpf_trace.c`, by the functions `bpf_prog_test_run_*`.
 */

import { describeValue } from '../codec/codec.ts';
import { SyscallError } from '../errors.ts';
import { explain as explainErrno } from '../kernel/hints.ts';
import type { TestRunOutcome, TestRunRequest } from '../kernel/program-calls.ts';
import { BPF_PROG_TYPE, programTypeName } from '../uapi/program-types.ts';
import type { ContextInput } from './context-codec.ts';

/** `BPF_F_TEST_*` of include/uapi/linux/bpf.h. */
export const BPF_F_TEST = Object.freeze({
  RUN_ON_CPU: 1 << 0,
  XDP_LIVE_FRAMES: 1 << 1,
  SKB_CHECKSUM_COMPLETE: 1 << 2,
} as const);

/**
 * What a program is run on. All of it may be left out where the type of program does not want it.
 *
 * @typeParam C what the context is given as
 */
export interface TestRunOptions<C extends ContextInput = Uint8Array> {
  /** A packet, for programs that get one: at least 14 bytes, those of an Ethernet header. */
  readonly data?: Uint8Array;
  /**
   * The context: `struct __sk_buff`, `struct xdp_md` or `struct bpf_sk_lookup`; the arguments of a raw
   * tracepoint; whatever a `syscall` program takes. As bytes; as an object, if the program comes from an
   * object file that declares its argument as a pointer to a struct; the arguments of a raw tracepoint
   * as a list of numbers. It is not changed.
   */
  readonly context?: C;
  /** How often it is run; 1 by default, and the most for types that are not measured. */
  readonly repeat?: number;
  /** Which CPU runs it: raw tracepoints only (5.10). */
  readonly cpu?: number;
  /** `BPF_F_TEST_*` besides those that other options imply. */
  readonly flags?: number;
  /** XDP: packets go where the program sends them, as if they had arrived (5.18). */
  readonly liveFrames?: boolean;
  /** With `liveFrames`: how many packets at once; the kernel's choice (64) by default. */
  readonly batchSize?: number;
  /**
   * Room for the packet that the program leaves, in bytes; false if nobody wants it. By default there
   * is room for whatever a program can make of the packet.
   */
  readonly dataOut?: number | false;
  /** Room for the context afterwards, in bytes; by default enough if `context` is given. */
  readonly contextOut?: number | false;
}

/**
 * What came of a test run.
 *
 * @typeParam C what the context was given as
 */
export interface TestRun<C extends ContextInput = Uint8Array> {
  /** What the program returned: 32 bits without sign, as the kernel has them. `| 0` gives the sign. */
  readonly returnValue: number;
  /** Nanoseconds of one run, the mean if it was repeated; 0 for types that are not measured. */
  readonly duration: number;
  /** The packet as the program left it; null if there is none. Belongs to the caller. */
  readonly data: Uint8Array | null;
  /**
   * The context as the program left it, in the form that it was given; null if there is none. Belongs to
   * the caller.
   */
  readonly context: C | null;
}

/** Bytes of an Ethernet header, the shortest packet of most types. */
const LEAST_PACKET = 14;
/** No packet can grow by more: `BPF_SKB_MAX_LEN` is below 16 KiB, an XDP frame grows in its page. */
const GROWTH = 16_384;

/** Longer than any context; the kernel fills as much as its own has, also where less was given. */
const CONTEXT_ROOM = 512;

/** Types that have a context and no packet. */
const WITHOUT_PACKET: ReadonlySet<number> = new Set([
  BPF_PROG_TYPE.SYSCALL,
  BPF_PROG_TYPE.RAW_TRACEPOINT,
  BPF_PROG_TYPE.RAW_TRACEPOINT_WRITABLE,
  BPF_PROG_TYPE.TRACING,
  BPF_PROG_TYPE.SK_LOOKUP,
]);

/** Types that can be run on a CPU of choice. */
const ON_CPU: ReadonlySet<number> = new Set([
  BPF_PROG_TYPE.RAW_TRACEPOINT,
  BPF_PROG_TYPE.RAW_TRACEPOINT_WRITABLE,
]);

const OPTIONS: ReadonlySet<string> = new Set([
  'data',
  'context',
  'repeat',
  'cpu',
  'flags',
  'liveFrames',
  'batchSize',
  'dataOut',
  'contextOut',
]);

/**
 * The request for the kernel, with room for what comes back.
 *
 * @param type `BPF_PROG_TYPE_*`
 * @param context its bytes
 * @throws TypeError for options that no program of this type takes
 */
export function testRunRequest(
  type: number,
  options: Omit<TestRunOptions, 'context'>,
  context: Uint8Array | null,
): TestRunRequest {
  const { data = null, liveFrames = false } = options;
  if (options.cpu !== undefined && !ON_CPU.has(type)) {
    throw new TypeError('run: only raw tracepoints can be run on a CPU of choice; leave cpu out');
  }
  if (liveFrames && type !== BPF_PROG_TYPE.XDP) {
    throw new TypeError('run: only XDP programs run on live frames; leave liveFrames out');
  }
  if ((options.repeat ?? 1) > 1 && !measuresRuns(type)) {
    throw new TypeError(
      `run: programs of type ${programTypeName(type)} are run once only; leave repeat out`,
    );
  }
  const wantsData = data !== null && !WITHOUT_PACKET.has(type) && !liveFrames;
  const dataRoom = options.dataOut ?? (wantsData ? data.length + GROWTH : false);
  const contextRoom = options.contextOut ?? defaultContextRoom(type, context, liveFrames);
  const flags =
    (options.flags ?? 0) |
    (options.cpu === undefined ? 0 : BPF_F_TEST.RUN_ON_CPU) |
    (liveFrames ? BPF_F_TEST.XDP_LIVE_FRAMES : 0);
  return {
    data,
    dataOut: dataRoom === false ? null : new Uint8Array(dataRoom),
    // A syscall program changes its context in place: the caller's stays as it is.
    context: type === BPF_PROG_TYPE.SYSCALL && context !== null ? context.slice() : context,
    contextOut: contextRoom === false ? null : new Uint8Array(contextRoom),
    repeat: measuresRuns(type) ? (options.repeat ?? 1) : 0,
    flags,
    cpu: options.cpu ?? 0,
    batchSize: options.batchSize ?? 0,
  };
}

/** What the kernel gave back, as the caller gets it. */
export function testRunResult(
  type: number,
  request: TestRunRequest,
  outcome: TestRunOutcome,
): TestRun {
  const { dataOut, contextOut } = request;
  const context =
    type === BPF_PROG_TYPE.SYSCALL
      ? request.context
      : (contextOut?.slice(0, outcome.contextBytes) ?? null);
  return {
    returnValue: outcome.returnValue,
    duration: outcome.durationNanoseconds,
    data: dataOut?.slice(0, outcome.dataBytes) ?? null,
    context,
  };
}

/** A refusal with what it most likely means for this type of program. */
export function testRunError(
  name: string,
  typeName: string,
  request: TestRunRequest,
  cause: SyscallError,
): SyscallError {
  const { command, errno, errnoName } = cause;
  // What the kernel says itself goes before a guess; what is said of every such errno does not.
  const isOwn = cause.hint !== explainErrno(command, errno, errnoName);
  const hint = isOwn ? cause.hint : (explain(typeName, request, cause) ?? cause.hint);
  return new SyscallError(`program "${name}"`, { command, errno, errnoName, hint, cause });
}

function explain(
  typeName: string,
  { data, context, dataOut, cpu, flags }: TestRunRequest,
  { errnoName }: SyscallError,
): string | undefined {
  if (errnoName === 'ENOTSUPP') {
    return `programs of type ${typeName} cannot be run this way; attach it, and make what it waits for happen`;
  }
  if (errnoName === 'ENOSPC') {
    return `it left more than fits into ${dataOut?.length ?? 0} bytes; it has run all the same. Give more room by dataOut`;
  }
  if (errnoName === 'ENXIO' && (flags & BPF_F_TEST.RUN_ON_CPU) !== 0) {
    return `CPU ${cpu} is not running`;
  }
  if (errnoName !== 'EINVAL') {
    return undefined;
  }
  if (data !== null && data.length < LEAST_PACKET) {
    return `the packet has ${data.length} bytes; it needs ${LEAST_PACKET} at least, those of an Ethernet header`;
  }
  if (SKB.test(typeName) && context !== null) {
    return 'of a struct __sk_buff only mark, priority, ifindex, ingress_ifindex, cb, tstamp, hwtstamp, wire_len, gso_segs and gso_size can be given; the rest follows from the packet and is zero';
  }
  if (typeName === 'syscall' && data === null && flags === 0) {
    return context === null
      ? 'the program reads its context, and none was given; give it by the option context'
      : `the program reads more of its context than the ${context.length} bytes that were given, or these are more than 65535`;
  }
  if (data === null && context === null) {
    return `programs of type ${typeName} are run on data, a context or both; see docs/programs.md`;
  }
  return `data, context or flags are not what programs of type ${typeName} take; see docs/programs.md`;
}

/** Types with a `struct __sk_buff`; what of it is taken: `convert___skb_to_skb`. */
const SKB = /^(sched_|socket_filter$|cgroup_skb$|lwt_)/;

/** The kernel fills a context in only where it was given one; these types have none to give back. */
function defaultContextRoom(
  type: number,
  context: Uint8Array | null,
  liveFrames: boolean,
): number | false {
  const keepsContext = type !== BPF_PROG_TYPE.SK_LOOKUP && (WITHOUT_PACKET.has(type) || liveFrames);
  return context === null || keepsContext ? false : Math.max(context.length, CONTEXT_ROOM);
}

/** Types that refuse a number of repetitions. */
function measuresRuns(type: number): boolean {
  return !WITHOUT_PACKET.has(type) || type === BPF_PROG_TYPE.SK_LOOKUP;
}

/** @throws TypeError, RangeError for options that are wrong by themselves */
export function checkTestRunOptions(options: TestRunOptions<ContextInput>): void {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`run: options are an object, not ${describeValue(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (!OPTIONS.has(name)) {
      throw new TypeError(
        `run: there is no option "${name}"; there are ${[...OPTIONS].join(', ')}`,
      );
    }
  }
  const data: unknown = options.data;
  if (data !== undefined && !(data instanceof Uint8Array)) {
    throw new TypeError('run: data is given as a Uint8Array');
  }
  for (const name of ['repeat', 'cpu', 'flags', 'batchSize', 'dataOut', 'contextOut'] as const) {
    const value: unknown = options[name];
    if (value === undefined || (value === false && name.endsWith('Out'))) {
      continue;
    }
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 0x7fff_ffff) {
      throw new RangeError(`run: ${name} is an integer from 0 to 2147483647, not ${String(value)}`);
    }
  }
}
