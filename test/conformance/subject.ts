/** Does {@link Operation}s on one kernel, and tells what came of each in terms that compare. */

import { SyscallError } from '../../src/errors.ts';
import type { BatchCursor, Kernel } from '../../src/kernel/kernel.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { sizeOfType } from '../../src/obj/btf/layout.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { type NewMap, type Operation, PATHS } from './operations.ts';

/** What a call gave: text that is the same where kernels agree. */
export type Outcome = string;

interface Handle {
  readonly fd: number;
  readonly attributes: NewMap;
  /** Number of the map, counted from the first one made. */
  readonly map: number;
}

/** Types whose values are descriptors. */
const OF_OBJECTS: readonly number[] = [
  BPF_MAP_TYPE.ARRAY_OF_MAPS,
  BPF_MAP_TYPE.HASH_OF_MAPS,
  BPF_MAP_TYPE.PROG_ARRAY,
  BPF_MAP_TYPE.PERF_EVENT_ARRAY,
];
const HASHES: readonly number[] = [
  BPF_MAP_TYPE.HASH,
  BPF_MAP_TYPE.LRU_HASH,
  BPF_MAP_TYPE.PERCPU_HASH,
  BPF_MAP_TYPE.LRU_PERCPU_HASH,
  BPF_MAP_TYPE.HASH_OF_MAPS,
];

/** A kernel that is driven by random calls. Close it: that closes what they opened. */
export class Subject {
  readonly #kernel: Kernel;
  readonly #directory: string;
  readonly #handles: Handle[] = [];
  /** Numbers of maps by their ids. */
  readonly #numbers = new Map<number, number>();
  readonly #pinned = new Map<string, Handle>();
  /** Ids of program arrays. */
  readonly #unsafe = new Set<number>();
  readonly #btfBytes: Uint8Array;
  readonly #types: Btf;
  #btfFd: number | undefined;
  #made = 0;

  /**
   * @param directory an empty one on the kernel's BPF file system
   * @param btf types that maps are made with
   */
  constructor(kernel: Kernel, directory: string, btf: Uint8Array) {
    this.#kernel = kernel;
    this.#directory = directory;
    this.#btfBytes = btf;
    this.#types = Btf.parse(btf);
  }

