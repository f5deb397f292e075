/**
 * Capabilities, for the sentence that says which one a process lacks. They are looked at only once
 * something was refused: what is allowed is up to the kernel.
 */

/** A capability that calls of skep ask for. */
export type Capability = 'CAP_BPF' | 'CAP_NET_ADMIN' | 'CAP_PERFMON' | 'CAP_SYS_ADMIN';

/** Whether a process has a capability; null if that cannot be found out. */
export type Holds = (capability: Capability) => boolean | null;

/** Bits of `CapEff` (`include/uapi/linux/capability.h`). */
const BITS: Readonly<Record<Capability, bigint>> = {
  CAP_NET_ADMIN: 12n,
  CAP_SYS_ADMIN: 21n,
  CAP_PERFMON: 38n,
  CAP_BPF: 39n,
};

/**
 * Whether a `/proc/PID/status` has a capability. CAP_SYS_ADMIN stands for each of the others
 * (`bpf_token_capable` in `kernel/bpf/token.c`, `perfmon_capable`).
 */
export function holdsBy(status: string, capability: Capability): boolean | null {
  const mask = /^CapEff:\s*([\da-f]+)/m.exec(status)?.[1];
  if (mask === undefined) {
    return null;
  }
  const held = BigInt(`0x${mask}`);
  return ((held >> BITS[capability]) & 1n) === 1n || ((held >> BITS.CAP_SYS_ADMIN) & 1n) === 1n;
}

/**
 * The end of a sentence on what a call needs: what of it this process lacks.
 *
 * @param needed what the call takes
 */
export function lackingText(needed: readonly Capability[], holds: Holds): string {
  const states = needed.map((capability) => holds(capability));
  if (states.includes(null)) {
    return '';
  }
  const lacking = needed.filter((_, index) => states[index] === false);
  return lacking.length > 0
    ? `; this process lacks ${lacking.join(' and ')}`
    : '; this process has that, so that something else forbids it: a security module, lockdown, or a user namespace, as of a container, in which capabilities count for less';
}
