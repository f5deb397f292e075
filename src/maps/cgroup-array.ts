/** Arrays of cgroups, for programs that ask whether something happens in one of them. */

import { bytes } from '../codec/aggregates.ts';
import { u32 } from '../codec/numbers.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { checkCreate } from './create-checks.ts';
import { type PathOrFd, withFd } from './fd-like.ts';
import type { canBeInner } from './inner-map.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { openSlots, SlotMap, type SlotSource } from './slot-map.ts';
import { type CreateOptions, createTyped, handleOf } from './standalone.ts';

const REFUSALS = { EBADF: 'the descriptor is not open, or is no directory of a cgroup' };

/**
 * `BPF_MAP_TYPE_CGROUP_ARRAY` (4.8): slots 0 to `length - 1`, empty at first, each for a cgroup.
 * Programs ask it by `bpf_skb_under_cgroup` and `bpf_current_task_under_cgroup`.
 *
 * The kernel does not tell what is in the slots, so there is no `get`.
 *
 * @example
 * using watched = app.map('watched', CgroupArray);
 * watched.set(0, '/sys/fs/cgroup/system.slice');
 */
export class CgroupArray extends SlotMap<number> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.CGROUP_ARRAY];

  /** @internal */
  constructor(source: SlotSource<number>) {
    super({ ...source, key: u32 }, CgroupArray.types, REFUSALS);
  }

  /** Creates an array of cgroups. @throws SyscallError as `BPF_MAP_CREATE` does */
  static create(options: CreateOptions): CgroupArray {
    checkCreate('CgroupArray.create', options);
    const types = { key: u32, value: bytes(4) };
    return handleOf<SlotSource<number>, CgroupArray>(
      CgroupArray,
      createTyped(BPF_MAP_TYPE.CGROUP_ARRAY, types, options),
    );
  }

  /**
   * Opens a pinned array of cgroups.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map
   */
  static openPinned(path: string, options: OpenOptions = {}): CgroupArray {
    return handleOf<SlotSource<number>, CgroupArray>(CgroupArray, openSlots(path, options));
  }

  /** Opens an array of cgroups by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById(id: number, options: OpenByIdOptions = {}): CgroupArray {
    return handleOf<SlotSource<number>, CgroupArray>(CgroupArray, openSlots({ id }, options));
  }

  /** Number of slots, empty ones included. */
  get length(): number {
    return this.info().maxEntries;
  }

  /**
   * Puts a cgroup into a slot, in place of the one that is there. It stays alive for the array, also
   * when its directory is removed.
   *
   * @param cgroup the path of its directory, or an open descriptor of that
   * @throws SyscallError `EBADF` for what is no cgroup; `E2BIG` for an index that is not below
   *   `length`
   */
  set(index: number, cgroup: PathOrFd): this {
    // First, so that nothing is opened for a closed handle.
    void this.fd;
    withFd(cgroup, 'directory', 'the directory of a cgroup', (fd) => this.put(index, [fd]));
    return this;
  }
}
