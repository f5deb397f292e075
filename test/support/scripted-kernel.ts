/**
 * A kernel made of JavaScript objects, for tests of the loader: it records each call, fails those it
 * is told to, runs a hook before one, and knows what is still open and pinned.
 */

import { SyscallError } from '../../src/errors.ts';
import type {
  FileSystemKind,
  Kernel,
  MapAttributes,
  MapInfo,
  MapUsage,
  PinAccess,
  Watch,
} from '../../src/kernel/kernel.ts';
import { ERRNO } from '../../src/uapi/errno.ts';

interface FakeMap {
  readonly id: number;
  readonly attributes: MapAttributes;
  readonly entries: Map<string, Uint8Array>;
  frozen: boolean;
}

type Thing = FakeMap | { readonly btf: Uint8Array };

/** One recorded call: the method and what matters of its arguments. */
export type Call = readonly [method: string, ...details: unknown[]];

export class ScriptedKernel implements Kernel {
  readonly name = 'scripted';
  readonly littleEndian = true;
  readonly pageSize = 4096;
  readonly calls: Call[] = [];
  readonly descriptors = new Map<number, Thing>();
  readonly pins = new Map<string, FakeMap>();
  readonly directories = new Set(['/sys/fs/bpf']);
  /** Asked before each call that changes or creates something: an errno name, or undefined. */
  fail: (call: Call, index: number) => string | undefined = () => undefined;
  /** Called before each such call is made. */
  before: (call: Call) => void = () => {};
  /** Whether it has batches for maps of maps. */
  hasBatches = true;
  #nextFd = 100;
  #nextId = 1;
  #failable = 0;

  possibleCpus(): number {
    return 3;
  }

  createMap(attributes: MapAttributes): number {
    this.#call('BPF_MAP_CREATE', ['createMap', attributes.name, attributes]);
    return this.#open({ id: this.#nextId++, attributes, entries: new Map(), frozen: false });
  }

  duplicate(fd: number): number {
    this.#call('fcntl', ['duplicate', fd]);
    return this.#open(this.#thing(fd));
  }

  close(fd: number): void {
    this.calls.push(['close', fd]);
    if (!this.descriptors.delete(fd)) {
      throw new Error(`descriptor ${fd} was closed twice, or never open`);
    }
  }

  mapInfo(fd: number): MapInfo {
    this.#call('BPF_OBJ_GET_INFO_BY_FD', ['mapInfo', fd]);
    const { id, attributes } = this.#map(fd);
    return {
      id,
      type: attributes.type,
      name: attributes.name,
      keySize: attributes.keySize,
      valueSize: attributes.valueSize,
      maxEntries: attributes.maxEntries,
      flags: attributes.flags & ~0x18,
      mapExtra: attributes.mapExtra,
      btfId: attributes.btf === null ? 0 : 1,
      keyTypeId: attributes.btf?.keyTypeId ?? 0,
      valueTypeId: attributes.btf?.valueTypeId ?? 0,
    };
  }

