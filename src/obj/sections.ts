/**
 * What the name of a section says about the program in it: `SEC("fentry.s/vfs_read")` is a sleepable
 * tracing program for the entry of vfs_read.
 *
 * The convention is libbpf's: `section_defs` and `find_sec_def` in its libbpf.c, the flags as
 * `libbpf_prepare_prog_load` uses them. Names are matched exactly, as libbpf does since 1.0: `xdp/foo`
 * is not an XDP program.
 */

import { BPF_ATTACH_TYPE } from '../uapi/attach-types.ts';
import { BPF_PROG_TYPE } from '../uapi/program-types.ts';

/** The kind of a program, and how it is meant to be loaded and attached. */
export interface ProgramSection {
  /** A number of {@link BPF_PROG_TYPE}; UNSPEC (0) for a section that is not in the table. */
  readonly type: number;
  /**
   * The `expected_attach_type` of BPF_PROG_LOAD, a number of {@link BPF_ATTACH_TYPE}; null where the
   * program type has none, which the kernel is told as 0.
   */
  readonly attachType: number | null;
  /**
   * What follows the first '/', such as `syscalls/sys_enter_openat`. Null if nothing does, and for
   * names like `xdp/devmap`, whose '/' belongs to the name.
   */
  readonly attachTo: string | null;
  /** To be loaded with BPF_F_SLEEPABLE. */
  readonly sleepable: boolean;
  /** To be loaded with BPF_F_XDP_HAS_FRAGS. */
  readonly frags: boolean;
  /** Loading needs `attach_btf_id`: `attachTo` is looked up in the BTF of the kernel or a program. */
  readonly attachBtf: boolean;
  /** A kernel too old for `expected_attach_type` (before 4.17) may be given 0 instead. */
  readonly attachTypeOptional: boolean;
  /** A USDT probe: becomes TRACE_UPROBE_MULTI where the kernel has it. */
  readonly usdt: boolean;
  /** The section says enough to attach the program; else the user must name a target. */
  readonly autoAttach: boolean;
  /** False with the prefix '?': the program is loaded only when asked for. */
  readonly autoload: boolean;
  /** The name in the table that matched, without '?' and `attachTo`; null: an unknown section. */
  readonly name: string | null;
}

// How a row is marked. The names are those of libbpf's sec_def_flags, shortened.
const SLEEPABLE = 1;
const FRAGS = 2;
const BTF = 4;
const OPTIONAL = 8;
const USDT = 16;
const AUTO = 32;

/**
 * One row: a name, the program type, the attach type (absent or null: none), marks. A '+' after the
 * name allows '/' and any text to follow it.
 */
type Row = readonly [
  pattern: string,
  type: keyof typeof BPF_PROG_TYPE,
  attachType?: keyof typeof BPF_ATTACH_TYPE | null,
  marks?: number,
];

