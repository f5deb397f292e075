/** Maps opened without types: classes and codecs from what the kernel says of a map. */

import { spawnSync } from 'node:child_process';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { bytes } from '../../src/codec/aggregates.ts';
import { u16, u32, u64 } from '../../src/codec/numbers.ts';
import { PerCpuValues } from '../../src/codec/per-cpu-values.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { load } from '../../src/loader/load.ts';
import { Arena } from '../../src/maps/arena.ts';
import { ArrayMap } from '../../src/maps/array-map.ts';
import { ArrayOfMaps } from '../../src/maps/array-of-maps.ts';
import { BloomFilter } from '../../src/maps/bloom-filter.ts';
import { CgroupArray } from '../../src/maps/cgroup-array.ts';
import { CgroupStorage } from '../../src/maps/cgroup-storage.ts';
import { CpuMap } from '../../src/maps/cpu-map.ts';
import { DevMap } from '../../src/maps/dev-map.ts';
import { DevMapHash } from '../../src/maps/dev-map-hash.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import type { InnerMap } from '../../src/maps/inner-map.ts';
import { InodeStorage } from '../../src/maps/inode-storage.ts';
import { LegacyCgroupStorage } from '../../src/maps/legacy-cgroup-storage.ts';
import { LegacyPerCpuCgroupStorage } from '../../src/maps/legacy-per-cpu-cgroup-storage.ts';
import { LpmTrie } from '../../src/maps/lpm-trie.ts';
import { openMap } from '../../src/maps/open-map.ts';
import { PerCpuArray } from '../../src/maps/per-cpu-array.ts';
import { PerCpuHashMap } from '../../src/maps/per-cpu-hash-map.ts';
import { PerfEventArray } from '../../src/maps/perf-event-array.ts';
import { ProgramArray } from '../../src/maps/program-array.ts';
import { Queue } from '../../src/maps/queue.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import { ReusePortSockArray } from '../../src/maps/reuse-port-sock-array.ts';
import { RingBuffer } from '../../src/maps/ring-buffer.ts';
import { SkStorage } from '../../src/maps/sk-storage.ts';
import { SockHash } from '../../src/maps/sock-hash.ts';
import { SockMap } from '../../src/maps/sock-map.ts';
import { Stack } from '../../src/maps/stack.ts';
import { StackTrace } from '../../src/maps/stack-trace.ts';
import { TaskStorage } from '../../src/maps/task-storage.ts';
import { UserRingBuffer } from '../../src/maps/user-ring-buffer.ts';
import { XskMap } from '../../src/maps/xsk-map.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { ROOT } from '../cli/skep.ts';
import { openFixture } from '../support/fixtures.ts';
import { describeKernel, needsMapType, pinDirectory } from '../support/kernel.ts';
import { describeKernels } from '../support/kernels.ts';

/** What skep says where the kernel would have to be asked for the types of "hash_map". */
const NEEDS_ADMIN =
  'types of map "hash_map": BPF_BTF_GET_FD_BY_ID failed with EPERM (asking the kernel for the types of a map needs CAP_SYS_ADMIN; pass them instead, as in HashMap.openPinned(path, { key: u32, value: u64 }))';

const hasSetpriv = spawnSync('setpriv', ['--version']).error === undefined;

