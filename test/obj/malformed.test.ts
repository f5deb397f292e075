/**
 * Malformed objects, one for each rule: fixtures/malformed/manifest.json says which rule, what libbpf
 * makes of the object, and what skep is to make of it.
 */

import { describe, expect, it } from 'vitest';
import { MapDefinitionError, ObjectError, SkepError } from '../../src/errors.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { inspect } from '../../src/obj/inspection.ts';
import { linkProgram } from '../../src/obj/link.ts';
import { filesBelow, fixtureBytes, fixtureJson } from '../support/fixtures.ts';

interface Entry {
  readonly file: string;
  readonly rule: string;
  readonly layer: 'elf' | 'btf' | 'maps' | 'programs' | 'data';
  readonly map: string | null;
  readonly member: string | null;
  readonly libbpf: { readonly opens: boolean; readonly errno: number | null };
  readonly skep: 'reject' | 'accept';
  readonly why?: string;
}

const manifest = fixtureJson<readonly Entry[]>('malformed/manifest.json');

function parse(entry: Entry): ObjectFile {
  return ObjectFile.parse(fixtureBytes(`malformed/${entry.file}`), { file: entry.file });
}

/** Reading all of it, the code of every program included, which opening alone does not look at. */
function refusal(entry: Entry): unknown {
  try {
    const object = parse(entry);
    inspect(object);
    for (const program of object.programs.keys()) {
      linkProgram(object, program);
    }
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('the list of malformed objects', () => {
  it('names every file that there is', () => {
    const files = manifest.map(({ file }) => file.replace(/\.bpf\.o$/, '')).sort();
    expect(files).toEqual(filesBelow('malformed', '.bpf.o'));
  });

  it('gives a reason wherever skep decides otherwise than libbpf', () => {
    for (const entry of manifest) {
      const same = entry.libbpf.opens === (entry.skep === 'accept');
      expect(same || entry.why !== undefined, entry.file).toBe(true);
    }
  });
});

describe('a malformed object', () => {
  it.each(manifest.filter(({ skep }) => skep === 'reject'))('is refused: $file: $rule', (entry) => {
    const error = refusal(entry);
    expect(error, `${entry.file} was read`).toBeInstanceOf(SkepError);
    const { message } = error as SkepError;
    // One clear line: no stack, no dump.
    expect(message.split('\n')).toHaveLength(1);
    if (entry.map !== null) {
      expect(error).toBeInstanceOf(MapDefinitionError);
      expect((error as MapDefinitionError).map).toBe(entry.map);
      expect((error as MapDefinitionError).member ?? null).toBe(entry.member);
      expect(message).toContain(`"${entry.map}"`);
    } else if (entry.layer !== 'maps') {
      expect(error).toBeInstanceOf(ObjectError);
    }
  });

  it.each(manifest.filter(({ skep }) => skep === 'accept'))('is read: $file: $rule', (entry) => {
    expect(refusal(entry)).toBeUndefined();
  });
});
