/** Arenas: memory that programs and user space share, with pointers that both understand. */

import { SkepError } from '../errors.ts';
import { linuxKernel } from '../kernel/linux.ts';
import { BPF_F } from '../uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import { createMap, kernelName } from './create-map.ts';
import type { canBeInner } from './inner-map.ts';
import {
  MapHandle,
  type OpenByIdOptions,
  type OpenOptions,
  type OwnedMap,
  openPlace,
} from './map-handle.ts';
import { type CreateOptions, handleOf } from './standalone.ts';
import { checkKind } from './typed-map.ts';

/** An open arena that a handle takes over. */
interface ArenaSource extends OwnedMap {
  /** Where it is mapped already, by somebody who unmaps it. */
  readonly memory?: ArrayBuffer | undefined;
}

/** How an arena is created. */
export interface ArenaOptions extends Omit<CreateOptions, 'maxEntries'> {
  /** Size in pages of the machine (`kernel.pageSize`); 4 GiB at most. */
  readonly pages: number;
}

/**
 * `BPF_MAP_TYPE_ARENA` (6.9): sparse memory without keys and values. Programs allocate pages in it by
 * `bpf_arena_alloc_pages`; user space by touching them.
 *
 * It is mapped into memory when {@link Arena.bytes} is first asked for, once: the kernel gives an
 * arena one address for good, so that pointers inside mean the same to all, and skep maps wherever
 * there is room, or at the address that the arena was created with (`map_extra`). Without one, an arena
 * that was mapped before, by this or another process, cannot be mapped again; `bytes` then throws. Programs that use an arena are
 * accepted by the verifier only after it was mapped, or if it was created with an address. An object
 * that is loaded with its programs maps its arena; all handles to it share that memory, which ends with
 * the object.
 *
 * @example
 * using arena = Arena.create({ pages: 4 });
 * const counters = new BigUint64Array(arena.bytes.buffer, 0, 16);
 * Atomics.add(counters, 3, 1n);
 */
export class Arena extends MapHandle {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.ARENA];

  #memory: Uint8Array<ArrayBuffer> | undefined;
  readonly #isShared: boolean;

  /** @internal */
  constructor(source: ArenaSource) {
    super(source);
    checkKind(this, Arena.types);
    this.#isShared = source.memory !== undefined;
    this.#memory = source.memory === undefined ? undefined : new Uint8Array(source.memory);
  }

  /**
   * Creates an arena. The flag `BPF_F_MMAPABLE`, which the kernel demands, is added.
   *
   * @throws SyscallError as `BPF_MAP_CREATE` does
   */
  static create(options: ArenaOptions): Arena {
    checkCreate('Arena.create', options);
    const kernel = options.kernel ?? linuxKernel();
    const { name, pages } = options;
    const fd = createMap(kernel, {
      type: BPF_MAP_TYPE.ARENA,
      keySize: 0,
      valueSize: 0,
      maxEntries: pages,
      flags: (options.flags ?? 0) | BPF_F.MMAPABLE,
      name: kernelName(name ?? ''),
      numaNode: 0,
      mapExtra: 0n,
      innerMapFd: null,
      btf: null,
    });
    return handleOf<OwnedMap, Arena>(Arena, { kernel, fd, name });
  }

  /**
   * Opens a pinned arena.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map
   */
  static openPinned(path: string, options: OpenOptions = {}): Arena {
    return handleOf<OwnedMap, Arena>(Arena, openPlace(path, options));
  }

  /** Opens an arena by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById(id: number, options: OpenByIdOptions = {}): Arena {
    return handleOf<OwnedMap, Arena>(Arena, openPlace({ id }, options));
  }

  /** Size in bytes. */
  get length(): number {
    return this.info().maxEntries * this.kernel.pageSize;
  }

  /**
   * The memory, shared with programs. {@link Arena.close} ends it: every view then has length 0.
   * What programs write is seen without a call; order and tearing are as between threads, and
   * `Atomics` works on it.
   *
   * Touching a page that is not there allocates it. Where memory runs out (a limit of the cgroup),
   * that ends the process, as touching any memory does.
   *
   * @throws SyscallError `EINVAL`, `EBUSY` if it was mapped before, without an address of its own;
   *   `EEXIST` if it has one where something is, such as memory that ended in this turn of the event loop;
   *   `EPERM` without the right to write
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it has the flag `BPF_F_SEGV_ON_FAULT`
   */
  get bytes(): Uint8Array<ArrayBuffer> {
    const fd = this.fd;
    this.#memory ??= new Uint8Array(this.#map(fd));
    return this.#memory;
  }

  /**
   * A view of a part of the memory, for values at known places.
   *
   * @param offset in bytes from the arena's start
   * @param length in bytes; all that follows by default
   * @throws RangeError for what lies outside
   */
  view(offset: number, length = this.length - offset): DataView {
    return new DataView(this.bytes.buffer, offset, length);
  }

  /** Closes the handle and ends its memory. The arena lives on while others hold it. */
  override close(): void {
    const memory = this.#memory;
    this.#memory = undefined;
    if (memory !== undefined && !this.#isShared) {
      this.kernel.unmapMemory(memory.buffer);
    }
    super.close();
  }

  #map(fd: number): ArrayBuffer {
    const { flags, mapExtra } = this.info();
    if ((flags & BPF_F.SEGV_ON_FAULT) !== 0) {
      throw new SkepError(
        'ERR_SKEP_MAP_KIND',
        `map "${this.name}" has the flag BPF_F_SEGV_ON_FAULT: reading a page that no program has allocated would end this process`,
      );
    }
    return this.kernel.mapMemory(fd, 0, this.length, true, mapExtra);
  }
}
