/**
 * Entries of maps in the in-process kernel: who may do what, and what the store makes of it.
 *
 * `map_lookup_elem`, `map_update_elem` and the like in `kernel/bpf/syscall.c`, with the answers that
 * the front of the running kernel (`linux-elements.ts`) gives for them.
 */

import { ERRNO } from '../../uapi/errno.ts';
import { checkCount } from '../check-numbers.ts';
import { checkRoom } from '../check-room.ts';
import type { BatchCursor, PinAccess } from '../kernel.ts';
import { refused } from '../refused.ts';
import { indexOf } from './array-store.ts';
import { movedBytes } from './create-rules.ts';
import { describeMap, isStream, type OpenFile } from './descriptors.ts';
import { fitsTemplate } from './inner-meta.ts';

import { type KernelObject, MapObject } from './objects.ts';
import { fitsArray, ProgramObject } from './program-object.ts';
import { EventStore, ObjectStore } from './slot-stores.ts';
import { LOCK } from './store.ts';

/** A map behind a descriptor. */
export interface OpenMap {
  readonly map: MapObject;
  readonly file: OpenFile;
  readonly access: PinAccess;
}

/** What this needs of the process. */
export interface ElementContext {
  readonly cpus: number;
  readonly littleEndian: boolean;
  /** @throws SyscallError for a descriptor that is no map's */
  map(fd: number): OpenMap;
  /** What a descriptor refers to. */
  object(fd: number): KernelObject | undefined;
}

const NO_KEY = new Uint8Array(0);

/** Calls on entries, by descriptor. */
export class MemoryElements {
  readonly #context: ElementContext;

  constructor(context: ElementContext) {
    this.#context = context;
  }

  lookup(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): boolean {
    const command = 'BPF_MAP_LOOKUP_ELEM';
    const { map, access } = this.#element(fd, key, value);
    if ((flags & ~LOCK) !== 0) {
      throw refused(command, ERRNO.EINVAL, describeMap(fd));
    }
    if (access === 'write-only') {
      throw refused(command, ERRNO.EPERM, describeMap(fd));
    }
    this.#checkLock(map, flags, command, fd);
    const result = map.store.lookup(key ?? NO_KEY, value);
    clearSpecial(map, value);
    return this.#found(result, command, fd);
  }

  take(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): boolean {
    const command = 'BPF_MAP_LOOKUP_AND_DELETE_ELEM';
    const { map, access } = this.#element(fd, key, value);
    if ((flags & ~LOCK) !== 0) {
      throw refused(command, ERRNO.EINVAL, describeMap(fd));
    }
    if (access !== 'read-write' || map.frozen) {
      throw refused(command, ERRNO.EPERM, describeMap(fd));
    }
    this.#checkLock(map, flags, command, fd);
    const result = map.store.take(key ?? NO_KEY, value, flags);
    clearSpecial(map, value);
    return this.#found(result, command, fd);
  }

  update(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): void {
    const command = 'BPF_MAP_UPDATE_ELEM';
    const open = this.#element(fd, key, value);
    checkWritable(open.map, open.access, command, fd);
    this.#checkLock(open.map, flags, command, fd);
    this.#checked(this.#store(open, key ?? NO_KEY, value, (flags & ~LOCK) >>> 0), command, fd);
  }

  delete(fd: number, key: Uint8Array): boolean {
    const command = 'BPF_MAP_DELETE_ELEM';
    const { map, access } = this.#context.map(fd);
    checkRoom(key, map.attributes.keySize, 'the key');
    checkWritable(map, access, command, fd);
    return this.#found(map.store.delete(keyOf(map, key)), command, fd);
  }

  nextKey(fd: number, key: Uint8Array | null, next: Uint8Array): boolean {
    const command = 'BPF_MAP_GET_NEXT_KEY';
    const { map, access } = this.#context.map(fd);
    const { keySize } = map.attributes;
    if (key !== null) {
      checkRoom(key, keySize, 'the key');
    }
    checkRoom(next, keySize, 'the next key');
    if (access === 'write-only') {
      throw refused(command, ERRNO.EPERM, describeMap(fd));
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
      throw refused(command, ERRNO.EPERM, describeMap(fd));
    }
    checkPosition(map, cursor);
    const read = map.store.lookupBatch(cursor, keys, values, count);
    return this.#read(map, cursor, read, values, command, fd);
  }

