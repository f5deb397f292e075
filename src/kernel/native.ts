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

declare const watcher: unique symbol;

/** Names a watcher of the shim. Nothing can be done with it but giving it back. */
export interface NativeWatcher {
  readonly [watcher]: true;
}

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
   * A function that calls bpf(2) with what a buffer holds by then: the command (32 bits), the size of the
   * attributes (32 bits), and the attributes. Without arguments a call takes 20 ns less.
   *
   * @param buffer - stays as it is, neither collected nor detached, until the function was called for the
   *   last time
   * @returns a function that returns what {@link Native.bpf} does
   * @throws TypeError if `buffer` is no `ArrayBuffer`, is detached or has no room for the first two
   */
  prepare(buffer: ArrayBuffer): () => number;

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
   * mmap(2) with `PROT_READ | PROT_WRITE`, `MAP_SHARED` and `MAP_FIXED_NOREPLACE`: a map in memory at
   * an address where nothing is yet, as arenas with an address of their own need it. What is said of
   * {@link Native.map} holds, too.
   *
   * @param address - a multiple of the page size
   * @param length - in bytes, above 0
   * @returns the buffer, `length` bytes long, or `-errno`; `-EEXIST` (-17) if something is there, which
   *   may be the place of a mapping that was ended in this turn of the event loop
   */
  mapAt(fd: number, address: number, length: number): ArrayBuffer | number;

  /**
   * Ends a mapping now. The buffer is detached: it and its views have length 0 from here on. The
   * file or map is let go of at once; the addresses become free in a later turn of the event loop.
   *
   * @returns 0 or `-errno`; `-EINVAL` (-22) if `buffer` does not come from {@link Native.map} or
   *   was unmapped before, in which case nothing is done to it
   * @throws TypeError if `buffer` is no `ArrayBuffer`
   */
  unmap(buffer: ArrayBuffer): number;

  /**
   * perf_event_open(2).
   *
   * @param attributes - the address of a `struct perf_event_attr` of `linux/perf_event.h`, from
   *   {@link Native.address}
   * @param flags - `PERF_FLAG_*`
   * @returns a file descriptor or `-errno`
   */
  perfEventOpen(
    attributes: number,
    pid: number,
    cpu: number,
    groupFd: number,
    flags: number,
  ): number;

  /**
   * ioctl(2).
   *
   * @param argument - a number, or an address from {@link Native.address}, as the request has it
   * @returns what the request returns, or `-errno`
   */
  ioctl(fd: number, request: number, argument: number): number;

  /**
   * A descriptor that is readable while one of those added to it is ready (epoll_create1(2)), closed
   * on exec. The caller owns it.
   *
   * @returns the descriptor or `-errno`
   */
  epollCreate(): number;

  /**
   * Adds a descriptor (epoll_ctl(2), `EPOLL_CTL_ADD`).
   *
   * @param events - `EPOLLIN` (1), `EPOLLOUT` (4) and so on
   * @returns 0 or `-errno`
   */
  epollAdd(epoll: number, fd: number, events: number): number;

  /**
   * Makes a watcher for a descriptor in the event loop of this thread (libuv's `uv_poll_t`). It keeps
   * a copy of the descriptor, which may be closed; it is not armed yet. It ends with
   * {@link Native.unwatch}, when it is collected while not armed, or with its environment.
   *
   * @param events - readable (1) or writable (2)
   * @returns the watcher or `-errno`: `-EPERM` (-1) for files that cannot be waited for,
   *   `-EOPNOTSUPP` (-95) in a runtime without libuv
   * @throws RangeError for any other `events`
   */
  watch(fd: number, events: number): NativeWatcher | number;

  /**
   * Calls `callback` once, from the event loop, when the descriptor is ready: level triggered, so in
   * the next turn if it is already. Meanwhile the process stays, and the callback is not collected.
   * What it throws is an uncaught exception.
   *
   * @returns 0 or `-errno`: `-EBUSY` (-16) if it is armed already, `-EINVAL` if it was ended
   * @throws TypeError if `watcher` is none, or `callback` is no function
   */
  arm(watcher: NativeWatcher, callback: () => void): number;

  /**
   * Takes back {@link Native.arm}: the callback is not called any more. Nothing if it is not armed.
   *
   * @returns 0, or `-EINVAL` if it was ended
   */
  disarm(watcher: NativeWatcher): number;

  /**
   * Ends a watcher; its copy of the descriptor is closed at once.
   *
   * @returns 0, or `-EINVAL` if it was ended before
   */
  unwatch(watcher: NativeWatcher): number;
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
