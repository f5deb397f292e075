/**
 * The running Linux kernel: bpf(2) through the native shim, and the few system calls around it that
 * Node.js has itself.
 *
 * Layouts of `union bpf_attr`: `include/uapi/linux/bpf.h`. Each call sends the shortest form that
 * holds what is set, as older kernels refuse longer ones with non-zero bytes (E2BIG).
 */

import { mkdirSync, readFileSync, readlinkSync, rmdirSync, statfsSync, unlinkSync } from 'node:fs';
import { endianness, release } from 'node:os';
import { dirname } from 'node:path';
import { decodeText, encodeText } from '../bytes/text.ts';
import { SkepError, SyscallError } from '../errors.ts';
import { BPF_CMD, commandName } from '../uapi/commands.ts';
import { ERRNO } from '../uapi/errno.ts';
import type {
  BatchCursor,
  FileSystemKind,
  Interest,
  Kernel,
  MapAttributes,
  MapInfo,
  MapUsage,
  PinAccess,
  Watch,
} from './kernel.ts';
import { LinuxElements } from './linux-elements.ts';
import { AttributeBlock, EntryBlock } from './linux-memory.ts';
import { openOutputEvent, readOnlineCpus } from './linux-perf.ts';
import { watch } from './linux-watch.ts';
import { loadNative, type Native } from './native.ts';
import { refused } from './refused.ts';

/** `f_type` of a BPF file system (`BPF_FS_MAGIC`). */
const BPF_FS_MAGIC = 0xcafe4a11;
const MAP_INFO_BYTES = 104;
/** `btf`, `btf_size`, `id`. */
const BTF_INFO_BYTES = 16;
const LOG_BYTES = 1 << 16;
const ACCESS_FLAGS: Readonly<Record<PinAccess, number>> = {
  'read-write': 0,
  'read-only': 1 << 3,
  'write-only': 1 << 4,
};
/** Of mmap(2). */
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
let running: LinuxKernel | undefined;

/**
 * The kernel that this process runs on.
 *
 * @throws KernelUnavailableError if this is not Linux or the native shim is missing; the message
 *   says what to do
 */
export function linuxKernel(): Kernel {
  running ??= new LinuxKernel(loadNative());
  return running;
}

class LinuxKernel implements Kernel {
  readonly name = 'linux';
  readonly littleEndian = endianness() === 'LE';
  readonly #native: Native;
  readonly #attributes: AttributeBlock;
  readonly #elements: LinuxElements;
  #cpus = 0;
  #pageSize = 0;
  #memlockRaised = false;

  constructor(native: Native) {
    this.#native = native;
    this.#attributes = new AttributeBlock(native, this.littleEndian);
    const entry = new EntryBlock(native, this.littleEndian);
    this.#elements = new LinuxElements(this.#attributes, entry, this);
  }

  get pageSize(): number {
    if (this.#pageSize === 0) {
      this.#pageSize = readPageSize();
    }
    return this.#pageSize;
  }

  possibleCpus(): number {
    if (this.#cpus === 0) {
      this.#cpus = countCpus(readFileSync('/sys/devices/system/cpu/possible', 'latin1'));
    }
    return this.#cpus;
  }