// libbpf's table in libbpf's order, as of its development version after 1.7. That one added the
// sleepable tracepoints (tracepoint.s, tp.s, raw_tracepoint.s, raw_tp.s, tp_btf.s) and the six
// fentry, fexit and fsession ".multi" names.
const ROWS: readonly Row[] = [
  ['socket', 'SOCKET_FILTER'],
  ['sk_reuseport/migrate', 'SK_REUSEPORT', 'SK_REUSEPORT_SELECT_OR_MIGRATE'],
  ['sk_reuseport', 'SK_REUSEPORT', 'SK_REUSEPORT_SELECT'],
  ['kprobe+', 'KPROBE', null, AUTO],
  ['uprobe+', 'KPROBE', null, AUTO],
  ['uprobe.s+', 'KPROBE', null, SLEEPABLE | AUTO],
  ['kretprobe+', 'KPROBE', null, AUTO],
  ['uretprobe+', 'KPROBE', null, AUTO],
  ['uretprobe.s+', 'KPROBE', null, SLEEPABLE | AUTO],
  ['kprobe.multi+', 'KPROBE', 'TRACE_KPROBE_MULTI', AUTO],
  ['kretprobe.multi+', 'KPROBE', 'TRACE_KPROBE_MULTI', AUTO],
  ['kprobe.session+', 'KPROBE', 'TRACE_KPROBE_SESSION', AUTO],
  ['uprobe.multi+', 'KPROBE', 'TRACE_UPROBE_MULTI', AUTO],
  ['uretprobe.multi+', 'KPROBE', 'TRACE_UPROBE_MULTI', AUTO],
  ['uprobe.session+', 'KPROBE', 'TRACE_UPROBE_SESSION', AUTO],
  ['uprobe.multi.s+', 'KPROBE', 'TRACE_UPROBE_MULTI', SLEEPABLE | AUTO],
  ['uretprobe.multi.s+', 'KPROBE', 'TRACE_UPROBE_MULTI', SLEEPABLE | AUTO],
  ['uprobe.session.s+', 'KPROBE', 'TRACE_UPROBE_SESSION', SLEEPABLE | AUTO],
  ['ksyscall+', 'KPROBE', null, AUTO],
  ['kretsyscall+', 'KPROBE', null, AUTO],
  ['usdt+', 'KPROBE', null, USDT | AUTO],
  ['usdt.s+', 'KPROBE', null, SLEEPABLE | USDT | AUTO],
  ['tc/ingress', 'SCHED_CLS', 'TCX_INGRESS'],
  ['tc/egress', 'SCHED_CLS', 'TCX_EGRESS'],
  ['tcx/ingress', 'SCHED_CLS', 'TCX_INGRESS'],
  ['tcx/egress', 'SCHED_CLS', 'TCX_EGRESS'],
  ['tc', 'SCHED_CLS'],
  ['classifier', 'SCHED_CLS'],
  ['action', 'SCHED_ACT'],
  ['netkit/primary', 'SCHED_CLS', 'NETKIT_PRIMARY'],
  ['netkit/peer', 'SCHED_CLS', 'NETKIT_PEER'],
  ['tracepoint+', 'TRACEPOINT', null, AUTO],
  ['tp+', 'TRACEPOINT', null, AUTO],
  ['tracepoint.s+', 'TRACEPOINT', null, SLEEPABLE | AUTO],
  ['tp.s+', 'TRACEPOINT', null, SLEEPABLE | AUTO],
  ['raw_tracepoint+', 'RAW_TRACEPOINT', null, AUTO],
  ['raw_tp+', 'RAW_TRACEPOINT', null, AUTO],
  ['raw_tracepoint.s+', 'RAW_TRACEPOINT', null, SLEEPABLE | AUTO],
  ['raw_tp.s+', 'RAW_TRACEPOINT', null, SLEEPABLE | AUTO],
  ['raw_tracepoint.w+', 'RAW_TRACEPOINT_WRITABLE', null, AUTO],
  ['raw_tp.w+', 'RAW_TRACEPOINT_WRITABLE', null, AUTO],
  ['tp_btf+', 'TRACING', 'TRACE_RAW_TP', BTF | AUTO],
  ['tp_btf.s+', 'TRACING', 'TRACE_RAW_TP', SLEEPABLE | BTF | AUTO],
  ['fentry+', 'TRACING', 'TRACE_FENTRY', BTF | AUTO],
  ['fmod_ret+', 'TRACING', 'MODIFY_RETURN', BTF | AUTO],
  ['fexit+', 'TRACING', 'TRACE_FEXIT', BTF | AUTO],
  ['fentry.s+', 'TRACING', 'TRACE_FENTRY', SLEEPABLE | BTF | AUTO],
  ['fmod_ret.s+', 'TRACING', 'MODIFY_RETURN', SLEEPABLE | BTF | AUTO],
  ['fexit.s+', 'TRACING', 'TRACE_FEXIT', SLEEPABLE | BTF | AUTO],
  ['fsession+', 'TRACING', 'TRACE_FSESSION', BTF | AUTO],
  ['fsession.s+', 'TRACING', 'TRACE_FSESSION', SLEEPABLE | BTF | AUTO],
  ['fsession.multi+', 'TRACING', 'TRACE_FSESSION_MULTI', AUTO],
  ['fsession.multi.s+', 'TRACING', 'TRACE_FSESSION_MULTI', SLEEPABLE | AUTO],
  ['fentry.multi+', 'TRACING', 'TRACE_FENTRY_MULTI', AUTO],
  ['fexit.multi+', 'TRACING', 'TRACE_FEXIT_MULTI', AUTO],
  ['fentry.multi.s+', 'TRACING', 'TRACE_FENTRY_MULTI', SLEEPABLE | AUTO],
  ['fexit.multi.s+', 'TRACING', 'TRACE_FEXIT_MULTI', SLEEPABLE | AUTO],
  ['freplace+', 'EXT', null, BTF | AUTO],
  ['lsm+', 'LSM', 'LSM_MAC', BTF | AUTO],
  ['lsm.s+', 'LSM', 'LSM_MAC', SLEEPABLE | BTF | AUTO],
  ['lsm_cgroup+', 'LSM', 'LSM_CGROUP', BTF],
  ['iter+', 'TRACING', 'TRACE_ITER', BTF | AUTO],
  ['iter.s+', 'TRACING', 'TRACE_ITER', SLEEPABLE | BTF | AUTO],
  ['syscall', 'SYSCALL', null, SLEEPABLE],
  ['xdp.frags/devmap', 'XDP', 'XDP_DEVMAP', FRAGS],
  ['xdp/devmap', 'XDP', 'XDP_DEVMAP'],
  ['xdp.frags/cpumap', 'XDP', 'XDP_CPUMAP', FRAGS],
  ['xdp/cpumap', 'XDP', 'XDP_CPUMAP'],
  ['xdp.frags', 'XDP', 'XDP', FRAGS],
  ['xdp', 'XDP', 'XDP', OPTIONAL],
  ['perf_event', 'PERF_EVENT'],
  ['lwt_in', 'LWT_IN'],
  ['lwt_out', 'LWT_OUT'],
  ['lwt_xmit', 'LWT_XMIT'],
  ['lwt_seg6local', 'LWT_SEG6LOCAL'],
  ['sockops', 'SOCK_OPS', 'CGROUP_SOCK_OPS', OPTIONAL],
  ['sk_skb/stream_parser', 'SK_SKB', 'SK_SKB_STREAM_PARSER', OPTIONAL],
  ['sk_skb/stream_verdict', 'SK_SKB', 'SK_SKB_STREAM_VERDICT', OPTIONAL],
  ['sk_skb/verdict', 'SK_SKB', 'SK_SKB_VERDICT', OPTIONAL],
  ['sk_skb', 'SK_SKB'],
  ['sk_msg', 'SK_MSG', 'SK_MSG_VERDICT', OPTIONAL],
  ['lirc_mode2', 'LIRC_MODE2', 'LIRC_MODE2', OPTIONAL],
  ['flow_dissector', 'FLOW_DISSECTOR', 'FLOW_DISSECTOR', OPTIONAL],
  ['cgroup_skb/ingress', 'CGROUP_SKB', 'CGROUP_INET_INGRESS', OPTIONAL],
  ['cgroup_skb/egress', 'CGROUP_SKB', 'CGROUP_INET_EGRESS', OPTIONAL],
  ['cgroup/skb', 'CGROUP_SKB'],
  ['cgroup/sock_create', 'CGROUP_SOCK', 'CGROUP_INET_SOCK_CREATE'],
  ['cgroup/sock_release', 'CGROUP_SOCK', 'CGROUP_INET_SOCK_RELEASE'],
  ['cgroup/sock', 'CGROUP_SOCK', 'CGROUP_INET_SOCK_CREATE', OPTIONAL],
  ['cgroup/post_bind4', 'CGROUP_SOCK', 'CGROUP_INET4_POST_BIND'],
  ['cgroup/post_bind6', 'CGROUP_SOCK', 'CGROUP_INET6_POST_BIND'],
  ['cgroup/bind4', 'CGROUP_SOCK_ADDR', 'CGROUP_INET4_BIND'],
  ['cgroup/bind6', 'CGROUP_SOCK_ADDR', 'CGROUP_INET6_BIND'],
  ['cgroup/connect4', 'CGROUP_SOCK_ADDR', 'CGROUP_INET4_CONNECT'],
  ['cgroup/connect6', 'CGROUP_SOCK_ADDR', 'CGROUP_INET6_CONNECT'],
  ['cgroup/connect_unix', 'CGROUP_SOCK_ADDR', 'CGROUP_UNIX_CONNECT'],
  ['cgroup/sendmsg4', 'CGROUP_SOCK_ADDR', 'CGROUP_UDP4_SENDMSG'],
  ['cgroup/sendmsg6', 'CGROUP_SOCK_ADDR', 'CGROUP_UDP6_SENDMSG'],
  ['cgroup/sendmsg_unix', 'CGROUP_SOCK_ADDR', 'CGROUP_UNIX_SENDMSG'],
  ['cgroup/recvmsg4', 'CGROUP_SOCK_ADDR', 'CGROUP_UDP4_RECVMSG'],
  ['cgroup/recvmsg6', 'CGROUP_SOCK_ADDR', 'CGROUP_UDP6_RECVMSG'],
  ['cgroup/recvmsg_unix', 'CGROUP_SOCK_ADDR', 'CGROUP_UNIX_RECVMSG'],
  ['cgroup/getpeername4', 'CGROUP_SOCK_ADDR', 'CGROUP_INET4_GETPEERNAME'],
  ['cgroup/getpeername6', 'CGROUP_SOCK_ADDR', 'CGROUP_INET6_GETPEERNAME'],
  ['cgroup/getpeername_unix', 'CGROUP_SOCK_ADDR', 'CGROUP_UNIX_GETPEERNAME'],
  ['cgroup/getsockname4', 'CGROUP_SOCK_ADDR', 'CGROUP_INET4_GETSOCKNAME'],
  ['cgroup/getsockname6', 'CGROUP_SOCK_ADDR', 'CGROUP_INET6_GETSOCKNAME'],
  ['cgroup/getsockname_unix', 'CGROUP_SOCK_ADDR', 'CGROUP_UNIX_GETSOCKNAME'],
  ['cgroup/sysctl', 'CGROUP_SYSCTL', 'CGROUP_SYSCTL'],
  ['cgroup/getsockopt', 'CGROUP_SOCKOPT', 'CGROUP_GETSOCKOPT'],
  ['cgroup/setsockopt', 'CGROUP_SOCKOPT', 'CGROUP_SETSOCKOPT'],
  ['cgroup/dev', 'CGROUP_DEVICE', 'CGROUP_DEVICE', OPTIONAL],
  ['struct_ops+', 'STRUCT_OPS'],
  ['struct_ops.s+', 'STRUCT_OPS', null, SLEEPABLE],
  ['sk_lookup', 'SK_LOOKUP', 'SK_LOOKUP'],
  ['netfilter', 'NETFILTER', 'NETFILTER'],
];

