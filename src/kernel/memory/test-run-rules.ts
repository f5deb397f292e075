/**
 * What programs of each type can be run on (`BPF_PROG_TEST_RUN`), and how much comes back: the checks of
 * `bpf_prog_test_run_*` in `net/bpf/test_run.c`, `kernel/bpf/syscall.c` and `kernel/trace/bpf_trace.c`
 * (6.18, on x86-64), as 0 or a negative errno.
 *
 * Of what is in a context, interfaces, lengths and addresses are taken as they are.
 */

import { BPF_ATTACH_TYPE } from '../../uapi/attach-types.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { BPF_PROG_TYPE } from '../../uapi/program-types.ts';
import type { TestRunRequest } from '../program-calls.ts';

/** `BPF_F_TEST_*`. */
const RUN_ON_CPU = 1;
export const LIVE_FRAMES = 2;
const CHECKSUM_COMPLETE = 4;

/** `ETH_HLEN`. */
const ETHERNET_BYTES = 14;
/** `sizeof(struct iphdr)`, which a netfilter program may look at. */
const LEAST_HOOKED = 20;
/** Of the page of a packet: what stands before it, and `struct skb_shared_info` behind it. */
const SKB_HEADROOM = 64;
const XDP_HEADROOM = 256;
/** `sizeof(struct xdp_page_head)`, of packets that go their way. */
const LIVE_HEADROOM = 192;
const TAILROOM = 320;
/** `MAX_SKB_FRAGS`: pages that follow the first. */
const MOST_FRAGMENTS = 17;
/** `TEST_XDP_MAX_BATCH`. */
const LARGEST_BATCH = 256;
/** Bytes of metadata in front of a packet: `xdp_metalen_invalid`. */
const MOST_METADATA = 252;
/** `MAX_BPF_FUNC_ARGS`, of 8 bytes each. */
const ARGUMENT_BYTES = 96;
const LARGEST_SYSCALL_CONTEXT = 0xffff;
const AF_INET = 2;
const AF_INET6 = 10;
const FLOW_KEYS_BYTES = 56;
/** A page, which `bpf_check_uarg_tail_zero` looks at at most. */
const LARGEST_CONTEXT = 4096;

/** Bytes of a context that the caller may set: from, and up to. */
type Ranges = readonly (readonly [start: number, end: number])[];

/**
 * Of `struct __sk_buff`: mark; priority, ingress_ifindex, ifindex; cb; tstamp, wire_len, gso_segs; gso_size;
 * hwtstamp (`convert___skb_to_skb`).
 */
const SKB_GIVEN: Ranges = [
  [8, 12],
  [32, 44],
  [48, 68],
  [152, 168],
  [176, 180],
  [184, 192],
];

/** What the rules ask of the kernel and of the program. */
export interface RunContext {
  readonly expectedAttachType: number;
  readonly pageSize: number;
  readonly cpus: number;
  readonly littleEndian: boolean;
}

/** How programs of a type are run. */
export interface RunRules {
  /** Bytes of the context as the kernel has it: what it gives back; 0 if it gives none. */
  readonly contextBytes: number;
  /** Whether the packet, what is made of it, or nothing comes back. */
  readonly gives: 'packet' | 'flow keys' | 'nothing';
  /** 0, or why it cannot be run on that. */
  check(request: TestRunRequest, context: RunContext): number;
}

const INVALID = -ERRNO.EINVAL;

const ON_PACKET: RunRules = {
  contextBytes: 192,
  gives: 'packet',
  check(request, { pageSize }) {
    const { flags, cpu, batchSize } = request;
    if ((flags & ~CHECKSUM_COMPLETE) !== 0 || cpu !== 0 || batchSize !== 0) {
      return INVALID;
    }
    const refusal = checkPacket(request, pageSize - SKB_HEADROOM - TAILROOM);
    return refusal || checkContext(request, this.contextBytes, SKB_GIVEN);
  },
};

