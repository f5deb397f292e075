/**
 * Entries of maps through bpf(2): one at a time, and in batches. The hot path of everything above.
 *
 * How much the kernel reads and writes is known per file descriptor, from the kernel itself: every
 * pointer handed out is checked against that (`linux-memory.ts`).
 */

import { alignUp } from '../bytes/align.ts';
import { BPF_CMD, commandName } from '../uapi/commands.ts';
import { ERRNO } from '../uapi/errno.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCount } from './check-numbers.ts';
import { checkRoom } from './check-room.ts';
import type { BatchCursor, MapInfo } from './kernel.ts';
import { type AttributeBlock, type EntryBlock, STAGED_BYTES } from './linux-memory.ts';
import { refused } from './refused.ts';

/** How much the kernel moves for one entry of a map. */
export interface Shape {
  readonly keyBytes: number;
  readonly valueBytes: number;
}

/** What this needs of the kernel around it. */
interface Around {
  mapInfo(fd: number): MapInfo;
  possibleCpus(): number;
}

const PER_CPU_TYPES: readonly number[] = [
  BPF_MAP_TYPE.PERCPU_HASH,
  BPF_MAP_TYPE.PERCPU_ARRAY,
  BPF_MAP_TYPE.LRU_PERCPU_HASH,
  BPF_MAP_TYPE.PERCPU_CGROUP_STORAGE,
];

/** Map operations: on small entries through a block of their own, else on one attribute block. */
export class LinuxElements {
  readonly #block: AttributeBlock;
  readonly #entry: EntryBlock;
  readonly #around: Around;
  readonly #shapes: (Shape | undefined)[] = [];

  constructor(block: AttributeBlock, entry: EntryBlock, around: Around) {
    this.#block = block;
    this.#entry = entry;
    this.#around = around;
  }

  /** The shape of the map behind a descriptor. @throws TypeError for what is no number */
  shape(fd: number): Shape {
    // What is converted to a number where it is needed may be another one each time.
    if (typeof fd !== 'number') {
      throw new TypeError(`a file descriptor is a number, not ${String(fd)}`);
    }
    return this.#shapes[fd] ?? this.remember(fd, this.#around.mapInfo(fd));
  }

  /** Notes what is known of a descriptor that was just opened. */
  remember(fd: number, map: Pick<MapInfo, 'type' | 'keySize' | 'valueSize'>): Shape {
    const valueBytes = PER_CPU_TYPES.includes(map.type)
      ? alignUp(map.valueSize, 8) * this.#around.possibleCpus()
      : map.valueSize;
    const shape = { keyBytes: map.keySize, valueBytes };
    this.#shapes[fd] = shape;
    return shape;
  }

  /** Forgets a descriptor. */
  forget(fd: number): void {
    this.#shapes[fd] = undefined;
  }