interface Entry {
  /** Text may follow the name after a '/'. */
  readonly extensible: boolean;
  /** The answer for the bare name. */
  readonly section: ProgramSection;
}

const UNKNOWN: ProgramSection = Object.freeze({
  type: BPF_PROG_TYPE.UNSPEC,
  attachType: null,
  attachTo: null,
  sleepable: false,
  frags: false,
  attachBtf: false,
  attachTypeOptional: false,
  usdt: false,
  autoAttach: false,
  autoload: true,
  name: null,
});

function toEntry([pattern, type, attachType = null, marks = 0]: Row): [string, Entry] {
  const extensible = pattern.endsWith('+');
  const name = extensible ? pattern.slice(0, -1) : pattern;
  const section: ProgramSection = Object.freeze({
    type: BPF_PROG_TYPE[type],
    attachType: attachType === null ? null : BPF_ATTACH_TYPE[attachType],
    attachTo: null,
    sleepable: (marks & SLEEPABLE) !== 0,
    frags: (marks & FRAGS) !== 0,
    attachBtf: (marks & BTF) !== 0,
    attachTypeOptional: (marks & OPTIONAL) !== 0,
    usdt: (marks & USDT) !== 0,
    autoAttach: (marks & AUTO) !== 0,
    autoload: true,
    name,
  });
  return [name, { extensible, section }];
}

