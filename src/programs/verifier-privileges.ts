/**
 * What the verifier forbids to programs of who lacks CAP_PERFMON, and allows otherwise: to find out
 * addresses (`allow_ptr_leaks`), stack that cannot be proven safe from speculation, and helpers that
 * look into the kernel. The log says what it found, and never that a capability would help.
 *
 * Source: `bpf_allow_ptr_leaks` and its uses in `kernel/bpf/verifier.c`, `bpf_base_func_proto` in
 * `kernel/bpf/helpers.c`.
 */

const POINTERS: readonly RegExp[] = [
  /R\d+ pointer -= pointer prohibited/,
  /R\d+ pointer comparison prohibited/,
  /R\d+ leaks addr /,
  /R\d+ partial copy of pointer/,
  /attempt to corrupt spilled pointer on stack/,
  /prohibited for !root/,
];

const HELPERS =
  /(?:cannot use|unknown) (?:helper|func) bpf_(?:trace_printk|trace_vprintk|get_current_task(?:_btf)?|probe_read_(?:user|kernel)(?:_str)?|snprintf(?:_btf)?|task_pt_regs)#/;

/** What a loader with more privileges would be allowed; undefined if the log is not about that. */
export function privilegeAdvice(log: string): string | undefined {
  if (HELPERS.test(log)) {
    return 'the verifier allows this helper to loaders with CAP_PERFMON';
  }
  return POINTERS.some((pattern) => pattern.test(log))
    ? 'the verifier allows this to loaders with CAP_PERFMON, who may know addresses of the kernel'
    : undefined;
}
