/** Typed maps of maps, on both kernels. */

import { expect, expectTypeOf, it, vi } from 'vitest';
import { u16, u32, u64 } from '../../src/codec/numbers.ts';
import { type InnerDifference, InnerMismatchError } from '../../src/errors.ts';
import type { Kernel, MapAttributes } from '../../src/kernel/kernel.ts';
import { load } from '../../src/loader/load.ts';
import { ArrayMap } from '../../src/maps/array-map.ts';
import { ArrayOfMaps } from '../../src/maps/array-of-maps.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import type { InnerMap } from '../../src/maps/inner-map.ts';
import type { PerCpuHashMap } from '../../src/maps/per-cpu-hash-map.ts';
import type { Queue } from '../../src/maps/queue.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import { BPF_F } from '../../src/uapi/map-flags.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { loadUnpinned, openFixture } from '../support/fixtures.ts';
import { describeKernels } from '../support/kernels.ts';

type Ports = HashMap<number, bigint>;

/** What a handle holds, and its end: for handles that a test gets in passing. */
function contents<K, V>(map: HashMap<K, V> | undefined): [K, V][] | undefined {
  const all = map?.snapshot();
  map?.close();
  return all;
}

const PORTS = { kind: HashMap, key: u16, value: u64, maxEntries: 16 } as const;

function createTenants(kernel: Kernel, maxEntries = 8) {
  return HashOfMaps.create({ key: u32, inner: PORTS, maxEntries, name: 'tenants', kernel });
}

function createPorts(kernel: Kernel, maxEntries = 16) {
  return HashMap.create({ key: u16, value: u64, maxEntries, name: 'ports', kernel });
}

/** A map of any shape, as bytes. */
function createRaw(kernel: Kernel, changes: Partial<MapAttributes>): RawMap {
  const attributes = {
    type: BPF_MAP_TYPE.HASH,
    keySize: 4,
    valueSize: 8,
    maxEntries: 4,
    flags: 0,
    name: 'candidate',
    numaNode: 0,
    mapExtra: 0n,
    innerMapFd: null,
    btf: null,
    ...changes,
  };
  return RawMap.adopt({ kernel, fd: kernel.createMap(attributes) });
}

/** A kernel with some methods replaced. */
function kernelWith(kernel: Kernel, changes: Partial<Kernel>): Kernel {
  return new Proxy(kernel, {
    get(_, name: keyof Kernel) {
      const method = changes[name] ?? kernel[name];
      return typeof method === 'function' && !(name in changes) ? method.bind(kernel) : method;
    },
  });
}

/** The fields of a mismatch, as `set` reports them. */
function mismatch(call: () => unknown): readonly InnerDifference[] {
  try {
    call();
  } catch (error) {
    if (error instanceof InnerMismatchError) {
      expect(error.code).toBe('ERR_SKEP_INNER_MISMATCH');
      for (const { field, wanted, found, rule } of error.differences) {
        expect(error.message).toContain(`${field}: wanted ${wanted}, found ${found} (${rule})`);
      }
      return error.differences;
    }
    throw error;
  }
  throw new Error('nothing was refused');
}

/** Waits until the kernel has freed the map with this id, which it does a little later. */
async function freed(kernel: Kernel, id: number): Promise<void> {
  await vi.waitFor(() => {
    expect(() => RawMap.openById(id, { kernel }).close()).toThrow(/ENOENT/);
  });
}

