/**
 * Scenarios written once and run on both kernels: on the running one, and on a fresh one in the
 * process for each test. What only one of them has (programs, other processes, bpftool) is for
 * `describeKernel`.
 */

import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, type TestContext, vi } from 'vitest';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { hasMapType } from '../../src/kernel/memory/create-rules.ts';
import { MemoryKernel, type MemoryKernelOptions } from '../../src/kernel/memory/memory-kernel.ts';
import {
  bpfDescriptors,
  describeKernel,
  isLinux,
  kernelProblem,
  needsLinux,
  pinDirectory,
} from './kernel.ts';
import { hasProgram } from './programs.ts';

/** So many CPUs hardly any machine has: what is mixed up shows. */
const UNUSUAL_CPUS = 3;

/**
 * Whether the kernel in the process is left out: on an emulated CPU its scenarios take minutes, and they are
 * the same under every version of Linux.
 */
const ONLY_LINUX = process.env.SKEP_ONLY_LINUX === '1';

const canLook = kernelProblem === null && hasProgram('bpftool');

/** Where a scenario runs. What is no method and no kernel may be asked for before a test has begun. */
export interface Place {
  readonly runsOn: 'linux' | 'memory';
  /** Whether bpftool can look at the kernel's maps. */
  readonly hasBpftool: boolean;
  /** Whether it can have maps of a type (`BPF_MAP_TYPE_*`): the running kernel counts as if it had all. */
  hasMapType(type: number): boolean;
  /** Whether it is at least of a version, such as `6.4`; the kernel in the process is of the newest. */
  isLinux(version: string): boolean;
  /** As the function of that name; the kernel in the process counts as the newest. */
  needsLinux(context: TestContext, since: string, what: string): void;
  readonly kernel: Kernel;
  /** A fresh directory on the kernel's BPF file system. */
  readonly directory: string;
  /** The BPF objects that this process holds: a line or a number for each descriptor. */
  openDescriptors(): readonly unknown[];
  /** Names of what lies in a directory of the BPF file system, sorted; none if it is not there. */
  namesIn(directory: string): string[];
  /** Paths of all that lies below the directory of the test, sorted. */
  paths(): string[];
  /** Makes a directory on the BPF file system without skep. */
  makeDirectory(path: string): void;
}

/**
 * A group of tests on both kernels. Each test is checked for what it leaves open.
 *
 * @param options what the kernels in the process are made with
 */
export function describeKernels(
  name: string,
  body: (place: Place) => void,
  options: MemoryKernelOptions = { cpus: UNUSUAL_CPUS },
): void {
  describeKernel(name, () => body(linuxPlace()));
  if (!ONLY_LINUX) {
    describe(`${name} (memory)`, () => body(memoryPlace(options)));
  }
}

/** `it` for what the in-process kernel does otherwise as yet, which is then to be said beside it. */
export function failsInMemory(place: Place): typeof it | typeof it.fails {
  return place.runsOn === 'memory' ? it.fails : it;
}

/** The running kernel as a place, for a group of `describeKernel`. */
export function linuxPlace(): Place {
  const pins = pinDirectory();
  checkMappings();
  return {
    runsOn: 'linux',
    hasBpftool: canLook,
    hasMapType: () => true,
    isLinux,
    needsLinux,
    get kernel() {
      return linuxKernel();
    },
    get directory() {
      return pins.path;
    },
    openDescriptors: bpfDescriptors,
    namesIn(directory) {
      try {
        return readdirSync(directory).sort();
      } catch {
        return [];
      }
    },
    paths: () => readdirSync(pins.path, { recursive: true }).map(String).sort(),
    makeDirectory: (path) => mkdirSync(path),
  };
}

/** Memory of maps that this process has mapped: lines of /proc/self/maps. */
function mappings(): string[] {
  return readFileSync('/proc/self/maps', 'latin1').match(/^.* anon_inode:bpf-map.*$/gm) ?? [];
}

function checkMappings(): void {
  let before: string[] = [];
  beforeEach(() => {
    before = mappings();
  });
  afterEach(async () => {
    // Addresses of what was unmapped go in the next turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    expect(mappings(), 'memory of maps left mapped').toEqual(before);
  });
}

function memoryPlace(options: MemoryKernelOptions): Place {
  const directory = '/sys/fs/bpf/skep-test';
  let kernel: MemoryKernel;
  beforeEach(() => {
    kernel = new MemoryKernel(options);
    kernel.makeDirectory(directory);
  });
  afterEach(() => {
    expect(kernel.openDescriptors(), 'descriptors left open').toEqual([]);
    removePins(kernel);
    // What a map is held by now is a mapping that nobody has ended.
    expect(kernel.mapIds(), 'maps left in memory').toEqual([]);
    expect(kernel.programIds(), 'programs left in memory').toEqual([]);
  });
  withoutLinux();
  return {
    runsOn: 'memory',
    hasBpftool: false,
    hasMapType,
    isLinux: () => true,
    needsLinux: () => {},
    get kernel() {
      return kernel;
    },
    directory,
    openDescriptors: () => kernel.openDescriptors(),
    namesIn: (path) => namesBelow(kernel, path),
    paths: () => kernel.paths().filter((path) => path !== directory),
    makeDirectory: (path) => {
      kernel.makeDirectory(path);
    },
  };
}

/** A scenario that forgets to pass its kernel must not pass on the default one. */
function withoutLinux(): void {
  if (kernelProblem !== null) {
    return;
  }
  beforeEach(() => {
    for (const method of [
      'createMap',
      'openPinnedMap',
      'openMapById',
      'loadBtf',
      'loadProgram',
      'openPinnedProgram',
    ] as const) {
      vi.spyOn(linuxKernel(), method).mockImplementation(() => {
        throw new Error('this test is about the kernel in the process: pass { kernel }');
      });
    }
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });
}

/** Removes everything from the kernel's BPF file system, what is in a directory before it. */
function removePins(kernel: MemoryKernel): void {
  for (const path of kernel.paths().reverse()) {
    try {
      kernel.unpin(path);
    } catch {
      kernel.removeDirectory(path);
    }
  }
}

function namesBelow(kernel: MemoryKernel, directory: string): string[] {
  const above = `${directory}/`;
  return kernel
    .paths()
    .filter((path) => path.startsWith(above) && !path.includes('/', above.length))
    .map((path) => path.slice(above.length));
}
