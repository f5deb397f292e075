/** What is at a pin, whole: what kind of object, its properties, its contents. To compare two states. */

import type { Kernel, MapInfo } from '../../src/kernel/kernel.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import type { Place } from '../support/kernels.ts';

/** Maps whose values are ids of maps. */
const OUTER: readonly number[] = [BPF_MAP_TYPE.ARRAY_OF_MAPS, BPF_MAP_TYPE.HASH_OF_MAPS];
/** Maps without keys that one could walk over. */
const KEYLESS: readonly number[] = [BPF_MAP_TYPE.RINGBUF, BPF_MAP_TYPE.ARENA];

/** How ids are written: as they are, or as what they stand for. */
export type SpellId = (kind: 'map' | 'program', id: number) => string;

/** Paths of all that lies below the directory of a test, sorted. */
export function fullPaths({ directory, paths }: Place): string[] {
  return paths().map((path) => (path.startsWith('/') ? path : `${directory}/${path}`));
}

/** Removes all that lies below the directory of a test. */
export function removePins(place: Place): void {
  for (const path of fullPaths(place).reverse()) {
    try {
      place.kernel.unpin(path);
    } catch {
      place.kernel.removeDirectory(path);
    }
  }
}

/** What is at each path, by path, with ids as they are. */
export function pinStates(place: Place): Map<string, unknown> {
  return statesWith(place, (kind, id) => `${kind} ${id}`);
}

/**
 * What is at each path, by path, with the path of the pin for each id: two loads that made the same have
 * the same. A map without a pin is its properties.
 */
export function comparableStates(place: Place): Map<string, unknown> {
  const { kernel } = place;
  const paths = new Map<string, string>();
  for (const path of fullPaths(place)) {
    withPin(kernel, path, (kind, _, id) => paths.set(`${kind} ${id}`, path));
  }
  const spell: SpellId = (kind, id) => paths.get(`${kind} ${id}`) ?? unpinned(kernel, kind, id);
  return statesWith(place, spell);
}

function statesWith(place: Place, spell: SpellId): Map<string, unknown> {
  const states = new Map<string, unknown>();
  for (const path of fullPaths(place)) {
    states.set(path, 'directory');
    withPin(place.kernel, path, (kind, fd, id) => {
      const state =
        kind === 'map' ? mapState(place.kernel, fd, spell) : programState(place, fd, spell);
      states.set(path, [spell(kind, id), state]);
    });
  }
  return states;
}

/** Calls `use` with what is pinned at a path; not for a directory. */
function withPin(
  kernel: Kernel,
  path: string,
  use: (kind: 'map' | 'program', fd: number, id: number) => void,
): void {
  const [kind, fd] = openPin(kernel, path) ?? [null, 0];
  if (kind === null) {
    return;
  }
  try {
    use(kind, fd, (kind === 'map' ? kernel.mapInfo(fd) : kernel.programInfo(fd)).id);
  } finally {
    kernel.close(fd);
  }
}

function openPin(kernel: Kernel, path: string): readonly ['map' | 'program', number] | null {
  for (const kind of ['map', 'program'] as const) {
    try {
      const isMap = kind === 'map';
      return [
        kind,
        isMap ? kernel.openPinnedMap(path, 'read-write') : kernel.openPinnedProgram(path),
      ];
    } catch {
      // Something else.
    }
  }
  return null;
}

function mapState(kernel: Kernel, fd: number, spell: SpellId): unknown {
  const info = kernel.mapInfo(fd);
  return [properties(info), kernel.mapUsage(fd).frozen, entries(kernel, fd, info, spell)];
}

function properties({ id, btfId, mapExtra, ...rest }: MapInfo): unknown {
  // Which BTF object it is differs from load to load; whether there is one does not.
  return { ...rest, hasTypes: btfId !== 0, mapExtra: String(mapExtra) };
}

function entries(kernel: Kernel, fd: number, info: MapInfo, spell: SpellId): string[] {
  const out: string[] = [];
  if (KEYLESS.includes(info.type)) {
    return out;
  }
  let key: Uint8Array | null = null;
  for (;;) {
    const next: Uint8Array = new Uint8Array(info.keySize);
    if (!kernel.nextKey(fd, key, next)) {
      return out.sort();
    }
    const value = new Uint8Array(kernel.valueBytes(fd));
    if (kernel.lookup(fd, next, value, 0)) {
      out.push(`${next}: ${spellValue(kernel, info.type, value, spell)}`);
    }
    key = next;
  }
}

function spellValue(kernel: Kernel, type: number, value: Uint8Array, spell: SpellId): string {
  const id = () => new DataView(value.buffer).getUint32(0, kernel.littleEndian);
  if (OUTER.includes(type)) {
    return spell('map', id());
  }
  return type === BPF_MAP_TYPE.PROG_ARRAY ? spell('program', id()) : String(value);
}

function programState({ kernel }: Place, fd: number, spell: SpellId): unknown {
  const { name, type, tag, mapIds } = kernel.programInfo(fd);
  return { name, type, tag, maps: mapIds.map((id) => spell('map', id)) };
}

function unpinned(kernel: Kernel, kind: 'map' | 'program', id: number): string {
  const fd = kind === 'map' ? kernel.openMapById(id) : kernel.openProgramById(id);
  try {
    const info = kind === 'map' ? properties(kernel.mapInfo(fd)) : kernel.programInfo(fd).tag;
    return `without a pin: ${JSON.stringify(info)}`;
  } finally {
    kernel.close(fd);
  }
}