describeKernels('a hash of maps', (place) => {
  it('gives handles to the inner maps of its object, decoded by BTF', () => {
    const { kernel } = place;
    using app = loadUnpinned('demo', kernel);
    const tenants = app.map('tenants', HashOfMaps<number, Ports>);
    expectTypeOf(tenants.get).returns.toEqualTypeOf<Ports | undefined>();
    using ports = tenants.get(1)!;
    expect(ports).toBeInstanceOf(HashMap);
    ports.set(443, 7n);
    // The same map as the object's own handle's.
    using same = app.map('tenant_one', HashMap<number, bigint>);
    expect(same.snapshot()).toEqual([[443, 7n]]);
    expect(tenants.get(2)).toBeUndefined();
    expect([tenants.has(0), tenants.has(2)]).toEqual([true, false]);
    expect(new Set(tenants.keys())).toEqual(new Set([0, 1]));
    expect(tenants.count()).toBe(2);
    expect(new Map(tenants.ids())).toEqual(
      new Map([
        [0, app.maps.get('tenant_zero')!.info().id],
        [1, app.maps.get('tenant_one')!.info().id],
      ]),
    );
  });

  it('has handles of unknown types where the caller gives none', () => {
    const { kernel } = place;
    using app = loadUnpinned('demo', kernel);
    const tenants = app.map('tenants', HashOfMaps);
    expectTypeOf(tenants).toEqualTypeOf<HashOfMaps<unknown, InnerMap>>();
    tenants.get(0)!.close();
  });

  it('takes handles, which stay the callers, and keeps their maps alive', () => {
    const { kernel } = place;
    using tenants = createTenants(kernel);
    expectTypeOf(tenants).toEqualTypeOf<HashOfMaps<number, Ports>>();
    const ports = createPorts(kernel);
    expect(tenants.set(7, ports)).toBe(tenants);
    ports.set(80, 5n);
    expect(ports.closed).toBe(false);
    ports.close();
    expect(contents(tenants.get(7))).toEqual([[80, 5n]]);
  });

  it('gives a new handle each time, of the same map', () => {
    const { kernel } = place;
    using tenants = createTenants(kernel);
    using ports = createPorts(kernel);
    tenants.set(1, ports).set(2, ports);
    using one = tenants.get(1)!;
    using two = tenants.get(2)!;
    expect(one.fd).not.toBe(two.fd);
    expect([one.info().id, two.info().id]).toEqual([ports.info().id, ports.info().id]);
    one.close();
    expect(two.set(1, 1n).count()).toBe(1);
  });

  it('lets go of inner maps that are replaced, removed or cleared', async () => {
    const { kernel } = place;
    using tenants = createTenants(kernel);
    const ids: number[] = [];
    for (const key of [1, 2, 3, 1]) {
      using ports = tenants.createInner();
      tenants.set(key, ports);
      ids.push(ports.info().id);
    }
    await freed(kernel, ids[0]!);
    expect(new Map(tenants.ids())).toEqual(
      new Map([
        [1, ids[3]],
        [2, ids[1]],
        [3, ids[2]],
      ]),
    );
    expect([tenants.delete(2), tenants.delete(2)]).toEqual([true, false]);
    await freed(kernel, ids[1]!);
    expect(tenants.clear()).toBe(2);
    await freed(kernel, ids[2]!);
    await freed(kernel, ids[3]!);
    expect([tenants.count(), tenants.has(1)]).toEqual([0, false]);
  });

  it('keeps an inner map as long as it is in any slot', async () => {
    const { kernel } = place;
    using tenants = createTenants(kernel);
    using first = tenants.createInner();
    const { id } = first.info();
    tenants.set(1, first).set(2, first).set(1, first);
    first.close();
    tenants.delete(1);
    expect(contents(tenants.get(2))).toEqual([]);
    tenants.delete(2);
    await freed(kernel, id);
  });

  it('sets new or old keys only, if asked, and says when it is full', () => {
    const { kernel } = place;
    using tenants = createTenants(kernel, 1);
    using ports = createPorts(kernel);
    expect(() => tenants.set(1, ports, { mode: 'exist' })).toThrow(/ENOENT/);
    tenants.set(1, ports, { mode: 'noexist' });
    expect(() => tenants.set(1, ports, { mode: 'noexist' })).toThrow(/EEXIST/);
    expect(() => tenants.set(2, ports)).toThrow(/E2BIG.*the map is full/);
    expect([...tenants.keys()]).toEqual([1]);
  });

  it('is walked over in pairs, whose handles are the callers', () => {
    const { kernel } = place;
    using tenants = createTenants(kernel, 64);
    for (let key = 0; key < 20; key += 1) {
      using ports = tenants.createInner();
      tenants.set(key, ports.set(key, BigInt(key) * 2n));
    }
    const seen = new Map<number, [number, bigint][]>();
    for (const [key, ports] of tenants) {
      seen.set(key, contents(ports)!);
    }
    expect(seen).toEqual(
      new Map(Array.from({ length: 20 }, (_, key) => [key, [[key, BigInt(key) * 2n]]])),
    );
    for (const ports of tenants.values()) {
      expect(ports.count()).toBe(1);
      ports.close();
      break;
    }
    for (const [key, ports] of tenants.entries()) {
      ports.close();
      tenants.delete(key);
    }
    expect(tenants.count()).toBe(0);
  });

  it('is refused for another kind of map, or for keys of another size', () => {
    const { kernel } = place;
    using app = loadUnpinned('demo', kernel);
    expect(() => app.map('flows', HashOfMaps)).toThrow(
      /"flows" is a hash; HashOfMaps is for hash_of_maps/,
    );
    const path = `${place.directory}/tenants`;
    using tenants = createTenants(kernel);
    tenants.pin(path);
    expect(() => HashOfMaps.openPinned(path, { key: u64, inner: PORTS }, { kernel })).toThrow(
      /keys have 4 bytes, but u64 has 8/,
    );
    using ports = createPorts(kernel);
    tenants.set(1, ports);
    using wrong = HashOfMaps.openPinned(
      path,
      { key: u32, inner: { ...PORTS, key: u32 } },
      { kernel },
    );
    expect(() => wrong.get(1)).toThrow(/keys have 2 bytes, but u32 has 4/);
  });

  it('reads a slot again whose inner map is replaced and gone before it is opened', () => {
    const { kernel } = place;
    const path = `${place.directory}/tenants`;
    using owner = createTenants(kernel);
    owner.pin(path);
    using ports = createPorts(kernel);
    owner.set(1, ports);
    let calls = 0;
    const watched = kernelWith(kernel, {
      openMapById(id) {
        calls += 1;
        if (calls === 1) {
          using other = createPorts(kernel);
          owner.set(1, other.set(9, 9n));
          // No map ever gets this id: what it is like for a map that is gone.
          return kernel.openMapById(0xffff_fff0);
        }
        return kernel.openMapById(id);
      },
    });
    using tenants = HashOfMaps.openPinned(path, { key: u32, inner: PORTS }, { kernel: watched });
    expect(contents(tenants.get(1))).toEqual([[9, 9n]]);
    expect(calls).toBe(2);
  });

  it('remembers no more descriptors than it has slots, whatever others remove', () => {
    const { kernel } = place;
    using tenants = createTenants(kernel, 4);
    using other = RawMap.adopt({ kernel, fd: kernel.duplicate(tenants.fd) });
    const before = place.openDescriptors().length;
    for (let key = 0; key < 12; key += 1) {
      using ports = createPorts(kernel);
      tenants.set(key, ports);
      const slot = new Uint8Array(4);
      slot[0] = key;
      other.delete(slot);
    }
    expect(place.openDescriptors().length - before).toBeLessThanOrEqual(4);
    // What was noticed to be gone is forgotten.
    expect(tenants.get(11)).toBeUndefined();
    tenants.close();
    expect(place.openDescriptors().length).toBe(before - 1);
  });

  it('refuses every call after close', () => {
    const { kernel } = place;
    const tenants = createTenants(kernel);
    using ports = createPorts(kernel);
    tenants.set(1, ports).set(2, ports);
    const walk = tenants.ids();
    const later = tenants.entries();
    tenants.close();
    tenants.close();
    const calls: Readonly<Record<string, () => unknown>> = {
      get: () => tenants.get(1),
      set: () => tenants.set(1, ports),
      setAll: () => tenants.setAll([[1, ports]]),
      'setAll of nothing': () => tenants.setAll([]),
      has: () => tenants.has(1),
      delete: () => tenants.delete(1),
      clear: () => tenants.clear(),
      count: () => tenants.count(),
      createInner: () => tenants.createInner(),
      keys: () => tenants.keys().next(),
      values: () => tenants.values().next(),
      entries: () => later.next(),
      ids: () => walk.next(),
    };
    for (const [name, call] of Object.entries(calls)) {
      expect(call, name).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    }
    using open = createTenants(kernel);
    const closed = createPorts(kernel);
    closed.close();
    for (const call of [() => open.set(1, closed), () => open.setAll([[1, closed]])]) {
      expect(call).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    }
  });
});

