/**
 * Every fixture on both kernels: afterwards bpftool tells of every map what it tells, and the kernel
 * in the process too, when libbpf has loaded the object (fixtures/expected/bpftool-map-show, recorded by
 * fixtures/oracle/record.sh).
 */

import { expect, it } from 'vitest';
import { dataKernelName } from '../../src/loader/data-name.ts';
import { type LoadedObject, load } from '../../src/loader/load.ts';
import type { MapOptions } from '../../src/loader/options.ts';
import type { RawMap } from '../../src/maps/raw-map.ts';
import { mapTypeName } from '../../src/uapi/map-types.ts';
import { filesBelow, fixtureJson, openFixture } from '../support/fixtures.ts';
import { describeKernels, type Place } from '../support/kernels.ts';
import { output } from '../support/programs.ts';

interface ShownMap {
  readonly pin: string;
  /** A number for types newer than the bpftool that recorded. */
  readonly type: string | number;
  readonly name: string;
  readonly flags: number;
  readonly bytes_key: number;
  readonly bytes_value: number;
  readonly max_entries: number;
  readonly frozen: number;
  readonly btf: boolean;
  readonly slots?: Readonly<Record<string, string>>;
}

interface Recorded {
  readonly loads: boolean;
  readonly opens: boolean;
  readonly cpus: number;
  readonly maps: readonly ShownMap[];
}

/** Maps that libbpf makes when it loads an object, and skep when it loads the programs. */
const LATER = /\.kconfig$|_kconfig$/;

/** What cannot be loaded, in libbpf's eyes or in the kernel's; and what skep makes of it. */
const REFUSED: Readonly<Record<string, RegExp | 'loads'>> = {
  'legacy/both-styles': 'loads',
  'legacy/bpf-map-def': 'loads',
  'legacy/extra-non-zero': /behind the fields of a legacy definition/,
  'legacy/extra-zero': 'loads',
  'legacy/no-btf': 'loads',
  'maps/flags-refused': /map "unknown_flag": BPF_MAP_CREATE failed with EINVAL/,
  'maps/hidden': 'loads',
  'maps/largest-number': /map "largest": BPF_MAP_CREATE failed with E2BIG/,
  'maps/name-too-long': /ENAMETOOLONG/,
  'maps/ringbuf-huge': /map "huge": BPF_MAP_CREATE failed with EINVAL/,
  // Every number may be given by __ulong.
  'maps/ulong-members': 'loads',
  // The declared value type says what records look like; the kernel wants no sizes.
  'maps/ringbuf-typed': 'loads',
  'maps/zero-size-value': /map "empty_value": BPF_MAP_CREATE failed with EINVAL/,
  'nested/inner-mismatch': /EINVAL/,
  'nested/no-inner-definition': /map of maps without an inner definition/,
  'nested/outer-first': 'loads',
  'nested/self-slot': /EINVAL/,
  'nested/slot-beyond-size': /initial values need/,
  'programs/calls-outside-text': 'loads',
  'programs/static-outside-text': 'loads',
  'types/insn_array': /BPF_MAP_CREATE failed with EINVAL/,
  'types/rhash': /BPF_MAP_CREATE failed with EINVAL/,
};

/** Where skep does more than libbpf 1.7, which is what the tests then hold. */
const MORE: Readonly<Record<string, (maps: ReadonlyMap<string, RawMap>) => void>> = {
  // libbpf ignores the section, for which cilium/ebpf is the model.
  'legacy/prefixed-section': (maps) => {
    expect(maps.get('ignored')!.info().typeName).toBe('hash');
  },
  // libbpf sends BTF with the linker's stale offsets, which the kernel refuses.
  'nested/linked': (maps) => {
    expect(maps.get('linked_inner')!.info().btfId).not.toBe(0);
    expect(maps.get('linked_other')!.info().btfId).not.toBe(0);
  },
};

/** CPUs of the machine where libbpf was recorded. */
const CPUS = 2;

const both = (place: Place) => {
  const names = filesBelow('expected/bpftool-map-show', '.json');

  const known = names.filter((name) => canLoad(place, name));
  it.each(known)('%s', (name) => loadsAsRecorded(name, place));
};

describeKernels('objects loaded as libbpf loads them', both, { cpus: CPUS });

