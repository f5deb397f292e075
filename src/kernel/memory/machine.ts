/** What the processes of an in-process kernel share: objects by id, and the BPF file system. */

import { Btf } from '../../obj/btf/btf.ts';
import { BPF_F } from '../../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../../uapi/map-types.ts';
import type { Capability } from '../capabilities.ts';
import type { MapAttributes } from '../kernel.ts';
import { ArrayStore } from './array-store.ts';
import { fixedBytes, isLru, movedBytes } from './create-rules.ts';
import { BpfFileSystem } from './file-system.ts';
import { HashStore } from './hash-store.ts';
import { BloomStore, QueueStore } from './keyless-stores.ts';
import { Mappings } from './mappings.ts';
import {
  BtfObject,
  type InnerMeta,
  type KernelObject,
  MapObject,
  type SpecialField,
} from './objects.ts';
import { ProgramObject, type ProgramParts } from './program-object.ts';
import { RingStore } from './ring-store.ts';
import { EventStore, HashOfObjects, type Holder, SlotStore } from './slot-stores.ts';
import type { Store } from './store.ts';
import { type SystemOptions, systemOptions } from './system-options.ts';
import type { TestRunFunction } from './test-run.ts';
import { TrieStore } from './trie-store.ts';

/** What privileged calls ask for. */
export type { Capability };

/** What an in-process kernel is made with. */
export interface MachineOptions extends SystemOptions {
  /** The number of CPUs; 2 by default. */
  readonly cpus: number;
  /** In bytes. */
  readonly pageSize: number;
  readonly littleEndian: boolean;
  /** Where its BPF file system is mounted. */
  readonly bpfFileSystem: string;
  /**
   * Memory that all its arrays and ring buffers may take together, in bytes: 1 GiB by default. Creating
   * a map for which there is too little left is refused with `ENOMEM`.
   */
  readonly mapMemoryBytes: number;
}

const PAGE_BYTES = 4096;
const MAP_MEMORY_BYTES = 2 ** 30;

/** Flags that belong to a descriptor or to the call. */
const NOT_STORED = BPF_F.RDONLY | BPF_F.WRONLY;

/** The shared part of an in-process kernel. */
export class Machine {
  readonly options: MachineOptions;
  readonly files: BpfFileSystem;
  readonly mappings: Mappings;
  readonly maps = new Map<number, MapObject>();
  readonly tables = new Map<number, BtfObject>();
  readonly programs = new Map<number, ProgramObject>();
  /** What programs do, by name or id. */
  readonly testRuns = new Map<string | number, TestRunFunction>();
  /** The types of the kernel itself, with the first of all ids. */
  readonly kernelTypes: BtfObject | null;
  #lastId = { map: 0, btf: 0, program: 0 };
  #mapBytes = 0;

  constructor(options: MachineOptions) {
    this.options = options;
    this.mappings = new Mappings(options.pageSize);
    this.files = new BpfFileSystem(options.bpfFileSystem);
    const { kernelBtf } = options;
    this.kernelTypes =
      kernelBtf === null ? null : this.addBtf(kernelBtf, Btf.parse(kernelBtf), 'vmlinux');
    this.kernelTypes?.hold(false);
  }

  /** Bytes that the maps there are took when they were made. */
  get mapBytes(): number {
    return this.#mapBytes;
  }

