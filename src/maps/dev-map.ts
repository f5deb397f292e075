/** Arrays of network interfaces that XDP redirects to. */

import { u32 } from '../codec/numbers.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { DEVICE_REFUSALS, DeviceMap, type DeviceTarget } from './device-entry.ts';
import type { canBeInner } from './inner-map.ts';
import type { OpenByIdOptions, OpenOptions } from './map-handle.ts';
import { createRedirect, type RedirectOptions } from './redirect-target.ts';
import { openSlots, type SlotSource } from './slot-map.ts';
import { handleOf } from './standalone.ts';

/**
 * `BPF_MAP_TYPE_DEVMAP` (4.14): slots 0 to `length - 1`, empty at first, each for a network interface
 * that `bpf_redirect_map` sends packets out of. An interface that goes away leaves its slots.
 *
 * @example
 * using ports = app.map('ports', DevMap);
 * ports.set(0, 'eth0').set(1, { ifindex: 7, program: rewrite.fd });
 * ports.get(1); // { ifindex: 7, programId: 42 }
 */
export class DevMap extends DeviceMap {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.DEVMAP];

  /** @internal */
  constructor(source: SlotSource<number>) {
    super({ ...source, key: u32 }, DevMap.types, DEVICE_REFUSALS);
  }

  /**
   * Creates an array of interfaces. Needs CAP_NET_ADMIN.
   *
   * @param options `programs: false` for entries without room for a program
   * @throws SyscallError as `BPF_MAP_CREATE` does
   */
  static create(options: RedirectOptions): DevMap {
    return handleOf<SlotSource<number>, DevMap>(
      DevMap,
      createRedirect(BPF_MAP_TYPE.DEVMAP, options),
    );
  }

  /**
   * Opens a pinned array of interfaces.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map
   */
  static openPinned(path: string, options: OpenOptions = {}): DevMap {
    return handleOf<SlotSource<number>, DevMap>(DevMap, openSlots(path, options));
  }

  /** Opens an array of interfaces by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById(id: number, options: OpenByIdOptions = {}): DevMap {
    return handleOf<SlotSource<number>, DevMap>(DevMap, openSlots({ id }, options));
  }

  /** Number of slots, empty ones included. */
  get length(): number {
    return this.info().maxEntries;
  }

  /**
   * Puts an interface into a slot, in place of the one that is there.
   *
   * @param device its index or name, also with a program. Names are looked up in `/sys/class/net`.
   * @throws SyscallError `EINVAL` if there is no such interface, or the program is of another type;
   *   `E2BIG` for an index that is not below `length`
   * @throws SkepError `ERR_SKEP_FILE` for an unknown name; `ERR_SKEP_MAP_KIND` for a program if the
   *   map has no room for programs
   */
  set(index: number, device: number | string | DeviceTarget): this {
    this.putDevice(index, device, 0);
    return this;
  }

  /** Empties a slot; false if it was empty, which is asked first: the kernel does not tell. */
  override delete(index: number): boolean {
    return this.has(index) && super.delete(index);
  }
}
