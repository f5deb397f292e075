/**
 * Every fixture as libbpf sees it: fixtures/expected/libbpf-open, recorded by
 * fixtures/oracle/record.sh. Where skep differs on purpose, the test says so by name.
 */

import { describe, expect, it } from 'vitest';
import { dataKernelName } from '../../src/loader/data-name.ts';
import { ringBufferBytes } from '../../src/maps/ring-size.ts';
import type { DataSection } from '../../src/obj/data.ts';
import type { MapDefinition } from '../../src/obj/map-definition.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { filesBelow, fixtureJson, fixtureNames, openFixture } from '../support/fixtures.ts';

interface RecordedMap {
  readonly name: string;
  readonly type: number;
  readonly typeName: string;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly mapFlags: number;
  readonly numaNode: number;
  readonly mapExtra: string;
  readonly pinPath: string | null;
  readonly internal: boolean;
  readonly keyTypeId: number;
  readonly valueTypeId: number;
  readonly initialValue?: string;
  readonly inner: RecordedMap | null;
}

interface Recorded {
  readonly command: string;
  readonly libbpf: string;
  readonly opens: boolean;
  readonly errno: number | null;
  readonly kernelVersion: number | null;
  readonly maps: readonly RecordedMap[];
  readonly programs: readonly {
    readonly name: string;
    readonly section: string;
    readonly type: number;
    readonly expectedAttachType: number;
    readonly autoload: boolean;
    readonly instructions: number;
  }[];
}

/** Objects that libbpf refuses and skep reads, with the reason. */
const ACCEPTED: Readonly<Record<string, string>> = {
  'legacy/': 'the legacy section `maps` is read, as by cilium/ebpf',
  'maps/hidden': 'maps may be hidden',
  'maps/ulong-members': 'every number may be given by __ulong',
  'programs/calls-outside-text': 'functions are called wherever they are',
  'programs/static-outside-text': 'static functions are subprograms wherever they are',
};

/** What skep sees otherwise, by fixture. */
const DIFFERENT = {
  maps: {
    'legacy/prefixed-section': 'libbpf takes `maps/...` for a section it does not know',
    'legacy/prefixed-section.eb': 'libbpf takes `maps/...` for a section it does not know',
  } as Readonly<Record<string, string>>,
  order: {
    'nested/linked': 'libbpf sorts by the stale offset that the linker left in BTF',
  } as Readonly<Record<string, string>>,
  kernelVersion: {
    'programs/version.eb': 'libbpf copies the bytes in the byte order of its machine',
  } as Readonly<Record<string, string>>,
};

/** Sections that only libbpf's development version knows, newer than the one recorded. */
const NEWER_SECTIONS =
  /^\??((raw_)?tp|(raw_)?tracepoint|tp_btf)\.s\b|^\??f(entry|exit|session)\.multi/;

function accepted(name: string): boolean {
  return Object.keys(ACCEPTED).some((prefix) => name.startsWith(prefix));
}

function comparable(map: MapDefinition): unknown {
  const isRing =
    map.typeNumber === BPF_MAP_TYPE.RINGBUF || map.typeNumber === BPF_MAP_TYPE.USER_RINGBUF;
  return {
    name: map.name,
    type: map.typeNumber,
    // libbpf 1.7 has no name for the newest types yet.
    typeName: map.typeNumber === BPF_MAP_TYPE.RHASH ? null : map.type,
    keySize: map.keySize,
    valueSize: map.valueSize,
    // libbpf rounds when it opens, with the page size of its machine; skep when it creates.
    maxEntries: isRing ? ringBufferBytes(map.maxEntries, 4096) : map.maxEntries,
    mapFlags: map.flags,
    numaNode: map.numaNode,
    mapExtra: map.mapExtra.toString(),
    pinPath: map.pinning === 'by-name' ? `/sys/fs/bpf/${map.name}` : null,
    keyTypeId: map.keyTypeId,
    valueTypeId: map.valueTypeId,
    inner: map.inner === null ? null : comparable(map.inner),
  };
}

