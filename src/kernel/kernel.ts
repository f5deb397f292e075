/**
 * The one seam between skep and a kernel. Everything above speaks to this interface in terms of
 * maps, pins and BTF; what implements it is the running kernel (`linux.ts`) or a test's own.
 *
 * Semantics are those of bpf(2); `include/uapi/linux/bpf.h` describes each command. Whatever the
 * kernel refuses is thrown as a `SyscallError`; "not there" is a value, not an error, where a caller
 * has to expect it. File descriptors belong to the caller, who closes them.
 */

import type { AttachTarget, ProgramCalls } from './program-calls.ts';

/** What a map is created with. Sizes in bytes. */
export interface MapAttributes {
  /** `BPF_MAP_TYPE_*`. */
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** `BPF_F_*`. */
  readonly flags: number;
  /** At most 15 of the characters `[A-Za-z0-9_.]`; '' for none. */
  readonly name: string;
  /** Used if the flag `BPF_F_NUMA_NODE` is set. */
  readonly numaNode: number;
  readonly mapExtra: bigint;
  /** Maps of maps: a map like those to come. The kernel copies what it needs and keeps no reference. */
  readonly innerMapFd: number | null;
  /** The types of keys and values; null for none. */
  readonly btf: {
    readonly fd: number;
    readonly keyTypeId: number;
    readonly valueTypeId: number;
  } | null;
  /**
   * Maps of type struct_ops (5.6): the kernel's own struct that their value is, `bpf_struct_ops_NAME`;
   * for one of a module (6.9) with the descriptor of the module's BTF and `BPF_F_VTYPE_BTF_OBJ_FD`.
   */
  readonly kernelValueType?: AttachTarget;
}

/** What the kernel says of a map (`struct bpf_map_info`). Sizes in bytes. */
export interface MapInfo {
  readonly id: number;
  readonly type: number;
  readonly name: string;
  readonly keySize: number;
  /** As created: for per-CPU maps the size of one CPU's value. */
  readonly valueSize: number;
  readonly maxEntries: number;
  /** As stored: without `BPF_F_RDONLY` and `BPF_F_WRONLY`, which belong to a file descriptor. */
  readonly flags: number;
  readonly mapExtra: bigint;
  /** Id of its BTF object, 0 for none. */
  readonly btfId: number;
  readonly keyTypeId: number;
  readonly valueTypeId: number;
}

/** What the kernel accounts for a map; null where it does not say. */
export interface MapUsage {
  readonly memoryBytes: number | null;
  readonly frozen: boolean | null;
}

/** How far a walk over a map in batches has come. */
export interface BatchCursor {
  /** The kernel's own note: as many bytes as a key, and 4 at least. */
  readonly position: Uint8Array;
  /** Whether the first batch was read. */
  started: boolean;
  /** Whether there is no more. */
  done: boolean;
}

/** What kind of file system a path lies on. */
export type FileSystemKind = 'bpf' | 'other' | 'missing';

/** How a pin is opened: without a limit, for reading only (`BPF_F_RDONLY`), for writing only. */
export type PinAccess = 'read-write' | 'read-only' | 'write-only';

/** What a descriptor is watched for. */
export type Interest = 'readable' | 'writable';

/** Waits for descriptors in the event loop of this thread. It is armed for one call at a time. */
export interface Watch {
  /**
   * Calls `ready` once, from the event loop, when a descriptor is ready; in the next turn if one is
   * already. Until then the process stays. What `ready` throws is an uncaught exception.
   */
  arm(ready: () => void): void;
  /** Takes {@link Watch.arm} back; nothing if it is not armed. */
  disarm(): void;
  /** Ends it. Twice does nothing. */
  close(): void;
}

/** A kernel. Every method throws `SyscallError` for what it is refused, unless it says otherwise. */
export interface Kernel extends ProgramCalls {
  /** What it is, for messages: `linux`. */
  readonly name: string;
  /** Byte order of the machine. */
  readonly littleEndian: boolean;
  /** In bytes. */
  readonly pageSize: number;
  /** Number of CPUs that could ever be present: the number of values in a per-CPU map's entry. */
  possibleCpus(): number;

  /** Creates a map (`BPF_MAP_CREATE`); a descriptor. */
  createMap(attributes: MapAttributes): number;
  /** Another descriptor for the same object. */
  duplicate(fd: number): number;
  /** Closes a descriptor of any kind. Never throws. */
  close(fd: number): void;
  mapInfo(fd: number): MapInfo;
  mapUsage(fd: number): MapUsage;
  /** A descriptor for the map with this id (`BPF_MAP_GET_FD_BY_ID`; needs CAP_SYS_ADMIN). */
  openMapById(id: number): number;
  /** The lowest id above this one, or null (`BPF_MAP_GET_NEXT_ID`; needs CAP_SYS_ADMIN). */
  nextMapId(after: number): number | null;

