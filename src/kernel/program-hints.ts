/**
 * Why a kernel refuses to load a program, as far as the number of the error tells: the verifier's log,
 * where there is one, tells more.
 *
 * Who needs which capability: `is_net_admin_prog_type` and `is_perfmon_prog_type` in
 * `kernel/bpf/syscall.c`.
 */

import { ERRNO } from '../uapi/errno.ts';
import { BPF_PROG_TYPE, programTypeName } from '../uapi/program-types.ts';
import { type Capability, type Holds, lackingText } from './capabilities.ts';

/** Types whose programs change what happens to packets and sockets. */
const NET_ADMIN: ReadonlySet<number> = new Set([
  BPF_PROG_TYPE.SCHED_CLS,
  BPF_PROG_TYPE.SCHED_ACT,
  BPF_PROG_TYPE.XDP,
  BPF_PROG_TYPE.LWT_IN,
  BPF_PROG_TYPE.LWT_OUT,
  BPF_PROG_TYPE.LWT_XMIT,
  BPF_PROG_TYPE.LWT_SEG6LOCAL,
  BPF_PROG_TYPE.SK_SKB,
  BPF_PROG_TYPE.SK_MSG,
  BPF_PROG_TYPE.FLOW_DISSECTOR,
  BPF_PROG_TYPE.CGROUP_DEVICE,
  BPF_PROG_TYPE.CGROUP_SOCK,
  BPF_PROG_TYPE.CGROUP_SOCK_ADDR,
  BPF_PROG_TYPE.CGROUP_SOCKOPT,
  BPF_PROG_TYPE.CGROUP_SYSCTL,
  BPF_PROG_TYPE.SOCK_OPS,
  BPF_PROG_TYPE.EXT,
  BPF_PROG_TYPE.NETFILTER,
]);

/** Types of which older kernels, such as 6.1, thought the same; newer ones, such as 6.18, do not. */
const NET_ADMIN_BEFORE: ReadonlySet<number> = new Set([BPF_PROG_TYPE.LIRC_MODE2]);

/** Types whose programs look into the kernel. */
const PERFMON: ReadonlySet<number> = new Set([
  BPF_PROG_TYPE.KPROBE,
  BPF_PROG_TYPE.TRACEPOINT,
  BPF_PROG_TYPE.PERF_EVENT,
  BPF_PROG_TYPE.RAW_TRACEPOINT,
  BPF_PROG_TYPE.RAW_TRACEPOINT_WRITABLE,
  BPF_PROG_TYPE.TRACING,
  BPF_PROG_TYPE.LSM,
  BPF_PROG_TYPE.STRUCT_OPS,
  BPF_PROG_TYPE.EXT,
]);

/** Types that anybody may load where `kernel.unprivileged_bpf_disabled` is 0. */
const FOR_EVERYBODY: ReadonlySet<number> = new Set([
  BPF_PROG_TYPE.SOCKET_FILTER,
  BPF_PROG_TYPE.CGROUP_SKB,
]);

/** The capabilities that loading a program of a type takes (5.8; CAP_SYS_ADMIN before). */
export function programCapabilities(type: number): readonly Capability[] {
  const needed: Capability[] = ['CAP_BPF'];
  if (NET_ADMIN.has(type)) {
    needed.push('CAP_NET_ADMIN');
  }
  if (PERFMON.has(type)) {
    needed.push('CAP_PERFMON');
  }
  return needed;
}

/** Whether programs of a type may be loaded without any, if the administrator lets them. */
export function isForEverybody(type: number): boolean {
  return FOR_EVERYBODY.has(type);
}

/**
 * A sentence on why a program was not loaded; undefined if the number says nothing.
 *
 * @param type `BPF_PROG_TYPE_*`
 * @param lockdown what `/sys/kernel/security/lockdown` says (`none [integrity] confidentiality`); null
 *   if it is not there to ask
 * @param holds what the process that loads may do
 */
export function explainLoad(
  type: number,
  errno: number,
  lockdown: () => string | null,
  holds: Holds,
): string | undefined {
  switch (errno) {
    case ERRNO.EPERM:
      return explainPermission(type, lockdown, holds);
    case ERRNO.EACCES:
      return 'the verifier found an access that is not allowed; its log says which';
    case ERRNO.EINVAL:
      return `the verifier refused it, which its log says more of, or this kernel has no programs of type ${programTypeName(type)}, or not with these flags or this attach type`;
    case ERRNO.E2BIG:
      return 'it has no instructions, too many of them, or too many paths for the verifier';
    case ERRNO.ENOSPC:
      return "the verifier's log did not fit";
    case ERRNO.EBADF:
      return 'an instruction has the descriptor of a map that is not open';
    default:
      return undefined;
  }
}

/** What a process needed that was refused: if it has what newer kernels ask for, this one is older. */
function capabilitiesHere(type: number, holds: Holds): readonly Capability[] {
  const needed = programCapabilities(type);
  const isOlder =
    NET_ADMIN_BEFORE.has(type) && needed.every((capability) => holds(capability) === true);
  return isOlder ? [...needed, 'CAP_NET_ADMIN'] : needed;
}

function explainPermission(type: number, lockdown: () => string | null, holds: Holds): string {
  const needed = capabilitiesHere(type, holds);
  const needs = `programs of type ${programTypeName(type)} need root or ${needed.join(' and ')} (before Linux 5.8 CAP_SYS_ADMIN, before 5.11 also ulimit -l unlimited)`;
  if (!PERFMON.has(type) || needed.some((capability) => holds(capability) === false)) {
    return `${needs}${lackingText(needed, holds)}`;
  }
  const state = lockdown();
  const mode = state === null ? undefined : /\[(\w+)\]/.exec(state)?.[1];
  if (state === null) {
    return `${needs}; a kernel that is locked down may refuse them even so`;
  }
  return mode === undefined || mode === 'none'
    ? `${needs}${lackingText(needed, holds)}`
    : `${needs}; this kernel is locked down (${mode}), which may forbid them to anybody`;
}
