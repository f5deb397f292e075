/** Opening a map of which nothing is known but where it is: the kernel says the rest. */

import { ArrayOfMaps } from './array-of-maps.ts';
import { HashOfMaps } from './hash-of-maps.ts';
import { innerHandle } from './inner-kinds.ts';
import { LegacyCgroupStorage } from './legacy-cgroup-storage.ts';
import { LegacyPerCpuCgroupStorage } from './legacy-per-cpu-cgroup-storage.ts';
import {
  type MapHandle,
  type MapPlace,
  type OpenOptions,
  type OwnedMap,
  openPlace,
} from './map-handle.ts';
import { PerfEventArray } from './perf-event-array.ts';
import { ProgramArray } from './program-array.ts';
import { RingBuffer } from './ring-buffer.ts';
import { handleOf, kernelCodecs } from './standalone.ts';
import type { TypedSource } from './typed-map.ts';
import { UserRingBuffer } from './user-ring-buffer.ts';

/** What a class of handles is made from, whichever it is. */
type AnySource = TypedSource<unknown, unknown> & {
  readonly inner?: { shape: null; live: OpenOptions };
};
type AnyKind = (new (source: AnySource) => MapHandle) & { readonly types: readonly number[] };

/** Classes that `inner-kinds.ts` does not have: most of these cannot be inner maps. */
const OTHER_KINDS = [
  ArrayOfMaps,
  HashOfMaps,
  ProgramArray,
  RingBuffer,
  UserRingBuffer,
  PerfEventArray,
  LegacyCgroupStorage,
  LegacyPerCpuCgroupStorage,
] as unknown as readonly AnyKind[];

/**
 * Opens a map as a handle of the class for its type: `HashMap`, `Queue`, `HashOfMaps`, ...; a
 * `RawMap` where there is none. Keys and values are decoded by the types that the kernel keeps with
 * the map, and are bytes where it has none. The kernel keeps none for records, which are bytes too.
 *
 * @param place the path of a pin, or `{ id }`, which needs CAP_SYS_ADMIN
 * @throws SyscallError `ENOENT` if there is no such map; `EPERM` if it has types, without
 *   CAP_SYS_ADMIN: `HashMap.openPinned(path, types)` needs none
 * @example
 * using map = openMap('/sys/fs/bpf/flows');
 * if (map instanceof HashMap) console.log(map.snapshot());
 */
export function openMap(place: MapPlace, options: OpenOptions = {}): MapHandle {
  const map = openPlace(place, options);
  const type = typeOf(map);
  const source = { ...map, ...kernelCodecs(map, options) };
  const other = OTHER_KINDS.find((kind) => kind.types.includes(type));
  return other === undefined
    ? innerHandle(source, type, undefined)
    : handleOf(other, { ...source, inner: { shape: null, live: options } });
}

/** The type of an open map; the map is closed if there is no telling. */
function typeOf({ kernel, fd }: OwnedMap): number {
  try {
    return kernel.mapInfo(fd).type;
  } catch (error) {
    kernel.close(fd);
    throw error;
  }
}
