/** Names of an object are data: those that mean something to JavaScript too. */

import { afterEach, describe, expect, it } from 'vitest';
import { drawDiagram } from '../../src/cli/mermaid.ts';
import { Memory } from '../../src/codec/codec.ts';
import { codecOf } from '../../src/codec/from-btf.ts';
import { fromJson, type Json, toJson } from '../../src/codec/json.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { load } from '../../src/loader/load.ts';
import { inspect } from '../../src/obj/inspection.ts';
import { linkProgram } from '../../src/obj/link.ts';
import { ObjectFile } from '../../src/obj/object.ts';
import { baseBytes, Draft } from './draft.ts';

const NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
  '__defineGetter__',
  'then',
  'length',
  'ünï___cödé',
];

/** The demo with another name for something. */
function renamed(from: string, to: string): ObjectFile {
  const draft = new Draft(baseBytes('objects/demo.bpf.o'));
  draft.rename(from, new TextEncoder().encode(to));
  return ObjectFile.parse(draft.write());
}

const before = Object.getOwnPropertyNames(Object.prototype);

afterEach(() => {
  expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
});

describe.each(NAMES)('%s', (name) => {
  it('is a map', () => {
    const object = renamed('flows', name);
    expect(object.maps.get(name)?.type).toBe('hash');
    const { maps } = JSON.parse(JSON.stringify(inspect(object))) as ReturnType<typeof inspect>;
    expect(maps.map((map) => map.name)).toEqual(
      inspect(renamed('flows', 'flows')).maps.map((map) =>
        map.name === 'flows' ? name : map.name,
      ),
    );
    expect(drawDiagram(inspect(object)).split('\n')).toHaveLength(
      drawDiagram(inspect(renamed('flows', 'flows'))).split('\n').length,
    );
  });

  it('is a program', () => {
    const object = renamed('count_packets', name);
    expect([...object.programs.keys()]).toEqual([name]);
    expect(linkProgram(object, name).functions[0]?.name).toBe(name);
    expect(inspect(object).programs[0]?.name).toBe(name);
  });

  it('is a global variable, of a loaded object too', () => {
    const object = renamed('ignored_packets', name);
    expect(object.data.get('.bss')?.variables.map((variable) => variable.name)).toEqual([name]);
    const kernel = new MemoryKernel();
    const maps = Object.fromEntries(
      [...object.maps.keys()].map((map) => [map, { pin: false as const }]),
    );
    const app = load(object, {
      kernel,
      maps,
      programs: false,
      globals: Object.fromEntries([[name, 7n]]),
    });
    try {
      expect(Object.keys(app.globals)).toContain(name);
      expect(app.globals[name]).toBe(7n);
      app.globals[name] = 9n;
      expect(app.globals[name]).toBe(9n);
    } finally {
      app.close();
    }
  });

  it('is a member of a key, read and written', () => {
    const object = renamed('source_port', name);
    const codec = codecOf(object.btf!, object.maps.get('flows')!.keyTypeId);
    const bytes = Uint8Array.from({ length: codec.sizeBytes }, (_, index) => index + 1);
    const value = codec.read(new Memory(bytes, true), 0) as object;
    expect(Object.hasOwn(value, name)).toBe(true);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    const json = JSON.parse(JSON.stringify(toJson(value))) as Json;
    for (const given of [value, fromJson(codec, json)]) {
      const memory = new Memory(new Uint8Array(codec.sizeBytes), true);
      codec.write(memory, 0, given);
      const again = codec.read(memory, 0) as object;
      expect(Object.entries(again)).toEqual(Object.entries(value));
    }
  });
});