describeKernels('a map opened without types', (place) => {
  /** Loads an object, its maps pinned in the directory of this test. */
  function loadPinned(name: string, kernel: Kernel) {
    return load(openFixture(name), { kernel, pinDirectory: place.directory, pinAll: true });
  }

  it('has those of its object, which the kernel keeps: by pin and by id', () => {
    const { kernel } = place;
    using app = loadPinned('demo', kernel);
    const path = `${place.directory}/flows`;
    const { id } = app.maps.get('flows')!.info();
    const key = {
      source: Uint8Array.of(10, 0, 0, 1),
      destination: Uint8Array.of(10, 0, 0, 2),
      source_port: 1,
      destination_port: 2,
      protocol: 6,
      padding: new Uint8Array(3),
    };
    const value = { packets: 2n ** 60n, bytes: 2n, first_seen: 3n, last_seen: 4n };
    app.map('flows', HashMap<typeof key, typeof value>).set(key, value);

    using byPath = HashMap.openPinned(path, undefined, { kernel });
    expectTypeOf(byPath).toEqualTypeOf<HashMap<unknown, unknown>>();
    expect(byPath.snapshot()).toEqual([[key, value]]);
    using byId = HashMap.openById(id, undefined, { kernel });
    expect(byId.get(key)).toEqual(value);
    for (const place of [path, { id }]) {
      using map = openMap(place, { kernel });
      expect(map).toBeInstanceOf(HashMap);
      expect((map as HashMap<unknown, unknown>).snapshot()).toEqual([[key, value]]);
      expect(map.pinPath).toBe(place === path ? path : null);
    }
    // Types that are given count for more, and nobody has to be asked.
    using raw = HashMap.openById(id, { key: bytes(16), value: bytes(32) }, { kernel });
    expectTypeOf(raw).toEqualTypeOf<HashMap<Uint8Array, Uint8Array>>();
    expect([...raw.keys()][0]).toHaveLength(16);
  });

  it('is written with what the object calls its values', () => {
    const { kernel } = place;
    using app = loadPinned('demo', kernel);
    using flows = HashMap.openPinned(`${place.directory}/flows`, undefined, { kernel });
    const key = { ...blankKey(), source_port: 70_000 };
    expect(() => flows.set(key, {})).toThrow(/^map "flows": key\.source_port: expected u16/);
    expect(app.maps.get('flows')?.info().btfId).toBeGreaterThan(0);
  });

  const classes: readonly [string, unknown][] = [
    ['hash', HashMap],
    ['lru_hash', HashMap],
    ['array', ArrayMap],
    ['percpu_hash', PerCpuHashMap],
    ['lru_percpu_hash', PerCpuHashMap],
    ['percpu_array', PerCpuArray],
    ['lpm_trie', LpmTrie],
    ['queue', Queue],
    ['stack', Stack],
    ['bloom_filter', BloomFilter],
    ['array_of_maps', ArrayOfMaps],
    ['hash_of_maps', HashOfMaps],
    ['prog_array', ProgramArray],
    ['cgroup_array', CgroupArray],
    ['stack_trace', StackTrace],
    ['devmap', DevMap],
    ['devmap_hash', DevMapHash],
    ['cpumap', CpuMap],
    ['xskmap', XskMap],
    ['sockmap', SockMap],
    ['sockhash', SockHash],
    ['reuseport_sockarray', ReusePortSockArray],
    ['sk_storage', SkStorage],
    ['inode_storage', InodeStorage],
    ['task_storage', TaskStorage],
    ['cgrp_storage', CgroupStorage],
    ['cgroup_storage', LegacyCgroupStorage],
    ['percpu_cgroup_storage', LegacyPerCpuCgroupStorage],
    ['arena', Arena],
    ['ringbuf', RingBuffer],
    ['user_ringbuf', UserRingBuffer],
    ['perf_event_array', PerfEventArray],
  ];
  const known = classes.filter(([type]) => place.hasMapType(numberOf(type)));
  it.for(known)('of type %s is one of its class', ([type, kind], context) => {
    if (place.runsOn === 'linux') needsMapType(context, type);
    const { kernel } = place;
    using app = loadPinned(`types/${type}`, kernel);
    const name = `${type}_map`;
    using map = openMap(`${place.directory}/${name}`, { kernel });
    expect(map.constructor).toBe(kind);
    expect(map.info().id).toBe(app.maps.get(name)?.info().id);
  });

  it('has one value per CPU where it is a per-CPU map', () => {
    const { kernel } = place;
    using app = loadPinned('types/percpu_hash', kernel);
    app.map('percpu_hash_map', PerCpuHashMap<number, bigint>).fill(7, 5n);
    using map = PerCpuHashMap.openPinned(`${place.directory}/percpu_hash_map`, undefined, {
      kernel,
    });
    const values = map.get(7);
    expect(values).toBeInstanceOf(PerCpuValues);
    expect(values?.[0]).toBe(5n);
    using byId = PerCpuHashMap.openById(map.info().id, undefined, { kernel });
    expect([...byId.keys()]).toEqual([7]);
  });

  it('has indices where it is an array, and addresses where it is a trie, with or without BTF', () => {
    const { kernel } = place;
    using owner = ArrayMap.create({ kernel, value: u64, maxEntries: 2 });
    using array = ArrayMap.openById(owner.info().id, undefined, { kernel });
    expect(array.snapshot()).toEqual([
      [0, new Uint8Array(8)],
      [1, new Uint8Array(8)],
    ]);
    using perCpu = PerCpuArray.create({ kernel, value: u64, maxEntries: 1 });
    using perCpuById = PerCpuArray.openById(perCpu.info().id, undefined, { kernel });
    expect(perCpuById.get(0)?.[0]).toEqual(new Uint8Array(8));

    using app = loadPinned('types/lpm_trie', kernel);
    app.map('lpm_trie_map', LpmTrie<number>).set('10.0.0.0/8', 1);
    using trie = LpmTrie.openPinned(`${place.directory}/lpm_trie_map`, undefined, { kernel });
    expect(trie.get('10.1.2.3')).toBe(1);
    using bare = RawMap.adopt({ kernel: trie.kernel, fd: trie.kernel.createMap(BARE_TRIE) });
    using bareTrie = LpmTrie.openById(bare.info().id, undefined, { kernel });
    bareTrie.set('10.0.0.0/8', Uint8Array.of(1, 2, 3, 4));
    expect(bareTrie.get('10.1.2.3')).toEqual(Uint8Array.of(1, 2, 3, 4));
  });

  it('is bytes where the kernel keeps no types', () => {
    const { kernel } = place;
    using owner = HashMap.create({ kernel, key: u32, value: u16, maxEntries: 4 });
    owner.set(1, 0x0203);
    using map = HashMap.openById(owner.info().id, undefined, { kernel });
    const key = new Uint8Array(Uint32Array.of(1).buffer);
    expect(map.snapshot()).toEqual([[key, new Uint8Array(Uint16Array.of(0x0203).buffer)]]);
    using tasks = Queue.create({ kernel, value: u16, maxEntries: 4 });
    tasks.push(0x0203);
    using queue = Queue.openById(tasks.info().id, undefined, { kernel });
    expect(queue.pop()).toEqual(new Uint8Array(Uint16Array.of(0x0203).buffer));
    using stack = Stack.create({ kernel, value: u16, maxEntries: 4 });
    using seen = BloomFilter.create({ kernel, value: u32, maxEntries: 4 });
    using stackById = Stack.openById(stack.info().id, undefined, { kernel });
    using seenById = BloomFilter.openById(seen.info().id, undefined, { kernel });
    expect(stackById.peek()).toBeUndefined();
    expect(seenById.has(new Uint8Array(4))).toBe(false);
  });

  it('is refused by another class, and nothing stays open', () => {
    const { kernel } = place;
    using owner = HashMap.create({ kernel, key: u32, value: u16, maxEntries: 4 });
    const { id } = owner.info();
    expect(() => ArrayMap.openById(id, undefined, { kernel })).toThrow(/ArrayMap is for array/);
    expect(() => HashOfMaps.openById(id, undefined, { kernel })).toThrow(
      /HashOfMaps is for hash_of_maps/,
    );
    expect(() => Queue.openById(id, undefined, { kernel })).toThrow(/Queue is for queue/);
    expect(() => HashMap.openById(0xffff_ffff, undefined, { kernel })).toThrow(/ENOENT/);
    expect(() => openMap({ id: -1 }, { kernel })).toThrow(TypeError);
    expect(() => openMap(5 as never, { kernel })).toThrow(TypeError);
    expect(() => openMap(`${place.directory}/nothing`, { kernel })).toThrow(/ENOENT/);
  });
});