  /** BPF_MAP_LOOKUP_ELEM and BPF_MAP_LOOKUP_AND_DELETE_ELEM. */
  lookup(
    command: number,
    fd: number,
    key: Uint8Array | null,
    value: Uint8Array,
    flags: number,
  ): boolean {
    const { keyBytes, valueBytes } = this.shape(fd);
    if (keyBytes > STAGED_BYTES || valueBytes > STAGED_BYTES) {
      return found(this.#element(command, fd, key, value, flags), command, fd);
    }
    const entry = this.#entry;
    checkKey(fd, key, keyBytes);
    checkRoom(value, valueBytes, 'the value');
    entry.setKey(key, keyBytes);
    if (keyBytes === 0) {
      // A Bloom filter is asked for what the value holds.
      entry.setValue(value, valueBytes);
    }
    const isFound = found(entry.call(command, fd, flags, 32), command, fd);
    if (isFound) {
      entry.getValue(value, valueBytes);
    }
    return isFound;
  }

  update(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): void {
    const { keyBytes, valueBytes } = this.shape(fd);
    const command = BPF_CMD.MAP_UPDATE_ELEM;
    if (keyBytes > STAGED_BYTES || valueBytes > STAGED_BYTES) {
      checked(this.#element(command, fd, key, value, flags), command, fd);
      return;
    }
    const entry = this.#entry;
    checkKey(fd, key, keyBytes);
    entry.setKey(key, keyBytes);
    entry.setValue(value, valueBytes);
    checked(entry.call(command, fd, flags, 32), command, fd);
  }

  delete(fd: number, key: Uint8Array): boolean {
    const { keyBytes } = this.shape(fd);
    const command = BPF_CMD.MAP_DELETE_ELEM;
    if (keyBytes <= STAGED_BYTES) {
      this.#entry.setKey(key, keyBytes);
      return found(this.#entry.call(command, fd, 0, 16), command, fd);
    }
    const block = this.#block;
    block.clear(16);
    block.setU32(0, fd);
    block.setPointer(8, key, keyBytes, 'the key');
    return found(block.call(command, 16), command, fd);
  }

  nextKey(fd: number, key: Uint8Array | null, next: Uint8Array): boolean {
    const { keyBytes } = this.shape(fd);
    const command = BPF_CMD.MAP_GET_NEXT_KEY;
    if (keyBytes <= STAGED_BYTES) {
      const entry = this.#entry;
      checkRoom(next, keyBytes, 'the next key');
      entry.setKey(key, keyBytes);
      const isFound = found(entry.call(command, fd, 0, 24), command, fd);
      if (isFound) {
        entry.getValue(next, keyBytes);
      }
      return isFound;
    }
    const block = this.#block;
    block.clear(24);
    block.setU32(0, fd);
    block.setPointer(8, key, keyBytes, 'the key');
    block.setPointer(16, next, keyBytes, 'the next key');
    return found(block.call(command, 24), command, fd);
  }

  /** BPF_MAP_LOOKUP_BATCH and BPF_MAP_LOOKUP_AND_DELETE_BATCH. */
  lookupBatch(
    command: number,
    fd: number,
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number | null {
    const { keyBytes } = this.shape(fd);
    const block = this.#batch(fd, keys, values, count);
    // The position is the kernel's own: a key for some maps, a bucket's number for others.
    const positionBytes = Math.max(keyBytes, 4);
    block.setPointer(0, cursor.started ? cursor.position : null, positionBytes, 'the position');
    block.setPointer(8, cursor.position, positionBytes, 'the position');
    const result = block.call(command, 56);
    if (isUnknown(result) && block.u32(32) === count) {
      return null;
    }
    // ENOENT says that there is no more, behind what this call has read.
    if (result === -ERRNO.ENOENT) {
      cursor.done = true;
    } else {
      checked(result, command, fd);
    }
    cursor.started = true;
    return block.u32(32);
  }

  updateBatch(
    fd: number,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
    flags: number,
  ): boolean {
    const block = this.#batch(fd, keys, values, count, flags);
    const result = block.call(BPF_CMD.MAP_UPDATE_BATCH, 56);
    if (isUnknown(result) && block.u32(32) === count) {
      return false;
    }
    checked(result, BPF_CMD.MAP_UPDATE_BATCH, fd);
    return true;
  }

  /** Numbers first: no code of others runs between a pointer and the call. */
  #batch(
    fd: number,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
    flags = 0,
  ): AttributeBlock {
    const block = this.#block;
    const { keyBytes, valueBytes } = this.shape(fd);
    checkCount(count);
    block.clear(56);
    block.setU32(32, count);
    block.setU32(36, fd);
    block.setU64(40, BigInt(flags));
    block.setPointer(16, keys, keyBytes * count, 'the keys');
    block.setPointer(24, values, valueBytes * count, 'the values');
    return block;
  }

  #element(
    command: number,
    fd: number,
    key: Uint8Array | null,
    value: Uint8Array,
    flags: number,
  ): number {
    const block = this.#block;
    const { keyBytes, valueBytes } = this.shape(fd);
    checkKey(fd, key, keyBytes);
    block.clear(32);
    block.setU32(0, fd);
    block.setFlags(24, flags);
    block.setPointer(8, keyBytes === 0 ? null : key, keyBytes, 'the key');
    block.setPointer(16, value, valueBytes, 'the value');
    return block.call(command, 32);
  }
}

/** Only walks may do without a key. */
function checkKey(fd: number, key: Uint8Array | null, keyBytes: number): void {
  if (key === null && keyBytes !== 0) {
    throw new TypeError(
      `the map at file descriptor ${fd} has keys of ${keyBytes} bytes; none was given`,
    );
  }
}

/** EINVAL is the answer of kernels that do not know a command, ENOTSUPP that of map types. */
function isUnknown(result: number): boolean {
  return result === -ERRNO.EINVAL || result === -ERRNO.ENOTSUPP;
}

function found(result: number, command: number, fd: number): boolean {
  if (result === -ERRNO.ENOENT) {
    return false;
  }
  checked(result, command, fd);
  return true;
}

function checked(result: number, command: number, fd: number): void {
  if (result < 0) {
    throw refused(commandName(command), -result, `map at file descriptor ${fd}`);
  }
}
