/** Network interfaces as entries of maps: by index or name, with a program for what is sent there. */

import { readFileSync } from 'node:fs';
import { SkepError } from '../errors.ts';
import type { FdLike } from './fd-like.ts';
import { positive, RedirectMap } from './redirect-target.ts';

/** What is read from a device map. */
export interface DeviceEntry {
  readonly ifindex: number;
  /** Id of the program that runs on what is sent there; null for none. */
  readonly programId: number | null;
}

/** What is written into a device map. */
export interface DeviceTarget {
  /** Index or name of the network interface. */
  readonly ifindex: number | string;
  /** A program of type XDP for `BPF_XDP_DEVMAP` (5.8), which stays the caller's. */
  readonly program?: FdLike | null;
}

/** `__dev_map_alloc_node` in `kernel/bpf/devmap.c`. */
export const DEVICE_REFUSALS = {
  EINVAL:
    'there is no interface with that index in this network namespace, or the program is not of type XDP for BPF_XDP_DEVMAP',
  EBADF: 'the descriptor of the program is not open',
};

/** What both kinds of device maps share. */
export abstract class DeviceMap extends RedirectMap<DeviceEntry> {
  /** @internal */
  protected putDevice(key: number, device: number | string | DeviceTarget, flags: number): void {
    const { ifindex, program } = typeof device === 'object' ? device : { ifindex: device };
    this.putTarget(key, interfaceIndex(ifindex), program, flags);
  }

  /** @internal */
  protected override readSlot(): DeviceEntry {
    return { ifindex: this.readTarget(), programId: this.readProgramId() };
  }
}

/**
 * The index of an interface by its name, as sysfs has it: of the network namespace that `/sys` was
 * mounted in.
 *
 * @throws SkepError `ERR_SKEP_FILE` if there is none of that name
 */
function interfaceIndex(device: number | string): number {
  if (typeof device !== 'string') {
    return positive(device, 'the index of an interface');
  }
  // As `dev_valid_name` in net/core/dev.c has it; a name must not lead elsewhere in sysfs.
  if (!/^[^/:\s]{1,15}$/.test(device) || device === '.' || device === '..') {
    throw new TypeError(`${JSON.stringify(device)} is no name of a network interface`);
  }
  try {
    return Number(readFileSync(`/sys/class/net/${device}/ifindex`, 'latin1'));
  } catch (cause) {
    throw new SkepError('ERR_SKEP_FILE', `there is no network interface "${device}"`, { cause });
  }
}