describeKernels('a map of maps opened without types', (place) => {
  function contents(map: InnerMap | undefined): unknown {
    using inner = map as HashMap<unknown, unknown>;
    return inner.snapshot();
  }

  it('has the types of each inner map, and makes more of the same', () => {
    const { kernel } = place;
    using app = load(openFixture('nested/hash-of-maps'), {
      kernel,
      pinDirectory: place.directory,
      pinAll: true,
    });
    app.map('left', HashMap<number, bigint>).set(5, 50n);
    using outer = HashOfMaps.openPinned(`${place.directory}/outer`, undefined, { kernel });
    expectTypeOf(outer).toEqualTypeOf<HashOfMaps<Uint8Array, InnerMap>>();
    const key = new Uint8Array(Uint32Array.of(1).buffer);
    expect(contents(outer.get(key))).toEqual([[5, 50n]]);
    using made = outer.createInner() as HashMap<unknown, unknown>;
    expect(made.info()).toMatchObject({ keySize: 4, valueSize: 8, maxEntries: 64 });
    expect(made.info().btfId).toBeGreaterThan(0);
    made.set(6, 60n);
    outer.set(key, made);
    using typed = app.map('outer', HashOfMaps<number, HashMap<number, bigint>>);
    expect(contents(typed.get(1))).toEqual([[6, 60n]]);
    using again = openMap({ id: outer.info().id }, { kernel }) as HashOfMaps<Uint8Array, InnerMap>;
    expect(contents(again.get(key))).toEqual([[6, 60n]]);
  });

  it('takes inner maps with types of their own, each as its own', () => {
    const { kernel } = place;
    using outer = ArrayOfMaps.create({
      kernel,
      inner: { kind: HashMap, key: u32, value: u64, maxEntries: 64 },
      maxEntries: 2,
    });
    using app = load(openFixture('nested/hash-of-maps'), {
      kernel,
      pinDirectory: place.directory,
      pinAll: true,
    });
    using typed = app.map('left', HashMap<number, bigint>);
    using plain = HashMap.create({ kernel, key: u32, value: u64, maxEntries: 64 });
    outer.set(0, typed.set(1, 2n)).set(1, plain.set(1, 2n));
    using opened = ArrayOfMaps.openById(outer.info().id, undefined, { kernel });
    const one = new Uint8Array(Uint32Array.of(1).buffer);
    const two = new Uint8Array(BigUint64Array.of(2n).buffer);
    expect(Array.from(opened, ([index, inner]) => [index, contents(inner)])).toEqual([
      [0, [[1, 2n]]],
      [1, [[one, two]]],
    ]);
  });

  it('makes inner maps with a spin lock, which fit only with their types', (context) => {
    place.needsLinux(context, '6.2', 'inner maps with locks');
    const { kernel } = place;
    using app = load(openFixture('nested/spin-lock'), {
      kernel,
      pinDirectory: place.directory,
      pinAll: true,
    });
    using outer = HashOfMaps.openPinned(`${place.directory}/guarded_outer`, undefined, { kernel });
    const [key] = [...outer.keys()];
    const shape = app.maps.get('guarded_inner')!.info();
    using bare = HashMap.create({
      kernel,
      key: bytes(shape.keySize),
      value: bytes(shape.valueSize),
      maxEntries: shape.maxEntries,
    });
    expect(() => outer.set(key!, bare as InnerMap)).toThrow(
      expect.objectContaining({ code: 'ERR_SKEP_INNER_MISMATCH' }),
    );
    using made = outer.createInner();
    expect(made.info().btfId).toBeGreaterThan(0);
    outer.set(key!, made);
    expect([...outer.ids()]).toEqual([[key, made.info().id]]);
  });
});

