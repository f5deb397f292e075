/**
 * A kernel inside the process: maps, types, pins and descriptors as Linux 6.18 has them, for tests
 * that need neither Linux nor root. One suite of tests runs on both, and drives both with the same
 * random calls; docs/testing.md lists where they differ.
 *
 * Semantics: `kernel/bpf/syscall.c`, `map_in_map.c`, `inode.c`, and a file for each kind of map.
 */

import { ERRNO } from '../../uapi/errno.ts';
import { BPF_MAP_TYPE, mapTypeName } from '../../uapi/map-types.ts';
import { checkRoom, checkView } from '../check-room.ts';
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
} from '../kernel.ts';
import { parentOf } from '../parent-of.ts';
import { refused } from '../refused.ts';
import { deleteAsProgram, lookupAsProgram, updateAsProgram } from './as-program.ts';
import { parseTypes } from './btf-table.ts';
import { createMap } from './create-map.ts';
import { accessOf, movedBytes } from './create-rules.ts';
import { Descriptors, describeMap, isStream } from './descriptors.ts';
import { checkWritable, MemoryElements, type OpenMap } from './elements.ts';
import { type BpfFileSystem, checkPath, fileResult } from './file-system.ts';
import { type Capability, type Machine, type MachineOptions, newMachine } from './machine.ts';
import { MemoryPrograms } from './memory-programs.ts';
import { MapObject } from './objects.ts';
import { PerfEventObject } from './perf-event.ts';
import { RingStore } from './ring-store.ts';
import { alwaysReady } from './signal.ts';
import { EventStore } from './slot-stores.ts';
import { MemoryWatch } from './watch.ts';

export type { Capability };

/** How an in-process kernel is made. */
export interface MemoryKernelOptions extends Partial<MachineOptions> {
  /** What its first process may do; everything by default. */
  readonly capabilities?: readonly Capability[];
}

/** A handle to a map, or its descriptor. */
export type MapLike = number | { readonly fd: number; readonly kernel?: Kernel };

const EVERYTHING: readonly Capability[] = [
  'CAP_BPF',
  'CAP_NET_ADMIN',
  'CAP_PERFMON',
  'CAP_SYS_ADMIN',
];
const INFO = 'BPF_OBJ_GET_INFO_BY_FD';
/** `INT_MAX`: ids are below. */
const LARGEST_ID = 0x7fff_ffff;

/**
 * A kernel without Linux, for tests: pass it wherever `{ kernel }` is taken.
 *
 * @example
 * const kernel = new MemoryKernel();
 * using app = load(ObjectFile.open('app.bpf.o'), { kernel });
 */
export class MemoryKernel extends MemoryPrograms implements Kernel {
  readonly name = 'memory';
  /** @internal */
  readonly self = this;
  readonly #machine: Machine;
  readonly #capabilities: ReadonlySet<Capability>;
  readonly #descriptors: Descriptors;
  readonly #elements: MemoryElements;
  /** Mappings of this process, a buffer as often as it is mapped. */
  readonly #mapped: ArrayBuffer[] = [];
  readonly #watches = new Set<MemoryWatch>();