// libbpf tries its rows one after the other and takes the first that fits. No two can fit: the names
// differ, and no name goes on with a '/' after one that has a '+'. So a lookup of the whole section
// name, then of the part before its first '/', gives the same answer.
const ENTRIES: ReadonlyMap<string, Entry> = new Map(ROWS.map(toEntry));

/**
 * The program type and the rest for the name of an ELF section, as libbpf would take it. Pure text:
 * whether the section holds code is not its business. An unknown name is no error here either: its
 * type is UNSPEC and its `name` null, and {@link suggestSection} may know what was meant.
 *
 * @example
 * programSection('?tracepoint/syscalls/sys_enter_openat');
 * // { type: BPF_PROG_TYPE.TRACEPOINT, attachTo: 'syscalls/sys_enter_openat', autoload: false, ... }
 */
export function programSection(sectionName: string): ProgramSection {
  const autoload = !sectionName.startsWith('?');
  const text = autoload ? sectionName : sectionName.slice(1);
  const whole = ENTRIES.get(text);
  if (whole !== undefined) return variant(whole.section, null, autoload);

  const slash = text.indexOf('/');
  const entry = slash < 0 ? undefined : ENTRIES.get(text.slice(0, slash));
  if (entry?.extensible !== true) return variant(UNKNOWN, null, autoload);
  return variant(entry.section, text.slice(slash + 1) || null, autoload);
}