function recordedMap(map: RecordedMap): unknown {
  const { name, type, typeName, keySize, valueSize, maxEntries, mapFlags, numaNode, mapExtra } =
    map;
  return {
    name,
    type,
    typeName,
    keySize,
    valueSize,
    maxEntries,
    mapFlags,
    numaNode,
    mapExtra,
    pinPath: map.pinPath,
    keyTypeId: map.keyTypeId,
    valueTypeId: map.valueTypeId,
    inner: map.inner === null ? null : recordedMap(map.inner),
  };
}

/** The contents as recorded: long ones were not. */
function hexOf(section: DataSection): string | undefined {
  const contents = section.contents ?? new Uint8Array(section.size);
  return contents.length > 4096 - 1 ? undefined : Buffer.from(contents).toString('hex');
}

describe('fixtures as libbpf opens them', () => {
  it('were all recorded', () => {
    expect(filesBelow('expected/libbpf-open', '.json')).toEqual(fixtureNames());
    expect(fixtureNames().length).toBeGreaterThan(200);
  });

  describe.each(fixtureNames())('%s', (name) => {
    const recorded = fixtureJson<Recorded>(`expected/libbpf-open/${name}.json`);

    if (!recorded.opens) {
      it('is read all the same, for a stated reason', () => {
        expect(accepted(name)).toBe(true);
        expect(() => openFixture(name)).not.toThrow();
      });
      return;
    }

    it('has the same maps', () => {
      const object = openFixture(name);
      const wanted = recorded.maps.filter((map) => !map.internal);
      const found = [...object.maps.values()];
      if (name in DIFFERENT.maps) {
        expect(found.length).toBeGreaterThan(wanted.length);
        return;
      }
      if (name in DIFFERENT.order) {
        expect(found.map((map) => map.name)).not.toEqual(wanted.map((map) => map.name));
        found.sort((a, b) => (a.name < b.name ? -1 : 1));
        wanted.sort((a, b) => (a.name < b.name ? -1 : 1));
      }
      expect(found.map(comparable)).toEqual(wanted.map(recordedMap));
    });

    it('has the same data sections', () => {
      const object = openFixture(name);
      const found = [...object.data.values()].map((section) => ({
        name: dataKernelName(object.file, section.name),
        valueSize: section.size,
        mapFlags: section.flags,
        valueTypeId: section.typeId,
        initialValue: hexOf(section),
      }));
      const wanted = recorded.maps
        .filter((map) => map.internal)
        .map(({ name: kernelName, valueSize, mapFlags, valueTypeId, initialValue }) => ({
          name: kernelName,
          valueSize,
          mapFlags,
          valueTypeId,
          initialValue,
        }));
      expect(found).toEqual(wanted);
    });

    it('has the same programs', () => {
      const object = openFixture(name);
      const isNewer = ({ section }: { section: string }) => NEWER_SECTIONS.test(section);
      const found = [...object.programs.values()].map((program) => ({
        name: program.name,
        section: program.section,
        type: program.typeNumber,
        expectedAttachType: program.attachTypeNumber,
        autoload: program.autoload,
        instructions: program.instructions,
      }));
      const wanted = recorded.programs.map((program) => ({
        name: program.name,
        section: program.section,
        type: program.type,
        expectedAttachType: program.expectedAttachType,
        autoload: program.autoload,
        instructions: program.instructions,
      }));
      expect(found.filter((program) => !isNewer(program))).toEqual(
        wanted.filter((program) => !isNewer(program)),
      );
      expect(found.map((program) => program.name)).toEqual(wanted.map((program) => program.name));
    });

    it('has the same kernel version', () => {
      const { kernelVersion } = openFixture(name);
      if (name in DIFFERENT.kernelVersion) {
        expect(kernelVersion).not.toBe(recorded.kernelVersion);
      } else {
        expect(kernelVersion).toBe(recorded.kernelVersion);
      }
    });
  });
});
