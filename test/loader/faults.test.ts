/**
 * Every call that a load makes, and that handles make when they are opened, refused in turn: on both
 * kernels nothing is left of what was begun.
 */

import { expect, it } from 'vitest';
import { u32, u64 } from '../../src/codec/numbers.ts';
import { SkepError, SyscallError } from '../../src/errors.ts';
import { type CallName, withFaults } from '../../src/kernel/faults.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { type LoadedObject, load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import { ArrayOfMaps } from '../../src/maps/array-of-maps.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import { MappedArray } from '../../src/maps/mapped-array.ts';
import { openMap } from '../../src/maps/open-map.ts';
import { PerfEventArray } from '../../src/maps/perf-event-array.ts';
import { ProgramArray } from '../../src/maps/program-array.ts';
import { Queue } from '../../src/maps/queue.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import { RingBuffer } from '../../src/maps/ring-buffer.ts';
import { UserRingBuffer } from '../../src/maps/user-ring-buffer.ts';
import { fixturePath, openFixture } from '../support/fixtures.ts';
import { kernelProblem } from '../support/kernel.ts';
import { describeKernels, type Place } from '../support/kernels.ts';

/** Calls for the types of modules. */
const MODULES: readonly string[] = ['nextBtfId', 'openBtfById', 'btfInfo', 'readBtf'];

/** What a load tries to do without; what it cannot do then is told, as something else is refused. */
const WITHOUT: readonly string[] = [...MODULES, 'kernelBtf', 'loadBtf'];

/** What a test may not leave behind. */
function held(place: Place) {
  return { descriptors: place.openDescriptors(), paths: place.paths() };
}

/** The outcome of each round: which call was refused, and whether the caller heard of it. */
interface Round {
  readonly method: CallName;
  readonly thrown: unknown;
}

/**
 * Does something again and again, and lets another call fail each time, until it makes no more calls.
 * What it gives back is closed.
 *
 * @param begin calls `arm` first of all, or when it has prepared what is not to fail
 */
function failEachCall(
  place: Place,
  begin: (kernel: Kernel, arm: () => void) => Disposable,
): Round[] {
  const rounds: Round[] = [];
  const before = held(place);
  for (let failing = 1; ; failing += 1) {
    const faulty = withFaults(place.kernel);
    let thrown: unknown;
    try {
      begin(faulty.kernel, () => faulty.failCall(failing, 'EIO'))[Symbol.dispose]();
    } catch (error) {
      thrown = error;
    }
    const refused = faulty.calls.find(({ fault }) => fault !== undefined);
    if (refused === undefined) {
      expect(thrown, 'what is done when no call fails').toBeUndefined();
      return rounds;
    }
    rounds.push({ method: refused.method as CallName, thrown });
    const what = `call ${failing}, ${refused.method}`;
    if (thrown !== undefined) {
      if (refused.error === undefined || WITHOUT.includes(refused.method)) {
        // The kernel has less then, and what is missed is told.
        expect(thrown, what).toBeInstanceOf(SkepError);
      } else {
        expect(thrown, what).toBeInstanceOf(SyscallError);
        expect((thrown as SyscallError).errnoName, what).toBe('EIO');
      }
      expect(held(place), what).toEqual(before);
    }
    removeEverything(place, before.paths);
    expect(held(place), what).toEqual(before);
  }
}

/** What a load that went well has pinned goes, so that the next one begins where this one did. */
function removeEverything(place: Place, but: readonly string[]): void {
  const added = place.paths().filter((path) => !but.includes(path));
  for (const path of added.reverse()) {
    const full = path.startsWith('/') ? path : `${place.directory}/${path}`;
    try {
      place.kernel.unpin(full);
    } catch {
      place.kernel.removeDirectory(full);
    }
  }
}

/** Methods that were refused without an error: the load did without, or tried otherwise. */
function tolerated(rounds: readonly Round[]): CallName[] {
  const names = rounds.filter(({ thrown }) => thrown === undefined).map(({ method }) => method);
  return [...new Set(names)].sort();
}

const programs = (name: string) => ObjectFile.open(fixturePath(`run/${name}.bpf.o`));

/** What is loaded, by what there is to it. */
const LOADS: readonly [string, () => ObjectFile, (directory: string) => LoadOptions][] = [
  [
    'maps in directories that are made for them',
    () => openFixture('demo'),
    (directory) => ({ pinDirectory: `${directory}/app/maps`, pinAll: true }),
  ],
  ['maps of maps', () => openFixture('nested/hash-of-maps'), () => ({})],
  [
    'maps of maps with pins',
    () => openFixture('nested/pinned'),
    (pinDirectory) => ({ pinDirectory }),
  ],
  ['data sections', () => openFixture('data/sections'), () => ({})],
  [
    'globals with initial values, at pins',
    () => programs('globals'),
    (directory) => ({
      globals: { threshold: 8, runs: 5n },
      maps: { '.rodata': { pin: `${directory}/r` }, '.data': { pin: `${directory}/d` } },
    }),
  ],
];