  mapUsage(fd: number): MapUsage {
    return { memoryBytes: null, frozen: this.#map(fd).frozen };
  }

  openMapById(id: number): number {
    this.#call('BPF_MAP_GET_FD_BY_ID', ['openMapById', id]);
    for (const thing of [...this.descriptors.values(), ...this.pins.values()]) {
      if ('id' in thing && thing.id === id) {
        return this.#open(thing);
      }
    }
    throw this.#refused('BPF_MAP_GET_FD_BY_ID', 'ENOENT');
  }

  nextMapId(): number | null {
    return null;
  }

  valueBytes(fd: number): number {
    return this.#map(fd).attributes.valueSize;
  }

  lookup(fd: number, key: Uint8Array | null, value: Uint8Array): boolean {
    this.#call('BPF_MAP_LOOKUP_ELEM', ['lookup', fd]);
    const found = this.#map(fd).entries.get(String(key));
    if (found === undefined) {
      return false;
    }
    value.set(found);
    return true;
  }

  update(fd: number, key: Uint8Array | null, value: Uint8Array): void {
    this.#call('BPF_MAP_UPDATE_ELEM', ['update', fd]);
    this.#store(fd, key!, value);
  }

  lookupAndDelete(fd: number, key: Uint8Array | null, value: Uint8Array): boolean {
    return this.lookup(fd, key, value) && this.delete(fd, key!);
  }

  lookupBatch(): null {
    return null;
  }

  lookupAndDeleteBatch(): null {
    return null;
  }

  delete(fd: number, key: Uint8Array): boolean {
    return this.#map(fd).entries.delete(String(key));
  }

  nextKey(fd: number, key: Uint8Array | null, next: Uint8Array): boolean {
    this.#call('BPF_MAP_GET_NEXT_KEY', ['nextKey', fd]);
    const keys = [...this.#map(fd).entries.keys()];
    const at = key === null ? 0 : keys.indexOf(String(key)) + 1;
    if (keys[at] === undefined) {
      return false;
    }
    next.set(keys[at].split(',').map(Number));
    return true;
  }

  updateBatch(fd: number, keys: Uint8Array, values: Uint8Array, count: number): boolean {
    this.#call('BPF_MAP_UPDATE_BATCH', ['updateBatch', fd, count]);
    if (!this.hasBatches) {
      return false;
    }
    for (let at = 0; at < count * 4; at += 4) {
      this.#store(fd, keys.subarray(at, at + 4), values.subarray(at, at + 4));
    }
    return true;
  }

  freeze(fd: number): void {
    this.#call('BPF_MAP_FREEZE', ['freeze', fd]);
    this.#map(fd).frozen = true;
  }

  mapMemory(): ArrayBuffer {
    throw this.#refused('mmap', 'ENOTSUPP');
  }

  unmapMemory(): void {}

  loadBtf(bytes: Uint8Array): number {
    this.#call('BPF_BTF_LOAD', ['loadBtf', bytes.length]);
    return this.#open({ btf: bytes });
  }

  readBtf(id: number): Uint8Array {
    throw this.#refused('BPF_BTF_GET_FD_BY_ID', id === 0 ? 'ENOENT' : 'EPERM');
  }

  watch(): Watch {
    throw new Error('a scripted kernel has nothing to wait for');
  }

  onlineCpus(): readonly number[] {
    return [0, 2];
  }

  openOutputEvent(cpu: number): number {
    this.#call('perf_event_open', ['openOutputEvent', cpu]);
    return this.#open({ btf: new Uint8Array() });
  }

  pin(fd: number, path: string): void {
    this.#call('BPF_OBJ_PIN', ['pin', fd, path]);
    if (this.pins.has(path)) {
      throw this.#refused('BPF_OBJ_PIN', 'EEXIST');
    }
    this.pins.set(path, this.#map(fd));
  }

  openPinnedMap(path: string, access: PinAccess): number {
    this.#call('BPF_OBJ_GET', ['openPinnedMap', path, access]);
    const map = this.pins.get(path);
    if (map === undefined) {
      throw this.#refused('BPF_OBJ_GET', 'ENOENT');
    }
    return this.#open(map);
  }

  unpin(path: string): boolean {
    this.calls.push(['unpin', path]);
    return this.pins.delete(path);
  }

  fileSystem(path: string): FileSystemKind {
    if (this.directories.has(path)) {
      return 'bpf';
    }
    return path.startsWith('/sys/fs/bpf') || path.startsWith('/nowhere') ? 'missing' : 'other';
  }

  makeDirectory(path: string): boolean {
    this.#call('mkdir', ['makeDirectory', path]);
    if (this.directories.has(path)) {
      return false;
    }
    this.directories.add(path);
    return true;
  }

  removeDirectory(path: string): boolean {
    this.calls.push(['removeDirectory', path]);
    return this.directories.delete(path);
  }

  /** The names of the methods called, in order, less closes. */
  get methods(): string[] {
    return this.calls.map(([method]) => method).filter((method) => method !== 'close');
  }

  /** Creates a map and pins it, as another process would. */
  pinAsOther(path: string, attributes: MapAttributes): void {
    this.pins.set(path, { id: this.#nextId++, attributes, entries: new Map(), frozen: false });
  }

  /** The id of a map behind a descriptor. */
  idOf(fd: number): number {
    return this.#map(fd).id;
  }

  #call(command: string, call: Call): void {
    this.before(call);
    this.calls.push(call);
    const errno = this.fail(call, this.#failable++);
    if (errno !== undefined) {
      throw this.#refused(command, errno);
    }
  }

  #store(fd: number, key: Uint8Array, value: Uint8Array): void {
    const { attributes, entries } = this.#map(fd);
    let stored = value.slice();
    if (attributes.innerMapFd !== null) {
      // A map of maps is given a descriptor and gives back an id.
      const view = new DataView(stored.buffer);
      view.setUint32(0, this.#map(view.getUint32(0, true)).id, true);
      stored = new Uint8Array(view.buffer);
    }
    entries.set(String(key), stored);
  }

  #open(thing: Thing): number {
    const fd = this.#nextFd++;
    this.descriptors.set(fd, thing);
    return fd;
  }

  #thing(fd: number): Thing {
    const thing = this.descriptors.get(fd);
    if (thing === undefined) {
      throw new Error(`descriptor ${fd} is not open`);
    }
    return thing;
  }

  #map(fd: number): FakeMap {
    const thing = this.#thing(fd);
    if (!('id' in thing)) {
      throw new Error(`descriptor ${fd} is no map`);
    }
    return thing;
  }

  #refused(command: string, errnoName: string): SyscallError {
    const errno = ERRNO[errnoName as keyof typeof ERRNO];
    return new SyscallError('scripted', { command, errno, errnoName });
  }
}
