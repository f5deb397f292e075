/** Paths of pins: what a BPF file system takes, and making the directories that are missing. */

import { dirname, posix } from 'node:path';
import { SkepError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';

/** Where pins live unless told otherwise, as for libbpf and bpftool. */
export const DEFAULT_PIN_DIRECTORY = '/sys/fs/bpf';

/**
 * Checks the form of a pin's path, without looking at the file system.
 *
 * @returns the path without doubled slashes and `.` or `..` in it
 * @throws TypeError if it is no text
 * @throws SkepError `ERR_SKEP_PIN_PATH` if it is relative or names no file
 */
export function checkPinPath(path: string): string {
  if (typeof path !== 'string') {
    throw new TypeError(`the path of a pin is a string, not ${typeof path}`);
  }
  if (!path.startsWith('/')) {
    throw pinPathError(
      path,
      `is relative; give an absolute one, such as ${DEFAULT_PIN_DIRECTORY}/${path}`,
    );
  }
  if (path.endsWith('/')) {
    throw pinPathError(path, 'names no file');
  }
  if (path.includes('\0')) {
    throw pinPathError(path, 'contains a NUL character');
  }
  const normal = posix.normalize(path);
  if (normal.startsWith(`${DEFAULT_PIN_DIRECTORY}/`)) {
    checkDots(path, normal.slice(DEFAULT_PIN_DIRECTORY.length));
  }
  return normal;
}

/**
 * The path of a pin in a directory, under a name that an object gives. Whoever wrote the object must not
 * get to choose another directory.
 *
 * @throws SkepError `ERR_SKEP_PIN_PATH` if the name leads out of the directory, or into another one
 */
export function pinPathIn(directory: string, name: string): string {
  const path = `${directory}/${name}`;
  if (name === '' || name === '.' || name === '..' || name.includes('/')) {
    throw pinPathError(
      path,
      `is made of the name "${name}" in the object, which is no name of a file; give a path of its own`,
    );
  }
  return path;
}

/**
 * Checks that a pin's path lies on a BPF file system and has a form that it takes.
 *
 * @returns the directories that are missing, outermost first
 * @throws SkepError `ERR_SKEP_PIN_PATH`, with the remedy
 */
export function checkPinPlace(kernel: Kernel, path: string): string[] {
  const normal = checkPinPath(path);
  const missing: string[] = [];
  let directory = dirname(normal);
  let kind = kernel.fileSystem(directory);
  while (kind === 'missing' && directory !== '/') {
    missing.unshift(directory);
    directory = dirname(directory);
    kind = kernel.fileSystem(directory);
  }
  if (kind !== 'bpf') {
    throw notBpf(path, directory);
  }
  // Dots are refused inside the file system only: where it is mounted may have any name.
  let root = directory;
  while (root !== '/' && kernel.fileSystem(dirname(root)) === 'bpf') {
    root = dirname(root);
  }
  checkDots(path, normal.slice(root.length));
  return missing;
}

/**
 * Makes the directory of a pin, and those above it, where they are missing below a BPF file system.
 *
 * @returns the directories that were made, outermost first
 * @throws SkepError `ERR_SKEP_PIN_PATH` if the path cannot hold pins; nothing is made then
 */
export function makePinDirectory(kernel: Kernel, path: string): string[] {
  const missing = checkPinPlace(kernel, path);
  const made: string[] = [];
  try {
    for (const each of missing) {
      if (kernel.makeDirectory(each)) {
        made.push(each);
      }
    }
  } catch (error) {
    removeDirectories(kernel, made);
    throw error;
  }
  return made;
}

/** A BPF file system answers EPERM to every name with a dot in it. */
function checkDots(path: string, below: string): void {
  const dotted = below.split('/').find((part) => part.includes('.'));
  if (dotted !== undefined) {
    throw pinPathError(
      path,
      `has a dot in "${dotted}", which a BPF file system refuses; use "${dotted.replaceAll('.', '_')}"`,
    );
  }
}

/** Removes directories that {@link makePinDirectory} made, as far as they are empty. */
function removeDirectories(kernel: Kernel, made: readonly string[]): void {
  for (const directory of [...made].reverse()) {
    kernel.removeDirectory(directory);
  }
}

function notBpf(path: string, directory: string): SkepError {
  const below = path === DEFAULT_PIN_DIRECTORY || path.startsWith(`${DEFAULT_PIN_DIRECTORY}/`);
  const remedy = below
    ? `none is mounted at ${DEFAULT_PIN_DIRECTORY}; mount it: mount -t bpf bpf ${DEFAULT_PIN_DIRECTORY}`
    : `use a path below ${DEFAULT_PIN_DIRECTORY}, or mount one there: mount -t bpf bpf ${directory}`;
  return pinPathError(path, `does not lie on a BPF file system (${directory} is none); ${remedy}`);
}

function pinPathError(path: string, problem: string): SkepError {
  return new SkepError('ERR_SKEP_PIN_PATH', `the pin path "${path}" ${problem}`);
}

/**
 * Pins what `fd` stands for, and makes the directories that are missing. If it cannot be pinned, they
 * are removed again.
 *
 * @returns the path as checked
 * @throws SkepError `ERR_SKEP_PIN_PATH`; SyscallError `EEXIST` if something is there already
 */
export function pinAt(kernel: Kernel, fd: number, path: string): string {
  const place = checkPinPath(path);
  const made = makePinDirectory(kernel, place);
  try {
    kernel.pin(fd, place);
  } catch (error) {
    removeDirectories(kernel, made);
    throw error;
  }
  return place;
}