const XDP: RunRules = {
  contextBytes: 24,
  gives: 'packet',
  check(request, context) {
    const { flags, batchSize } = request;
    const isLive = (flags & LIVE_FRAMES) !== 0;
    const inMap =
      context.expectedAttachType === BPF_ATTACH_TYPE.XDP_DEVMAP ||
      context.expectedAttachType === BPF_ATTACH_TYPE.XDP_CPUMAP;
    if (inMap || (flags & ~LIVE_FRAMES) !== 0 || (batchSize !== 0 && !isLive)) {
      return INVALID;
    }
    if (batchSize > LARGEST_BATCH) {
      return -ERRNO.E2BIG;
    }
    return checkContext(request, this.contextBytes) || checkFrame(request, isLive, context);
  },
};

const RAW_TRACEPOINT: RunRules = {
  contextBytes: 0,
  gives: 'nothing',
  check(request, { cpus }) {
    const { context, flags, cpu } = request;
    if (wantsPacketOrRepeats(request) || (context?.length ?? 0) > ARGUMENT_BYTES) {
      return INVALID;
    }
    if ((flags & RUN_ON_CPU) === 0) {
      return cpu === 0 ? 0 : INVALID;
    }
    return cpu < cpus ? 0 : -ERRNO.ENXIO;
  },
};

const SYSCALL: RunRules = {
  contextBytes: 0,
  gives: 'nothing',
  check(request) {
    const tooLong = (request.context?.length ?? 0) > LARGEST_SYSCALL_CONTEXT;
    return wantsPacketOrRepeats(request) || request.flags !== 0 || tooLong ? INVALID : 0;
  },
};

const FLOW_DISSECTOR: RunRules = {
  contextBytes: FLOW_KEYS_BYTES,
  gives: 'flow keys',
  check(request, { pageSize }) {
    if (hasFlags(request)) {
      return INVALID;
    }
    return checkPacket(request, pageSize) || checkContext(request, this.contextBytes, [[48, 52]]);
  },
};

const NETFILTER: RunRules = {
  contextBytes: 0,
  gives: 'nothing',
  check(request, { pageSize }) {
    const { data, context } = request;
    if (hasFlags(request) || (data?.length ?? 0) < LEAST_HOOKED) {
      return INVALID;
    }
    const refusal =
      checkPacket(request, pageSize - SKB_HEADROOM - TAILROOM) || checkContext(request, 64);
    // The second byte of `struct nf_hook_state` is the family; what is only asked for is zero.
    const isGiven = hasBytes(context) || hasBytes(request.contextOut);
    return refusal || (isGiven && !isFamily(context?.[1] ?? 0) ? INVALID : 0);
  },
};

const SK_LOOKUP: RunRules = {
  contextBytes: 72,
  gives: 'nothing',
  check(request, { littleEndian }) {
    const { data, dataOut, context, contextOut } = request;
    const isGiven = hasBytes(context) || hasBytes(contextOut);
    if (hasFlags(request) || hasBytes(data) || hasBytes(dataOut) || !isGiven) {
      return INVALID;
    }
    const refusal = checkContext(request, this.contextBytes);
    const isKnown = isFamily(wordOf(context, 8, littleEndian));
    return refusal || (isKnown ? 0 : -ERRNO.EAFNOSUPPORT);
  },
};

const TRACING: RunRules = {
  contextBytes: 0,
  gives: 'nothing',
  check(request, { expectedAttachType }) {
    if (hasFlags(request)) {
      return INVALID;
    }
    const isCalled =
      expectedAttachType === BPF_ATTACH_TYPE.TRACE_FENTRY ||
      expectedAttachType === BPF_ATTACH_TYPE.TRACE_FEXIT ||
      expectedAttachType === BPF_ATTACH_TYPE.MODIFY_RETURN;
    return isCalled ? 0 : -ERRNO.EFAULT;
  },
};

const RULES: ReadonlyMap<number, RunRules> = new Map([
  [BPF_PROG_TYPE.SOCKET_FILTER, ON_PACKET],
  [BPF_PROG_TYPE.SCHED_CLS, ON_PACKET],
  [BPF_PROG_TYPE.SCHED_ACT, ON_PACKET],
  [BPF_PROG_TYPE.CGROUP_SKB, ON_PACKET],
  [BPF_PROG_TYPE.LWT_IN, ON_PACKET],
  [BPF_PROG_TYPE.LWT_OUT, ON_PACKET],
  [BPF_PROG_TYPE.LWT_XMIT, ON_PACKET],
  [BPF_PROG_TYPE.XDP, XDP],
  [BPF_PROG_TYPE.RAW_TRACEPOINT, RAW_TRACEPOINT],
  [BPF_PROG_TYPE.SYSCALL, SYSCALL],
  [BPF_PROG_TYPE.FLOW_DISSECTOR, FLOW_DISSECTOR],
  [BPF_PROG_TYPE.NETFILTER, NETFILTER],
  [BPF_PROG_TYPE.SK_LOOKUP, SK_LOOKUP],
  [BPF_PROG_TYPE.TRACING, TRACING],
]);

