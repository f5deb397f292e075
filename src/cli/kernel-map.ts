/** A map of the kernel as data: what `skep map list --json` and `skep map show --json` print. */

import type { RawMap } from '../maps/raw-map.ts';

/** A map in a list. Sizes in bytes. */
export interface ListedMap {
  readonly id: number;
  /** As bpftool prints it, e.g. `hash_of_maps`. */
  readonly type: string;
  /** `BPF_MAP_TYPE_*`. */
  readonly typeNumber: number;
  /** The kernel's name for it, cut to 15 characters when it was created; '' for none. */
  readonly name: string;
  readonly keySize: number;
  /** Per-CPU maps: of one CPU's value. */
  readonly valueSize: number;
  readonly maxEntries: number;
  /** `BPF_F_*` creation flags. */
  readonly flags: number;
  /** What the kernel accounts for it; null if it does not say. */
  readonly memoryBytes: number | null;
  /** Whether system calls may no longer write; null if the kernel does not say. */
  readonly frozen: boolean | null;
}

/** All that is known of one map. */
export interface ShownMap extends ListedMap {
  /** Id of its BTF object, 0 for none. */
  readonly btfId: number;
  readonly keyTypeId: number;
  readonly valueTypeId: number;
  /** A decimal string, since it has 64 bits. */
  readonly mapExtra: string;
  /** Where it was found; null if it was found by its id. */
  readonly pinPath: string | null;
}

/** Describes a map for a list. @throws SyscallError if the kernel does not answer */
export function listedMap(map: RawMap): ListedMap {
  const info = map.info();
  const { memoryBytes, frozen } = map.usage();
  return {
    id: info.id,
    type: info.typeName,
    typeNumber: info.type,
    name: info.name,
    keySize: info.keySize,
    valueSize: info.valueSize,
    maxEntries: info.maxEntries,
    flags: info.flags,
    memoryBytes,
    frozen,
  };
}

/** Describes a map by itself. @throws SyscallError if the kernel does not answer */
export function shownMap(map: RawMap): ShownMap {
  const info = map.info();
  return {
    ...listedMap(map),
    btfId: info.btfId,
    keyTypeId: info.keyTypeId,
    valueTypeId: info.valueTypeId,
    mapExtra: info.mapExtra.toString(),
    pinPath: map.pinPath,
  };
}
