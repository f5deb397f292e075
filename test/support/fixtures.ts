/** The committed objects and what was recorded about them (fixtures/README.md). */

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
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
