/**
 * The running Linux kernel: bpf(2) through the native shim, and the few system calls around it that
 * Node.js has itself.
 *
 * Layouts of `union bpf_attr`: `include/uapi/linux/bpf.h`. Each call sends the shortest form that
 * holds what is set, as older kernels refuse longer ones with non-zero bytes (E2BIG).
 */

import { mkdirSync, readFileSync, rmdirSync, statfsSync, unlinkSync } from 'node:fs';
import { endianness, release } from 'node:os';
import { decodeText, encodeText } from '../bytes/text.ts';
import { SkepError, SyscallError } from '../errors.ts';
import { BPF_CMD } from '../uapi/commands.ts';
import { ERRNO } from '../uapi/errno.ts';
import { checkMapNumbers, shortName } from './check-numbers.ts';
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
import { readKernelBtf } from './kernel-btf.ts';
import { LinuxBtf } from './linux-btf.ts';
import { thisProcessHolds } from './linux-capabilities.ts';
import { LinuxElements } from './linux-elements.ts';
import { AttributeBlock, EntryBlock } from './linux-memory.ts';
import { checked, LinuxObjects } from './linux-objects.ts';
import { openOutputEvent, readOnlineCpus } from './linux-perf.ts';
import { LinuxPrograms } from './linux-programs.ts';
import {
  errnoOf,
  readConfiguration,
  readSymbols,
  readSystemFile,
  readVersion,
} from './linux-system.ts';
import { watch } from './linux-watch.ts';
import { explainCreate } from './map-hints.ts';
import { loadNative, type Native } from './native.ts';
import { parentOf } from './parent-of.ts';
import type {
  BtfInfo,
  LogRequest,
  ProgramAttributes,
  ProgramCode,
  ProgramInfo,
  TestRunOutcome,
  TestRunRequest,
} from './program-calls.ts';
import { refused } from './refused.ts';