  createMap(attributes: MapAttributes): number {
    const block = this.#attributes;
    const size = createBytes(attributes);
    const what = `map "${attributes.name}"`;
    const result = this.#withMemlock(() => {
      block.clear(72);
      block.setU32(0, attributes.type);
      block.setU32(4, attributes.keySize);
      block.setU32(8, attributes.valueSize);
      block.setU32(12, attributes.maxEntries);
      block.setU32(16, attributes.flags);
      block.setU32(20, attributes.innerMapFd ?? 0);
      block.setU32(24, attributes.numaNode);
      // One byte less than the field: the kernel wants a NUL in it.
      block.setBytes(28, encodeText(attributes.name).subarray(0, 15));
      if (attributes.btf !== null) {
        block.setU32(48, attributes.btf.fd);
        block.setU32(52, attributes.btf.keyTypeId);
        block.setU32(56, attributes.btf.valueTypeId);
      }
      if (attributes.mapExtra !== 0n) {
        block.setU64(64, attributes.mapExtra);
      }
      return block.call(BPF_CMD.MAP_CREATE, size);
    });
    const fd = this.#checked(result, BPF_CMD.MAP_CREATE, what);
    this.#elements.remember(fd, attributes);
    return fd;
  }

  duplicate(fd: number): number {
    const copy = this.#native.duplicate(fd);
    if (copy < 0) {
      throw refused('fcntl', -copy, `file descriptor ${fd}`);
    }
    return this.#opened(copy);
  }

  close(fd: number): void {
    this.#elements.forget(fd);
    this.#native.close(fd);
  }

  mapInfo(fd: number): MapInfo {
    const info = new DataView(new ArrayBuffer(MAP_INFO_BYTES));
    const block = this.#attributes;
    block.clear(16);
    block.setU32(0, fd);
    block.setU32(4, MAP_INFO_BYTES);
    const bytes = new Uint8Array(info.buffer);
    block.setPointer(8, bytes, MAP_INFO_BYTES, 'the buffer for map information');
    this.#checked(
      block.call(BPF_CMD.OBJ_GET_INFO_BY_FD, 16),
      BPF_CMD.OBJ_GET_INFO_BY_FD,
      `file descriptor ${fd}`,
    );
    const u32 = (offset: number) => info.getUint32(offset, this.littleEndian);
    const name = bytes.subarray(24, 40);
    const end = name.indexOf(0);
    return {
      type: u32(0),
      id: u32(4),
      keySize: u32(8),
      valueSize: u32(12),
      maxEntries: u32(16),
      flags: u32(20),
      name: decodeText(name, 0, end === -1 ? name.length : end),
      btfId: u32(64),
      keyTypeId: u32(68),
      valueTypeId: u32(72),
      mapExtra: info.getBigUint64(80, this.littleEndian),
    };
  }

  mapUsage(fd: number): MapUsage {
    let text: string;
    try {
      text = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1');
    } catch {
      // Without /proc there is nobody to ask.
      return { memoryBytes: null, frozen: null };
    }
    const field = (name: string) => new RegExp(`^${name}:\\s*(\\d+)$`, 'm').exec(text)?.[1];
    const memory = field('memlock');
    const frozen = field('frozen');
    return {
      memoryBytes: memory === undefined ? null : Number(memory),
      frozen: frozen === undefined ? null : frozen !== '0',
    };
  }

  openMapById(id: number): number {
    if (!Number.isInteger(id) || id < 0 || id > 0xffff_ffff) {
      throw new TypeError(`the id of a map is an integer of 32 bits, not ${String(id)}`);
    }
    const block = this.#attributes;
    block.clear(12);
    block.setU32(0, id);
    const result = block.call(BPF_CMD.MAP_GET_FD_BY_ID, 12);
    return this.#opened(this.#checked(result, BPF_CMD.MAP_GET_FD_BY_ID, `map with id ${id}`));
  }

  nextMapId(after: number): number | null {
    const block = this.#attributes;
    block.clear(8);
    block.setU32(0, after);
    const result = block.call(BPF_CMD.MAP_GET_NEXT_ID, 8);
    if (result === -ERRNO.ENOENT) {
      return null;
    }
    this.#checked(result, BPF_CMD.MAP_GET_NEXT_ID, 'list of maps');
    return block.u32(4);
  }

  valueBytes(fd: number): number {
    return this.#elements.shape(fd).valueBytes;
  }

  lookup(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): boolean {
    return this.#elements.lookup(BPF_CMD.MAP_LOOKUP_ELEM, fd, key, value, flags);
  }

  lookupAndDelete(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): boolean {
    return this.#elements.lookup(BPF_CMD.MAP_LOOKUP_AND_DELETE_ELEM, fd, key, value, flags);
  }

  update(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): void {
    this.#elements.update(fd, key, value, flags);
  }

  delete(fd: number, key: Uint8Array): boolean {
    return this.#elements.delete(fd, key);
  }

  nextKey(fd: number, key: Uint8Array | null, next: Uint8Array): boolean {
    return this.#elements.nextKey(fd, key, next);
  }

  lookupBatch(
    fd: number,
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number | null {
    return this.#elements.lookupBatch(BPF_CMD.MAP_LOOKUP_BATCH, fd, cursor, keys, values, count);
  }

  lookupAndDeleteBatch(
    fd: number,
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number | null {
    const command = BPF_CMD.MAP_LOOKUP_AND_DELETE_BATCH;
    return this.#elements.lookupBatch(command, fd, cursor, keys, values, count);
  }

  updateBatch(
    fd: number,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
    flags: number,
  ): boolean {
    return this.#elements.updateBatch(fd, keys, values, count, flags);
  }

  freeze(fd: number): void {
    const block = this.#attributes;
    block.clear(4);
    block.setU32(0, fd);
    this.#checked(
      block.call(BPF_CMD.MAP_FREEZE, 4),
      BPF_CMD.MAP_FREEZE,
      `map at file descriptor ${fd}`,
    );
  }

  mapMemory(fd: number, offset: number, length: number, writable: boolean): ArrayBuffer {
    const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    const memory = this.#native.map(fd, offset, length, protection, MAP_SHARED);
    if (typeof memory === 'number') {
      throw refused('mmap', -memory, `map at file descriptor ${fd}`);
    }
    return memory;
  }

  unmapMemory(memory: ArrayBuffer): void {
    this.#native.unmap(memory);
  }

  watch(fds: readonly number[], interest: Interest): Watch {
    return watch(this.#native, fds, interest);
  }

  onlineCpus(): readonly number[] {
    return readOnlineCpus();
  }

  openOutputEvent(cpu: number, wakeupEvents: number): number {
    return this.#opened(openOutputEvent(this.#native, this.littleEndian, cpu, wakeupEvents));
  }

  loadBtf(bytes: Uint8Array): number {
    const result = this.#withMemlock(() => this.#loadBtf(bytes, null));
    if (result >= 0) {
      return result;
    }
    // Once more, for the reason: asking for a log that is not needed costs time.
    const log = new Uint8Array(LOG_BYTES);
    const again = this.#loadBtf(bytes, log);
    if (again >= 0) {
      return again;
    }
    const end = log.indexOf(0);
    const lines = decodeText(log, 0, end === -1 ? log.length : end)
      .trim()
      .split('\n');
    const last = lines[lines.length - 1];
    throw refused(commandName(BPF_CMD.BTF_LOAD), -again, 'BTF', last === '' ? undefined : last);
  }

  readBtf(id: number): Uint8Array {
    const block = this.#attributes;
    block.clear(12);
    block.setU32(0, id);
    const what = `BTF with id ${id}`;
    const result = block.call(BPF_CMD.BTF_GET_FD_BY_ID, 12);
    const fd = this.#opened(this.#checked(result, BPF_CMD.BTF_GET_FD_BY_ID, what));
    try {
      const size = new DataView(this.#btfInfo(fd, null, what)).getUint32(8, this.littleEndian);
      const bytes = new Uint8Array(size);
      this.#btfInfo(fd, bytes, what);
      return bytes;
    } finally {
      this.close(fd);
    }
  }

  pin(fd: number, path: string): void {
    this.#checked(this.#object(BPF_CMD.OBJ_PIN, path, fd, 0), BPF_CMD.OBJ_PIN, path);
  }

  openPinnedMap(path: string, access: PinAccess): number {
    if (!Object.hasOwn(ACCESS_FLAGS, access)) {
      throw new TypeError(`access is "read-write", "read-only" or "write-only", not "${access}"`);
    }
    const result = this.#object(BPF_CMD.OBJ_GET, path, 0, ACCESS_FLAGS[access]);
    const fd = this.#opened(this.#checked(result, BPF_CMD.OBJ_GET, path));
    const kind = objectKind(fd);
    if (kind !== null && kind !== 'bpf-map') {
      this.close(fd);
      throw refused(commandName(BPF_CMD.OBJ_GET), ERRNO.EINVAL, path, `it is no map but a ${kind}`);
    }
    return fd;
  }

  unpin(path: string): boolean {
    const kind = this.fileSystem(dirname(path));
    if (kind === 'missing') {
      return false;
    }
    if (kind === 'other') {
      throw refused(
        'unlink',
        ERRNO.EINVAL,
        path,
        'it is not on a BPF file system, so it is no pin',
      );
    }
    return this.#fileCall('unlink', path, ERRNO.ENOENT, () => unlinkSync(path));
  }

  fileSystem(path: string): FileSystemKind {
    try {
      return statfsSync(path).type === BPF_FS_MAGIC ? 'bpf' : 'other';
    } catch (cause) {
      const errno = errnoOf(cause);
      // EPERM: a BPF file system has no names with dots, and does not even look for them.
      if (errno === ERRNO.ENOENT || errno === ERRNO.ENOTDIR || errno === ERRNO.EPERM) {
        return 'missing';
      }
      throw refused('statfs', errno, path, undefined, cause);
    }
  }

  makeDirectory(path: string): boolean {
    return this.#fileCall('mkdir', path, ERRNO.EEXIST, () => mkdirSync(path, 0o700));
  }

  removeDirectory(path: string): boolean {
    try {
      return this.#fileCall('rmdir', path, ERRNO.ENOENT, () => rmdirSync(path));
    } catch (error) {
      if (error instanceof SyscallError && error.errno === ERRNO.ENOTEMPTY) {
        return false;
      }
      throw error;
    }
  }

  #object(command: number, path: string, fd: number, flags: number): number {
    if (path.includes('\0')) {
      throw new TypeError('a path cannot contain a NUL character');
    }
    const name = encodeText(`${path}\0`);
    const block = this.#attributes;
    block.clear(16);
    block.setPointer(0, name, name.length, 'the path');
    block.setU32(8, fd);
    block.setU32(12, flags);
    return block.call(command, 16);
  }

  /** `struct bpf_btf_info`; the kernel copies the BTF itself to where the struct points. */
  #btfInfo(fd: number, bytes: Uint8Array<ArrayBuffer> | null, what: string): ArrayBuffer {
    const info = new Uint8Array(BTF_INFO_BYTES);
    const block = this.#attributes;
    if (bytes !== null) {
      block.writePointer(info, 0, bytes);
      new DataView(info.buffer).setUint32(8, bytes.length, this.littleEndian);
    }
    block.clear(16);
    block.setU32(0, fd);
    block.setU32(4, BTF_INFO_BYTES);
    block.setPointer(8, info, BTF_INFO_BYTES, 'the buffer for BTF information');
    this.#checked(block.call(BPF_CMD.OBJ_GET_INFO_BY_FD, 16), BPF_CMD.OBJ_GET_INFO_BY_FD, what);
    return info.buffer;
  }

  #loadBtf(bytes: Uint8Array, log: Uint8Array | null): number {
    const block = this.#attributes;
    block.clear(28);
    block.setPointer(0, bytes, bytes.length, 'BTF');
    block.setU32(16, bytes.length);
    if (log !== null) {
      block.setPointer(8, log, log.length, 'the log');
      block.setU32(20, log.length);
      block.setU32(24, 1);
    }
    return block.call(BPF_CMD.BTF_LOAD, 28);
  }

  /** A fresh descriptor may have the number of one that somebody else closed: forget that one. */
  #opened(fd: number): number {
    this.#elements.forget(fd);
    return fd;
  }

  /** Before 5.11 memory of maps counts against a limit that is tiny by default; lift it once. */
  #withMemlock(call: () => number): number {
    const result = call();
    if (result !== -ERRNO.EPERM || this.#memlockRaised || !chargesMemlock(release())) {
      return result;
    }
    this.#memlockRaised = true;
    return this.#native.raiseMemlock() < 0 ? result : call();
  }

  #fileCall(command: string, path: string, expected: number, call: () => void): boolean {
    try {
      call();
      return true;
    } catch (cause) {
      const errno = errnoOf(cause);
      if (errno === expected) {
        return false;
      }
      throw refused(command, errno, path, undefined, cause);
    }
  }

  #checked(result: number, command: number, what: string): number {
    if (result < 0) {
      throw refused(commandName(command), -result, what);
    }
    return result;
  }
}

