/** Hashes of network interfaces that XDP redirects to. */

import { u32 } from '../codec/numbers.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import { DEVICE_REFUSALS, DeviceMap, type DeviceTarget } from './device-entry.ts';
import type { canBeInner } from './inner-map.ts';
import {
  type OpenByIdOptions,
  type OpenOptions,
  type UpdateMode,
  updateFlags,
} from './map-handle.ts';
import { createRedirect, type RedirectOptions } from './redirect-target.ts';
import { openSlots, type SlotSource } from './slot-map.ts';
import { handleOf } from './standalone.ts';

/**
 * `BPF_MAP_TYPE_DEVMAP_HASH` (5.4): as {@link DevMap}, with any number as key, so that an interface
 * can go by its own index.
 *
 * @example
 * using ports = DevMapHash.create({ maxEntries: 8 });
 * ports.set(4711, 'eth0');
 */
export class DevMapHash extends DeviceMap {
  declare readonly [canBeInner]: true;

  /** The types of map that this class is for. */
  static readonly types: readonly number[] = [BPF_MAP_TYPE.DEVMAP_HASH];

  /** @internal */
  constructor(source: SlotSource<number>) {
    super({ ...source, key: u32 }, DevMapHash.types, DEVICE_REFUSALS);
  }

  /**
   * Creates a hash of interfaces. Needs CAP_NET_ADMIN.
   *
   * @param options `programs: false` for entries without room for a program
   * @throws SyscallError as `BPF_MAP_CREATE` does
   */
  static create(options: RedirectOptions): DevMapHash {
    return handleOf<SlotSource<number>, DevMapHash>(
      DevMapHash,
      createRedirect(BPF_MAP_TYPE.DEVMAP_HASH, options),
    );
  }

  /**
   * Opens a pinned hash of interfaces.
   *
   * @throws SkepError `ERR_SKEP_MAP_KIND` if it is another kind of map
   */
  static openPinned(path: string, options: OpenOptions = {}): DevMapHash {
    return handleOf<SlotSource<number>, DevMapHash>(DevMapHash, openSlots(path, options));
  }

  /** Opens a hash of interfaces by the kernel's id for it. Needs CAP_SYS_ADMIN. */
  static openById(id: number, options: OpenByIdOptions = {}): DevMapHash {
    return handleOf<SlotSource<number>, DevMapHash>(DevMapHash, openSlots({ id }, options));
  }

  /**
   * Sets the interface of a key.
   *
   * @param device its index or name, also with a program. Names are looked up in `/sys/class/net`.
   * @throws SyscallError `EINVAL` if there is no such interface, or the program is of another type;
   *   `EEXIST` if the mode forbids it; `E2BIG` if the map is full
   * @throws SkepError `ERR_SKEP_FILE` for an unknown name; `ERR_SKEP_MAP_KIND` for a program if the
   *   map has no room for programs
   */
  set(
    key: number,
    device: number | string | DeviceTarget,
    options: { readonly mode?: UpdateMode } = {},
  ): this {
    this.putDevice(key, device, updateFlags(this.name, options.mode ?? 'any'));
    return this;
  }
}