  /** Number of bytes of a value as the calls below move it: all CPUs' values in a per-CPU map. */
  valueBytes(fd: number): number;
  /**
   * Copies a key's value into `value`. A Bloom filter is asked for what `value` holds.
   *
   * @param key null for maps without keys (queues, stacks, Bloom filters)
   * @returns false if there is no such entry (ENOENT)
   */
  lookup(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): boolean;
  /** @param flags `BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST`, `BPF_F_LOCK` */
  update(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): void;
  /** @returns false if there is no such entry (ENOENT) */
  delete(fd: number, key: Uint8Array): boolean;
  /** Like {@link Kernel.lookup}, and removes the entry (5.14 for hashes; 4.20 for queues, stacks). */
  lookupAndDelete(fd: number, key: Uint8Array | null, value: Uint8Array, flags: number): boolean;
  /**
   * Writes the key that follows `key` into `next`; the first one if `key` is null, or is not in the
   * map.
   *
   * @returns false after the last key
   */
  nextKey(fd: number, key: Uint8Array | null, next: Uint8Array): boolean;
  /**
   * Reads many entries in one call (`BPF_MAP_LOOKUP_BATCH`, 5.6).
   *
   * @param keys room for `count` keys; likewise `values`
   * @returns the number of entries read, 0 to `count`; null if the kernel has no batches for this
   *   kind of map
   * @throws SyscallError with `ENOSPC` if `count` is less than what the kernel reads at once (a
   *   bucket of a hash); nothing was read then, and the cursor has not moved
   */
  lookupBatch(
    fd: number,
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number | null;
  /** Like {@link Kernel.lookupBatch}, and removes what was read. */
  lookupAndDeleteBatch(
    fd: number,
    cursor: BatchCursor,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
  ): number | null;
  /**
   * Sets many entries in one call (`BPF_MAP_UPDATE_BATCH`, 5.6; for maps of maps 5.19).
   *
   * @param keys `count` keys, one behind the other; likewise `values`
   * @returns false if the kernel has no batches for this kind of map, and nothing was done
   */
  updateBatch(
    fd: number,
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
    flags: number,
  ): boolean;
  /** Refuses writes by system call from now on (`BPF_MAP_FREEZE`, 5.2). */
  freeze(fd: number): void;

  /**
   * The memory of a map, shared with the kernel (mmap(2), `MAP_SHARED`): what programs write is seen
   * at once, without a call. It outlives the descriptor. Arrays with `BPF_F_MMAPABLE` (5.5), ring
   * buffers (5.8), arenas (6.9).
   *
   * @param offset in bytes; a multiple of the page size
   * @param length in bytes
   * @param writable whether it may be written. **Writing to memory that is not ends the process**, so
   *   it must not reach a user.
   * @param address where it must be: an arena that was created with an address (`map_extra`) can be
   *   nowhere else. Offset 0, and writable
   * @throws SyscallError; with `address` `EEXIST` if something else is there, which may also be a
   *   mapping that was ended in this turn of the event loop
   */
  mapMemory(
    fd: number,
    offset: number,
    length: number,
    writable: boolean,
    address?: bigint,
  ): ArrayBuffer;
  /** Ends a mapping: the buffer and its views have length 0 from here on. Twice does nothing. */
  unmapMemory(memory: ArrayBuffer): void;

  /**
   * A means to wait for any of these descriptors. It keeps its own copy of a single one; several
   * must stay open.
   */
  watch(fds: readonly number[], interest: Interest): Watch;

  /** The CPUs that are running now, in ascending order. */
  onlineCpus(): readonly number[];
  /**
   * A perf event that is enabled and receives what programs on one CPU write by
   * `bpf_perf_event_output` (4.4); a descriptor, to be put into a perf event array and mapped.
   *
   * @param wakeupEvents how many records wake a reader
   */
  openOutputEvent(cpu: number, wakeupEvents: number): number;

  /** Loads BTF (`BPF_BTF_LOAD`, 4.18); a descriptor. */
  loadBtf(bytes: Uint8Array): number;

  /**
   * The bytes of BTF that the kernel holds (`BPF_BTF_GET_FD_BY_ID`; needs CAP_SYS_ADMIN), such as the
   * types of a map by the id in its information.
   */
  readBtf(id: number): Uint8Array;

  /** Pins any object (`BPF_OBJ_PIN`). */
  pin(fd: number, path: string): void;
  /**
   * Opens a pinned map (`BPF_OBJ_GET`).
   *
   * @throws SyscallError with `ENOENT` if there is nothing at `path`, and only then; with `EINVAL`
   *   if what is there is a program or a link
   */
  openPinnedMap(path: string, access: PinAccess): number;
  /**
   * Removes a pin; false if there is none, also for want of the directory that it would be in.
   *
   * @throws SyscallError with `ENOTDIR` if that directory is a pin itself, or a slash follows the pin;
   *   with `EISDIR` for a directory, `EPERM` for a name with a dot, and `EINVAL` outside of BPF file systems
   */
  unpin(path: string): boolean;
  /** What the directory `path` lies on. */
  fileSystem(path: string): FileSystemKind;
  /** Makes one directory, for the owner only; false if it is there already. */
  makeDirectory(path: string): boolean;
  /** Removes an empty directory; false if it is not there or not empty. */
  removeDirectory(path: string): boolean;
}
