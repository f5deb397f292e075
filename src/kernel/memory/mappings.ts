/** Mappings of maps into the memory of a process of the in-process kernel (`bpf_map_mmap`). */

import { alignUp } from '../../bytes/align.ts';
import { ERRNO } from '../../uapi/errno.ts';
import { BPF_F } from '../../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../../uapi/map-types.ts';
import { refused } from '../refused.ts';
import { ArrayStore } from './array-store.ts';
import { describeMap, isStream, type OpenFile } from './descriptors.ts';
import { MapObject } from './objects.ts';
import { PerfEventObject } from './perf-event.ts';
import { RingStore } from './ring-store.ts';

/** What of an object is to be mapped. In bytes. */
export interface Place {
  readonly offset: number;
  readonly length: number;
  readonly writable: boolean;
}

/** Whose memory a buffer is, and how many mappings there are of it. */
interface Mapping {
  readonly owner: MapObject | PerfEventObject;
  writable: number;
  count: number;
}

/**
 * All mappings. An object has one memory, which all its mappings are: what one user unmaps is
 * detached when the last one has let go of it.
 */
export class Mappings {
  readonly #pageSize: number;
  readonly #mappings = new Map<ArrayBuffer, Mapping>();

  constructor(pageSize: number) {
    this.#pageSize = pageSize;
  }

  /**
   * Maps what is behind a descriptor.
   *
   * @throws SyscallError as mmap(2) refuses it
   */
  add(open: OpenFile | undefined, fd: number, place: Place): ArrayBuffer {
    checkPlace(place);
    const memory = this.#refusalOf(open, fd, place) || this.#memoryOf(open!, place);
    if (typeof memory === 'number') {
      throw refused('mmap', -memory, describeMap(fd));
    }
    if (memory.byteLength !== place.length) {
      throw refused('mmap', ERRNO.EINVAL, describeMap(fd), ONLY_WHOLE);
    }
    const owner = open!.object as MapObject | PerfEventObject;
    const known = this.#mappings.get(memory);
    if (known === undefined) {
      owner.hold(false);
    }
    const mapping = known ?? { owner, writable: 0, count: 0 };
    mapping.count += 1;
    if (place.writable) {
      mapping.writable += 1;
      owner.writableMappings += 1;
    }
    this.#mappings.set(memory, mapping);
    return memory;
  }

  /** Ends a mapping; nothing if it is none. */
  remove(memory: ArrayBuffer): void {
    const mapping = this.#mappings.get(memory);
    if (mapping === undefined) {
      return;
    }
    mapping.count -= 1;
    if (mapping.count > 0) {
      return;
    }
    this.#mappings.delete(memory);
    const { owner } = mapping;
    owner.writableMappings -= mapping.writable;
    if (owner instanceof PerfEventObject) {
      owner.detach();
    } else if (owner.store instanceof ArrayStore || owner.store instanceof RingStore) {
      owner.store.detach(memory);
    }
    owner.release(false);
  }

  /** What mmap(2) itself refuses, before it asks what is mapped. */
  #refusalOf(open: OpenFile | undefined, fd: number, { offset, length }: Place): number {
    if (offset % this.#pageSize !== 0) {
      return -ERRNO.EINVAL;
    }
    if (open === undefined) {
      return isStream(fd) ? -ERRNO.ENODEV : -ERRNO.EBADF;
    }
    return length === 0 ? -ERRNO.EINVAL : 0;
  }

  #memoryOf({ object, access }: OpenFile, place: Place): ArrayBuffer | number {
    if (object instanceof PerfEventObject) {
      const isWhole = place.offset === 0;
      return (isWhole ? object.mapped(place.length, this.#pageSize) : null) ?? -ERRNO.EINVAL;
    }
    if (!(object instanceof MapObject)) {
      return -ERRNO.ENODEV;
    }
    const { writable } = place;
    if (access === 'write-only' || (writable && access === 'read-only')) {
      return -ERRNO.EACCES;
    }
    if (!canBeMapped(object)) {
      return -ERRNO.ENOTSUPP;
    }
    // Linux takes VM_SHARED from the mapping of a descriptor that is not for writing.
    if (access === 'read-only') {
      return -ERRNO.EINVAL;
    }
    if (writable && object.frozen) {
      return -ERRNO.EPERM;
    }
    // Programs were promised that user space writes by calls only.
    if (writable && (object.flags & BPF_F.RDONLY_PROG) !== 0) {
      return -ERRNO.EACCES;
    }
    return mapMemory(object, place, this.#pageSize);
  }
}

const MAPPABLE: readonly number[] = [
  BPF_MAP_TYPE.ARRAY,
  BPF_MAP_TYPE.RINGBUF,
  BPF_MAP_TYPE.USER_RINGBUF,
];

function canBeMapped({ attributes, special }: MapObject): boolean {
  return MAPPABLE.includes(attributes.type) && special.length === 0;
}

/** The memory that holds the place, which is larger if only a part of it is asked for. */
function mapMemory(map: MapObject, place: Place, pageSize: number): ArrayBuffer | number {
  const { store } = map;
  const { offset, writable } = place;
  const length = alignUp(place.length, pageSize);
  if (store instanceof RingStore) {
    return store.mapped(offset, length, writable);
  }
  if (!(store instanceof ArrayStore)) {
    return -ERRNO.EINVAL;
  }
  const fits = (map.flags & BPF_F.MMAPABLE) !== 0 && offset + length <= store.memory.byteLength;
  return fits ? store.memory : -ERRNO.EINVAL;
}

/** What the shim refuses before any call. */
function checkPlace({ offset, length }: Place): void {
  if (!Number.isSafeInteger(offset) || offset < 0) {
    throw new TypeError('map: offset must be an integer from 0 to 2^53');
  }
  if (!Number.isSafeInteger(length) || length < 0) {
    throw new TypeError('map: length must be an integer from 0 to 2^53');
  }
}

const ONLY_WHOLE =
  'the in-process kernel maps an array as a whole, and the three parts of a ring each for itself';
