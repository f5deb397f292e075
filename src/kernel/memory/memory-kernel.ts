/**
 * A kernel inside the process: maps, types, pins and descriptors as Linux 6.18 has them, for tests
 * that need neither Linux nor root. One suite of tests runs on both, and drives both with the same
 * random calls; docs/testing.md lists where they differ.
 *
 * Semantics: `kernel/bpf/syscall.c`, `map_in_map.c`, `inode.c`, and a file for each kind of map.
 */

import type { SyscallError } from '../../errors.ts';
import { Btf } from '../../obj/btf/btf.ts';
import { checkBtf } from '../../obj/btf/check.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { BPF_F } from '../../uapi/map-flags.ts';
import { BPF_MAP_TYPE, mapTypeName } from '../../uapi/map-types.ts';
import { checkMemory } from '../checked-memory.ts';
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
import { refused } from '../refused.ts';
import { ArrayStore, indexOf } from './array-store.ts';
import { checkAttributes, checkName, hasMapType } from './create-rules.ts';
import { Descriptors } from './descriptors.ts';
import { fitsTemplate, innerMetaOf } from './inner-meta.ts';
import { Machine, type MachineOptions, movedBytes } from './machine.ts';
import { type BtfObject, type InnerMeta, MapObject, ProgramObject } from './objects.ts';
import { RingStore } from './ring-store.ts';
import { ObjectStore } from './slot-stores.ts';
import { LOCK } from './store.ts';
import { checkTypes } from './value-types.ts';
import { MemoryWatch } from './watch.ts';

/** What privileged calls ask for. */
export type Capability = 'CAP_BPF' | 'CAP_SYS_ADMIN';

/** How an in-process kernel is made. */
export interface MemoryKernelOptions extends Partial<MachineOptions> {
  /** What its first process may do; everything by default. */
  readonly capabilities?: readonly Capability[];
}

const EVERYTHING: readonly Capability[] = ['CAP_BPF', 'CAP_SYS_ADMIN'];
const PAGE_BYTES = 4096;
const INFO = 'BPF_OBJ_GET_INFO_BY_FD';

interface OpenMap {
  readonly map: MapObject;
  readonly access: PinAccess;
}

/**
 * A kernel without Linux, for tests: pass it wherever `{ kernel }` is taken.
 *
 * @example
 * const kernel = new MemoryKernel();
 * using app = load(ObjectFile.open('app.bpf.o'), { kernel });
 */
export class MemoryKernel implements Kernel {
  readonly name = 'memory';
  readonly #machine: Machine;
  readonly #capabilities: ReadonlySet<Capability>;
  readonly #descriptors = new Descriptors();
  /** Whose memory each mapping is, and how many there are of it. */
  readonly #mappings = new Map<ArrayBuffer, { map: MapObject; writable: number; count: number }>();

  /** @throws TypeError for a number of CPUs or a page size that cannot be */
  constructor(options: MemoryKernelOptions = {}) {
    this.#machine = machines.get(options) ?? newMachine(options);
    this.#capabilities = new Set(options.capabilities ?? EVERYTHING);
  }

  get littleEndian(): boolean {
    return this.#machine.options.littleEndian;
  }

  get pageSize(): number {
    return this.#machine.options.pageSize;
  }