describeKernels('an array of maps', (place) => {
  it('has slots, of which some may be empty', () => {
    const { kernel } = place;
    using app = loadUnpinned('nested/array-of-maps', kernel);
    const outer = app.map('outer', ArrayOfMaps<ArrayMap<bigint>>);
    expect(outer.length).toBe(8);
    expect([...outer.keys()]).toEqual([0, 1, 4, 7]);
    expect(outer.count()).toBe(4);
    expect(outer.get(2)).toBeUndefined();
    expect(outer.get(8)).toBeUndefined();
    using first = outer.get(0)!;
    expect(first).toBeInstanceOf(ArrayMap);
    first.set(3, 30n);
    using last = outer.get(7)!;
    expect(last.get(3)).toBe(30n);
    outer.set(2, last);
    expect([outer.delete(7), outer.delete(7)]).toEqual([true, false]);
    expect([...outer.ids()]).toEqual([
      [0, first.info().id],
      [1, app.maps.get('second')!.info().id],
      [2, first.info().id],
      [4, app.maps.get('third')!.info().id],
    ]);
    expect(() => outer.set(8, first)).toThrow(/E2BIG.*the index is not below max entries/);
    expect(() => outer.delete(8)).toThrow(/E2BIG/);
  });

  it('refuses every call after close', () => {
    const { kernel } = place;
    const outer = ArrayOfMaps.create({ kernel, inner: PORTS, maxEntries: 2 });
    using ports = createPorts(kernel);
    outer.set(1, ports);
    outer.close();
    const calls: Readonly<Record<string, () => unknown>> = {
      get: () => outer.get(1),
      set: () => outer.set(1, ports),
      setAll: () => outer.setAll([[1, ports]]),
      has: () => outer.has(1),
      delete: () => outer.delete(1),
      count: () => outer.count(),
      length: () => outer.length,
      createInner: () => outer.createInner(),
      keys: () => outer.keys().next(),
      values: () => outer.values().next(),
      entries: () => outer.entries().next(),
      ids: () => outer.ids().next(),
    };
    for (const [name, call] of Object.entries(calls)) {
      expect(call, name).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    }
  });
});

