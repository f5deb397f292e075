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
import type {
  BtfInfo,
  LogRequest,
  ProgramAttributes,
  ProgramCode,
  ProgramInfo,
  TestRunOutcome,
} from '../../src/kernel/program-calls.ts';
import { ERRNO } from '../../src/uapi/errno.ts';

interface FakeMap {
  readonly id: number;
  readonly attributes: MapAttributes;
  readonly entries: Map<string, Uint8Array>;
  frozen: boolean;
}

interface FakeProgram {
  readonly id: number;
  readonly program: ProgramAttributes;
}

type Thing = FakeMap | FakeProgram | { readonly btf: Uint8Array };

/** One recorded call: the method and what matters of its arguments. */
export type Call = readonly [method: string, ...details: unknown[]];

export class ScriptedKernel implements Kernel {
  readonly name = 'scripted';
  readonly littleEndian = true;
  readonly pageSize = 4096;
  readonly calls: Call[] = [];
  readonly descriptors = new Map<number, Thing>();
  readonly pins = new Map<string, FakeMap>();
  readonly programPins = new Map<string, FakeProgram>();
  readonly directories = new Set(['/sys/fs/bpf']);
  /** Asked before each call that changes or creates something: an errno name, or undefined. */
  fail: (call: Call, index: number) => string | undefined = () => undefined;
  /** Called before each such call is made. */
  before: (call: Call) => void = () => {};
  /** What the verifier writes, if it is asked for a log. */
  log = '';
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
      if ('attributes' in thing && thing.id === id) {
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
    if (this.pins.has(path) || this.programPins.has(path)) {
      throw this.#refused('BPF_OBJ_PIN', 'EEXIST');
    }
    const thing = this.#thing(fd);
    if ('program' in thing) {
      this.programPins.set(path, thing);
    } else {
      this.pins.set(path, this.#map(fd));
    }
  }

  openPinnedMap(path: string, access: PinAccess): number {
    this.#call('BPF_OBJ_GET', ['openPinnedMap', path, access]);
    return this.#open(this.#pinned(path, this.pins, this.programPins));
  }

  loadProgram(program: ProgramAttributes, log: LogRequest | null): number {
    if (log !== null && log.level > 0) {
      const text = new TextEncoder().encode(`${this.log}\0`);
      log.buffer.set(text.subarray(0, log.buffer.length));
      log.wholeBytes = text.length;
    }
    this.#call('BPF_PROG_LOAD', ['loadProgram', program.name, program]);
    return this.#open({ id: this.#nextId++, program });
  }

  programInfo(fd: number): ProgramInfo {
    const { id, program } = this.#program(fd);
    return {
      id,
      type: program.type,
      tag: '0'.repeat(16),
      name: program.name,
      jitedBytes: 0,
      translatedBytes: program.instructions.length,
      loadTime: 0n,
      userId: 0,
      mapIds: [],
      gplCompatible: program.license === 'GPL',
      btfId: 0,
      runTimeNanoseconds: 0n,
      runCount: 0n,
      recursionMisses: 0n,
      verifiedInstructions: 0,
      attachTypeId: program.target?.typeId ?? 0,
      attachBtfObjectId: 0,
    };
  }

  programCode(fd: number): ProgramCode {
    const { instructions } = this.#program(fd).program;
    return { instructions, functionInfo: null, lineInfo: null };
  }

  openProgramById(): number {
    throw this.#refused('BPF_PROG_GET_FD_BY_ID', 'EPERM');
  }

  nextProgramId(): number | null {
    return null;
  }

  openPinnedProgram(path: string): number {
    this.#call('BPF_OBJ_GET', ['openPinnedProgram', path]);
    return this.#open(this.#pinned(path, this.programPins, this.pins));
  }

  runProgram(): TestRunOutcome {
    throw this.#refused('BPF_PROG_TEST_RUN', 'ENOTSUPP');
  }

  linkStructOps(mapFd: number): number {
    this.#call('BPF_LINK_CREATE', ['linkStructOps', mapFd]);
    return this.#open({ btf: new Uint8Array() });
  }

  openBtfById(): number {
    throw this.#refused('BPF_BTF_GET_FD_BY_ID', 'EPERM');
  }

  nextBtfId(): number | null {
    throw this.#refused('BPF_BTF_GET_NEXT_ID', 'EPERM');
  }

  btfInfo(): BtfInfo {
    throw this.#refused('BPF_OBJ_GET_INFO_BY_FD', 'EINVAL');
  }

  version(): number {
    return 0x061200;
  }

  configuration(): string | null {
    return null;
  }

  symbolAddresses(): ReadonlyMap<string, bigint> {
    return new Map();
  }

  kernelBtf(): Uint8Array | null {
    return null;
  }

  unpin(path: string): boolean {
    this.calls.push(['unpin', path]);
    return this.pins.delete(path) || this.programPins.delete(path);
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

  #pinned(
    path: string,
    wanted: ReadonlyMap<string, FakeMap | FakeProgram>,
    others: ReadonlyMap<string, FakeMap | FakeProgram>,
  ): FakeMap | FakeProgram {
    const thing = wanted.get(path);
    if (thing === undefined) {
      throw this.#refused('BPF_OBJ_GET', others.has(path) ? 'EINVAL' : 'ENOENT');
    }
    return thing;
  }

  #program(fd: number): FakeProgram {
    const thing = this.#thing(fd);
    if (!('program' in thing)) {
      throw new Error(`descriptor ${fd} is no program`);
    }
    return thing;
  }

  #map(fd: number): FakeMap {
    const thing = this.#thing(fd);
    if (!('attributes' in thing)) {
      throw new Error(`descriptor ${fd} is no map`);
    }
    return thing;
  }

  #refused(command: string, errnoName: string): SyscallError {
    const errno = ERRNO[errnoName as keyof typeof ERRNO];
    return new SyscallError('scripted', { command, errno, errnoName });
  }
}
