/**
 * What the running kernel tells of itself outside bpf(2): its version, its configuration and its
 * symbols. Where libbpf looks, this looks, in the same order (`get_kernel_version`,
 * `bpf_object__read_kconfig_file` and `libbpf_kallsyms_parse`).
 */

import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { release, version } from 'node:os';
import { gunzipSync } from 'node:zlib';
import { ERRNO } from '../uapi/errno.ts';
import { refused } from './refused.ts';
import { isShortage } from './shortage.ts';

const SYMBOLS = '/proc/kallsyms';
const CHUNK_BYTES = 1 << 16;

/**
 * `LINUX_VERSION_CODE` of the running kernel; 0 if its names do not tell.
 *
 * Ubuntu and Debian have other numbers in the release than those that the kernel compares with.
 */
export function readVersion(): number {
  let ubuntu = '';
  try {
    ubuntu = readFileSync('/proc/version_signature', 'latin1');
  } catch {
    // Only Ubuntu has it.
  }
  return versionCode({ ubuntu, version: version(), release: release() });
}

/**
 * `LINUX_VERSION_CODE` from what a system says.
 *
 * @param names what is in `/proc/version_signature` ('' for nothing), and what uname(2) calls the
 *   version and the release
 */
export function versionCode(names: {
  readonly ubuntu: string;
  readonly version: string;
  readonly release: string;
}): number {
  const found =
    /^\s*\S+\s+\S+\s+(\d+)\.(\d+)\.(\d+)/.exec(names.ubuntu) ??
    /Debian (\d+)\.(\d+)\.(\d+)/.exec(names.version) ??
    /^(\d+)\.(\d+)\.(\d+)/.exec(names.release);
  if (found === null) {
    return 0;
  }
  const [major, minor, patch] = [Number(found[1]), Number(found[2]), Number(found[3])];
  // KERNEL_VERSION(): the patch level has one byte, and long-lived kernels outgrew it.
  return major * 0x1_0000 + minor * 0x100 + Math.min(patch, 255);
}

/**
 * A file in which the kernel tells something of itself.
 *
 * @throws SyscallError if it cannot be read
 */
export function readSystemFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw refused('open', errnoOf(cause), path, undefined, cause);
  }
}

/** The positive errno of an error of node:fs. @throws the error, if it has none */
export function errnoOf(error: unknown): number {
  if (error instanceof Error && 'errno' in error && typeof error.errno === 'number') {
    return -error.errno;
  }
  throw error;
}

/**
 * The lines of `.config` that the running kernel was built with; null if it keeps them to itself.
 *
 * @throws SyscallError where it is this process that lacks something, such as descriptors
 */
export function readConfiguration(): string | null {
  for (const path of [`/boot/config-${release()}`, '/proc/config.gz']) {
    try {
      const bytes = readSystemFile(path);
      return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
    } catch (error) {
      if (isShortage(error)) {
        throw error;
      }
      // The next place, then.
    }
  }
  return null;
}

/**
 * Addresses of symbols, from `/proc/kallsyms`.
 *
 * @throws SyscallError with `ENOTUNIQ` for a name that has several addresses, as libbpf refuses it
 */
export function readSymbols(names: ReadonlySet<string>): Map<string, bigint> {
  const found = new SymbolFinder(names);
  if (names.size === 0) {
    return found.addresses;
  }
  let fd: number;
  try {
    fd = openSync(SYMBOLS, 'r');
  } catch (cause) {
    const errno = errnoOf(cause);
    const hint = errno === ERRNO.ENOENT ? 'the kernel needs CONFIG_KALLSYMS' : undefined;
    throw refused('open', errno, SYMBOLS, hint, cause);
  }
  try {
    const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
    // A read gives a page at most, but whole lines only as it happens.
    for (let kept = 0; ; ) {
      const read = readSync(fd, chunk, kept, chunk.length - kept, null);
      const end = kept + read;
      if (read === 0) {
        found.add(chunk.toString('latin1', 0, end));
        return found.addresses;
      }
      const lines = chunk.lastIndexOf(NEWLINE, end - 1) + 1;
      found.add(chunk.toString('latin1', 0, lines));
      chunk.copyWithin(0, lines, end);
      kept = end - lines;
    }
  } finally {
    closeSync(fd);
  }
}

const NEWLINE = 10;

/** Finds names in the lines of `/proc/kallsyms`: `ffffffff81000000 T _text`, a tab and `[module]`. */
export class SymbolFinder {
  readonly addresses = new Map<string, bigint>();
  readonly #names: ReadonlySet<string>;
  readonly #lengths: Uint8Array;

  constructor(names: ReadonlySet<string>) {
    this.#names = names;
    this.#lengths = new Uint8Array(Math.max(0, ...[...names].map((name) => name.length)) + 1);
    for (const name of names) {
      this.#lengths[name.length] = 1;
    }
  }

  /** Reads whole lines. */
  add(text: string): void {
    for (let at = 0; at < text.length; ) {
      let next = text.indexOf('\n', at);
      next = next === -1 ? text.length : next;
      this.#line(text, at, next);
      at = next + 1;
    }
  }

  #line(text: string, start: number, lineEnd: number): void {
    const space = text.indexOf(' ', start);
    const nameStart = space + 3;
    if (space === -1 || nameStart >= lineEnd) {
      return;
    }
    let end = lineEnd;
    if (text[lineEnd - 1] === ']') {
      end = text.indexOf('\t', nameStart);
    }
    // Clang gives static data of units that it optimized as one a suffix.
    if (text[space + 1] === 'd') {
      const suffix = text.slice(nameStart, end).indexOf('.llvm.');
      end = suffix === -1 ? end : nameStart + suffix;
    }
    // Few names have the length of one that is wanted: most lines end here, without a string made.
    if (this.#lengths[end - nameStart] === 1) {
      this.#symbol(text.slice(nameStart, end), text.slice(start, space));
    }
  }

  #symbol(name: string, digits: string): void {
    if (!this.#names.has(name)) {
      return;
    }
    const address = BigInt(`0x${digits}`);
    const before = this.addresses.get(name);
    if (before !== undefined && before !== address) {
      throw refused(
        'read',
        ERRNO.ENOTUNIQ,
        `symbol "${name}" in ${SYMBOLS}`,
        `there are several of that name: 0x${before.toString(16)} and 0x${digits}`,
      );
    }
    this.addresses.set(name, address);
  }
}
