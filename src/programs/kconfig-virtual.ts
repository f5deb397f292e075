/**
 * The options in `.kconfig` that are in no configuration: what libbpf finds out about the kernel.
 *
 * Rules: libbpf's `bpf_object__resolve_externs`, and in its features.c `probe_kern_bpf_cookie` and
 * `probe_kern_syscall_wrapper`.
 */

import { SkepError, SyscallError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { BPF_FUNC } from '../uapi/helpers.ts';
import { BPF_PROG_TYPE } from '../uapi/program-types.ts';
import { configured } from './kconfig-file.ts';

/** How the system call bpf(2) is called inside of kernels that wrap their system calls (4.17). */
const WRAPPED_SYSCALLS = new Set(
  ['x64', 'ia32', 'arm64', 's390x', 'powerpc', 'riscv', 'arm', 'mips'].map(
    (architecture) => `__${architecture}_sys_bpf`,
  ),
);
const HAS_WRAPPER = 'CONFIG_ARCH_HAS_SYSCALL_WRAPPER';

/** The text of a kernel's configuration, asked for at most once; null if it does not tell. */
export type Configuration = () => string | null;

/** What is asked of a kernel for each name. */
const VIRTUAL: Readonly<Record<string, (kernel: Kernel, configuration: Configuration) => number>> =
  {
    LINUX_KERNEL_VERSION: kernelVersion,
    LINUX_HAS_BPF_COOKIE: (kernel) => Number(hasBpfCookie(kernel)),
    LINUX_HAS_SYSCALL_WRAPPER: (kernel, configuration) =>
      Number(hasSyscallWrapper(kernel, configuration)),
  };

/** Names of all of them. */
export const VIRTUAL_OPTIONS: readonly string[] = Object.keys(VIRTUAL);

/**
 * The value of a virtual option; undefined for a name that is none.
 *
 * @throws SkepError `ERR_SKEP_LOAD` if the kernel's version is not known
 */
export function virtualOption(
  kernel: Kernel,
  configuration: Configuration,
  name: string,
): bigint | undefined {
  return Object.hasOwn(VIRTUAL, name) ? BigInt(VIRTUAL[name]!(kernel, configuration)) : undefined;
}

function kernelVersion(kernel: Kernel): number {
  const version = kernel.version();
  if (version === 0) {
    throw new SkepError(
      'ERR_SKEP_LOAD',
      'the name of the kernel does not tell its version; give LINUX_KERNEL_VERSION in the load option kernelConfig',
    );
  }
  return version;
}

/** Whether the kernel has the helper `bpf_get_attach_cookie` for tracepoints (5.15). */
function hasBpfCookie(kernel: Kernel): boolean {
  // call bpf_get_attach_cookie; exit
  const instructions = new Uint8Array(16);
  const view = new DataView(instructions.buffer);
  view.setUint8(0, 0x85);
  view.setInt32(4, BPF_FUNC.get_attach_cookie, kernel.littleEndian);
  view.setUint8(8, 0x95);
  try {
    const fd = kernel.loadProgram(
      {
        type: BPF_PROG_TYPE.TRACEPOINT,
        instructions,
        license: 'GPL',
        name: '',
        flags: 0,
        expectedAttachType: 0,
        kernelVersion: kernel.version(),
        btf: null,
        target: null,
        descriptors: [],
      },
      null,
    );
    kernel.close(fd);
    return true;
  } catch (error) {
    if (error instanceof SyscallError) return false;
    throw error;
  }
}

/**
 * Whether system calls get their arguments in a `struct pt_regs`. libbpf tries a kprobe on the
 * wrapper, which says no on a kernel without kprobes; the kernel's configuration, or else the name of the
 * wrapper among its symbols, tells without.
 */
function hasSyscallWrapper(kernel: Kernel, configuration: Configuration): boolean {
  const text = configuration();
  return text === null
    ? kernel.symbolAddresses(WRAPPED_SYSCALLS).size > 0
    : configured(text, new Set([HAS_WRAPPER])).get(HAS_WRAPPER) === 'y';
}