/** Those that pin programs, which cannot be done twice. */
const PROGRAM_LOADS: typeof LOADS = [
  [
    'programs in the slots of an array, with pins',
    () => programs('stages'),
    (directory) => ({ pinPrograms: `${directory}/programs` }),
  ],
  [
    'programs that are pinned one by one',
    () => programs('packets'),
    (directory) => ({ programs: { mark: { pin: `${directory}/mark` } } }),
  ],
];

describeKernels('a load of which a call is refused', (place) => {
  it.each([...LOADS, ...PROGRAM_LOADS])('leaves nothing: %s', (_, object, options) => {
    const rounds = failEachCall(place, (kernel, arm) => {
      arm();
      return load(object(), { ...options(place.directory), kernel });
    });
    expect(rounds.length).toBeGreaterThan(5);
    // BTF, and a map that is refused with it, are tried in simpler forms, a program with a log.
    for (const method of tolerated(rounds)) {
      expect(['createMap', 'loadBtf', 'loadProgram']).toContain(method);
    }
  });

  it.each(LOADS)('leaves what was pinned before: %s', (_, object, options) => {
    const all = { ...options(place.directory), pinDirectory: place.directory, pinAll: true };
    load(object(), { ...all, kernel: place.kernel }).close();
    const rounds = failEachCall(place, (kernel, arm) => {
      arm();
      return load(object(), { ...all, kernel });
    });
    expect(rounds.length).toBeGreaterThan(1);
  });
});

describeKernels('a load that is short of something', (place) => {
  it.each(['ENOMEM', 'EMFILE'] as const)(
    'fails, rather than go on without types for as long as its maps live: %s',
    (errno) => {
      for (const method of ['loadBtf', 'createMap'] as const) {
        const faulty = withFaults(place.kernel);
        faulty.failCall(1, errno, method);
        expect(() => load(openFixture('demo'), { kernel: faulty.kernel }), method).toThrow(errno);
        expect(faulty.calls.filter((call) => call.method === method)).toHaveLength(1);
      }
    },
  );

  it('keeps what is in the slots of a program array that it cannot open', () => {
    const options = { pinDirectory: place.directory, pinAll: true };
    using first = load(programs('stages'), { ...options, kernel: place.kernel });
    const slots = () => [...first.map('stages', ProgramArray).entries()].map(([, id]) => id);
    const before = slots();
    expect(before).toHaveLength(2);
    const faulty = withFaults(place.kernel);
    faulty.failEvery('openProgramById', 'EMFILE');
    const again = () => load(programs('stages'), { ...options, kernel: faulty.kernel });
    expect(again).toThrow(/map "stages", .*BPF_PROG_GET_FD_BY_ID failed with EMFILE/);
    expect(slots()).toEqual(before);
  });
});

const SETTINGS = { CONFIG_SKEP_SETTING: 3 };

/** What asks the kernel for what it is: its types, its options, its symbols. */
const KERNEL_LOADS: typeof LOADS = [
  [
    'externs of .ksyms and .kconfig, and fields of structs',
    () => programs('kernel-reads'),
    () => ({ kernelConfig: SETTINGS }),
  ],
  [
    'a program that is made for a tracepoint of the kernel',
    () => programs('replacing'),
    () => ({ programs: { on_switch: { autoload: true } } }),
  ],
];
const STRUCT_LOADS: typeof LOADS = [
  ['a struct of functions', () => programs('struct-ops'), () => ({})],
];

const hasLinux = kernelProblem === null;
const linux = hasLinux ? linuxKernel() : null;
const KERNEL = {
  cpus: 3,
  kernelBtf: linux?.kernelBtf() ?? null,
  configuration: 'CONFIG_HZ=250\n',
  symbols: { schedule: 0xffff_ffff_8100_0000n },
};

describeKernels(
  'a load that asks the kernel for what it is, and of which a call is refused',
  (place) => {
    const loads = place.runsOn === 'linux' ? [...KERNEL_LOADS, ...STRUCT_LOADS] : KERNEL_LOADS;
    it.skipIf(!hasLinux).each(loads)('leaves nothing: %s', (name, object, options) => {
      const rounds = failEachCall(place, (kernel, arm) => {
        arm();
        return load(object(), { ...options(place.directory), kernel });
      });
      const methods = new Set(rounds.map(({ method }) => method));
      expect(methods).toContain('kernelBtf');
      // On Linux, types of others come and go meanwhile, so that a count may skip the last calls.
      if (name.startsWith('externs') && place.runsOn === 'memory') {
        expect(methods, [...methods].join()).toContain('configuration');
        expect(methods, [...methods].join()).toContain('symbolAddresses');
        expect(methods).toContain('nextBtfId');
      }
      const without = ['createMap', 'loadBtf', 'loadProgram', 'configuration', ...MODULES];
      for (const method of tolerated(rounds)) {
        expect(without).toContain(method);
      }
    });
  },
  KERNEL,
);

