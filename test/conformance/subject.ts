/** Does {@link Operation}s on one kernel, and tells what came of each in terms that compare. */

import { SyscallError } from '../../src/errors.ts';
import type { BatchCursor, Kernel } from '../../src/kernel/kernel.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { sizeOfType } from '../../src/obj/btf/layout.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { type NewMap, type Operation, PATHS, type Step } from './operations.ts';
import {
  consume,
  HASHES,
  type Handle,
  KEYLESS,
  keyOf,
  keysOf,
  newProcess,
  OF_OBJECTS,
  type Process,
  programOf,
  walk,
} from './subject-parts.ts';

/** What a call gave: text that is the same where kernels agree. */
export type Outcome = string;

const { PROG_ARRAY } = BPF_MAP_TYPE;

/** A call on one entry. */
type EntryCall = Exclude<
  Extract<Operation, { readonly key: number }>,
  { readonly call: 'updateBatch' }
>;

/** A kernel that is driven by random calls. Close it: that closes what they opened. */
export class Subject {
  readonly #processes: readonly [Process, Process];
  readonly #directory: string;
  #current: Process;
  /** Attributes of all maps that were ever made, by id; numbers of maps are places in here. */
  readonly #maps = new Map<number, NewMap>();
  /** Ids of all BTF and of all programs, in the order in which they were met. */
  readonly #others = { btf: [] as number[], program: [] as number[] };
  readonly #btfBytes: Uint8Array;
  readonly #types: Btf;

  /**
   * @param kernels of two processes; both the same where there is one
   * @param directory an empty one on the kernel's BPF file system
   * @param btf types that maps are made with
   */
  constructor(kernels: readonly [Kernel, Kernel], directory: string, btf: Uint8Array) {
    this.#processes = [newProcess(kernels[0]), newProcess(kernels[1])];
    this.#current = this.#processes[0];
    this.#directory = directory;
    this.#btfBytes = btf;
    this.#types = Btf.parse(btf);
  }

  /** Does one call. */
  do(step: Step): Outcome {
    this.#current = this.#processes[step.by];
    try {
      return this.#do(step);
    } catch (error) {
      if (error instanceof SyscallError) {
        return `${error.command} ${error.errnoName}`;
      }
      if (error instanceof TypeError || error instanceof RangeError) {
        return `${error.name}: ${error.message.replace(/descriptor \d+/, 'descriptor N')}`;
      }
      throw error;
    }
  }

  close(): void {
    for (const process of this.#processes) {
      this.#closeAll(process);
    }
    for (const path of [...PATHS].reverse()) {
      try {
        this.#kernel.unpin(this.#path(path));
      } catch {
        // A directory, or a path that cannot be.
      }
      try {
        this.#kernel.removeDirectory(this.#path(path));
      } catch {
        // The same.
      }
    }
  }

