/**
 * Loads that fail or are killed in tests: together they make every call that a load makes. As data, so that
 * a process of its own can be told to do one.
 */

import type { LoadOptions } from '../../src/loader/options.ts';
import { fixturePath } from '../support/fixtures.ts';

/** An object and what it is loaded with. */
export interface Load {
  readonly title: string;
  /** The object's file. */
  readonly path: string;
  /** Below a directory on a BPF file system. No functions, so that they go into JSON. */
  options(directory: string): LoadOptions;
  /** Whether the in-process kernel can do it as well: it has no arenas. */
  readonly inMemory: boolean;
  /** A program that answers so when what it needs is in its maps, where tests cannot look. */
  readonly answer?: { readonly program: string; readonly returnValue: number };
}

const object = (name: string) => fixturePath(`${name}.bpf.o`);

/** Everything of these is pinned, so that what a load has made can be told from outside. */
export const PINNED_LOADS: readonly Load[] = [
  {
    title: 'maps, maps of maps with slots, data sections, a program, in directories of their own',
    path: object('objects/demo'),
    options: (directory) => ({
      pinDirectory: `${directory}/app/maps`,
      pinAll: true,
      maps: {
        '.rodata': { pin: `${directory}/app/data/rodata` },
        '.bss': { pin: `${directory}/app/data/bss` },
      },
      pinPrograms: `${directory}/app/programs`,
      replacePrograms: true,
    }),
    inMemory: true,
  },
  {
    title: 'two maps of maps, with an inner map that has a pin itself',
    path: object('objects/nested/pinned'),
    options: (pinDirectory) => ({ pinDirectory, pinAll: true }),
    inMemory: true,
  },
  {
    title: 'programs in the slots of an array',
    path: object('run/stages'),
    options: (directory) => ({
      pinDirectory: `${directory}/maps`,
      pinAll: true,
      pinPrograms: `${directory}/programs`,
      replacePrograms: true,
    }),
    inMemory: true,
  },
  {
    title: 'data sections that start with other values, one of them frozen',
    path: object('run/globals'),
    options: (directory) => ({
      globals: { threshold: 8, letter: 98 },
      pinDirectory: directory,
      pinAll: true,
      maps: {
        '.rodata': { pin: `${directory}/rodata` },
        '.data': { pin: `${directory}/data` },
        '.bss': { pin: `${directory}/bss` },
      },
    }),
    inMemory: true,
  },
  {
    title: 'an arena with globals',
    path: object('run/arena'),
    options: (pinDirectory) => ({ pinDirectory, pinAll: true }),
    inMemory: false,
    answer: { program: 'touch', returnValue: 3 + 4 },
  },
  {
    title: 'an arena with globals, at an address of its own',
    path: object('run/arena-address'),
    options: (pinDirectory) => ({ pinDirectory, pinAll: true }),
    inMemory: false,
    answer: { program: 'touch', returnValue: 5 + 1 },
  },
];

/** Loads that ask the kernel what it is, and make other kinds of map. They pin nothing. */
export const ASKING_LOADS: readonly Load[] = [
  {
    title: 'options and symbols of the kernel, and fields of its structs',
    path: object('run/kernel-reads'),
    options: () => ({ kernelConfig: { CONFIG_SKEP_SETTING: 3 } }),
    inMemory: false,
  },
  {
    title: 'a struct of functions',
    path: object('run/struct-ops'),
    options: () => ({}),
    inMemory: false,
  },
];