describeKernel('without CAP_SYS_ADMIN', () => {
  const directory = pinDirectory();

  it.skipIf(!hasSetpriv)('a map with types asks for them, and one without opens', () => {
    using app = load(openFixture('types/hash'), { pinDirectory: directory.path, pinAll: true });
    using plain = HashMap.create({ key: u32, value: u64, maxEntries: 1 });
    plain.pin(`${directory.path}/plain`);
    const script = `
      import { HashMap } from '${ROOT}/dist/maps/hash-map.js';
      import { openMap } from '${ROOT}/dist/maps/open-map.js';
      import { u32, u64 } from '${ROOT}/dist/codec/numbers.js';
      const typed = '${directory.path}/hash_map';
      for (const open of [() => HashMap.openPinned(typed), () => openMap(typed)]) {
        try { open(); } catch (error) { console.log(error.errnoName, error.message); }
      }
      console.log(HashMap.openPinned(typed, { key: u32, value: u64 }).count());
      console.log(openMap('${directory.path}/plain').constructor.name);`;
    const { stdout, stderr } = spawnSync(
      'setpriv',
      [
        ...['--bounding-set=-sys_admin', '--inh-caps=-sys_admin'],
        ...[process.execPath, '--input-type=module', '--eval', script],
      ],
      { encoding: 'utf8' },
    );
    expect(stderr).toBe('');
    const refusal = `EPERM ${NEEDS_ADMIN}`;
    expect(stdout.split('\n')).toEqual([refusal, refusal, '0', 'HashMap', '']);
    expect(app.maps.size).toBe(1);
  });
});