describeKernels('setting many inner maps', (place) => {
  /** A kernel that notes how it is asked to update, and has batches or not. */
  function counting(hasBatches: boolean) {
    const real = place.kernel;
    const calls: string[] = [];
    const kernel = kernelWith(real, {
      update(...call) {
        calls.push('update');
        real.update(...call);
      },
      updateBatch(...call) {
        calls.push('batch');
        return hasBatches && real.updateBatch(...call);
      },
    });
    return { kernel, calls };
  }

  it.each([
    [true, ['batch']],
    [false, ['batch', 'update', 'update', 'update']],
  ])('is one call where the kernel has batches (%s)', (hasBatches, expected) => {
    const { kernel, calls } = counting(hasBatches);
    using outer = ArrayOfMaps.create({ inner: PORTS, maxEntries: 8, kernel });
    const inner = [0, 3, 5].map((index) => [index, outer.createInner()] as const);
    outer.setAll(inner);
    expect(calls).toEqual(expected);
    expect([...outer.ids()]).toEqual(inner.map(([index, map]) => [index, map.info().id]));
    for (const [, map] of inner) {
      map.close();
    }
    expect(contents(outer.get(5))).toEqual([]);
  });

  it('takes the last one of a key, as a JavaScript Map does', () => {
    const { kernel } = place;
    using tenants = createTenants(kernel);
    using one = tenants.createInner();
    using two = tenants.createInner();
    tenants.setAll([
      [1, one],
      [2, one],
      [1, two],
    ]);
    expect(new Map(tenants.ids())).toEqual(
      new Map([
        [1, two.info().id],
        [2, one.info().id],
      ]),
    );
  });

  it.each([true, false])(
    'says which one does not fit, and keeps those before it (%s)',
    (hasBatches) => {
      const { kernel } = counting(hasBatches);
      using outer = ArrayOfMaps.create({
        inner: { kind: ArrayMap, value: u64, maxEntries: 4 },
        maxEntries: 8,
        kernel,
      });
      using good = outer.createInner();
      using bad = ArrayMap.create({ value: u64, maxEntries: 5, kernel });
      const differences = mismatch(() =>
        outer.setAll([
          [1, good],
          [2, bad],
          [3, good],
        ]),
      );
      expect(differences).toMatchObject([{ field: 'maxEntries', wanted: '4', found: '5' }]);
      expect([...outer.ids()]).toEqual([[1, good.info().id]]);
    },
  );

  it('sets nothing when a key does not fit', () => {
    const { kernel } = place;
    using tenants = createTenants(kernel);
    using ports = tenants.createInner();
    expect(() =>
      tenants.setAll([
        [1, ports],
        [-1, ports],
      ]),
    ).toThrow(/expected u32/);
    expect(tenants.count()).toBe(0);
  });
});

