/** Every kind of map that can be an inner map, as one, on the running kernel. */

import { expect, expectTypeOf, it } from 'vitest';
import { u32, u64 } from '../../src/codec/numbers.ts';
import { Arena } from '../../src/maps/arena.ts';
import { ArrayOfMaps } from '../../src/maps/array-of-maps.ts';
import { CgroupArray } from '../../src/maps/cgroup-array.ts';
import { CgroupStorage } from '../../src/maps/cgroup-storage.ts';
import { CpuMap } from '../../src/maps/cpu-map.ts';
import { DevMap } from '../../src/maps/dev-map.ts';
import { DevMapHash } from '../../src/maps/dev-map-hash.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import type { InnerMap } from '../../src/maps/inner-map.ts';
import { InodeStorage } from '../../src/maps/inode-storage.ts';
import { LegacyCgroupStorage } from '../../src/maps/legacy-cgroup-storage.ts';
import { openMap } from '../../src/maps/open-map.ts';
import { ProgramArray } from '../../src/maps/program-array.ts';
import { ReusePortSockArray } from '../../src/maps/reuse-port-sock-array.ts';
import { SkStorage } from '../../src/maps/sk-storage.ts';
import { SockHash } from '../../src/maps/sock-hash.ts';
import { SockMap } from '../../src/maps/sock-map.ts';
import { StackTrace } from '../../src/maps/stack-trace.ts';
import { TaskStorage } from '../../src/maps/task-storage.ts';
import { XskMap } from '../../src/maps/xsk-map.ts';
import { mapTypeName } from '../../src/uapi/map-types.ts';
import { describeKernel, needsMapType } from '../support/kernel.ts';

const slots = { maxEntries: 2 };

/** What the template of a map of maps is made with, by the class of its handles. */
const KINDS = [
  { kind: CgroupArray, ...slots },
  { kind: StackTrace, ...slots },
  { kind: DevMap, ...slots },
  { kind: DevMapHash, ...slots },
  { kind: CpuMap, ...slots },
  { kind: XskMap, ...slots },
  { kind: SockMap, ...slots },
  { kind: SockHash, key: u32, ...slots },
  { kind: ReusePortSockArray, ...slots },
  { kind: SkStorage, value: u64 },
  { kind: InodeStorage, value: u64 },
  { kind: TaskStorage, value: u64 },
  { kind: CgroupStorage, value: u64 },
  { kind: Arena, pages: 1 },
].map((inner) => ({ name: inner.kind.name, inner }));

describeKernel('an inner map', () => {
  it.for(KINDS)('can be a $name', ({ inner }, context) => {
    needsMapType(context, mapTypeName(inner.kind.types[0]!));
    using outer = ArrayOfMaps.create({ inner: inner as never, ...slots }) as ArrayOfMaps<InnerMap>;
    using made = outer.createInner();
    outer.set(1, made);
    using found = outer.get(1)!;
    expect(found).toBeInstanceOf(inner.kind);
    expect(found.info()).toEqual(made.info());
    // Without a word of the caller as well: the class goes by the type of the map.
    using opened = openMap({ id: outer.info().id }) as ArrayOfMaps<InnerMap>;
    using known = opened.get(1)!;
    expect(known).toBeInstanceOf(inner.kind);
  });

  it('has the types of its template', () => {
    using outer = HashOfMaps.create({
      key: u32,
      inner: { kind: SkStorage, value: u64 },
      maxEntries: 2,
    });
    expectTypeOf(outer).toEqualTypeOf<HashOfMaps<number, SkStorage<bigint>>>();
    using sockets = ArrayOfMaps.create({ inner: { kind: SockHash, key: u64, ...slots }, ...slots });
    expectTypeOf(sockets).toEqualTypeOf<ArrayOfMaps<SockHash<bigint>>>();
    using devices = ArrayOfMaps.create({ inner: { kind: DevMap, ...slots }, ...slots });
    expectTypeOf(devices).toEqualTypeOf<ArrayOfMaps<DevMap>>();
    using inner = devices.createInner();
    devices.set(0, inner.set(1, 'lo'));
    using again = devices.get(0)!;
    expect(again.get(1)).toEqual({ ifindex: 1, programId: null });
  });

  it('is never a program array or the older storage of cgroups, by the compiler as well', () => {
    using programs = ProgramArray.create(slots);
    using storage = LegacyCgroupStorage.create({ value: u64 });
    for (const [map, kind] of [
      [programs, ProgramArray],
      [storage, LegacyCgroupStorage],
    ] as const) {
      using opened = openMap({ id: map.info().id });
      expect(opened).toBeInstanceOf(kind);
    }
    using outer = ArrayOfMaps.create({ inner: { kind: DevMap, ...slots }, ...slots });
    // @ts-expect-error program arrays are no inner maps
    expect(() => outer.set(0, programs)).toThrow(/program array is bound to the kind of program/);
    // @ts-expect-error the storage of cgroups is no inner map
    expect(() => outer.set(0, storage)).toThrow(/storage of cgroups belongs to the program/);
    // @ts-expect-error program arrays are no inner maps
    expect(() => ArrayOfMaps.create({ inner: { kind: ProgramArray, ...slots }, ...slots })).toThrow(
      /ENOTSUPP/,
    );
  });
});