  /** Does one call. */
  do(operation: Operation): Outcome {
    try {
      return this.#do(operation);
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
    if (this.#btfFd !== undefined) {
      this.#kernel.close(this.#btfFd);
    }
    for (const handle of this.#handles) {
      this.#kernel.close(handle.fd);
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
        return this.#lives(operation.made);
      default: {
        const handle = this.#handle(operation.map);
        return handle === undefined ? 'no map' : this.#doWithMap(operation, handle);
      }
    }
  }

  /** What became of a map: by its id, without a descriptor of it. */
  #lives(made: number): Outcome {
    const ids = [...this.#numbers.keys()];
    const id = ids[made % Math.max(ids.length, 1)];
    if (id === undefined) {
      return 'no map';
    }
    if (this.#unsafe.has(id)) {
      // Opening one that is being emptied makes Linux forget a reference: it would never go.
      return 'not asked';
    }
    let fd: number;
    try {
      fd = this.#kernel.openMapById(id);
    } catch (error) {
      return error instanceof SyscallError ? error.errnoName : String(error);
    }
    this.#kernel.close(fd);
    return 'lives';
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
    const number = this.#made;
    this.#made += 1;
    const { id } = this.#kernel.mapInfo(fd);
    this.#numbers.set(id, number);
    if (operation.type === BPF_MAP_TYPE.PROG_ARRAY) {
      this.#unsafe.add(id);
    }
    this.#handles.push({ fd, attributes: operation, map: number });
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
    this.#btfFd ??= this.#kernel.loadBtf(this.#btfBytes);
    return { fd: this.#btfFd, keyTypeId: types.key, valueTypeId: types.value };
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
        this.#pinned.set(path, handle);
        return 'pinned';
      }
      case 'openPin': {
        const fd = this.#kernel.openPinnedMap(path, operation.access);
        const handle = this.#pinned.get(path)!;
        this.#handles.push({ ...handle, fd });
        return `opened map ${this.#numbers.get(this.#kernel.mapInfo(fd).id)}`;
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
    const { fd, attributes } = handle;
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
        return `${this.#numbers.get(id)} ${text} types ${btfId !== 0} frozen ${kernel.mapUsage(fd).frozen}`;
      }
      case 'freeze':
        kernel.freeze(fd);
        return 'frozen';
      case 'openById': {
        const opened = kernel.openMapById(kernel.mapInfo(fd).id);
        this.#handles.push({ ...handle, fd: opened });
        return 'opened';
      }
      case 'mapMemory':
        return this.#mapMemory(operation.writable, handle);
      case 'update':
        kernel.update(
          fd,
          this.#key(attributes, operation.key),
          this.#value(handle, operation.value, operation.key),
          operation.flags,
        );
        return 'updated';
      case 'updateBatch':
        return this.#updateBatch(operation, handle);
      case 'delete':
        return `deleted ${kernel.delete(fd, this.#key(attributes, operation.key) ?? new Uint8Array(0))}`;
      case 'lookup':
      case 'take': {
        const value = this.#value(handle, operation.key % 8, 0);
        const method = operation.call === 'lookup' ? 'lookup' : 'lookupAndDelete';
        const found = kernel[method](
          fd,
          this.#key(attributes, operation.key),
          value,
          operation.flags,
        );
        if (attributes.type === BPF_MAP_TYPE.BLOOM_FILTER) {
          return `may have ${found}`;
        }
        return found ? `found ${this.#show(attributes, value)}` : 'not found';
      }
      case 'nextKey':
        return this.#nextKey(operation.key, handle);
      case 'walk':
        return this.#walk(handle);
      case 'takeAll':
      case 'lookupAll':
        return this.#readAll(operation.call === 'takeAll', operation.count, handle);
      default:
        throw new Error(`no such call: ${operation.call}`);
    }
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
      keys.push(...(this.#key(attributes, (operation.key + index) % 7) ?? []));
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
    const next = new Uint8Array(attributes.keySize);
    const found = this.#kernel.nextKey(fd, this.#key(attributes, key), next);
    // Where a hash goes on is its own affair.
    return HASHES.includes(attributes.type) ? 'some key or none' : `${found} ${next}`;
  }

  /** All keys, one by one. */
  #walk({ fd, attributes }: Handle): Outcome {
    const keys: string[] = [];
    let before: Uint8Array | null = null;
    let next = new Uint8Array(attributes.keySize);
    while (this.#kernel.nextKey(fd, before, next) && keys.length < 10_000) {
      keys.push(`${next}`);
      before = next;
      next = new Uint8Array(attributes.keySize);
    }
    return (HASHES.includes(attributes.type) ? keys.sort() : keys).join(' | ');
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

  #key(attributes: NewMap, key: number): Uint8Array | null {
    const bytes = new Uint8Array(attributes.keySize);
    if (bytes.length === 0) {
      return null;
    }
    if (attributes.type === BPF_MAP_TYPE.LPM_TRIE && bytes.length >= 5) {
      // Few bits, and keys that share them.
      const view = new DataView(bytes.buffer);
      view.setUint32(0, key % 19, true);
      bytes[4] = key & 1 ? 0xa0 : 0x20 + (key % 3);
      return bytes;
    }
    const view = new DataView(new ArrayBuffer(8));
    view.setUint32(0, key, true);
    bytes.set(new Uint8Array(view.buffer).subarray(0, Math.min(8, bytes.length)));
    return bytes;
  }

  #value(handle: Handle, value: number, key: number): Uint8Array {
    const bytes = new Uint8Array(this.#kernel.valueBytes(handle.fd));
    if (OF_OBJECTS.includes(handle.attributes.type) && bytes.length === 4) {
      // Descriptors: of some map, of nothing, of a file that is no map.
      const fd = value < 5 ? this.#handle(value)!.fd : value === 5 ? 9999 : 0;
      new DataView(bytes.buffer).setUint32(0, fd, true);
      return bytes;
    }
    return bytes.map((_, index) => (value * 31 + (key % 5) + index) & 0xff);
  }

  #show({ type }: NewMap, value: Uint8Array): string {
    if (!OF_OBJECTS.includes(type)) {
      return `${value}`;
    }
    const id = new DataView(value.buffer, value.byteOffset).getUint32(0, true);
    return `map ${this.#numbers.get(id)}`;
  }

  #path(name: string): string {
    return `${this.#directory}/${name}`;
  }
}