/** Bytes of `union bpf_attr` that hold everything set: names came in 4.15, BTF in 4.18. */
function createBytes(attributes: MapAttributes): number {
  if (attributes.mapExtra !== 0n) return 72;
  if (attributes.btf !== null) return 64;
  return attributes.name === '' ? 28 : 48;
}

/** `bpf-map`, `bpf-prog`, `bpf_link`, ...; null if there is no /proc to ask. */
function objectKind(fd: number): string | null {
  try {
    return /^anon_inode:\[?([^\]]+)\]?$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? null;
  } catch {
    return null;
  }
}

/** The number of CPUs in a list like `0-3,8-11`. @throws SkepError `ERR_SKEP_FILE` for no list */
export function countCpus(list: string): number {
  let count = 0;
  for (const part of list.trim().split(',')) {
    const range = /^(\d+)(?:-(\d+))?$/.exec(part);
    const [first, last] = [Number(range?.[1]), Number(range?.[2] ?? range?.[1])];
    if (range === null || last < first) {
      throw new SkepError(
        'ERR_SKEP_FILE',
        `/sys/devices/system/cpu/possible says "${list.trim()}", which is no list of CPUs`,
      );
    }
    count += last - first + 1;
  }
  return count;
}

/** Whether a kernel of this release counts BPF memory against RLIMIT_MEMLOCK (before 5.11). */
export function chargesMemlock(kernelRelease: string): boolean {
  const [major, minor] = kernelRelease.split('.').map((part) => Number.parseInt(part, 10));
  return major! < 5 || (major === 5 && minor! < 11);
}

/** The page size in bytes, from the auxiliary vector (`AT_PAGESZ`). */
function readPageSize(): number {
  const AT_PAGESZ = 6n;
  const vector = readFileSync('/proc/self/auxv');
  const read = endianness() === 'LE' ? 'readBigUInt64LE' : 'readBigUInt64BE';
  for (let at = 0; at + 16 <= vector.length; at += 16) {
    if (vector[read](at) === AT_PAGESZ) {
      return Number(vector[read](at + 8));
    }
  }
  throw new SkepError('ERR_SKEP_FILE', '/proc/self/auxv does not say how large a page is');
}

/** The positive errno of an error of node:fs. */
function errnoOf(error: unknown): number {
  if (error instanceof Error && 'errno' in error && typeof error.errno === 'number') {
    return -error.errno;
  }
  throw error;
}
