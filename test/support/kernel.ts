/**
 * What tests on the running kernel share: whether there is one, a place for pins, and a check that
 * no file descriptor stays behind.
 */

import { mkdirSync, readdirSync, readlinkSync, rmSync, statfsSync } from 'node:fs';
import { release } from 'node:os';
import { afterEach, beforeEach, describe, expect, type TestContext } from 'vitest';
import { loadNative } from '../../src/kernel/native.ts';

const BPF_FS_MAGIC = 0xcafe4a11;
const ROOT = '/sys/fs/bpf';

/** Why tests cannot use the kernel here; null if they can. */
export const kernelProblem: string | null = findProblem();

function findProblem(): string | null {
  if (process.platform !== 'linux') {
    return 'this is not Linux';
  }
  try {
    loadNative();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  if (process.getuid?.() !== 0) {
    return 'this is not root';
  }
  if (statfsSync(ROOT).type !== BPF_FS_MAGIC) {
    return `no BPF file system is mounted at ${ROOT} (npm test mounts one where it may)`;
  }
  return null;
}

if (kernelProblem !== null) {
  if (process.env.SKEP_REQUIRE_KERNEL === '1') {
    throw new Error(`tests on the kernel are required, but ${kernelProblem}`);
  }
  console.warn(`TESTS ON THE KERNEL ARE SKIPPED: ${kernelProblem}`);
}

/** A group of tests that need the running kernel. Each is checked for descriptors left open. */
export function describeKernel(name: string, body: () => void): void {
  describe.skipIf(kernelProblem !== null)(`${name} (kernel)`, () => {
    checkDescriptors();
    body();
  });
}

declare module 'vitest' {
  interface TaskMeta {
    /** Why a test was skipped, for reports. */
    skipped?: string;
  }
}

/** Skips a test, with the reason for those who read the report. */
export function skipBecause(context: TestContext, reason: string): never {
  context.task.meta.skipped = reason;
  return context.skip(reason);
}

/**
 * Skips a test for which this machine refuses what any other grants, as a kernel that is locked down does. In
 * virtual machines, whose kernels are chosen, nothing may be refused: there `SKEP_REQUIRE_HOOKS=1` makes it an
 * error.
 */
export function skipRefused(context: TestContext, reason: string): never {
  if (process.env.SKEP_REQUIRE_HOOKS === '1') {
    throw new Error(`this is required here (SKEP_REQUIRE_HOOKS), but ${reason}`);
  }
  return skipBecause(context, reason);
}

/** Whether the running kernel is at least of a version, such as `6.4`. */
export function isLinux(version: string): boolean {
  return release().localeCompare(version, 'en', { numeric: true }) >= 0;
}

/**
 * Skips a test where the running kernel is older than what it is about. On a kernel that should have it the
 * test runs, and fails if it has not.
 *
 * @param since the first version of Linux that has it, such as `6.4`
 */
export function needsLinux(context: TestContext, since: string, what: string): void {
  if (!isLinux(since)) {
    skipBecause(context, `needs Linux ${since}: ${what}`);
  }
}

/** The first versions of Linux with the types of map that came after 6.1. */
const MAP_TYPES_SINCE: Readonly<Record<string, string>> = { cgrp_storage: '6.2', arena: '6.9' };

/** {@link needsLinux} for a type of map, by its name. */
export function needsMapType(context: TestContext, type: string): void {
  const since = MAP_TYPES_SINCE[type];
  if (since !== undefined) {
    needsLinux(context, since, `maps of type ${type}`);
  }
}

let directories = 0;

/** A directory of its own below the BPF file system for each test; removed afterwards. */
export function pinDirectory(): { readonly path: string } {
  const place = { path: '' };
  beforeEach(() => {
    directories += 1;
    place.path = `${ROOT}/skep-test-${process.pid}-${directories}`;
    mkdirSync(place.path);
  });
  afterEach(() => {
    rmSync(place.path, { recursive: true, force: true });
  });
  return place;
}

/** BPF objects that this process holds, as the links of its descriptors call them. */
export function bpfDescriptors(): string[] {
  const out: string[] = [];
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      if (/anon_inode:\[?(bpf|btf)/.test(target)) {
        out.push(`${fd} ${target}`);
      }
    } catch {
      // The descriptor that lists the directory is gone by now.
    }
  }
  return out;
}

function checkDescriptors(): void {
  let before: string[] = [];
  beforeEach(() => {
    before = bpfDescriptors();
  });
  afterEach(() => {
    expect(bpfDescriptors(), 'BPF file descriptors left open').toEqual(before);
  });
}
