/**
 * What of a Linux system matters to eBPF and is in files: read without privileges as far as that goes,
 * saying what could not be read.
 */

import { readdirSync, readFileSync, statfsSync } from 'node:fs';
import { arch, release } from 'node:os';
import { join } from 'node:path';
import { SkepError } from '../errors.ts';
import { openKernelBtf } from '../kernel/kernel-btf.ts';
import { loadNative } from '../kernel/native.ts';

/** One thing about the system. */
export interface SystemFact {
  readonly name: string;
  /** As people read it; null if it could not be found out. */
  readonly value: string | null;
  /** What follows from it, or why it is not known; '' for nothing. */
  readonly note: string;
}

const BPF_FS_MAGIC = 0xcafe4a11;
const TRACE_FS_MAGIC = 0x74726163;
const BPF_FS = '/sys/fs/bpf';
const TRACE_FS = ['/sys/kernel/tracing', '/sys/kernel/debug/tracing'];
const BTF = '/sys/kernel/btf';

/** `include/uapi/linux/capability.h`, by number, without `CAP_`. */
const CAPABILITIES: readonly string[] = [
  ...['CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID'],
  ...['SETPCAP', 'LINUX_IMMUTABLE', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW'],
  ...['IPC_LOCK', 'IPC_OWNER', 'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT'],
  ...['SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE', 'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD'],
  ...['LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP', 'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG'],
  ...['WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF', 'CHECKPOINT_RESTORE'],
];
/** Those that eBPF asks for, and what for. */
const NEEDED: Readonly<Record<string, string>> = {
  BPF: 'maps and programs',
  PERFMON: 'tracing',
  NET_ADMIN: 'networking',
  SYS_ADMIN: 'opening maps and programs by id',
  SYSLOG: 'addresses of kernel symbols',
};

/** Whatever matters of this system, in the order of reading. */
export function readSystem(): SystemFact[] {
  return [
    { name: 'kernel', value: `${release()} (${arch()})`, note: '' },
    nativeShim(),
    capabilities(),
    ...sysctls(),
    lockdown(),
    memoryLimit(),
    bpfFileSystem(),
    traceFileSystem(),
    ...kernelTypes(),
  ];
}

/** Names of the capabilities in a mask of `/proc/PID/status`, without `CAP_`. */
export function decodeCapabilities(hex: string): string[] {
  const mask = BigInt(`0x${hex}`);
  const names: string[] = [];
  for (let number = 0; mask >> BigInt(number) > 0n; number += 1) {
    if (((mask >> BigInt(number)) & 1n) === 1n) {
      names.push(CAPABILITIES[number] ?? `${number}`);
    }
  }
  return names;
}

/** The word in brackets of `/sys/kernel/security/lockdown`. */
export function lockdownMode(text: string): string | null {
  return /\[(\w+)\]/.exec(text)?.[1] ?? null;
}

/** The soft limit of `Max locked memory` in `/proc/PID/limits`, in bytes; Infinity for none. */
export function lockedMemoryLimit(text: string): number | null {
  const limit = /^Max locked memory +(\d+|unlimited)/m.exec(text)?.[1];
  if (limit === undefined) {
    return null;
  }
  return limit === 'unlimited' ? Number.POSITIVE_INFINITY : Number(limit);
}

function nativeShim(): SystemFact {
  const name = 'native shim';
  try {
    loadNative();
    return { name, value: 'found', note: '' };
  } catch (error) {
    return { name, value: 'missing', note: error instanceof Error ? error.message : String(error) };
  }
}

function capabilities(): SystemFact {
  return fromFile('capabilities', '/proc/self/status', (text) => {
    const held = decodeCapabilities(/^CapEff:\s*([\da-f]+)/m.exec(text)?.[1] ?? '0');
    const missing = Object.keys(NEEDED)
      .filter((name) => !held.includes(name))
      .map((name) => `CAP_${name} (${NEEDED[name]})`);
    const own = Object.keys(NEEDED).filter((name) => held.includes(name));
    const note = missing.length === 0 ? '' : `missing: ${missing.join(', ')}`;
    return { value: own.join(', ') || 'none that eBPF asks for', note };
  });
}

function sysctls(): SystemFact[] {
  return [
    fromFile('JIT', '/proc/sys/net/core/bpf_jit_enable', (text) => {
      const isOn = text.trim() !== '0';
      return {
        value: isOn ? 'on' : 'off',
        note: isOn ? '' : 'programs are interpreted; sysctl net.core.bpf_jit_enable=1',
      };
    }),
    fromFile('unprivileged bpf', '/proc/sys/kernel/unprivileged_bpf_disabled', (text) => ({
      value: text.trim() === '0' ? 'allowed' : 'disabled',
      note: text.trim() === '1' ? 'until the next boot' : '',
    })),
  ];
}

function lockdown(): SystemFact {
  const read = (text: string) => {
    const mode = lockdownMode(text);
    const isLocked = mode !== 'none' && mode !== null;
    return {
      value: mode,
      note: isLocked ? 'programs that look into the kernel or its users may be refused' : '',
    };
  };
  const absent = ': securityfs is not mounted, or the kernel has no lockdown';
  return fromFile('lockdown', '/sys/kernel/security/lockdown', read, absent);
}

function memoryLimit(): SystemFact {
  return fromFile('locked memory', '/proc/self/limits', (text) => {
    const limit = lockedMemoryLimit(text);
    return {
      value:
        limit === null ? null : limit === Number.POSITIVE_INFINITY ? 'unlimited' : `${limit} bytes`,
      note: limit === Number.POSITIVE_INFINITY ? '' : 'counts before Linux 5.11 only',
    };
  });
}

function bpfFileSystem(): SystemFact {
  const isMounted = isFileSystem(BPF_FS, BPF_FS_MAGIC);
  return {
    name: 'BPF file system',
    value: isMounted ? BPF_FS : 'not mounted',
    note: isMounted ? '' : `nothing can be pinned; mount -t bpf bpf ${BPF_FS}`,
  };
}

function traceFileSystem(): SystemFact {
  const found = TRACE_FS.find((path) => isFileSystem(path, TRACE_FS_MAGIC));
  return {
    name: 'trace file system',
    value: found ?? 'not mounted',
    note: found === undefined ? `no tracepoints; mount -t tracefs tracefs ${TRACE_FS[0]}` : '',
  };
}

/**
 * The types of the kernel and of its modules. The kernel's are looked at; without them a module's are of
 * no use.
 *
 * @param directory where they are; another one in tests
 */
export function kernelTypes(directory = BTF): SystemFact[] {
  const own = join(directory, 'vmlinux');
  const without = 'no CO-RE, kfuncs or fentry';
  const name = 'kernel BTF';
  try {
    openKernelBtf(own);
  } catch (error) {
    if (!(error instanceof SkepError)) {
      throw error;
    }
    const isAbsent = (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
    return isAbsent
      ? [{ name, value: 'none', note: `${without}; the kernel needs CONFIG_DEBUG_INFO_BTF` }]
      : [{ name, value: 'unusable', note: `${without}: ${error.message}` }];
  }
  return [{ name, value: own, note: '' }, moduleTypes(directory)];
}

function moduleTypes(directory: string): SystemFact {
  const name = 'BTF of modules';
  try {
    const modules = readdirSync(directory).filter((module) => module !== 'vmlinux');
    return { name, value: modules.sort().join(', ') || 'none', note: '' };
  } catch (error) {
    const { message } = error as NodeJS.ErrnoException;
    return { name, value: null, note: message };
  }
}

function isFileSystem(path: string, magic: number): boolean {
  try {
    return statfsSync(path).type === magic;
  } catch {
    return false;
  }
}

/**
 * A fact that is in a file; if it cannot be read, why.
 *
 * @param absent what it means that there is no such file
 */
function fromFile(
  name: string,
  path: string,
  read: (text: string) => Pick<SystemFact, 'value' | 'note'>,
  absent = '',
): SystemFact {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const isForbidden = code === 'EACCES' || code === 'EPERM';
    const note = isForbidden ? `this user may not read ${path}` : `there is no ${path}${absent}`;
    return { name, value: null, note };
  }
  return { name, ...read(text) };
}