  /** @throws TypeError for a number of CPUs or a page size that cannot be */
  constructor(options: MemoryKernelOptions = {}) {
    const machine = machines.get(options) ?? newMachine(options);
    const capabilities = new Set(options.capabilities ?? EVERYTHING);
    const descriptors = new Descriptors();
    super({ machine, descriptors, capabilities });
    this.#machine = machine;
    this.#capabilities = capabilities;
    this.#descriptors = descriptors;
    for (const capability of this.#capabilities) {
      if (!EVERYTHING.includes(capability)) {
        throw new TypeError(`capabilities are ${EVERYTHING.join(', ')}, not "${capability}"`);
      }
    }
    const { cpus, littleEndian } = this.#machine.options;
    this.#elements = new MemoryElements({
      cpus,
      littleEndian,
      map: (fd) => this.#map(fd),
      object: (fd) => this.#descriptors.get(fd)?.object,
    });
  }

  get littleEndian(): boolean {
    return this.#machine.options.littleEndian;
  }

  get pageSize(): number {
    return this.#machine.options.pageSize;
  }

  /**
   * Another process on the same kernel: it sees the same pins and ids, and has descriptors of its own.
   *
   * @param options.capabilities those of this process by default
   */
  process(options: Pick<MemoryKernelOptions, 'capabilities'> = {}): MemoryKernel {
    const shared = { capabilities: options.capabilities ?? [...this.#capabilities] };
    machines.set(shared, this.#machine);
    return new MemoryKernel(shared);
  }

  /** The descriptors that are open in this process, ascending: what a test finds left behind. */
  openDescriptors(): number[] {
    return this.#descriptors.numbers();
  }

  /** Every path of its BPF file system, sorted. */
  paths(): string[] {
    return this.#machine.files.paths();
  }

  /** Ids of all maps that somebody holds, ascending. */
  mapIds(): number[] {
    return [...this.#machine.maps.keys()].sort((a, b) => a - b);
  }

  /**
   * Does what `bpf_ringbuf_output` does in a program; false if the ring has no room.
   *
   * @param map a handle, or its descriptor
   */
  produce(map: MapLike, record: Uint8Array): boolean {
    checkView(record, 'the record');
    return this.#ring(map, BPF_MAP_TYPE.RINGBUF).output(record);
  }

  /**
   * Does what `bpf_user_ringbuf_drain` does in a program: the records that user space sent.
   *
   * @param limit how many of them at most, as a program's callback may end the walk
   */
  drain(map: MapLike, limit = Number.POSITIVE_INFINITY): Uint8Array[] {
    return this.#ring(map, BPF_MAP_TYPE.USER_RINGBUF).drain(limit);
  }

  /**
   * Does what `bpf_perf_event_output` does in a program on a CPU. Without room the record is lost,
   * and counted; programs do not hear of it.
   *
   * @returns false if it is lost
   * @throws SyscallError `ENOENT` if nobody listens for that CPU
   * @throws RangeError for 64 KiB and more, which no record has room for
   */
  outputEvent(map: MapLike, cpu: number, record: Uint8Array): boolean {
    checkView(record, 'the record');
    const { store, what } = this.#asked(map);
    if (!(store instanceof EventStore)) {
      throw new TypeError(`the ${what} is no perf event array`);
    }
    const event = store.event(cpu);
    if (event === undefined) {
      throw refused('bpf_perf_event_output', ERRNO.ENOENT, `CPU ${cpu} of the ${what}`);
    }
    return event.output(record);
  }

  /**
   * Does what `bpf_map_update_elem` does in a program, which a frozen map does not refuse.
   *
   * @param value all CPUs' values, one behind the other, in per-CPU maps
   * @param flags `BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST`; `BPF_F_LOCK` where values have a lock
   * @throws SyscallError as the helper answers; `EACCES` where programs may only read
   */
  updateAsProgram(map: MapLike, key: Uint8Array, value: Uint8Array, flags = 0): void {
    updateAsProgram(this.#asked(map), key, value, flags);
  }

  /**
   * Does what `bpf_map_lookup_elem` does in a program: it makes the entry of an LRU map a used one.
   *
   * @returns a copy of the value, all CPUs' in per-CPU maps; null if there is no such entry
   * @throws SyscallError `EACCES` where programs may only write
   */
  lookupAsProgram(map: MapLike, key: Uint8Array): Uint8Array | null {
    return lookupAsProgram(this.#asked(map), key);
  }

  /**
   * Does what `bpf_map_delete_elem` does in a program, which a frozen map does not refuse.
   *
   * @returns false if there is no such entry
   * @throws SyscallError as the helper answers; `EACCES` where programs may only read
   */
  deleteAsProgram(map: MapLike, key: Uint8Array): boolean {
    return deleteAsProgram(this.#asked(map), key);
  }

  /**
   * Ends the process: nobody waits any more, its mappings end, and its descriptors are closed, whatever
   * their handles think of it. Calls of it throw `ESRCH` from here on, but for those that close things.
   */
  exit(): void {
    for (const watch of this.#watches) {
      watch.close();
    }
    this.#watches.clear();
    for (const memory of this.#mapped.splice(0)) {
      this.#machine.mappings.remove(memory);
    }
    for (const fd of this.openDescriptors()) {
      this.close(fd);
    }
    this.#descriptors.end();
  }

  possibleCpus(): number {
    return this.#machine.options.cpus;
  }

  onlineCpus(): readonly number[] {
    return Array.from({ length: this.possibleCpus() }, (_, cpu) => cpu);
  }

  createMap(attributes: MapAttributes): number {
    const map = createMap(attributes, {
      machine: this.#machine,
      may: (capability) => this.#may(capability),
      open: (fd) => this.#descriptors.get(fd),
    });
    return this.#descriptors.add(map, accessOf(attributes.flags));
  }

  duplicate(fd: number): number {
    const open = this.#descriptors.get(fd);
    if (open === undefined) {
      throw refused('fcntl', ERRNO.EBADF, `file descriptor ${fd}`);
    }
    return this.#descriptors.share(open);
  }

  close(fd: number): void {
    this.#descriptors.remove(fd);
  }

  mapInfo(fd: number): MapInfo {
    const { map } = this.#map(fd);
    const { type, name, keySize, valueSize, maxEntries, mapExtra, btf } = map.attributes;
    const hasTypes = map.btf !== null;
    return {
      id: map.id,
      type,
      name,
      keySize,
      valueSize,
      maxEntries,
      flags: map.flags,
      mapExtra,
      btfId: map.btf?.id ?? 0,
      keyTypeId: hasTypes ? btf!.keyTypeId : 0,
      valueTypeId: hasTypes ? btf!.valueTypeId : 0,
    };
  }

  mapUsage(fd: number): MapUsage {
    const open = this.#descriptors.get(fd)?.object;
    if (!(open instanceof MapObject)) {
      return { memoryBytes: null, frozen: null };
    }
    const { keySize, maxEntries } = open.attributes;
    const entry = keySize + movedBytes(open.attributes, this.possibleCpus());
    return { memoryBytes: entry * maxEntries, frozen: open.frozen };
  }

  openMapById(id: number): number {
    if (!Number.isInteger(id) || id < 0 || id > 0xffff_ffff) {
      throw new TypeError(`the id of a map is an integer of 32 bits, not ${String(id)}`);
    }
    this.#require('CAP_SYS_ADMIN', 'BPF_MAP_GET_FD_BY_ID', `map with id ${id}`);
    const map = this.#machine.maps.get(id);
    if (map === undefined) {
      throw refused('BPF_MAP_GET_FD_BY_ID', ERRNO.ENOENT, `map with id ${id}`);
    }
    return this.#descriptors.add(map, 'read-write');
  }

  nextMapId(after: number): number | null {
    // The number that the kernel gets: 32 bits of it.
    const start = after >>> 0;
    if (start >= LARGEST_ID) {
      throw refused('BPF_MAP_GET_NEXT_ID', ERRNO.EINVAL, 'list of maps');
    }
    this.#require('CAP_SYS_ADMIN', 'BPF_MAP_GET_NEXT_ID', 'list of maps');
    return this.mapIds().find((id) => id > start) ?? null;
  }

  valueBytes(fd: number): number {
    return movedBytes(this.#map(fd).map.attributes, this.possibleCpus());
  }

  lookup(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): boolean {
    return this.#elements.lookup(fd, key, value, flags);
  }

  lookupAndDelete(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): boolean {
    return this.#elements.take(fd, key, value, flags);
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
    return this.#elements.lookupBatch(fd, cursor, keys, values, count);
  }

  lookupAndDeleteBatch(
    fd: number,
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number | null {
    return this.#elements.takeBatch(fd, cursor, keys, values, count);
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
    const command = 'BPF_MAP_FREEZE';
    const open = this.#descriptors.get(fd);
    if (!(open?.object instanceof MapObject)) {
      const isOpen = open !== undefined || isStream(fd);
      throw refused(command, isOpen ? ERRNO.EINVAL : ERRNO.EBADF, describeMap(fd));
    }
    const map = open.object;
    if (map.special.length > 0) {
      throw refused(command, ERRNO.ENOTSUPP, describeMap(fd));
    }
    checkWritable(map, open.access, command, fd);
    if (map.writableMappings > 0) {
      throw refused(command, ERRNO.EBUSY, describeMap(fd));
    }
    map.frozen = true;
  }

  mapMemory(fd: number, offset: number, length: number, writable: boolean): ArrayBuffer {
    const place = { offset, length, writable };
    const memory = this.#machine.mappings.add(this.#descriptors.get(fd), fd, place);
    this.#mapped.push(memory);
    return memory;
  }

  unmapMemory(memory: ArrayBuffer): void {
    const index = this.#mapped.indexOf(memory);
    if (index !== -1) {
      this.#mapped.splice(index, 1);
      this.#machine.mappings.remove(memory);
    }
  }

  watch(fds: readonly number[], interest: Interest): Watch {
    const watched = fds.map((fd) => {
      const object = this.#descriptors.get(fd)?.object;
      if (object instanceof MapObject) {
        return object.store instanceof RingStore ? object.store : alwaysReady();
      }
      if (!(object instanceof PerfEventObject)) {
        const errno = object === undefined ? ERRNO.EBADF : ERRNO.EPERM;
        throw refused('poll', errno, `file descriptor ${fd}`);
      }
      return object;
    });
    // A single one is kept open, as by a descriptor of its own.
    const file = fds.length === 1 ? this.#descriptors.get(fds[0]!) : undefined;
    file?.hold();
    const watch = new MemoryWatch(watched, interest, () => {
      this.#watches.delete(watch);
      file?.release();
    });
    this.#watches.add(watch);
    return watch;
  }

  openOutputEvent(cpu: number, wakeupEvents: number): number {
    if (!this.#may('CAP_PERFMON')) {
      throw refused('perf_event_open', ERRNO.EACCES, `the perf event of CPU ${cpu}`);
    }
    if (!Number.isInteger(cpu) || cpu < 0 || cpu >= this.possibleCpus()) {
      throw refused('perf_event_open', ERRNO.EINVAL, `the perf event of CPU ${cpu}`);
    }
    return this.#descriptors.add(
      new PerfEventObject(cpu, this.littleEndian, wakeupEvents),
      'read-write',
    );
  }

  loadBtf(bytes: Uint8Array): number {
    this.#require('CAP_BPF', 'BPF_BTF_LOAD', 'BTF');
    checkRoom(bytes, bytes.length, 'BTF');
    const copy = bytes.slice();
    const types = parseTypes(copy, this.littleEndian);
    return this.#descriptors.add(this.#machine.addBtf(copy, types), 'read-only');
  }

  readBtf(id: number): Uint8Array {
    const command = 'BPF_BTF_GET_FD_BY_ID';
    this.#require('CAP_SYS_ADMIN', command, `BTF with id ${id}`);
    const table = this.#machine.tables.get(id);
    if (table === undefined) {
      throw refused(command, ERRNO.ENOENT, `BTF with id ${id}`);
    }
    return table.bytes.slice();
  }

  pin(fd: number, path: string): void {
    checkPath(path);
    const open = this.#descriptors.get(fd);
    // One answer for all that cannot be pinned, and for no descriptor at all.
    if (open === undefined || open.object.kind === 'btf' || open.object.kind === 'event') {
      throw refused('BPF_OBJ_PIN', ERRNO.EINVAL, path);
    }
    const result = this.#files().pin(path, open.object);
    if (result < 0) {
      throw refused('BPF_OBJ_PIN', -result, path);
    }
  }

  openPinnedMap(path: string, access: PinAccess): number {
    checkPath(path);
    if (!ACCESSES.includes(access)) {
      throw new TypeError(`access is "read-write", "read-only" or "write-only", not "${access}"`);
    }
    const object = this.#files().get(path);
    if (typeof object === 'number') {
      throw refused('BPF_OBJ_GET', -object, path);
    }
    if (!(object instanceof MapObject)) {
      throw refused('BPF_OBJ_GET', ERRNO.EINVAL, path, 'it is no map but a bpf-prog');
    }
    return this.#descriptors.add(object, access);
  }

  unpin(path: string): boolean {
    const files = this.#files();
    const kind = this.fileSystem(parentOf(path));
    if (kind === 'missing') {
      return false;
    }
    if (kind === 'other') {
      const reason = 'it is not on a BPF file system, so it is no pin';
      throw refused('unlink', ERRNO.EINVAL, path, reason);
    }
    return fileResult('unlink', path, files.unpin(path), ERRNO.ENOENT);
  }

  fileSystem(path: string): FileSystemKind {
    const kind = this.#files().kind(path);
    if (typeof kind !== 'number') {
      return kind;
    }
    throw refused('statfs', -kind, path);
  }

  makeDirectory(path: string): boolean {
    return fileResult('mkdir', path, this.#files().makeDirectory(path), ERRNO.EEXIST);
  }

  removeDirectory(path: string): boolean {
    const result = this.#files().removeDirectory(path);
    return result === -ERRNO.ENOTEMPTY ? false : fileResult('rmdir', path, result, ERRNO.ENOENT);
  }

  /** The file system, for calls of a process that has not ended. */
  #files(): BpfFileSystem {
    this.#descriptors.checkAlive();
    return this.#machine.files;
  }

  /** Capabilities imply each other as Linux has it: CAP_SYS_ADMIN is the others too. */
  #may(capability: Capability): boolean {
    this.#descriptors.checkAlive();
    return this.#capabilities.has(capability) || this.#capabilities.has('CAP_SYS_ADMIN');
  }

  #require(capability: Capability, command: string, what: string): void {
    if (!this.#may(capability)) {
      throw refused(command, ERRNO.EPERM, what);
    }
  }

  /** The map of a handle, which must be of this process. */
  #asked(map: MapLike) {
    const fd = typeof map === 'number' ? map : map.fd;
    const kernel = typeof map === 'number' ? undefined : map.kernel;
    // A kernel with faults in front of this one has everything of it, its identity included.
    if (kernel !== undefined && (kernel as { readonly self?: unknown }).self !== this) {
      throw new TypeError('the handle is of another kernel, or of another process of this one');
    }
    const { map: object } = this.#map(fd);
    const cpus = this.possibleCpus();
    return { map: object, store: object.store, what: describeMap(fd), cpus };
  }

  #ring(map: MapLike, type: number): RingStore {
    const { store, map: object, what } = this.#asked(map);
    if (!(store instanceof RingStore) || object.attributes.type !== type) {
      throw new TypeError(`the ${what} is no ${mapTypeName(type)}`);
    }
    return store;
  }

  #map(fd: number): OpenMap {
    const open = this.#descriptors.get(fd);
    if (open === undefined) {
      // Not the errno of all other calls, in Linux either.
      const errno = isStream(fd) ? ERRNO.EINVAL : ERRNO.EBADFD;
      throw refused(INFO, errno, `file descriptor ${fd}`);
    }
    if (!(open.object instanceof MapObject)) {
      throw refused(INFO, ERRNO.EINVAL, `file descriptor ${fd}`, 'it is no map');
    }
    return { map: open.object, file: open, access: open.access };
  }
}

const ACCESSES: readonly PinAccess[] = ['read-write', 'read-only', 'write-only'];
/** The machine that the options of a further process stand for. */
const machines = new WeakMap<object, Machine>();