/** A handle of an object's map, by what it is. */
const HANDLES: readonly [string, () => ObjectFile, (app: LoadedObject) => Disposable][] = [
  ['a hash', () => openFixture('demo'), (app) => app.map('flows', HashMap)],
  ['a map of maps', () => openFixture('demo'), (app) => app.map('tenants', HashOfMaps)],
  [
    'an inner map',
    () => openFixture('demo'),
    (app) => app.map('tenants', HashOfMaps<number, HashMap<number, bigint>>).get(1)!,
  ],
  [
    'a new inner map',
    () => openFixture('demo'),
    (app) => app.map('tenants', HashOfMaps<number, HashMap<number, bigint>>).createInner(),
  ],
  ['a ring buffer', () => openFixture('demo'), (app) => app.map('events', RingBuffer)],
  ['an array in memory', () => programs('globals'), (app) => app.map('counts', MappedArray)],
  ['a user ring buffer', () => programs('user-ring'), (app) => app.userRingBuffer('commands')],
  ['a perf event array', () => programs('perf'), (app) => app.perfEventArray('events')],
];

describeKernels('a handle of an object of which a call is refused', (place) => {
  it.each(HANDLES)('leaves nothing when the object is closed: %s', (_, object, open) => {
    const rounds = failEachCall(place, (kernel, arm) => {
      using app = load(object(), { kernel, pinDirectory: place.directory });
      for (const map of app.maps.values()) {
        if (map.pinPath !== null) place.kernel.unpin(map.pinPath);
      }
      arm();
      return open(app);
    });
    expect(rounds.length).toBeGreaterThan(0);
  });
});

/** Maps without an object. */
const STANDALONE: readonly [string, (kernel: Kernel) => Disposable][] = [
  ['a hash', (kernel) => HashMap.create({ kernel, key: u32, value: u64, maxEntries: 4 })],
  ['a queue', (kernel) => Queue.create({ kernel, value: u32, maxEntries: 4 })],
  ['an array in memory', (kernel) => MappedArray.create({ kernel, value: u64, maxEntries: 4 })],
  ['a ring buffer', (kernel) => RingBuffer.create({ kernel, sizeBytes: 4096 })],
  ['a user ring buffer', (kernel) => UserRingBuffer.create({ kernel, sizeBytes: 4096 })],
  ['a perf event array', (kernel) => PerfEventArray.create({ kernel })],
  [
    'a map of maps, filled',
    (kernel) => {
      const inner = { kind: HashMap, key: u32, value: u64, maxEntries: 4 };
      using outer = ArrayOfMaps.create({ kernel, inner, maxEntries: 4 });
      using one = outer.createInner();
      outer.setAll([
        [0, one],
        [1, one],
      ]);
      return outer.get(1)!;
    },
  ],
];

/** Opens each pinned map of an object. */
function failEachOpen(place: Place, open: (path: string, kernel: Kernel) => Disposable): void {
  const { kernel, directory } = place;
  using app = load(openFixture('demo'), { kernel, pinDirectory: directory, pinAll: true });
  for (const [name, { pinPath }] of app.maps) {
    if (pinPath !== null) {
      const rounds = failEachCall(place, (each, arm) => {
        arm();
        return open(pinPath, each);
      });
      expect(rounds.length, name).toBeGreaterThan(0);
    }
  }
}

describeKernels('a map without an object of which a call is refused', (place) => {
  it.each(STANDALONE)('leaves nothing when it is created: %s', (_, create) => {
    const rounds = failEachCall(place, (kernel, arm) => {
      arm();
      return create(kernel);
    });
    expect(rounds.length).toBeGreaterThan(0);
  });

  it('leaves nothing when a raw one is opened from its pin', () => {
    failEachOpen(place, (path, kernel) => RawMap.openPinned(path, { kernel }));
  });

  it('leaves nothing when one of any class is opened from its pin', () => {
    failEachOpen(place, (path, kernel) => openMap(path, { kernel }));
  });

  it('leaves nothing when inner maps are opened or made by the types that the kernel keeps', () => {
    const pinDirectory = place.directory;
    using app = load(openFixture('demo'), { kernel: place.kernel, pinDirectory, pinAll: true });
    const path = app.maps.get('tenants')!.pinPath!;
    const key = new Uint8Array(4);
    for (const use of ['get', 'createInner', 'values'] as const) {
      const rounds = failEachCall(place, (kernel, arm) => {
        arm();
        using outer = HashOfMaps.openPinned(path, undefined, { kernel });
        if (use === 'values') {
          return outer.values().next().value!;
        }
        return use === 'get' ? outer.get(key)! : outer.createInner();
      });
      expect(rounds.length, use).toBeGreaterThan(2);
    }
  });

  it('leaves nothing when it is opened by its id, with the types that the kernel keeps', () => {
    using app = load(openFixture('demo'), {
      kernel: place.kernel,
      pinDirectory: place.directory,
    });
    for (const name of ['flows', 'tenants', 'events']) {
      const { id } = app.maps.get(name)!.info();
      failEachCall(place, (kernel, arm) => {
        arm();
        return openMap({ id }, { kernel });
      });
    }
  });
});