function loadsAsRecorded(name: string, place: Place): void {
  const recorded = fixtureJson<Recorded>(`expected/bpftool-map-show/${name}.json`);
  const verdict = REFUSED[name];
  expect(verdict === undefined, 'libbpf loads it').toBe(recorded.loads);
  if (verdict instanceof RegExp) {
    expect(() => loadPinned(name, place)).toThrow(verdict);
    return;
  }
  using app = loadPinned(name, place);
  if (name in MORE) {
    MORE[name]!(app.maps);
  } else if (verdict !== 'loads') {
    compare(app, recorded, place);
  }
}

/** Whether a kernel has the types of all maps of an object. */
function canLoad(place: Place, name: string): boolean {
  const { maps } = openFixture(name);
  return [...maps.values()].every(
    ({ typeNumber, inner }) =>
      place.hasMapType(typeNumber) && (inner === null || place.hasMapType(inner.typeNumber)),
  );
}

function compare(app: LoadedObject, recorded: Recorded, place: Place): void {
  const wanted = recorded.maps.filter((map) => map.type !== 'struct_ops' && !LATER.test(map.name));
  const byPin = new Map(wanted.map((map) => [map.pin, map]));
  const found = [...app.maps.values()].map((map) => shownMap(app, map));
  expect(found.map(({ pin }) => pin).sort()).toEqual([...byPin.keys()].sort());
  for (const map of found) {
    const recordedMap = byPin.get(map.pin)!;
    expect(map).toEqual(comparable(recordedMap));
    if (place.hasBpftool) {
      const shown = JSON.parse(output('bpftool', '-j', 'map', 'show', 'pinned', map.path));
      expect(fieldsOf({ ...shown, btf: 'btf_id' in shown })).toEqual(fieldsOf(recordedMap));
    }
  }
}

/** Pins every map, those of data sections too, under the names that libbpf pins them. */
function loadPinned(name: string, { kernel, directory }: Place): LoadedObject {
  const object = openFixture(name);
  const maps: Record<string, MapOptions> = {};
  for (const section of object.data.keys()) {
    if (section !== '.kconfig') {
      const pin = `${directory}/${dataKernelName(object.file, section).replaceAll('.', '_')}`;
      maps[section] = { pin };
    }
  }
  // What is compared is maps; `.kconfig` and the arena are programs' business.
  const options = { pinDirectory: directory, pinAll: true, programs: false } as const;
  return load(object, { ...options, kernel, maps });
}

/** A map as skep tells of it, in bpftool's words. */
function shownMap(app: LoadedObject, map: RawMap) {
  const info = map.info();
  const path = map.pinPath!;
  const shown = {
    type: info.typeName,
    name: info.name,
    flags: info.flags,
    bytes_key: info.keySize,
    bytes_value: info.valueSize,
    max_entries: info.maxEntries,
    frozen: map.usage().frozen ? 1 : 0,
    btf: info.btfId !== 0,
  };
  return { path, pin: path.slice(path.lastIndexOf('/') + 1), ...shown, slots: slotsOf(app, map) };
}

/** What was recorded, in the same form. */
function comparable(map: ShownMap) {
  const type = typeof map.type === 'number' ? mapTypeName(map.type) : map.type;
  return {
    path: expect.any(String),
    pin: map.pin,
    ...fieldsOf({ ...map, type }),
    // Program arrays are filled when programs are loaded.
    slots: type === 'prog_array' ? {} : (map.slots ?? {}),
  };
}

function fieldsOf(map: Omit<ShownMap, 'pin'>) {
  const { type, name, flags, bytes_key, bytes_value, max_entries, frozen, btf } = map;
  return { type, name, flags, bytes_key, bytes_value, max_entries, frozen, btf };
}

/** The inner maps of a map of maps by the names that the kernel has for them. */
function slotsOf(app: LoadedObject, map: RawMap): Record<string, string> {
  const slots: Record<string, string> = {};
  if (!map.info().typeName.endsWith('_of_maps')) {
    return slots;
  }
  const names = new Map(
    Array.from(app.maps.values(), (each) => [each.info().id, each.info().name]),
  );
  for (const key of map.keys()) {
    const value = map.get(key);
    if (value !== undefined) {
      slots[String(number(key))] = names.get(number(value))!;
    }
  }
  return slots;
}

function number(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
}