describeKernels('a map that does not fit', (place) => {
  const hash = { kind: HashMap, key: u32, value: u64, maxEntries: 4 } as const;
  const array = { kind: ArrayMap, value: u64, maxEntries: 4 } as const;
  const arrays = { type: BPF_MAP_TYPE.ARRAY } as const;

  it.each([
    ['another type', hash, { type: BPF_MAP_TYPE.LRU_HASH }, 'type', 'hash', 'lru_hash'],
    ['keys of another size', hash, { keySize: 8 }, 'keySize', '4', '8'],
    ['values of another size', hash, { valueSize: 4 }, 'valueSize', '8', '4'],
    ['other flags', hash, { flags: BPF_F.NO_PREALLOC }, 'flags', 'none', 'NO_PREALLOC'],
    ['an array of another length', array, { ...arrays, maxEntries: 5 }, 'maxEntries', '4', '5'],
    [
      'an array with BPF_F_INNER_MAP where the template has none',
      array,
      { ...arrays, flags: BPF_F.INNER_MAP },
      'flags',
      'none',
      'INNER_MAP',
    ],
    [
      'an array without BPF_F_INNER_MAP where the template has it',
      { ...array, flags: BPF_F.INNER_MAP },
      arrays,
      'flags',
      'INNER_MAP',
      'none',
    ],
  ])('is refused with the difference: %s', (_, inner, changes, field, wanted, found) => {
    const { kernel } = place;
    using outer = ArrayOfMaps.create({ kernel, inner: inner as typeof hash, maxEntries: 2 });
    using candidate = createRaw(kernel, changes);
    const differences = mismatch(() => outer.set(0, candidate));
    expect(differences).toMatchObject([{ field, wanted, found }]);
    expect(outer.count()).toBe(0);
  });

  it('is refused with every difference at once', () => {
    const { kernel } = place;
    using outer = ArrayOfMaps.create({ kernel, inner: hash, maxEntries: 2 });
    using candidate = createRaw(kernel, { keySize: 2, valueSize: 2, flags: BPF_F.NO_PREALLOC });
    const fields = mismatch(() => outer.set(0, candidate)).map(({ field }) => field);
    expect(fields).toEqual(['keySize', 'valueSize', 'flags']);
  });

  it.each([
    ['a hash of another size', hash, { maxEntries: 100 }],
    ['read-only for system calls', hash, { flags: BPF_F.RDONLY }],
    [
      'an array of another length, with BPF_F_INNER_MAP',
      { ...array, flags: BPF_F.INNER_MAP },
      { ...arrays, flags: BPF_F.INNER_MAP, maxEntries: 100 },
    ],
  ])('is not one for what may differ: %s', (_, inner, changes) => {
    const { kernel } = place;
    using outer = ArrayOfMaps.create({ kernel, inner: inner as typeof hash, maxEntries: 2 });
    using candidate = createRaw(kernel, changes);
    outer.set(0, candidate);
    expect(outer.count()).toBe(1);
  });

  it('is not one for having types where the template has none', () => {
    const { kernel } = place;
    using app = loadUnpinned('demo', kernel);
    using tenants = createTenants(kernel);
    const ports = app.map('tenant_zero', HashMap<number, bigint>);
    expect(ports.info().btfId).toBeGreaterThan(0);
    tenants.set(1, ports);
    expect(tenants.count()).toBe(1);
  });

  it('is suspected of other special fields where the kernel tells no difference', (context) => {
    place.needsLinux(context, '6.2', 'inner maps with locks');
    const { kernel } = place;
    using app = loadUnpinned('nested/spin-lock', kernel);
    const outer = app.map('guarded_outer', HashOfMaps<number, HashMap<number, unknown>>);
    const { keySize, valueSize } = app.maps.get('guarded_inner')!.info();
    using candidate = createRaw(kernel, { keySize, valueSize });
    expect(mismatch(() => outer.set(2, candidate))).toMatchObject([
      { field: 'special fields', found: 'none, since the map has no BTF' },
    ]);
  });

  const never: readonly [string, { readonly type: number } & Partial<MapAttributes>, RegExp][] = [
    ['a program array', { type: BPF_MAP_TYPE.PROG_ARRAY, valueSize: 4 }, /bound to the kind/],
    [
      'the storage of cgroups',
      { type: BPF_MAP_TYPE.CGROUP_STORAGE, keySize: 16, maxEntries: 0 },
      /storage of cgroups/,
    ],
    [
      'the storage of cgroups per CPU',
      { type: BPF_MAP_TYPE.PERCPU_CGROUP_STORAGE, keySize: 16, maxEntries: 0 },
      /storage of cgroups/,
    ],
  ];
  const neverHere = never.filter(([, { type }]) => place.hasMapType(type));
  it.each(neverHere)('is refused before the call if it never can: %s', (_, changes, rule) => {
    const { kernel } = place;
    using candidate = createRaw(kernel, changes);
    let updates = 0;
    const watched = kernelWith(kernel, {
      update: () => {
        updates += 1;
      },
    });
    using outer = ArrayOfMaps.create({ inner: hash, maxEntries: 2, kernel: watched });
    using own = RawMap.adopt({ kernel: watched, fd: kernel.duplicate(candidate.fd) });
    const { typeName } = candidate.info();
    expect(mismatch(() => outer.set(0, own))).toMatchObject([
      { field: 'type', found: typeName, rule: expect.stringMatching(rule) },
    ]);
    expect(mismatch(() => outer.setAll([[0, own]]))).toHaveLength(1);
    expect(updates).toBe(0);
    // The kernel does not even take it as a template.
    const attributes = { type: BPF_MAP_TYPE.ARRAY_OF_MAPS, valueSize: 4 };
    expect(() => createRaw(kernel, { ...attributes, innerMapFd: candidate.fd })).toThrow(
      /EINVAL|ENOTSUPP/,
    );
  });

  it('is refused if it is a map of maps, by the compiler as well', () => {
    const { kernel } = place;
    using outer = ArrayOfMaps.create({ kernel, inner: hash, maxEntries: 2 });
    using tenants = createTenants(kernel);
    // @ts-expect-error maps of maps are no inner maps
    expect(mismatch(() => outer.set(0, outer))).toMatchObject([{ found: 'array_of_maps' }]);
    // @ts-expect-error maps of maps are no inner maps
    expect(mismatch(() => outer.set(0, tenants))).toMatchObject([{ found: 'hash_of_maps' }]);
    expectTypeOf<ArrayOfMaps<Ports>>().not.toExtend<InnerMap>();
    expectTypeOf<HashOfMaps<number, Ports>>().not.toExtend<InnerMap>();
    expectTypeOf<Ports>().toExtend<InnerMap>();
    // @ts-expect-error maps of maps are no inner maps
    expectTypeOf<ArrayOfMaps<HashOfMaps<number, Ports>>>().toBeObject();
    // Nor are maps of other types fit for this one, though these two look the same to the kernel.
    expectTypeOf<HashMap<string, bigint>>().not.toExtend<Parameters<typeof tenants.set>[1]>();
    expectTypeOf<RawMap>().toExtend<Parameters<typeof tenants.set>[1]>();
  });

  it('is a mistake of the caller if it is no handle, or of another kernel', () => {
    const { kernel } = place;
    using outer = ArrayOfMaps.create({ kernel, inner: hash, maxEntries: 2 });
    expect(() => outer.set(0, 3 as never)).toThrow(TypeError);
    using candidate = createRaw(kernel, {});
    const another = kernelWith(kernel, {});
    using other = RawMap.adopt({ kernel: another, fd: kernel.duplicate(candidate.fd) });
    expect(() => outer.set(0, other)).toThrow(/"candidate" is of another kernel/);
  });
});

