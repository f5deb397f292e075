/** CPUs that XDP hands packets to. */

import { u32 } from '../codec/numbers.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import type { FdLike } from './fd-like.ts';
import type { canBeInner } from './inner-map.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { createRedirect, positive, RedirectMap, type RedirectOptions } from './redirect-target.ts';
import { openSlots, type SlotSource } from './slot-map.ts';
import { handleOf } from './standalone.ts';

/** What is read from a map of CPUs. */
export interface CpuEntry {
  /** How many packets may wait for the CPU. */
  readonly queueSize: number;
  /** Id of the program that runs on packets there; null for none. */
  readonly programId: number | null;
}

/** What is written into a map of CPUs. */
export interface CpuTarget {
  /** How many packets may wait for the CPU: 1 to 16384. */
  readonly queueSize: number;
  /** A program of type XDP for `BPF_XDP_CPUMAP` (5.9), which stays the caller's. */
  readonly program?: FdLike | null;
}

/** `cpu_map_update_elem` in `kernel/bpf/cpumap.c`. */
const REFUSALS = {
  ENODEV: 'there can be no such CPU',
  EOVERFLOW: 'a queue has 16384 places at most',
  // The kernel's word for any failure to set a CPU up.
  ENOMEM:
    'the program is not of type XDP for BPF_XDP_CPUMAP, or its descriptor is not open; or memory ran out',
};

/**
 * `BPF_MAP_TYPE_CPUMAP` (4.15): a slot per CPU, empty at first. `bpf_redirect_map` has the packet go
 * through the network stack on that CPU, in a kernel thread that a slot has while it is filled.
 *
 * @example
 * using cpus = app.map('cpus', CpuMap);
 * cpus.set(1, 2048).set(2, { queueSize: 2048, program: filter.fd });
 */
export class CpuMap extends RedirectMap<CpuEntry> {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.CPUMAP];

  /** @internal */
  constructor(source: SlotSource<number>) {
    super({ ...source, key: u32 }, CpuMap.types, REFUSALS);
  }

  /**
   * Creates a map of CPUs. Needs CAP_NET_ADMIN.
   *
   * @param options `maxEntries`: not more than CPUs are possible for this build of the kernel;
   *   `programs: false` for entries without room for a program
   * @throws SyscallError as `BPF_MAP_CREATE` does
   */
  static create(options: RedirectOptions): CpuMap {
    return handleOf<SlotSource<number>, CpuMap>(
      CpuMap,
      createRedirect(BPF_MAP_TYPE.CPUMAP, options),
    );
  }

  /**
   * Opens a pinned map of CPUs.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map
   */
  static openPinned(path: string, options: OpenOptions = {}): CpuMap {
    return handleOf<SlotSource<number>, CpuMap>(CpuMap, openSlots(path, options));
  }

  /** Opens a map of CPUs by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById(id: number, options: OpenByIdOptions = {}): CpuMap {
    return handleOf<SlotSource<number>, CpuMap>(CpuMap, openSlots({ id }, options));
  }

  /** Number of slots, empty ones included. */
  get length(): number {
    return this.info().maxEntries;
  }

  /**
   * Lets packets be handed to a CPU. Setting a slot again replaces its queue.
   *
   * @param target how many packets may wait, also with a program
   * @throws SyscallError `ENODEV` for a CPU that cannot be; `EOVERFLOW` for too long a queue;
   *   `ENOMEM` for a program of another type; `E2BIG` for a number that is not below `length`
   * @throws SkepError `ERR_SKEP_MAP_KIND` for a program if the map has no room for programs
   */
  set(cpu: number, target: number | CpuTarget): this {
    const { queueSize, program } = typeof target === 'object' ? target : { queueSize: target };
    this.putTarget(cpu, positive(queueSize, 'the size of a queue'), program, 0);
    return this;
  }

  /** Empties a slot; false if it was empty, which is asked first: the kernel does not tell. */
  override delete(cpu: number): boolean {
    return this.has(cpu) && super.delete(cpu);
  }

  /** @internal */
  protected override readSlot(): CpuEntry {
    return { queueSize: this.readTarget(), programId: this.readProgramId() };
  }
}
