/**
 * The BTF of the running kernel, mapped into memory rather than read: the file in sysfs is read in
 * pages, which costs twenty times as much.
 */

import { closeSync, existsSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { SkepError } from '../errors.ts';
import { Btf } from '../obj/btf/btf.ts';
import { loadNative } from './native.ts';

const KERNEL_BTF_DIRECTORY = '/sys/kernel/btf/';
const KERNEL_BTF = `${KERNEL_BTF_DIRECTORY}vmlinux`;
const PROT_READ = 1;
const MAP_PRIVATE = 2;

/**
 * Opens the kernel's own BTF: over 100,000 types, ready in about a millisecond, since only an index
 * is made.
 *
 * @param path another BTF file
 * @throws SkepError `ERR_SKEP_FILE` if it cannot be read, with the path and the name of the errno in its
 *   message and the system's error as `cause`; there is none without `CONFIG_DEBUG_INFO_BTF`
 * @throws ObjectError `ERR_SKEP_BTF` if it is no BTF
 */
export function openKernelBtf(path: string = KERNEL_BTF): Btf {
  return Btf.parse(readBtfFile(path), path);
}

/**
 * The bytes of the running kernel's own BTF, from sysfs and nowhere else: libbpf also looks for an
 * uncompressed kernel image in `/boot` and `/lib/modules`, for kernels before 5.4.
 *
 * @returns null if it has none
 * @throws SkepError `ERR_SKEP_FILE` if there is some that cannot be read
 */
export function readKernelBtf(): Uint8Array | null {
  return existsSync(KERNEL_BTF) ? readBtfFile(KERNEL_BTF) : null;
}

/** @throws SkepError `ERR_SKEP_FILE` */
function readBtfFile(path: string): Uint8Array {
  let fd: number | undefined;
  try {
    fd = openSync(path, 'r');
    // Other files can shrink while they are mapped, which kills a process that reads them then.
    const mapped = path.startsWith(KERNEL_BTF_DIRECTORY) ? mapFile(fd) : null;
    return mapped ?? readFileSync(fd);
  } catch (cause) {
    throw unreadable(path, cause);
  } finally {
    if (fd !== undefined) {
      closeSync(fd);
    }
  }
}

/** Only the kernel's own types are the kernel's fault. */
function unreadable(path: string, cause: unknown): SkepError {
  const { code } = cause as NodeJS.ErrnoException;
  const absent =
    path === KERNEL_BTF
      ? 'the kernel needs CONFIG_DEBUG_INFO_BTF to have one'
      : path.startsWith(KERNEL_BTF_DIRECTORY)
        ? 'the module is not there, or was built without BTF'
        : 'there is no such file';
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: absent,
    ENOTDIR: 'a part of the path is no directory',
    EISDIR: 'it is a directory; give a file with BTF',
    EACCES: 'this user may not read it',
    EPERM: 'this user may not read it',
  };
  const reason = reasons[code ?? ''] ?? (cause instanceof Error ? cause.message : String(cause));
  return new SkepError('ERR_SKEP_FILE', `${path} cannot be read (${code}): ${reason}`, { cause });
}

/** The file as memory; null where mapping does not work, as before Linux 6.16 in sysfs. */
function mapFile(fd: number): Uint8Array | null {
  const { size } = fstatSync(fd);
  let native: ReturnType<typeof loadNative>;
  try {
    native = loadNative();
  } catch {
    // Reading needs no shim.
    return null;
  }
  const mapped = size === 0 ? -1 : native.map(fd, 0, size, PROT_READ, MAP_PRIVATE);
  return typeof mapped === 'number' ? null : new Uint8Array(mapped);
}