describeKernels('a new inner map', (place) => {
  it('is like the template, with its types', () => {
    const { kernel } = place;
    using app = loadUnpinned('demo', kernel);
    const tenants = app.map('tenants', HashOfMaps<number, Ports>);
    using ports = tenants.createInner();
    const template = app.object.maps.get('tenants')!.inner!;
    const { type, keySize, valueSize, maxEntries, flags, keyTypeId, valueTypeId } = template;
    expect({ type, keySize, valueSize, maxEntries, flags }).toEqual({
      type: 'hash',
      keySize: 2,
      valueSize: 8,
      maxEntries: 256,
      flags: 0,
    });
    expect(ports.info()).toMatchObject({
      name: 'tenants.inner',
      typeName: type,
      ...{ keySize, valueSize, maxEntries, flags, keyTypeId, valueTypeId },
    });
    expect(ports.info().btfId).toBeGreaterThan(0);
    // Not put in yet.
    expect(tenants.count()).toBe(2);
    tenants.set(5, ports.set(80, 1n));
    expect(contents(tenants.get(5))).toEqual([[80, 1n]]);
  });

  it('may have another name, and another size where the rules allow that', () => {
    const { kernel } = place;
    using app = loadUnpinned('demo', kernel);
    const tenants = app.map('tenants', HashOfMaps<number, Ports>);
    using ports = tenants.createInner({ maxEntries: 3, name: 'tenant seven' });
    expect(ports.name).toBe('tenant seven');
    expect(ports.info()).toMatchObject({ name: 'tenant_seven', maxEntries: 3 });
    tenants.set(7, ports);

    using counters = loadUnpinned('nested/array-of-maps', kernel);
    const outer = counters.map('outer', ArrayOfMaps<ArrayMap<bigint>>);
    expect(mismatch(() => outer.createInner({ maxEntries: 5 }))).toMatchObject([
      { field: 'maxEntries', wanted: '4', found: '5', rule: /BPF_F_INNER_MAP/ },
    ]);
    outer.createInner({ maxEntries: 4 }).close();
  });

  it('may be an array of any length with BPF_F_INNER_MAP', () => {
    const { kernel } = place;
    using app = loadUnpinned('nested/inner-sizes', kernel);
    const outer = app.map('outer', ArrayOfMaps<ArrayMap<bigint>>);
    using inner = outer.createInner({ maxEntries: 77 });
    using two = outer.get(0)!;
    outer.set(0, inner);
    using again = outer.get(0)!;
    using many = outer.get(1)!;
    expect([two.length, again.length, many.length]).toEqual([2, 77, 500]);
  });

  it.each([
    ['array', 'ArrayMap'],
    ['hash', 'HashMap'],
    ['lru_hash', 'HashMap'],
    ['percpu_hash', 'PerCpuHashMap'],
    ['percpu_array', 'PerCpuArray'],
    ['lpm_trie', 'LpmTrie'],
    ['queue', 'Queue'],
    ['bloom_filter', 'BloomFilter'],
    ['ringbuf', 'RingBuffer'],
    ['perf_event_array', 'RawMap'],
  ])('fits for every kind: %s, as %s', (type, kind) => {
    const { kernel } = place;
    using app = loadUnpinned('nested/inner-kinds', kernel);
    const outer = app.map(`of_${type}`, ArrayOfMaps);
    using found = outer.get(1)!;
    using made = outer.createInner();
    outer.set(2, made);
    expect([found, made].map((map) => map.constructor.name)).toEqual([kind, kind]);
    const { name: _, id: __, btfId: ___, ...shape } = found.info();
    expect(made.info()).toMatchObject(shape);
  });

  it('has the special fields of the template', (context) => {
    place.needsLinux(context, '6.2', 'inner maps with locks');
    const { kernel } = place;
    using app = loadUnpinned('nested/spin-lock', kernel);
    const outer = app.map('guarded_outer', HashOfMaps<number, HashMap<number, unknown>>);
    using inner = outer.createInner();
    outer.set(2, inner);
    inner.set(1, { count: 3, total: 4n }, { lock: true });
    expect(inner.get(1, { lock: true })).toEqual({ count: 3, total: 4n });
  });

  it('is made from the object where the map of maps was found at its pin', () => {
    const { kernel } = place;
    const object = openFixture('nested/pinned');
    const pinned = () => load(object, { kernel, pinDirectory: place.directory });
    pinned().close();
    using app = pinned();
    const outer = app.map('pinned_hash', HashOfMaps<number, HashMap<number, number>>);
    using inner = outer.createInner();
    expect(inner.info().btfId).toBeGreaterThan(0);
    outer.set(9, inner.set(1, 10));
    expect(contents(outer.get(9))).toEqual([[1, 10]]);
    // Not the object's own plain_inner, which this load has created anew.
    using first = outer.get(2)!;
    expect(first.info().id).not.toBe(app.maps.get('plain_inner')!.info().id);
  });

  it('is made like one that is inside where there is no object', () => {
    const { kernel } = place;
    const path = `${place.directory}/tenants`;
    using owner = createTenants(kernel);
    owner.pin(path);
    using tenants = HashOfMaps.openPinned(
      path,
      {
        key: u32,
        inner: { kind: HashMap, key: u16, value: u64 },
      },
      { kernel },
    );
    expectTypeOf(tenants).toEqualTypeOf<HashOfMaps<number, Ports>>();
    expect(() => tenants.createInner()).toThrow(
      expect.objectContaining({ code: 'ERR_SKEP_INNER_UNKNOWN' }),
    );
    using ports = createPorts(kernel, 99);
    owner.set(1, ports);
    using made = tenants.createInner();
    expect(made.info()).toMatchObject({ keySize: 2, valueSize: 8, maxEntries: 99, btfId: 0 });
    tenants.set(2, made.set(1, 1n));
    expect(contents(tenants.get(2))).toEqual([[1, 1n]]);
    expect(contents(tenants.get(1))).toEqual([]);
  });

  it('is made like one that was set, without looking for one', () => {
    const { kernel } = place;
    const path = `${place.directory}/tenants`;
    using owner = createTenants(kernel);
    owner.pin(path);
    using tenants = HashOfMaps.openPinned(path, { key: u32, inner: { kind: HashMap } }, { kernel });
    using ports = createPorts(kernel, 99);
    tenants.set(1, ports);
    using made = tenants.createInner();
    expect(made.info().maxEntries).toBe(99);
    // Without codecs everything is bytes.
    made.set(Uint8Array.of(1, 0), new Uint8Array(8));
    expect(made.snapshot()).toEqual([[Uint8Array.of(1, 0), new Uint8Array(8)]]);
  });
});

