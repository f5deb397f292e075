/**
 * Finds and loads the native shim, and says what is in it.
 *
 * The shim (`native/src/lib.rs`) makes the system calls that JavaScript cannot. It is one small
 * file per CPU, shipped inside the package; it works with every Node.js from version 20 on, under
 * glibc and musl. Only this file touches it, and only when the kernel is asked for: everything
 * that reads objects works without it, on any system.
 */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { KernelUnavailableError } from '../errors.ts';

/**
 * The functions of the shim.
 *
 * All are synchronous and take plain numbers. A result below zero is `-errno`; nothing that the
 * kernel refuses is thrown. Misuse is: a `TypeError` (or, from {@link Native.map}, a `RangeError`)
 * with `code` `ERR_SKEP_ARGUMENT` for an argument that is missing, not a number, or not an integer
 * in the range of its parameter. No argument is converted or truncated.
 *
 * **Only `src/kernel/linux*` may use these.** An address is taken at its word, so a wrong one lets
 * the kernel overwrite any memory of the process.
 */
export interface Native {
  /**
   * The address of the first byte of `buffer`.
   *
   * It holds for as long as the buffer is neither collected, detached nor transferred: the caller
   * must keep a reference. A buffer of length 0 has no bytes; what is returned for it means nothing.
   *
   * @throws TypeError if `buffer` is no `ArrayBuffer` (a `SharedArrayBuffer` is not) or is detached
   */
  address(buffer: ArrayBuffer): number;

  /**
   * bpf(2).
   *
   * @param command - one of `enum bpf_cmd` in `linux/bpf.h`
   * @param attributes - the address of a `union bpf_attr`, from {@link Native.address}; the buffers
   *   that it points to must stay alive until the call returns
   * @param size - how many bytes of it are filled in
   * @returns what the command returns (0 or a new file descriptor), or `-errno`
   */
  bpf(command: number, attributes: number, size: number): number;

  /**
   * close(2). Afterwards the descriptor is gone whatever the result, unless that was `-EBADF`.
   *
   * @returns 0 or `-errno`
   */
  close(fd: number): number;

  /**
   * A second file descriptor for the same open file, at least 3 and closed on exec
   * (fcntl(2) with `F_DUPFD_CLOEXEC`). The caller owns it.
   *
   * @returns the descriptor or `-errno`
   */
  duplicate(fd: number): number;

  /**
   * Lifts the limit on locked memory for this process (prlimit(2), `RLIMIT_MEMLOCK`, soft and
   * hard). Kernels before 5.11 charge the memory of maps and programs against it.
   *
   * @returns 0 or `-errno`; `-EPERM` without `CAP_SYS_RESOURCE`
   */
  raiseMemlock(): number;

  /**
   * mmap(2): a file or a map in memory, as an `ArrayBuffer`.
   *
   * The mapping ends with {@link Native.unmap}, or when the buffer and its views are collected, or
   * with the environment (worker thread or process). `fd` may be closed before that.
   *
   * **Without `PROT_WRITE`, writing to the buffer kills the process (`SIGSEGV`), and so does reading
   * a page behind the end of a file (`SIGBUS`).** It must therefore not be handed to users, nor be
   * transferred to another thread: Node.js keeps such a buffer where it is.
   *
   * @param fd - the file descriptor
   * @param offset - in bytes; a multiple of the page size
   * @param length - in bytes, above 0; need not be a multiple of the page size
   * @param protection - `PROT_READ` (1) or `PROT_READ | PROT_WRITE` (3)
   * @param flags - `MAP_SHARED` (1) or `MAP_PRIVATE` (2)
   * @returns the buffer, `length` bytes long, or `-errno`. `-EOPNOTSUPP` (-95) says that mapping
   *   may be possible but showing it to JavaScript is not (Electron; more than 4 GiB): read instead
   * @throws RangeError for any other `protection` or `flags`
   */
  map(
    fd: number,
    offset: number,
    length: number,
    protection: number,
    flags: number,
  ): ArrayBuffer | number;

  /**
   * Ends a mapping now. The buffer is detached: it and its views have length 0 from here on. The
   * file or map is let go of at once; the addresses become free in a later turn of the event loop.
   *
   * @returns 0 or `-errno`; `-EINVAL` (-22) if `buffer` does not come from {@link Native.map} or
   *   was unmapped before, in which case nothing is done to it
   * @throws TypeError if `buffer` is no `ArrayBuffer`
   */
  unmap(buffer: ArrayBuffer): number;
}

/** The CPUs that there is a shim for, as `process.arch` names them. */
const ARCHITECTURES: readonly string[] = ['x64', 'arm64'];

const WITHOUT_KERNEL = 'reading and inspecting objects works without it';

let loaded: Native | undefined;

/**
 * The shim, loaded when first asked for and kept. A failure is not kept: the next call tries again.
 *
 * @throws KernelUnavailableError if this is not Linux, if there is no shim for this CPU, if its
 *   file is missing, or if that does not load (`cause` has the reason); the message says what to do
 */
export function loadNative(): Native {
  loaded ??= load(process.platform, process.arch);
  return loaded;
}

function load(platform: string, architecture: string): Native {
  if (platform !== 'linux') {
    throw new KernelUnavailableError(`the kernel of ${platform} is not Linux; ${WITHOUT_KERNEL}`);
  }
  if (!ARCHITECTURES.includes(architecture)) {
    throw new KernelUnavailableError(
      `no native shim for Linux on ${architecture}, only for ${ARCHITECTURES.join(' and ')}; ` +
        WITHOUT_KERNEL,
    );
  }
  // The same two levels below the root of the package for src/kernel/ and dist/kernel/.
  const name = `native/skep.linux-${architecture}-gnu.node`;
  const path = fileURLToPath(new URL(`../../${name}`, import.meta.url));
  try {
    return createRequire(import.meta.url)(path) as Native;
  } catch (cause) {
    const problem = existsSync(path)
      ? `does not load: ${cause instanceof Error ? cause.message : String(cause)}`
      : 'is missing: in a checkout build it with "npm run build:native" (needs cargo), ' +
        'otherwise reinstall the package';
    throw new KernelUnavailableError(`the native shim ${name} ${problem}`, { cause });
  }
}
