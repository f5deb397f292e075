/** Finding the map that a command line names. */

import { SyscallError } from '../errors.ts';
import type { Kernel, PinAccess } from '../kernel/kernel.ts';
import { kernelName } from '../maps/create-map.ts';
import { type MapHandle, type MapPlace, type OwnedMap, openPlace } from '../maps/map-handle.ts';
import { RawMap } from '../maps/raw-map.ts';
import { CommandError, type MapReference } from './usage.ts';

/** How messages of the kernel's front begin where it knows no better. */
const BY_DESCRIPTOR = 'map at file descriptor ';

/** Opens a map; the caller closes it. Pins are opened for reading only, unless told otherwise. */
export function openReference(
  kernel: Kernel,
  reference: MapReference,
  access: PinAccess = 'read-only',
): OwnedMap {
  return openPlace(placeOf(kernel, reference), { kernel, access });
}

/** Opens a map as a handle; the caller closes it. Reading is all it is for. */
export function openRaw(kernel: Kernel, reference: MapReference): RawMap {
  return RawMap.adopt(openReference(kernel, reference));
}

/** A map by its name, for messages: `"flows" (hash, id 12)`. */
export function titleOf(map: MapHandle): string {
  const { id, typeName } = map.info();
  return map.name === '' ? `map ${id} (${typeName})` : `"${map.name}" (${typeName}, id ${id})`;
}

/**
 * What is made of each map of the kernel, by ascending id; a map is open only while it is looked at.
 *
 * @throws SyscallError `EPERM` without CAP_SYS_ADMIN
 */
export function* eachMap<T>(kernel: Kernel, look: (map: RawMap) => T): Generator<T> {
  for (let id = kernel.nextMapId(0); id !== null; id = kernel.nextMapId(id)) {
    let map: RawMap;
    try {
      map = RawMap.openById(id, { kernel });
    } catch (error) {
      if (error instanceof SyscallError && error.errnoName === 'ENOENT') {
        // Gone since its id was told.
        continue;
      }
      throw error;
    }
    try {
      yield look(map);
    } finally {
      map.close();
    }
  }
}

/** Errors of a call name the map, which the kernel's front knows by its descriptor only. */
export async function namingMap<T>(
  map: MapHandle,
  what: string,
  call: () => T | Promise<T>,
): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (!(cause instanceof SyscallError && cause.message.startsWith(BY_DESCRIPTOR))) {
      throw cause;
    }
    const { command, errno, errnoName, hint } = cause;
    const subject = `${what} ${titleOf(map)}`.trim();
    throw new SyscallError(subject, { command, errno, errnoName, hint, cause });
  }
}

/** Where a map is; by its name it is looked for among all. */
export function placeOf(kernel: Kernel, reference: MapReference): MapPlace {
  switch (reference.by) {
    case 'path':
      return reference.path;
    case 'id':
      return { id: reference.id };
    case 'name':
      return { id: idOfName(kernel, reference.name) };
  }
}

function idOfName(kernel: Kernel, name: string): number {
  const ids: number[] = [];
  // Cut and cleaned as for the kernel, so that the name in the object does as well.
  const wanted = kernelName(name);
  for (const info of eachMap(kernel, (map) => map.info())) {
    if (info.name === wanted) {
      ids.push(info.id);
    }
  }
  if (ids.length > 1) {
    throw new CommandError(
      `${ids.length} maps are called "${name}"; say which by id:${ids.join(', id:')}`,
    );
  }
  const [id] = ids;
  if (id === undefined) {
    throw new CommandError(`no map is called "${name}"`);
  }
  return id;
}