/** `f_type` of a BPF file system (`BPF_FS_MAGIC`). */
const BPF_FS_MAGIC = 0xcafe4a11;
const MAP_INFO_BYTES = 104;
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
  /** Descriptors that are known to be of maps. */
  readonly #maps = new Set<number>();
  readonly #objects: LinuxObjects;
  readonly #programs: LinuxPrograms;
  readonly #btf: LinuxBtf;
  #version: number | undefined;
  #configuration: string | null | undefined;
  #kernelBtf: Uint8Array | null | undefined;
  #cpus = 0;
  #pageSize = 0;
  #memlockRaised = false;

  constructor(native: Native) {
    this.#native = native;
    this.#attributes = new AttributeBlock(native, this.littleEndian);
    const entry = new EntryBlock(native, this.littleEndian);
    const around = {
      opened: (fd: number) => this.#opened(fd),
      close: (fd: number) => this.close(fd),
      withMemlock: (call: () => number) => this.#withMemlock(call),
    };
    const block = this.#attributes;
    this.#elements = new LinuxElements(block, entry, this);
    this.#objects = new LinuxObjects(block, around);
    this.#programs = new LinuxPrograms(block, this.#objects, around, this.littleEndian);
    this.#btf = new LinuxBtf(block, this.#objects, around, this.littleEndian);
  }

  get pageSize(): number {
    if (this.#pageSize === 0) {
      this.#pageSize = readPageSize();
    }
    return this.#pageSize;
  }

  possibleCpus(): number {
    if (this.#cpus === 0) {
      this.#cpus = countCpus(readSystemFile('/sys/devices/system/cpu/possible').toString('latin1'));
    }
    return this.#cpus;
  }

  createMap(attributes: MapAttributes): number {
    checkMapNumbers(attributes);
    const name = encodeText(shortName(attributes.name, 'map'));
    const block = this.#attributes;
    const size = createBytes(attributes);
    const what = `map "${attributes.name}"`;
    const result = this.#withMemlock(() => {
      block.clear(size);
      block.setU32(0, attributes.type);
      block.setU32(4, attributes.keySize);
      block.setU32(8, attributes.valueSize);
      block.setU32(12, attributes.maxEntries);
      block.setU32(16, attributes.flags);
      block.setU32(20, attributes.innerMapFd ?? 0);
      block.setU32(24, attributes.numaNode);
      block.setBytes(28, name);
      if (attributes.btf !== null) {
        block.setU32(48, attributes.btf.fd);
        block.setU32(52, attributes.btf.keyTypeId);
        block.setU32(56, attributes.btf.valueTypeId);
      }
      if (attributes.mapExtra !== 0n) {
        block.setU64(64, attributes.mapExtra);
      }
      if (attributes.kernelValueType !== undefined) {
        block.setU32(60, attributes.kernelValueType.typeId);
        block.setU32(72, attributes.kernelValueType.fd ?? 0);
      }
      return block.call(BPF_CMD.MAP_CREATE, size);
    });
    if (result === -ERRNO.EPERM) {
      const hint = explainCreate(attributes.type, thisProcessHolds);
      throw refused('BPF_MAP_CREATE', ERRNO.EPERM, what, hint);
    }
    const fd = checked(result, BPF_CMD.MAP_CREATE, what);
    this.#elements.remember(fd, attributes);
    return this.#openedMap(fd);
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
    this.#maps.delete(fd);
    this.#native.close(fd);
  }

  mapInfo(fd: number): MapInfo {
    const info = new DataView(new ArrayBuffer(MAP_INFO_BYTES));
    const bytes = new Uint8Array(info.buffer);
    this.#objects.readInfo(fd, bytes);
    if (!this.#maps.has(fd)) {
      // The call answers for programs and BTF as well, and what it says of them is no map.
      this.#objects.checkKind(fd, 'bpf-map');
      this.#maps.add(fd);
    }
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
    return this.#openedMap(this.#objects.openById(BPF_CMD.MAP_GET_FD_BY_ID, id, 'map'));
  }

  nextMapId(after: number): number | null {
    return this.#objects.nextId(BPF_CMD.MAP_GET_NEXT_ID, after, 'maps');
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
    checked(block.call(BPF_CMD.MAP_FREEZE, 4), BPF_CMD.MAP_FREEZE, `map at file descriptor ${fd}`);
  }

  mapMemory(
    fd: number,
    offset: number,
    length: number,
    writable: boolean,
    address = 0n,
  ): ArrayBuffer {
    const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    const memory =
      address === 0n
        ? this.#native.map(fd, offset, length, protection, MAP_SHARED)
        : this.#native.mapAt(fd, Number(address), length);
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
    return this.#btf.load(bytes);
  }

  readBtf(id: number): Uint8Array {
    return this.#btf.read(id);
  }

  openBtfById(id: number): number {
    return this.#btf.openById(id);
  }

  nextBtfId(after: number): number | null {
    return this.#btf.nextId(after);
  }

  btfInfo(fd: number): BtfInfo {
    return this.#btf.info(fd);
  }

  loadProgram(attributes: ProgramAttributes, log: LogRequest | null): number {
    return this.#programs.load(attributes, log);
  }

  programInfo(fd: number): ProgramInfo {
    return this.#programs.info(fd);
  }

  programCode(fd: number): ProgramCode {
    return this.#programs.code(fd);
  }

  openProgramById(id: number): number {
    return this.#programs.openById(id);
  }

  nextProgramId(after: number): number | null {
    return this.#programs.nextId(after);
  }

  openPinnedProgram(path: string): number {
    return this.#objects.openPinned(path, 'bpf-prog', 0);
  }

  runProgram(fd: number, request: TestRunRequest): TestRunOutcome {
    return this.#programs.run(fd, request);
  }

  linkStructOps(mapFd: number): number {
    return this.#programs.linkStructOps(mapFd);
  }

  version(): number {
    this.#version ??= readVersion();
    return this.#version;
  }

  configuration(): string | null {
    if (this.#configuration === undefined) {
      this.#configuration = readConfiguration();
    }
    return this.#configuration;
  }

  symbolAddresses(names: ReadonlySet<string>): ReadonlyMap<string, bigint> {
    return readSymbols(names);
  }

  kernelBtf(): Uint8Array | null {
    if (this.#kernelBtf === undefined) {
      this.#kernelBtf = readKernelBtf();
    }
    return this.#kernelBtf;
  }

  pin(fd: number, path: string): void {
    this.#objects.pin(fd, path);
  }

  openPinnedMap(path: string, access: PinAccess): number {
    if (!Object.hasOwn(ACCESS_FLAGS, access)) {
      throw new TypeError(`access is "read-write", "read-only" or "write-only", not "${access}"`);
    }
    return this.#openedMap(this.#objects.openPinned(path, 'bpf-map', ACCESS_FLAGS[access]));
  }

  unpin(path: string): boolean {
    const kind = this.fileSystem(parentOf(path));
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

  /** A fresh descriptor may have the number of one that somebody else closed: forget that one. */
  #opened(fd: number): number {
    this.#elements.forget(fd);
    this.#maps.delete(fd);
    return fd;
  }

  #openedMap(fd: number): number {
    this.#maps.add(fd);
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
}

/** Bytes of `union bpf_attr` that hold everything set: names came in 4.15, BTF in 4.18. */
function createBytes(attributes: MapAttributes): number {
  const { kernelValueType, mapExtra, btf } = attributes;
  if (kernelValueType !== undefined && kernelValueType.fd !== null) return 76;
  if (mapExtra !== 0n) return 72;
  if (btf !== null || kernelValueType !== undefined) return 64;
  return attributes.name === '' ? 28 : 48;
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
  const vector = readSystemFile('/proc/self/auxv');
  const read = endianness() === 'LE' ? 'readBigUInt64LE' : 'readBigUInt64BE';
  for (let at = 0; at + 16 <= vector.length; at += 16) {
    if (vector[read](at) === AT_PAGESZ) {
      return Number(vector[read](at + 8));
    }
  }
  throw new SkepError('ERR_SKEP_FILE', '/proc/self/auxv does not say how large a page is');
}