  /**
   * Another process on the same kernel: it sees the same pins and ids, and has descriptors of its own.
   */
  process(options: Pick<MemoryKernelOptions, 'capabilities'> = {}): MemoryKernel {
    const shared = { ...options };
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
   * A program, so that there is something to put into program arrays. It does not run.
   *
   * @param type `BPF_PROG_TYPE_*`
   * @returns a descriptor
   */
  createProgram(type: number, name = ''): number {
    return this.#descriptors.add(this.#machine.addProgram(type, name), 'read-write');
  }

  /**
   * Does what `bpf_ringbuf_output` does in a program; false if the ring has no room.
   *
   * @param map a handle, or its descriptor
   */
  produce(map: number | { readonly fd: number }, record: Uint8Array): boolean {
    const fd = typeof map === 'number' ? map : map.fd;
    const { store } = this.#map(fd).map;
    if (!(store instanceof RingStore)) {
      throw new TypeError(`the map at file descriptor ${fd} is no ring buffer`);
    }
    return store.output(record);
  }

  /** Does what `bpf_map_update_elem` does in a program, which a frozen map does not refuse. */
  updateAsProgram(
    map: number | { readonly fd: number },
    key: Uint8Array,
    value: Uint8Array,
    flags = 0,
  ): void {
    const fd = typeof map === 'number' ? map : map.fd;
    const { map: object } = this.#map(fd);
    if ((object.flags & BPF_F.RDONLY_PROG) !== 0) {
      throw refused(
        'bpf_map_update_elem',
        ERRNO.EACCES,
        this.#what(fd),
        'programs may only read it',
      );
    }
    this.#checked(object.store.update(key, value, flags), 'bpf_map_update_elem', fd);
  }

  possibleCpus(): number {
    return this.#machine.options.cpus;
  }

  onlineCpus(): readonly number[] {
    return Array.from({ length: this.possibleCpus() }, (_, cpu) => cpu);
  }

  createMap(attributes: MapAttributes): number {
    const name = attributes.name.slice(0, 15);
    const map = { ...attributes, name };
    const refuse = (errno: number, hint?: string) =>
      refused('BPF_MAP_CREATE', errno, `map "${attributes.name}"`, hint);
    if (!this.#may('CAP_BPF')) {
      throw refuse(ERRNO.EPERM);
    }
    if (!hasMapType(map.type)) {
      throw refuse(
        ERRNO.EINVAL,
        `the in-process kernel has no maps of type ${mapTypeName(map.type)}`,
      );
    }
    const early = checkAttributes(map, this.pageSize);
    if (early < 0) {
      throw refuse(-early);
    }
    const inner = this.#innerMeta(map, refuse);
    const late = checkName(name);
    if (late < 0) {
      throw refuse(-late);
    }
    const btf = this.#types(map, refuse);
    const special = btf === null ? [] : checkTypes(map, btf.types);
    if (typeof special === 'number') {
      throw refuse(-special);
    }
    const access = accessOf(map.flags);
    return this.#descriptors.add(this.#machine.addMap(map, { btf, special, inner }), access);
  }

  duplicate(fd: number): number {
    const open = this.#descriptors.get(fd);
    if (open === undefined) {
      throw refused('fcntl', ERRNO.EBADF, `file descriptor ${fd}`);
    }
    return this.#descriptors.add(open.object, open.access);
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
    this.#require('CAP_SYS_ADMIN', 'BPF_MAP_GET_NEXT_ID', 'list of maps');
    return this.mapIds().find((id) => id > after) ?? null;
  }

  valueBytes(fd: number): number {
    return movedBytes(this.#map(fd).map.attributes, this.possibleCpus());
  }

  lookup(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): boolean {
    const command = 'BPF_MAP_LOOKUP_ELEM';
    const { map, access } = this.#element(fd, key, value);
    if ((flags & ~LOCK) !== 0) {
      throw refused(command, ERRNO.EINVAL, this.#what(fd));
    }
    if (access === 'write-only') {
      throw refused(command, ERRNO.EPERM, this.#what(fd));
    }
    this.#checkLock(map, flags, command, fd);
    const result = map.store.lookup(key ?? NO_KEY, value);
    clearSpecial(map, value);
    return this.#found(result, command, fd);
  }

  lookupAndDelete(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): boolean {
    const command = 'BPF_MAP_LOOKUP_AND_DELETE_ELEM';
    const { map, access } = this.#element(fd, key, value);
    if ((flags & ~LOCK) !== 0) {
      throw refused(command, ERRNO.EINVAL, this.#what(fd));
    }
    if (access !== 'read-write' || map.frozen) {
      throw refused(command, ERRNO.EPERM, this.#what(fd));
    }
    this.#checkLock(map, flags, command, fd);
    const result = map.store.take(key ?? NO_KEY, value, flags);
    clearSpecial(map, value);
    return this.#found(result, command, fd);
  }

  update(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): void {
    const command = 'BPF_MAP_UPDATE_ELEM';
    const { map, access } = this.#element(fd, key, value);
    this.#checkWritable(map, access, command, fd);
    this.#checkLock(map, flags, command, fd);
    this.#checked(this.#store(map, key ?? NO_KEY, value, flags & ~LOCK), command, fd);
  }

  delete(fd: number, key: Uint8Array): boolean {
    const command = 'BPF_MAP_DELETE_ELEM';
    const { map, access } = this.#map(fd);
    checkMemory(key, map.attributes.keySize, 'the key');
    this.#checkWritable(map, access, command, fd);
    return this.#found(map.store.delete(keyOf(map, key)), command, fd);
  }

  nextKey(fd: number, key: Uint8Array | null, next: Uint8Array): boolean {
    const command = 'BPF_MAP_GET_NEXT_KEY';
    const { map, access } = this.#map(fd);
    const { keySize } = map.attributes;
    if (key !== null) {
      checkMemory(key, keySize, 'the key');
    }
    checkMemory(next, keySize, 'the next key');
    if (access === 'write-only') {
      throw refused(command, ERRNO.EPERM, this.#what(fd));
    }
    const from = key === null ? null : keyOf(map, key);
    return this.#found(map.store.nextKey(from, next.subarray(0, keySize)), command, fd);
  }

  lookupBatch(
    fd: number,
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number | null {
    const command = 'BPF_MAP_LOOKUP_BATCH';
    const { map, access } = this.#batch(fd, keys, values, count);
    if (access === 'write-only') {
      throw refused(command, ERRNO.EPERM, this.#what(fd));
    }
    const read = map.store.lookupBatch(cursor, keys, values, count);
    return this.#read(map, cursor, read, values, command, fd);
  }

  lookupAndDeleteBatch(
    fd: number,
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number | null {
    const command = 'BPF_MAP_LOOKUP_AND_DELETE_BATCH';
    const { map, access } = this.#batch(fd, keys, values, count);
    if (access !== 'read-write' || map.frozen) {
      throw refused(command, ERRNO.EPERM, this.#what(fd));
    }
    const read = map.store.takeBatch(cursor, keys, values, count);
    return this.#read(map, cursor, read, values, command, fd);
  }

  updateBatch(
    fd: number,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
    flags: number,
  ): boolean {
    const command = 'BPF_MAP_UPDATE_BATCH';
    const { map, access } = this.#batch(fd, keys, values, count);
    this.#checkWritable(map, access, command, fd);
    // Flags that no batch takes are answered as the absence of batches is: nothing was done.
    const lacksLock = (flags & LOCK) !== 0 && !map.hasLock;
    if (!map.store.updatesBatches || (flags & ~LOCK) !== 0 || lacksLock) {
      return false;
    }
    const { keySize } = map.attributes;
    const valueBytes = movedBytes(map.attributes, this.possibleCpus());
    for (let index = 0; index < count; index += 1) {
      const key = keys.slice(index * keySize, (index + 1) * keySize);
      const value = values.slice(index * valueBytes, (index + 1) * valueBytes);
      this.#checked(this.#store(map, key, value, 0), command, fd);
    }
    return true;
  }

  freeze(fd: number): void {
    const command = 'BPF_MAP_FREEZE';
    const open = this.#descriptors.get(fd);
    if (!(open?.object instanceof MapObject)) {
      const errno = open === undefined ? ERRNO.EBADF : ERRNO.EINVAL;
      throw refused(command, errno, this.#what(fd));
    }
    const map = open.object;
    if (map.special.length > 0) {
      throw refused(command, ERRNO.ENOTSUPP, this.#what(fd));
    }
    this.#checkWritable(map, open.access, command, fd);
    if (map.writableMappings > 0) {
      throw refused(command, ERRNO.EBUSY, this.#what(fd));
    }
    map.frozen = true;
  }

  mapMemory(fd: number, offset: number, length: number, writable: boolean): ArrayBuffer {
    const open = this.#descriptors.get(fd);
    const refuse = (errno: number) => refused('mmap', errno, this.#what(fd));
    if (open === undefined) {
      throw refuse(ERRNO.EBADF);
    }
    const { object, access } = open;
    if (access === 'write-only' || (writable && access === 'read-only')) {
      throw refuse(ERRNO.EACCES);
    }
    if (!(object instanceof MapObject) || !canBeMapped(object)) {
      throw refuse(ERRNO.ENOTSUPP);
    }
    // Linux takes VM_SHARED from the mapping of a descriptor that is not for writing.
    if (access === 'read-only') {
      throw refuse(ERRNO.EINVAL);
    }
    if (writable && object.frozen) {
      throw refuse(ERRNO.EPERM);
    }
    // Programs were promised that user space writes by calls only.
    if (writable && (object.flags & BPF_F.RDONLY_PROG) !== 0) {
      throw refuse(ERRNO.EACCES);
    }
    const memory = memoryOf(object, offset, length, writable, this.pageSize);
    if (typeof memory === 'number') {
      throw refuse(-memory);
    }
    this.#addMapping(object, memory, writable);
    return memory;
  }

  unmapMemory(memory: ArrayBuffer): void {
    const mapping = this.#mappings.get(memory);
    if (mapping === undefined) {
      return;
    }
    mapping.count -= 1;
    if (mapping.count > 0) {
      return;
    }
    this.#mappings.delete(memory);
    mapping.map.writableMappings -= mapping.writable;
    if (mapping.map.store instanceof ArrayStore) {
      mapping.map.store.detach();
    }
    mapping.map.release(false);
  }

  watch(fds: readonly number[], _interest: Interest): Watch {
    return new MemoryWatch(
      fds.flatMap((fd) => {
        const { store } = this.#map(fd).map;
        return store instanceof RingStore ? [store] : [];
      }),
    );
  }

  openOutputEvent(cpu: number): number {
    throw refused(
      'perf_event_open',
      ERRNO.ENOENT,
      `CPU ${cpu}`,
      'the in-process kernel has no perf events',
    );
  }

  loadBtf(bytes: Uint8Array): number {
    this.#require('CAP_BPF', 'BPF_BTF_LOAD', 'BTF');
    checkMemory(bytes, bytes.length, 'BTF');
    const copy = bytes.slice();
    let types: Btf;
    try {
      types = Btf.parse(copy);
      checkBtf(types);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw refused('BPF_BTF_LOAD', ERRNO.EINVAL, 'BTF', reason, cause);
    }
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
    if (open === undefined) {
      throw refused('BPF_OBJ_PIN', ERRNO.EBADF, path);
    }
    if (open.object.kind === 'btf') {
      throw refused('BPF_OBJ_PIN', ERRNO.EINVAL, path);
    }
    const result = this.#machine.files.pin(path, open.object);
    if (result < 0) {
      throw refused('BPF_OBJ_PIN', -result, path);
    }
  }

  openPinnedMap(path: string, access: PinAccess): number {
    checkPath(path);
    if (!ACCESSES.includes(access)) {
      throw new TypeError(`access is "read-write", "read-only" or "write-only", not "${access}"`);
    }
    const object = this.#machine.files.get(path);
    if (typeof object === 'number') {
      throw refused('BPF_OBJ_GET', -object, path);
    }
    if (!(object instanceof MapObject)) {
      throw refused('BPF_OBJ_GET', ERRNO.EINVAL, path, 'it is no map but a bpf-prog');
    }
    return this.#descriptors.add(object, access);
  }

  unpin(path: string): boolean {
    const { files } = this.#machine;
    const kind = this.fileSystem(path.slice(0, Math.max(path.lastIndexOf('/'), 1)));
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
    const kind = this.#machine.files.kind(path);
    if (typeof kind === 'number') {
      throw refused('statfs', -kind, path);
    }
    return kind;
  }

  makeDirectory(path: string): boolean {
    return fileResult('mkdir', path, this.#machine.files.makeDirectory(path), ERRNO.EEXIST);
  }

  removeDirectory(path: string): boolean {
    const result = this.#machine.files.removeDirectory(path);
    return result === -ERRNO.ENOTEMPTY ? false : fileResult('rmdir', path, result, ERRNO.ENOENT);
  }

  /** Capabilities imply each other as Linux has it: CAP_SYS_ADMIN is CAP_BPF too. */
  #may(capability: Capability): boolean {
    return this.#capabilities.has(capability) || this.#capabilities.has('CAP_SYS_ADMIN');
  }

  #require(capability: Capability, command: string, what: string): void {
    if (!this.#may(capability)) {
      throw refused(command, ERRNO.EPERM, what);
    }
  }

  #innerMeta(
    map: MapAttributes,
    refuse: (errno: number, hint?: string) => SyscallError,
  ): InnerMeta | null {
    if (map.type !== BPF_MAP_TYPE.ARRAY_OF_MAPS && map.type !== BPF_MAP_TYPE.HASH_OF_MAPS) {
      return null;
    }
    // Without a template the kernel is handed descriptor 0, which is no map.
    const template = map.innerMapFd === null ? null : this.#descriptors.get(map.innerMapFd);
    if (template === undefined) {
      throw refuse(ERRNO.EBADF);
    }
    const meta =
      template?.object instanceof MapObject ? innerMetaOf(template.object) : -ERRNO.EINVAL;
    if (typeof meta === 'number') {
      throw refuse(-meta);
    }
    return meta;
  }

  #types(
    map: MapAttributes,
    refuse: (errno: number, hint?: string) => SyscallError,
  ): BtfObject | null {
    if (map.btf === null || (map.btf.keyTypeId === 0 && map.btf.valueTypeId === 0)) {
      return null;
    }
    if (map.btf.keyTypeId !== 0 && map.btf.valueTypeId === 0) {
      throw refuse(ERRNO.EINVAL);
    }
    const table = this.#descriptors.get(map.btf.fd)?.object;
    if (table?.kind !== 'btf') {
      throw refuse(table === undefined ? ERRNO.EBADF : ERRNO.EINVAL);
    }
    return table as BtfObject;
  }

  #map(fd: number): OpenMap {
    const open = this.#descriptors.get(fd);
    if (open === undefined) {
      throw refused(INFO, ERRNO.EBADF, `file descriptor ${fd}`);
    }
    if (!(open.object instanceof MapObject)) {
      throw refused(INFO, ERRNO.EINVAL, `file descriptor ${fd}`, 'it is no map');
    }
    return { map: open.object, access: open.access };
  }

  #element(fd: number, key: Uint8Array | null, value: Uint8Array): OpenMap {
    const open = this.#map(fd);
    const { keySize } = open.map.attributes;
    if (key === null && keySize !== 0) {
      throw new TypeError(
        `the map at file descriptor ${fd} has keys of ${keySize} bytes; none was given`,
      );
    }
    if (key !== null) {
      checkMemory(key, keySize, 'the key');
    }
    checkMemory(value, movedBytes(open.map.attributes, this.possibleCpus()), 'the value');
    return open;
  }

  #batch(fd: number, keys: Uint8Array, values: Uint8Array, count: number): OpenMap {
    const open = this.#map(fd);
    checkMemory(keys, open.map.attributes.keySize * count, 'the keys');
    const valueBytes = movedBytes(open.map.attributes, this.possibleCpus());
    checkMemory(values, valueBytes * count, 'the values');
    return open;
  }

  /** Stores a value: of maps of objects, what the descriptor in it refers to. */
  #store(map: MapObject, key: Uint8Array, value: Uint8Array, flags: number): number {
    const own = keyOf(map, key);
    const bytes = value.slice(0, movedBytes(map.attributes, this.possibleCpus()));
    if (!(map.store instanceof ObjectStore)) {
      clearSpecial(map, bytes);
      return map.store.update(own, bytes, flags);
    }
    const refusal = map.store.refusalBeforeValue(own, flags);
    if (refusal < 0) {
      return refusal;
    }
    const id = this.#idBehind(map, indexOf(bytes, this.littleEndian));
    if (id < 0) {
      return id;
    }
    new DataView(bytes.buffer).setUint32(0, id, this.littleEndian);
    return map.store.update(own, bytes, flags);
  }

  /** The id of what a descriptor in a value refers to, or why it does not belong there. */
  #idBehind(map: MapObject, fd: number): number {
    const object = this.#descriptors.get(fd)?.object;
    if (object === undefined) {
      // The standard streams are open, and are nothing that belongs into a map.
      return fd < 3 ? -ERRNO.EINVAL : -ERRNO.EBADF;
    }
    if (map.inner === null) {
      return object instanceof ProgramObject ? object.id : -ERRNO.EINVAL;
    }
    return object instanceof MapObject && fitsTemplate(map.inner, object)
      ? object.id
      : -ERRNO.EINVAL;
  }

  #checkWritable(map: MapObject, access: PinAccess, command: string, fd: number): void {
    if (access === 'read-only' || map.frozen) {
      throw refused(command, ERRNO.EPERM, this.#what(fd));
    }
  }

  #checkLock(map: MapObject, flags: number, command: string, fd: number): void {
    if ((flags & LOCK) !== 0 && !map.hasLock) {
      throw refused(command, ERRNO.EINVAL, this.#what(fd));
    }
  }

  #read(
    map: MapObject,
    cursor: BatchCursor,
    read: number,
    values: Uint8Array,
    command: string,
    fd: number,
  ): number | null {
    if (read === -ERRNO.ENOTSUPP) {
      return null;
    }
    this.#checked(read, command, fd);
    cursor.started = true;
    const valueBytes = movedBytes(map.attributes, this.possibleCpus());
    for (let index = 0; index < read && map.special.length > 0; index += 1) {
      clearSpecial(map, values.subarray(index * valueBytes));
    }
    return read;
  }

  #addMapping(map: MapObject, memory: ArrayBuffer, writable: boolean): void {
    const known = this.#mappings.get(memory);
    if (known === undefined) {
      map.hold(false);
    }
    const mapping = known ?? { map, writable: 0, count: 0 };
    mapping.count += 1;
    mapping.writable += writable ? 1 : 0;
    map.writableMappings += writable ? 1 : 0;
    this.#mappings.set(memory, mapping);
  }

  #found(result: number, command: string, fd: number): boolean {
    if (result === -ERRNO.ENOENT) {
      return false;
    }
    this.#checked(result, command, fd);
    return true;
  }

  #checked(result: number, command: string, fd: number): void {
    if (result < 0) {
      throw refused(command, -result, this.#what(fd));
    }
  }

  #what(fd: number): string {
    return `map at file descriptor ${fd}`;
  }
}

const NO_KEY = new Uint8Array(0);
const ACCESSES: readonly PinAccess[] = ['read-write', 'read-only', 'write-only'];
/** The machine that the options of a further process stand for. */
const machines = new WeakMap<object, Machine>();

function newMachine(options: MemoryKernelOptions): Machine {
  const { cpus = 2, pageSize = PAGE_BYTES, littleEndian = true } = options;
  if (!Number.isInteger(cpus) || cpus < 1) {
    throw new TypeError(`a kernel has one CPU or more, not ${cpus}`);
  }
  if (!Number.isInteger(pageSize) || pageSize < PAGE_BYTES || (pageSize & (pageSize - 1)) !== 0) {
    throw new TypeError(`a page has a power of two of bytes, 4096 or more, not ${pageSize}`);
  }
  const bpfFileSystem = options.bpfFileSystem ?? '/sys/fs/bpf';
  return new Machine({ cpus, pageSize, littleEndian, bpfFileSystem });
}

/** What the flags of a new map let its descriptor do. */
function accessOf(flags: number): PinAccess {
  if ((flags & BPF_F.RDONLY) !== 0) {
    return 'read-only';
  }
  return (flags & BPF_F.WRONLY) !== 0 ? 'write-only' : 'read-write';
}

/** The key's own bytes: callers may hand in more. */
function keyOf(map: MapObject, key: Uint8Array): Uint8Array {
  return key.subarray(0, map.attributes.keySize);
}

function clearSpecial(map: MapObject, value: Uint8Array): void {
  for (const { offset, size } of map.special) {
    value.fill(0, offset, offset + size);
  }
}

function canBeMapped({ attributes: { type }, special }: MapObject): boolean {
  const mappable = type === BPF_MAP_TYPE.ARRAY || type === BPF_MAP_TYPE.RINGBUF;
  return mappable && special.length === 0;
}

function memoryOf(
  map: MapObject,
  offset: number,
  length: number,
  writable: boolean,
  pageSize: number,
): ArrayBuffer | number {
  const { store } = map;
  if (store instanceof RingStore) {
    return store.mapped(offset, length, writable);
  }
  if (!(store instanceof ArrayStore)) {
    return -ERRNO.EINVAL;
  }
  const pages = Math.ceil(length / pageSize) * pageSize;
  const whole = offset === 0 && pages === store.memory.byteLength;
  return (map.flags & BPF_F.MMAPABLE) !== 0 && whole ? store.memory : -ERRNO.EINVAL;
}

function checkPath(path: string): void {
  if (path.includes('\0')) {
    throw new TypeError('a path cannot contain a NUL character');
  }
}

function fileResult(command: string, path: string, result: number, expected: number): boolean {
  if (result === -expected) {
    return false;
  }
  if (result < 0) {
    throw refused(command, -result, path);
  }
  return true;
}