/** Written out, since spreading is slower: an object may have thousands of sections. */
function variant(of: ProgramSection, attachTo: string | null, autoload: boolean): ProgramSection {
  if (attachTo === null && autoload) return of;
  return {
    type: of.type,
    attachType: of.attachType,
    attachTo,
    sleepable: of.sleepable,
    frags: of.frags,
    attachBtf: of.attachBtf,
    attachTypeOptional: of.attachTypeOptional,
    usdt: of.usdt,
    autoAttach: of.autoAttach,
    autoload,
    name: of.name,
  };
}

/**
 * The known name nearest to a section name that {@link programSection} does not know, for a "did you
 * mean"; null if none is near, or if the name is known. It is the bare name, without '?' and without
 * the target: `kprobes/vfs_read` gives `kprobe`, and `xdp/my_program` gives `xdp`.
 */
export function suggestSection(sectionName: string): string | null {
  if (programSection(sectionName).name !== null) return null;
  const text = (sectionName.startsWith('?') ? sectionName.slice(1) : sectionName).toLowerCase();
  const slash = text.indexOf('/');
  const head = slash < 0 ? null : text.slice(0, slash);
  let nearest: string | null = null;
  let nearestDistance = Number.POSITIVE_INFINITY;
  for (const name of ENTRIES.keys()) {
    // Dropping the part after the '/' counts as one edit, so that `tc/ingres` is no `tc`.
    const distance = Math.min(
      editDistance(text, name),
      head === null ? Number.POSITIVE_INFINITY : editDistance(head, name) + 1,
    );
    if (distance < nearestDistance) {
      nearest = name;
      nearestDistance = distance;
    }
  }
  return nearest;
}

/**
 * The number of characters to insert, delete, replace or swap with their neighbour to turn `from`
 * into `to` (optimal string alignment); infinite above a quarter of the length of `from`, at most 3
 * and at least 1. The limit also bounds the work for a hostile name of any length.
 */
function editDistance(from: string, to: string): number {
  const limit = Math.max(1, Math.min(3, Math.floor(from.length / 4)));
  if (Math.abs(from.length - to.length) > limit) return Number.POSITIVE_INFINITY;
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= to.length; column += 1) {
      const same = from[row - 1] === to[column - 1];
      const swapped =
        row > 1 &&
        column > 1 &&
        from[row - 1] === to[column - 2] &&
        from[row - 2] === to[column - 1];
      current[column] = Math.min(
        last[column]! + 1,
        current[column - 1]! + 1,
        last[column - 1]! + (same ? 0 : 1),
        swapped ? beforeLast[column - 2]! + 1 : Number.POSITIVE_INFINITY,
      );
    }
    // What comes can only grow from these two rows, by a swap from the one before the last.
    if (Math.min(...current) > limit && Math.min(...last) >= limit) return Number.POSITIVE_INFINITY;
    beforeLast = last;
    last = current;
  }
  const distance = last[to.length]!;
  return distance <= limit ? distance : Number.POSITIVE_INFINITY;
}