describeKernels('maps of maps without an object', (place) => {
  it('are created with a template of any class, with its types', () => {
    const { kernel } = place;
    using queues = ArrayOfMaps.create({
      kernel,
      inner: { kind: ArrayMap, value: u16, maxEntries: 3, flags: BPF_F.INNER_MAP },
      maxEntries: 2,
    });
    expectTypeOf(queues).toEqualTypeOf<ArrayOfMaps<ArrayMap<number>>>();
    using long = queues.createInner({ maxEntries: 30 });
    queues.set(1, long);
    expect(long.info()).toMatchObject({ maxEntries: 30, flags: BPF_F.INNER_MAP });

    using recent = HashOfMaps.create({
      kernel,
      key: u64,
      inner: { kind: HashMap, key: u32, value: u32, maxEntries: 64, lru: true },
      maxEntries: 2,
      name: 'recent',
    });
    expectTypeOf(recent).toEqualTypeOf<HashOfMaps<bigint, HashMap<number, number>>>();
    using inner = recent.createInner();
    expect([recent.name, recent.info().keySize, inner.info().typeName]).toEqual([
      'recent',
      8,
      'lru_hash',
    ]);
    using typed = ArrayOfMaps.create({
      kernel,
      inner: { kind: HashMap<number, bigint>, key: u32, value: u64, maxEntries: 1 },
      maxEntries: 1,
    });
    expectTypeOf(typed).toEqualTypeOf<ArrayOfMaps<Ports>>();
    expectTypeOf<ArrayOfMaps<PerCpuHashMap<number, bigint>>>().toBeObject();
    expectTypeOf<ArrayOfMaps<Queue<number>>>().toBeObject();
  });

  it('leave nothing open when the kernel refuses them', () => {
    const { kernel } = place;
    expect(() => createTenants(kernel, 0)).toThrow(/BPF_MAP_CREATE failed with EINVAL/);
    expect(() =>
      ArrayOfMaps.create({ kernel, inner: { ...PORTS, maxEntries: 0 }, maxEntries: 1 }),
    ).toThrow(/BPF_MAP_CREATE failed with EINVAL/);
  });

  it('are opened from their pins', () => {
    const { kernel } = place;
    const path = `${place.directory}/shards`;
    using shards = ArrayOfMaps.create({ kernel, inner: PORTS, maxEntries: 2, name: 'shards' });
    using shard = shards.createInner();
    shards.set(1, shard.set(1, 1n));
    shards.pin(path);
    using again = ArrayOfMaps.openPinned(path, { inner: PORTS }, { kernel });
    expect([again.name, again.pinPath, again.length]).toEqual(['shards', path, 2]);
    expect(contents(again.get(1))).toEqual([[1, 1n]]);
    expect(() => HashOfMaps.openPinned(path, { key: u32, inner: PORTS }, { kernel })).toThrow(
      /is a array_of_maps; HashOfMaps is for hash_of_maps/,
    );
  });
});