/** How programs of a type are run; undefined for those that cannot be run so. */
export function runRules(type: number): RunRules | undefined {
  return RULES.get(type);
}

/** Bytes of `struct bpf_flow_keys`, which a flow dissector gives back in the place of the packet. */
export function flowKeys(given: Uint8Array | undefined): Uint8Array {
  return padded(given ?? new Uint8Array(), FLOW_KEYS_BYTES);
}

/** These bytes, cut or filled with zeros to a length. */
export function padded(bytes: Uint8Array, length: number): Uint8Array {
  const whole = new Uint8Array(length);
  whole.set(bytes.subarray(0, length));
  return whole;
}

/** `bpf_test_init`. */
function checkPacket({ data }: TestRunRequest, most: number): number {
  const length = data?.length ?? 0;
  return length < ETHERNET_BYTES || length > most ? INVALID : 0;
}

/**
 * `bpf_ctx_init`: what the kernel's own context has no room for must be zero, and so must what cannot be
 * given.
 */
function checkContext({ context }: TestRunRequest, most: number, given?: Ranges): number {
  if (context === null) {
    return 0;
  }
  const rest = context.subarray(most);
  if (context.length > LARGEST_CONTEXT || rest.some((byte) => byte !== 0)) {
    return -ERRNO.E2BIG;
  }
  const isGiven = (at: number) =>
    given === undefined || given.some(([start, end]) => at >= start && at < end);
  return context.some((byte, at) => byte !== 0 && !isGiven(at)) ? INVALID : 0;
}

/** The packet of an XDP program, of which `struct xdp_md` says where it begins and ends. */
function checkFrame(request: TestRunRequest, isLive: boolean, context: RunContext): number {
  const length = request.data?.length ?? 0;
  const [start, end, metadata] = [0, 4, 8].map((at) =>
    wordOf(request.context, at, context.littleEndian),
  ) as [number, number, number];
  const badStart = start % 4 !== 0 || start > MOST_METADATA;
  const badContext = metadata !== 0 || end > length || start > end || badStart;
  if (hasBytes(request.context) && badContext) {
    return INVALID;
  }
  const isContextWanted = hasBytes(request.context) || hasBytes(request.contextOut);
  if (isLive && isContextWanted && (hasBytes(request.dataOut) || hasBytes(request.contextOut))) {
    return INVALID;
  }
  const first = context.pageSize - XDP_HEADROOM - TAILROOM - (isLive ? LIVE_HEADROOM : 0);
  if (length - start < ETHERNET_BYTES || (isLive && length > first)) {
    return INVALID;
  }
  return length > first + MOST_FRAGMENTS * context.pageSize ? -ERRNO.ENOMEM : 0;
}

/** What programs without a packet refuse. */
function wantsPacketOrRepeats(request: TestRunRequest): boolean {
  const buffers = [request.data, request.dataOut, request.contextOut];
  return buffers.some(hasBytes) || request.repeat !== 0 || request.batchSize !== 0;
}

function hasFlags({ flags, cpu, batchSize }: TestRunRequest): boolean {
  return flags !== 0 || cpu !== 0 || batchSize !== 0;
}

function hasBytes(buffer: Uint8Array | null): boolean {
  return buffer !== null && buffer.length > 0;
}

function isFamily(family: number): boolean {
  return family === AF_INET || family === AF_INET6;
}

/** A number of a context; 0 where it ends before. */
function wordOf(context: Uint8Array | null, offset: number, littleEndian: boolean): number {
  const bytes = padded((context ?? new Uint8Array()).subarray(offset), 4);
  return new DataView(bytes.buffer).getUint32(0, littleEndian);
}
