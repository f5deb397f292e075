/** What a command line means by a program: a loaded one, or one of a compiled object. */

import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { nearest } from '../bytes/nearest.ts';
import { KernelUnavailableError } from '../errors.ts';
import type { ObjectFile } from '../obj/index.ts';
import type { KernelChoice } from './kernel-choice.ts';
import { type Reference, UsageError } from './usage.ts';

/** The magic number of a BPF file system (`BPF_FS_MAGIC`, include/uapi/linux/magic.h). */
const BPF_FS_MAGIC = 0xcafe4a11;

/**
 * Whether a word names a program of the kernel, rather than a compiled object. Both may be paths: a pin
 * is what lies on a BPF file system. No kernel is asked about files that are there.
 */
export function isOfKernel(kernel: KernelChoice, reference: Reference): boolean {
  if (reference.by !== 'path') {
    return true;
  }
  const { path } = reference;
  try {
    return statfsSync(path).type === BPF_FS_MAGIC;
  } catch {
    // Not there, or on a file system that is not this machine's.
    return path.startsWith('/') && isPlaceOfPins(kernel, dirname(path));
  }
}

function isPlaceOfPins(choice: KernelChoice, directory: string): boolean {
  try {
    return choice.open().fileSystem(directory) === 'bpf';
  } catch (error) {
    if (error instanceof KernelUnavailableError) {
      return false;
    }
    throw error;
  }
}

/** The programs of an object that are asked for. @throws UsageError for one that it does not have */
export function namesOf(object: ObjectFile, file: string, name: string | undefined): string[] {
  const names = [...object.programs.keys()];
  if (name === undefined) {
    return names;
  }
  if (!object.programs.has(name)) {
    const near = nearest(name, names);
    const known = names.join(', ') || 'none';
    const hint = near === undefined ? `it has ${known}` : `did you mean ${near}?`;
    throw new UsageError(`${file} has no program "${name}"; ${hint}`);
  }
  return [name];
}
