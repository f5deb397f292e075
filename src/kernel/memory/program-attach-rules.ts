/**
 * Which expected attach types and targets programs of a type have: `bpf_prog_load_check_attach` in
 * `kernel/bpf/syscall.c`, and what `check_attach_btf_id` in `verifier.c` can tell without the target.
 */

import { BPF_ATTACH_TYPE as ATTACH } from '../../uapi/attach-types.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { BPF_PROG_TYPE as TYPE } from '../../uapi/program-types.ts';
import type { ProgramAttributes } from '../program-calls.ts';
import { SLEEPABLE } from './program-object.ts';

/** Types that are made for one function, struct or program. */
const WITH_TARGET: ReadonlySet<number> = new Set([
  TYPE.TRACING,
  TYPE.LSM,
  TYPE.STRUCT_OPS,
  TYPE.EXT,
]);

/** Types whose expected attach type must be one of these; other types take any, but for two. */
const EXPECTED: ReadonlyMap<number, readonly number[]> = new Map([
  [
    TYPE.CGROUP_SOCK,
    [
      ATTACH.CGROUP_INET_SOCK_CREATE,
      ATTACH.CGROUP_INET_SOCK_RELEASE,
      ATTACH.CGROUP_INET4_POST_BIND,
      ATTACH.CGROUP_INET6_POST_BIND,
    ],
  ],
  [
    TYPE.CGROUP_SOCK_ADDR,
    [
      ATTACH.CGROUP_INET4_BIND,
      ATTACH.CGROUP_INET6_BIND,
      ATTACH.CGROUP_INET4_CONNECT,
      ATTACH.CGROUP_INET6_CONNECT,
      ATTACH.CGROUP_UNIX_CONNECT,
      ATTACH.CGROUP_INET4_GETPEERNAME,
      ATTACH.CGROUP_INET6_GETPEERNAME,
      ATTACH.CGROUP_UNIX_GETPEERNAME,
      ATTACH.CGROUP_INET4_GETSOCKNAME,
      ATTACH.CGROUP_INET6_GETSOCKNAME,
      ATTACH.CGROUP_UNIX_GETSOCKNAME,
      ATTACH.CGROUP_UDP4_SENDMSG,
      ATTACH.CGROUP_UDP6_SENDMSG,
      ATTACH.CGROUP_UNIX_SENDMSG,
      ATTACH.CGROUP_UDP4_RECVMSG,
      ATTACH.CGROUP_UDP6_RECVMSG,
      ATTACH.CGROUP_UNIX_RECVMSG,
    ],
  ],
  [TYPE.CGROUP_SKB, [ATTACH.CGROUP_INET_INGRESS, ATTACH.CGROUP_INET_EGRESS]],
  [TYPE.CGROUP_SOCKOPT, [ATTACH.CGROUP_SETSOCKOPT, ATTACH.CGROUP_GETSOCKOPT]],
  [TYPE.SK_LOOKUP, [ATTACH.SK_LOOKUP]],
  [TYPE.SK_REUSEPORT, [ATTACH.SK_REUSEPORT_SELECT, ATTACH.SK_REUSEPORT_SELECT_OR_MIGRATE]],
  [TYPE.NETFILTER, [ATTACH.NETFILTER]],
  [TYPE.SYSCALL, [0]],
  [TYPE.EXT, [0]],
]);

/** Types that older loaders load without an expected attach type, and which it then is. */
const DEFAULTS: ReadonlyMap<number, number> = new Map<number, number>([
  [TYPE.CGROUP_SOCK, ATTACH.CGROUP_INET_SOCK_CREATE],
  [TYPE.SK_REUSEPORT, ATTACH.SK_REUSEPORT_SELECT],
]);

/** Expected attach types of tracing programs that may sleep. */
const SLEEPABLE_TRACING: readonly number[] = [
  ATTACH.TRACE_FENTRY,
  ATTACH.TRACE_FEXIT,
  ATTACH.MODIFY_RETURN,
  ATTACH.TRACE_ITER,
];
const SLEEPABLE_TYPES: ReadonlySet<number> = new Set([
  TYPE.LSM,
  TYPE.KPROBE,
  TYPE.STRUCT_OPS,
  TYPE.SYSCALL,
]);

/** The expected attach type as the kernel keeps it. */
export function expectedAttachType({ type, expectedAttachType: given }: ProgramAttributes): number {
  return given === 0 ? (DEFAULTS.get(type) ?? 0) : given;
}

/**
 * Whether the parts of a program's target go together, and with its type: 0 or a negative errno.
 *
 * @param target the descriptor's object: of a program, of types, or none
 */
export function checkAttach(
  attributes: ProgramAttributes,
  target: 'program' | 'types' | 'none',
): number {
  const { type } = attributes;
  const typeId = attributes.target?.typeId ?? 0;
  if (typeId !== 0 && (target === 'none' || !WITH_TARGET.has(type))) {
    return -ERRNO.EINVAL;
  }
  if (target === 'types' && typeId === 0) {
    return -ERRNO.EINVAL;
  }
  if (target === 'program' && type !== TYPE.TRACING && type !== TYPE.EXT) {
    return -ERRNO.EINVAL;
  }
  const allowed = EXPECTED.get(type);
  const expected = expectedAttachType(attributes);
  return allowed === undefined || allowed.includes(expected) ? 0 : -ERRNO.EINVAL;
}

/** What the verifier says of a program's flags and target, if it does not like them. */
export function refusalOfTarget(attributes: ProgramAttributes): string | null {
  const { type, flags } = attributes;
  const isSleepable = (flags & SLEEPABLE) !== 0;
  if (type === TYPE.SYSCALL) {
    return isSleepable ? null : 'Syscall programs can only be sleepable';
  }
  if (isSleepable && !maySleep(attributes)) {
    return 'Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable';
  }
  return WITH_TARGET.has(type) && (attributes.target?.typeId ?? 0) === 0
    ? 'Tracing programs must provide btf_id'
    : null;
}

function maySleep({ type, expectedAttachType: expected }: ProgramAttributes): boolean {
  return type === TYPE.TRACING ? SLEEPABLE_TRACING.includes(expected) : SLEEPABLE_TYPES.has(type);
}