describe('without CAP_SYS_ADMIN (memory)', () => {
  it('a map with types asks for them, and one without opens', () => {
    const owner = new MemoryKernel();
    const pinDirectory = '/sys/fs/bpf';
    using app = load(openFixture('types/hash'), { kernel: owner, pinDirectory, pinAll: true });
    using plain = HashMap.create({ kernel: owner, key: u32, value: u64, maxEntries: 1 });
    plain.pin('/sys/fs/bpf/plain');
    const kernel = owner.process({ capabilities: ['CAP_BPF'] });
    const typed = '/sys/fs/bpf/hash_map';
    for (const open of [
      () => HashMap.openPinned(typed, undefined, { kernel }),
      () => openMap(typed, { kernel }),
    ]) {
      expect(open).toThrow(NEEDS_ADMIN);
    }
    using given = HashMap.openPinned(typed, { key: u32, value: u64 }, { kernel });
    using bare = openMap('/sys/fs/bpf/plain', { kernel });
    expect([given.count(), bare.constructor, app.maps.size]).toEqual([0, HashMap, 1]);
    given.close();
    bare.close();
    expect(kernel.openDescriptors()).toEqual([]);
  });
});

/** `struct bpf_lpm_trie_key` with four bytes of data; tries want BPF_F_NO_PREALLOC. */
const BARE_TRIE = {
  ...{ type: 11, keySize: 8, valueSize: 4, maxEntries: 4, flags: 1, name: '' },
  ...{ numaNode: 0, mapExtra: 0n, innerMapFd: null, btf: null },
};

/** `BPF_MAP_TYPE_*` by its name in lower case. */
function numberOf(type: string): number {
  return BPF_MAP_TYPE[type.toUpperCase() as keyof typeof BPF_MAP_TYPE];
}

function blankKey() {
  return {
    ...{ source: new Uint8Array(4), destination: new Uint8Array(4), padding: new Uint8Array(3) },
    ...{ source_port: 0, destination_port: 0, protocol: 0 },
  };
}