  takeBatch(
    fd: number,
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number | null {
    const command = 'BPF_MAP_LOOKUP_AND_DELETE_BATCH';
    const { map, access } = this.#batch(fd, keys, values, count);
    if (access !== 'read-write' || map.frozen) {
      throw refused(command, ERRNO.EPERM, describeMap(fd));
    }
    checkPosition(map, cursor);
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
    const open = this.#batch(fd, keys, values, count);
    const { map } = open;
    checkWritable(map, open.access, command, fd);
    // Flags that no batch takes are answered as the absence of batches is: nothing was done.
    const lacksLock = (flags & LOCK) !== 0 && !map.hasLock;
    if (!map.store.updatesBatches || (flags !== 0 && flags !== LOCK) || lacksLock) {
      return false;
    }
    const { keySize } = map.attributes;
    const valueBytes = movedBytes(map.attributes, this.#context.cpus);
    for (let index = 0; index < count; index += 1) {
      const key = keys.slice(index * keySize, (index + 1) * keySize);
      const value = values.slice(index * valueBytes, (index + 1) * valueBytes);
      this.#checked(this.#store(open, key, value, 0), command, fd);
    }
    return true;
  }

  #element(fd: number, key: Uint8Array | null, value: Uint8Array): OpenMap {
    const open = this.#context.map(fd);
    const { keySize } = open.map.attributes;
    if (key === null && keySize !== 0) {
      throw new TypeError(
        `the map at file descriptor ${fd} has keys of ${keySize} bytes; none was given`,
      );
    }
    if (key !== null) {
      checkRoom(key, keySize, 'the key');
    }
    checkRoom(value, movedBytes(open.map.attributes, this.#context.cpus), 'the value');
    return open;
  }

  #batch(fd: number, keys: Uint8Array, values: Uint8Array, count: number): OpenMap {
    const open = this.#context.map(fd);
    checkCount(count);
    checkRoom(keys, open.map.attributes.keySize * count, 'the keys');
    const valueBytes = movedBytes(open.map.attributes, this.#context.cpus);
    checkRoom(values, valueBytes * count, 'the values');
    return open;
  }

  /** Stores a value: of maps of objects, what the descriptor in it refers to. */
  #store({ map, file }: OpenMap, key: Uint8Array, value: Uint8Array, flags: number): number {
    const own = keyOf(map, key);
    const bytes = value.slice(0, movedBytes(map.attributes, this.#context.cpus));
    if (map.store instanceof EventStore) {
      const fd = indexOf(bytes, this.#context.littleEndian);
      return map.store.put(own, this.#context.object(fd), flags, file);
    }
    if (!(map.store instanceof ObjectStore)) {
      clearSpecial(map, bytes);
      return map.store.update(own, bytes, flags);
    }
    const refusal = map.store.refusalBeforeValue(own, flags);
    if (refusal < 0) {
      return refusal;
    }
    const id = this.#idBehind(map, indexOf(bytes, this.#context.littleEndian));
    if (id < 0) {
      return id;
    }
    new DataView(bytes.buffer).setUint32(0, id, this.#context.littleEndian);
    return map.store.update(own, bytes, flags);
  }

  /** The id of what a descriptor in a value refers to, or why it does not belong there. */
  #idBehind(map: MapObject, fd: number): number {
    const object = this.#context.object(fd);
    if (object === undefined) {
      // The standard streams are open, and are nothing that belongs into a map.
      return isStream(fd) ? -ERRNO.EINVAL : -ERRNO.EBADF;
    }
    if (map.inner === null) {
      const fits = object instanceof ProgramObject && fitsArray(map, object.parts);
      return fits ? object.id : -ERRNO.EINVAL;
    }
    return object instanceof MapObject && fitsTemplate(map.inner, object)
      ? object.id
      : -ERRNO.EINVAL;
  }

  #checkLock(map: MapObject, flags: number, command: string, fd: number): void {
    if ((flags & LOCK) !== 0 && !map.hasLock) {
      throw refused(command, ERRNO.EINVAL, describeMap(fd));
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
    const valueBytes = movedBytes(map.attributes, this.#context.cpus);
    for (let index = 0; index < read && map.special.length > 0; index += 1) {
      clearSpecial(map, values.subarray(index * valueBytes));
    }
    return read;
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
      throw refused(command, -result, describeMap(fd));
    }
  }
}

/** @throws SyscallError `EPERM` if a map, or this descriptor of it, is not for writing */
export function checkWritable(
  map: MapObject,
  access: PinAccess,
  command: string,
  fd: number,
): void {
  if (access === 'read-only' || map.frozen) {
    throw refused(command, ERRNO.EPERM, describeMap(fd));
  }
}

/** The key's own bytes: callers may hand in more. */
function keyOf(map: MapObject, key: Uint8Array): Uint8Array {
  return key.subarray(0, map.attributes.keySize);
}

/** A position is as large as a key, or as the number of a bucket. */
function checkPosition(map: MapObject, cursor: BatchCursor): void {
  checkRoom(cursor.position, Math.max(map.attributes.keySize, 4), 'the position');
}

function clearSpecial(map: MapObject, value: Uint8Array): void {
  for (const { offset, size } of map.special) {
    value.fill(0, offset, offset + size);
  }
}