  /** Makes a map of attributes that were checked. Nobody holds it yet. */
  addMap(
    attributes: MapAttributes,
    parts: {
      readonly btf: BtfObject | null;
      readonly special: readonly SpecialField[];
      readonly inner: InnerMeta | null;
    },
  ): MapObject {
    const store = this.#storeOf(attributes);
    const bytes = fixedBytes(attributes, this.options);
    const gone = ({ id }: KernelObject) => {
      this.maps.delete(id);
      this.#mapBytes -= bytes;
    };
    this.#lastId.map += 1;
    const flags = (attributes.flags & ~NOT_STORED) >>> 0;
    const map = new MapObject(this.#lastId.map, gone, { ...parts, attributes, flags, store });
    this.maps.set(map.id, map);
    this.#mapBytes += bytes;
    return map;
  }

  addBtf(bytes: Uint8Array, types: Btf, name = ''): BtfObject {
    this.#lastId.btf += 1;
    const gone = ({ id }: KernelObject) => this.tables.delete(id);
    const table = new BtfObject(this.#lastId.btf, gone, { bytes, types, name });
    this.tables.set(table.id, table);
    return table;
  }

  addProgram(parts: ProgramParts): ProgramObject {
    this.#lastId.program += 1;
    const gone = ({ id }: KernelObject) => this.programs.delete(id);
    const program = new ProgramObject(this.#lastId.program, gone, parts);
    this.programs.set(program.id, program);
    return program;
  }

  #storeOf(map: MapAttributes): Store {
    const { cpus, littleEndian, pageSize } = this.options;
    const { type, keySize, maxEntries } = map;
    const valueBytes = movedBytes(map, cpus);
    const hash = () => new HashStore({ valueBytes, maxEntries, lru: isLru(type), takes: true });
    const slots = (batches: boolean, cleared: boolean, holder: Holder) =>
      new SlotStore({ maxEntries, littleEndian, batches, cleared }, holder);
    switch (type) {
      case BPF_MAP_TYPE.ARRAY:
      case BPF_MAP_TYPE.PERCPU_ARRAY: {
        const mapped = (map.flags & BPF_F.MMAPABLE) !== 0;
        const size = mapped ? pageSize : 0;
        return new ArrayStore({ valueBytes, maxEntries, littleEndian, pageSize: size });
      }
      case BPF_MAP_TYPE.LPM_TRIE:
        return new TrieStore({ keyBytes: keySize, valueBytes, maxEntries, littleEndian });
      case BPF_MAP_TYPE.QUEUE:
      case BPF_MAP_TYPE.STACK:
        return new QueueStore(maxEntries, type === BPF_MAP_TYPE.STACK);
      case BPF_MAP_TYPE.BLOOM_FILTER:
        return new BloomStore();
      case BPF_MAP_TYPE.RINGBUF:
        return new RingStore(maxEntries, pageSize, littleEndian, false);
      case BPF_MAP_TYPE.USER_RINGBUF:
        return new RingStore(maxEntries, pageSize, littleEndian, true);
      case BPF_MAP_TYPE.ARRAY_OF_MAPS:
        return slots(true, false, holderOf(this.maps));
      case BPF_MAP_TYPE.PERF_EVENT_ARRAY: {
        const kept = (map.flags & BPF_F.PRESERVE_ELEMS) !== 0;
        return new EventStore({ maxEntries, littleEndian, kept });
      }
      case BPF_MAP_TYPE.PROG_ARRAY:
        return slots(false, true, holderOf(this.programs));
      case BPF_MAP_TYPE.HASH_OF_MAPS:
        return new HashOfObjects(hash(), littleEndian, holderOf(this.maps));
      default:
        return hash();
    }
  }
}

function holderOf(objects: ReadonlyMap<number, KernelObject>): Holder {
  return {
    hold: (id) => objects.get(id)?.hold(false),
    release: (id) => objects.get(id)?.release(false),
  };
}

/**
 * Makes a machine.
 *
 * @throws TypeError for options that no machine has
 */
export function newMachine(options: Partial<MachineOptions>): Machine {
  const { cpus = 2, pageSize = PAGE_BYTES, littleEndian = true } = options;
  if (!Number.isInteger(cpus) || cpus < 1) {
    throw new TypeError(`a kernel has one CPU or more, not ${cpus}`);
  }
  if (!Number.isInteger(pageSize) || pageSize < PAGE_BYTES || (pageSize & (pageSize - 1)) !== 0) {
    throw new TypeError(`a page has a power of two of bytes, 4096 or more, not ${pageSize}`);
  }
  const bpfFileSystem = options.bpfFileSystem ?? '/sys/fs/bpf';
  if (!/^(\/[^/]+)+$/.test(bpfFileSystem)) {
    throw new TypeError(`a mount point is a path like "/sys/fs/bpf", not "${bpfFileSystem}"`);
  }
  const { mapMemoryBytes = MAP_MEMORY_BYTES } = options;
  if (!(mapMemoryBytes >= 0)) {
    throw new TypeError(`the memory of maps is a number of bytes, not ${mapMemoryBytes}`);
  }
  const system = systemOptions(options);
  return new Machine({ cpus, pageSize, littleEndian, bpfFileSystem, mapMemoryBytes, ...system });
}