  get #kernel(): Kernel {
    return this.#current.kernel;
  }

  get #handles(): Handle[] {
    return this.#current.handles;
  }

  #closeAll({ kernel, handles, programs, ...others }: Process): void {
    const process = this.#processes.find((one) => one.handles === handles)!;
    const fds = [...handles.map(({ fd }) => fd), ...programs, others.btf, others.event];
    for (const fd of fds.filter((one) => one !== undefined)) {
      kernel.close(fd);
    }
    handles.length = 0;
    programs.length = 0;
    process.btf = undefined;
    process.event = undefined;
  }

  #do(operation: Operation): Outcome {
    switch (operation.call) {
      case 'create':
        return this.#create(operation);
      case 'pin':
      case 'openPin':
      case 'unpin':
      case 'makeDirectory':
      case 'removeDirectory':
      case 'kind':
        return this.#doWithPath(operation);
      case 'lives':
        return this.#lives(operation.of, operation.made);
      case 'contents':
        return this.#contents(operation.made);
      case 'openById':
        return this.#openById(operation.made);
      case 'loadBtf':
      case 'closeBtf':
      case 'closeEvent':
      case 'exit':
        return this.#doWithProcess(operation.call);
      case 'loadProgram':
        return this.#loadProgram(operation);
      case 'programInfo':
      case 'closeProgram':
      case 'programById':
      case 'pinProgram':
      case 'openPinnedProgram':
        return this.#doWithProgram(operation);
      default: {
        const handle = this.#handle(operation.map);
        return handle === undefined ? 'no map' : this.#doWithMap(operation, handle);
      }
    }
  }

  #doWithProcess(call: 'loadBtf' | 'closeBtf' | 'closeEvent' | 'exit'): Outcome {
    const process = this.#current;
    if (call === 'exit') {
      const { kernel } = process;
      if (kernel instanceof MemoryKernel) {
        kernel.exit();
      }
      this.#closeAll(process);
      process.kernel = kernel instanceof MemoryKernel ? kernel.process() : kernel;
      return 'ended';
    }
    const kind = call === 'closeEvent' ? 'event' : 'btf';
    const fd = process[kind];
    if (fd !== undefined) {
      process.kernel.close(fd);
      process[kind] = undefined;
    }
    if (call === 'loadBtf') {
      process.btf = process.kernel.loadBtf(this.#btfBytes);
      return 'loaded';
    }
    return `closed ${fd !== undefined}`;
  }

  /** What became of an object: by its id, without a descriptor of it. */
  #lives(of: 'map' | 'btf' | 'program', made: number): Outcome {
    const ids = of === 'map' ? [...this.#maps.keys()] : this.#others[of];
    const id = ids[made % Math.max(ids.length, 1)];
    if (id === undefined) {
      return 'none yet';
    }
    if (of === 'map' && !this.#mayOpen(id)) {
      return 'not asked';
    }
    try {
      if (of === 'btf') {
        return `${this.#kernel.readBtf(id).length} bytes`;
      }
      const kernel = this.#kernel;
      kernel.close(of === 'map' ? kernel.openMapById(id) : kernel.openProgramById(id));
    } catch (error) {
      return error instanceof SyscallError ? error.errnoName : String(error);
    }
    return 'lives';
  }

  /**
   * Whether a map can be opened by its id: opening a program array that is being emptied makes Linux
   * forget a reference, so that it would never go.
   */
  #mayOpen(id: number): boolean {
    const number = this.#numberOf(id);
    return (
      this.#maps.get(id)?.type !== PROG_ARRAY ||
      this.#processes.some(({ handles }) => handles.some(({ map }) => map === number))
    );
  }

  #openById(made: number): Outcome {
    const [id, attributes] = [...this.#maps][made % Math.max(this.#maps.size, 1)] ?? [];
    if (id === undefined || attributes === undefined || !this.#mayOpen(id)) {
      return 'no map';
    }
    const fd = this.#kernel.openMapById(id);
    this.#handles.push({ fd, attributes, map: this.#numberOf(id) });
    return 'opened';
  }

  /** Everything in a map, whoever has put it there. */
  #contents(made: number): Outcome {
    const [id, attributes] = [...this.#maps][made % Math.max(this.#maps.size, 1)] ?? [];
    if (id === undefined || attributes === undefined) {
      return 'no map';
    }
    if (!this.#mayOpen(id) || KEYLESS.includes(attributes.type)) {
      return 'not asked';
    }
    const fd = this.#kernel.openMapById(id);
    try {
      const handle = { fd, attributes, map: this.#numberOf(id) };
      const keys = keysOf(this.#kernel, handle);
      const entries = keys.map((key) => {
        const value = new Uint8Array(this.#kernel.valueBytes(fd));
        return this.#kernel.lookup(fd, key, value, 0)
          ? `${key}=${this.#show(attributes, value)}`
          : `${key}`;
      });
      return entries.sort().join(' | ');
    } finally {
      this.#kernel.close(fd);
    }
  }

  #loadProgram({ type, name, map }: Operation & { readonly call: 'loadProgram' }): Outcome {
    const asked = map === null ? undefined : this.#handle(map);
    // Whether a program may use a map with a lock is for the verifier to say, which is on Linux only.
    const used = asked?.attributes.types === null ? asked : undefined;
    const fd = this.#kernel.loadProgram(programOf(type, name, used?.fd ?? null), null);
    this.#current.programs.push(fd);
    this.#note('program', this.#kernel.programInfo(fd).id);
    return 'loaded';
  }

  #doWithProgram(
    operation: Operation & {
      readonly call:
        | 'programInfo'
        | 'closeProgram'
        | 'programById'
        | 'pinProgram'
        | 'openPinnedProgram';
    },
  ): Outcome {
    const kernel = this.#kernel;
    const { programs } = this.#current;
    if (operation.call === 'openPinnedProgram') {
      const fd = kernel.openPinnedProgram(this.#path(PATHS[operation.path]!));
      programs.push(fd);
      return `opened program ${this.#note('program', kernel.programInfo(fd).id)}`;
    }
    const fd = programs[operation.program % Math.max(programs.length, 1)];
    if (fd === undefined) {
      return 'no program';
    }
    switch (operation.call) {
      case 'programInfo': {
        const { id, type, name, tag, mapIds, gplCompatible, btfId } = kernel.programInfo(fd);
        const maps = mapIds.map((map) => this.#numberOf(map));
        return `${this.#note('program', id)} ${[type, name, tag, maps, gplCompatible, btfId]}`;
      }
      case 'closeProgram':
        kernel.close(fd);
        programs.splice(programs.indexOf(fd), 1);
        return 'closed';
      case 'programById':
        programs.push(kernel.openProgramById(kernel.programInfo(fd).id));
        return 'opened';
      default:
        kernel.pin(fd, this.#path(PATHS[operation.path]!));
        return 'pinned';
    }
  }

  /** The number of an object of these, counted from the first one met. */
  #note(kind: 'btf' | 'program', id: number): number {
    const ids = this.#others[kind];
    if (!ids.includes(id)) {
      ids.push(id);
    }
    return ids.indexOf(id);
  }

  #numberOf(id: number): number {
    return [...this.#maps.keys()].indexOf(id);
  }

  #handle(number: number): Handle | undefined {
    return this.#handles[number % Math.max(this.#handles.length, 1)];
  }

  #create(asked: NewMap): Outcome {
    const template = this.#handle(asked.template);
    const operation = this.#sized(asked);
    const fd = this.#kernel.createMap({
      type: operation.type,
      keySize: operation.keySize,
      valueSize: operation.valueSize,
      maxEntries: operation.maxEntries,
      flags: operation.flags,
      name: operation.name,
      numaNode: 0,
      mapExtra: BigInt(operation.mapExtra),
      innerMapFd: template?.fd ?? null,
      btf: operation.types === null ? null : this.#btf(operation.types),
    });
    const { id, btfId } = this.#kernel.mapInfo(fd);
    this.#maps.set(id, operation);
    this.#handles.push({ fd, attributes: operation, map: this.#numberOf(id) });
    if (btfId !== 0) {
      this.#note('btf', btfId);
    }
    return 'created';
  }

  /** The map with sizes that fit its types. */
  #sized(map: NewMap): NewMap {
    if (map.types === null || !map.sizesOfTypes) {
      return map;
    }
    const sizes = [map.types.key, map.types.value].map((id) => {
      try {
        return sizeOfType(this.#types, id);
      } catch {
        return 0;
      }
    });
    // Sizes that no map has would make every map fail for them.
    const usable = (size: number, own: number) => (size > 0 && size <= 64 ? size : own);
    return {
      ...map,
      keySize: usable(sizes[0]!, map.keySize),
      valueSize: usable(sizes[1]!, map.valueSize),
    };
  }

  #btf(types: { readonly key: number; readonly value: number }) {
    this.#current.btf ??= this.#kernel.loadBtf(this.#btfBytes);
    return { fd: this.#current.btf, keyTypeId: types.key, valueTypeId: types.value };
  }

  #doWithPath(operation: Operation & { readonly path: number }): Outcome {
    const path = this.#path(PATHS[operation.path]!);
    switch (operation.call) {
      case 'pin': {
        const handle = this.#handle(operation.map);
        if (handle === undefined) {
          return 'no map';
        }
        this.#kernel.pin(handle.fd, path);
        return 'pinned';
      }
      case 'openPin': {
        const fd = this.#kernel.openPinnedMap(path, operation.access);
        const { id } = this.#kernel.mapInfo(fd);
        const map = this.#numberOf(id);
        this.#handles.push({ fd, attributes: this.#maps.get(id)!, map });
        return `opened map ${map}`;
      }
      case 'unpin':
        return `unpinned ${this.#kernel.unpin(path)}`;
      case 'makeDirectory':
        return `made ${this.#kernel.makeDirectory(path)}`;
      case 'removeDirectory':
        return `removed ${this.#kernel.removeDirectory(path)}`;
      default:
        return this.#kernel.fileSystem(path);
    }
  }

  #doWithMap(operation: Operation & { readonly map: number }, handle: Handle): Outcome {
    const { fd } = handle;
    const kernel = this.#kernel;
    switch (operation.call) {
      case 'duplicate':
        this.#handles.push({ ...handle, fd: kernel.duplicate(fd) });
        return 'duplicated';
      case 'close':
        kernel.close(fd);
        this.#handles.splice(this.#handles.indexOf(handle), 1);
        return 'closed';
      case 'info': {
        const { id, btfId, ...info } = kernel.mapInfo(fd);
        const text = Object.entries(info)
          .map(([name, value]) => `${name} ${value}`)
          .sort();
        const types = btfId === 0 ? 'none' : this.#note('btf', btfId);
        return `${this.#numberOf(id)} ${text} types ${types} frozen ${kernel.mapUsage(fd).frozen}`;
      }
      case 'freeze':
        kernel.freeze(fd);
        return 'frozen';
      case 'mapMemory':
        return this.#mapMemory(operation.writable, handle);
      case 'consume':
        return consume(kernel, handle);
      case 'update':
      case 'delete':
      case 'lookup':
      case 'take':
      case 'nextKey':
        return this.#doWithEntry(operation, handle);
      case 'updateBatch':
        return this.#updateBatch(operation, handle);
      case 'walk':
        return walk(kernel, handle);
      case 'takeAll':
      case 'lookupAll':
        return this.#readAll(operation.call === 'takeAll', operation.count, handle);
      default:
        throw new Error(`no such call: ${operation.call}`);
    }
  }

  #doWithEntry(operation: EntryCall, handle: Handle): Outcome {
    const kernel = this.#kernel;
    const { fd, attributes } = handle;
    const key = keyOf(attributes, operation.key);
    if (operation.call === 'nextKey') {
      return this.#nextKey(operation.key, handle);
    }
    if (operation.call === 'delete') {
      return `deleted ${kernel.delete(fd, key ?? new Uint8Array(0))}`;
    }
    if (operation.call === 'update') {
      const value = this.#value(handle, operation.value, operation.key);
      kernel.update(fd, key, value, operation.flags);
      return 'updated';
    }
    const value = this.#value(handle, operation.key % 8, 0);
    const method = operation.call === 'lookup' ? 'lookup' : 'lookupAndDelete';
    const found = kernel[method](fd, key, value, operation.flags);
    if (attributes.type === BPF_MAP_TYPE.BLOOM_FILTER) {
      return `may have ${found}`;
    }
    return found ? `found ${this.#show(attributes, value)}` : 'not found';
  }

  #mapMemory(writable: boolean, { fd, attributes }: Handle): Outcome {
    const isArray = attributes.type === BPF_MAP_TYPE.ARRAY;
    const size = isArray ? Math.ceil(attributes.valueSize / 8) * 8 * attributes.maxEntries : 4096;
    const length = Math.ceil(size / 4096) * 4096;
    const memory = this.#kernel.mapMemory(fd, 0, length, writable);
    if (writable && isArray) {
      new Uint8Array(memory)[0] = 77;
    }
    const text = `${new Uint8Array(memory.slice(0, Math.min(size, 64)))}`;
    let frozen = '';
    try {
      this.#kernel.freeze(fd);
      frozen = 'frozen';
    } catch (error) {
      frozen = error instanceof SyscallError ? error.errnoName : String(error);
    }
    this.#kernel.unmapMemory(memory);
    return `${text} ${frozen}`;
  }

  #updateBatch(operation: Operation & { readonly call: 'updateBatch' }, handle: Handle): Outcome {
    const { attributes, fd } = handle;
    const keys: number[] = [];
    const values: number[] = [];
    for (let index = 0; index < operation.count; index += 1) {
      keys.push(...(keyOf(attributes, (operation.key + index) % 7) ?? []));
      values.push(...this.#value(handle, index, operation.key));
    }
    const [keyBytes, valueBytes] = [Uint8Array.from(keys), Uint8Array.from(values)];
    const done = this.#kernel.updateBatch(
      fd,
      keyBytes,
      valueBytes,
      operation.count,
      operation.flags,
    );
    return `batch ${done}`;
  }

  #nextKey(key: number, { fd, attributes }: Handle): Outcome {
    const from = keyOf(attributes, key);
    const next = new Uint8Array(attributes.keySize);
    const found = this.#kernel.nextKey(fd, from, next);
    if (!HASHES.includes(attributes.type)) {
      return `${found} ${next}`;
    }
    // Where a hash goes on is its own affair, but it begins again after a key that it does not have.
    const has = (one: Uint8Array) =>
      this.#kernel.lookup(fd, one, new Uint8Array(this.#kernel.valueBytes(fd)), 0);
    if (from !== null && has(from)) {
      return found && !has(next) ? 'a key that is not there' : 'some key or none';
    }
    return found ? `the first one, there ${has(next)}` : 'empty';
  }

  /** All entries in batches. */
  #readAll(taking: boolean, count: number, { fd, attributes }: Handle): Outcome {
    const method = taking ? 'lookupAndDeleteBatch' : 'lookupBatch';
    const valueBytes = this.#kernel.valueBytes(fd);
    const isHash = HASHES.includes(attributes.type);
    // A batch holds a bucket of a hash at least, of which the other kernel knows nothing.
    const room = isHash ? Math.max(count, 16) : count;
    const cursor: BatchCursor = {
      position: new Uint8Array(Math.max(attributes.keySize, 4)),
      started: false,
      done: false,
    };
    const entries: string[] = [];
    while (!cursor.done && entries.length < 20_000) {
      const keys = new Uint8Array(room * attributes.keySize);
      const values = new Uint8Array(room * valueBytes);
      const read = this.#kernel[method](fd, cursor, keys, values, room);
      if (read === null) {
        return 'no batches';
      }
      for (let index = 0; index < read; index += 1) {
        const key = keys.subarray(index * attributes.keySize, (index + 1) * attributes.keySize);
        const value = values.subarray(index * valueBytes, (index + 1) * valueBytes);
        entries.push(`${key}=${this.#show(attributes, value)}`);
      }
    }
    return (isHash ? entries.sort() : entries).join(' | ');
  }

  #value(handle: Handle, value: number, key: number): Uint8Array {
    const bytes = new Uint8Array(this.#kernel.valueBytes(handle.fd));
    if (OF_OBJECTS.includes(handle.attributes.type) && bytes.length === 4) {
      new DataView(bytes.buffer).setUint32(0, this.#descriptor(handle, value, key), true);
      return bytes;
    }
    return bytes.map((_, index) => (value * 31 + (key % 5) + index) & 0xff);
  }

  /** A descriptor for a map of descriptors: mostly of what it takes, else of another object or none. */
  #descriptor({ attributes: { type } }: Handle, value: number, key: number): number {
    const process = this.#current;
    const wanted =
      type === PROG_ARRAY
        ? process.programs[(value + key) % Math.max(process.programs.length, 1)]
        : type === BPF_MAP_TYPE.PERF_EVENT_ARRAY
          ? this.#event()
          : this.#handle(value)?.fd;
    switch (value) {
      case 5:
        return 0x7fff_ffff;
      case 6:
        return this.#handle(key)!.fd;
      case 7:
        return [0, 0xffff_ffff, process.event, process.programs[0], process.btf][key % 5] ?? 0;
      default:
        return wanted ?? 0;
    }
  }

  /** The perf event of the process; one is enough. */
  #event(): number {
    const process = this.#current;
    process.event ??= process.kernel.openOutputEvent(process.kernel.onlineCpus()[0]!, 1);
    return process.event;
  }

  #show({ type }: NewMap, value: Uint8Array): string {
    if (!OF_OBJECTS.includes(type)) {
      return `${value}`;
    }
    const id = new DataView(value.buffer, value.byteOffset).getUint32(0, true);
    return type === PROG_ARRAY
      ? `program ${this.#others.program.indexOf(id)}`
      : `map ${this.#numberOf(id)}`;
  }

  #path(name: string): string {
    return `${this.#directory}/${name}`;
  }
}
