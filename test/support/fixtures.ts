/** The committed objects and what was recorded about them (fixtures/README.md). */

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { type LoadedObject, load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';

const ROOT = fileURLToPath(new URL('../../fixtures/', import.meta.url));

/** The path of a file below fixtures/. */
export function fixturePath(name: string): string {
  return ROOT + name;
}

/** The bytes of a file below fixtures/. */
export function fixtureBytes(name: string): Uint8Array {
  return readFileSync(fixturePath(name));
}

/** An object of fixtures/objects/, by its name without `.bpf.o`. */
export function openFixture(name: string): ObjectFile {
  return ObjectFile.open(fixturePath(`objects/${name}.bpf.o`));
}

/** The maps of such an object in a kernel, none of them pinned. */
export function loadUnpinned(name: string, kernel: Kernel): LoadedObject {
  const object = openFixture(name);
  const maps = Object.fromEntries(
    [...object.maps.keys()].map((map) => [map, { pin: false as const }]),
  );
  return load(object, { kernel, maps, programs: false });
}

/** A JSON file below fixtures/. */
export function fixtureJson<T>(name: string): T {
  return JSON.parse(readFileSync(fixturePath(name), 'utf8')) as T;
}

/** The names, without `.bpf.o`, of all objects of fixtures/objects/. */
export function fixtureNames(): string[] {
  return filesBelow('objects', '.bpf.o');
}

/** The paths below `directory` of files that end so, without that end, sorted. */
export function filesBelow(directory: string, end: string): string[] {
  return readdirSync(fixturePath(directory), { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(end))
    .map((name) => name.slice(0, -end.length))
    .sort();
}
