/** Programs and structs of functions made to cost time: as growth.test.ts, of what has thousands of them. */

import { describe, expect, it } from 'vitest';
import { listProgram } from '../../src/obj/instructions/listing.ts';
import { linkProgram } from '../../src/obj/link.ts';
import { ObjectFile } from '../../src/obj/object.ts';
import { structOpsValue } from '../../src/obj/struct-ops-value.ts';
import { answer, grows, times } from './growth.ts';
import { GLOBAL, instructions, ObjectBuilder } from './object-builder.ts';
import { KIND } from './types.ts';

/** Each, whether or not others can be linked. */
function linkAll(bytes: Uint8Array): void {
  const object = ObjectFile.parse(bytes);
  for (const name of object.programs.keys()) {
    answer(() => listProgram(linkProgram(object, name)));
  }
}

function readVariables(bytes: Uint8Array): void {
  const object = ObjectFile.parse(bytes);
  for (const map of object.maps.values()) {
    answer(() => structOpsValue(object, map));
  }
}

describe('code', () => {
  const broken = new Uint8Array(8);

  it.each([
    ['without types', false, undefined],
    ['with types', true, undefined],
    ['with a .BTF.ext that is broken', true, broken],
  ])('has a section for each program, %s', (_, hasTypes, ext) => {
    grows(
      1600,
      (count) => {
        const object = new ObjectBuilder();
        if (hasTypes) {
          object.types.int();
        }
        times(count, (index) => {
          const section = object.code(`xdp/${index}`, instructions(2));
          object.symbol(`p${index}`, { info: GLOBAL.FUNC, section, size: 16 });
        });
        if (ext !== undefined) {
          object.section('.BTF.ext', ext);
        }
        return object.write();
      },
      linkAll,
    );
  });

  it('has programs, and externs the last of which nothing declares', () => {
    grows(
      800,
      (count) => {
        const object = new ObjectBuilder();
        const { types } = object;
        const section = object.code('xdp', instructions(count));
        const prototype = types.add(KIND.FUNC_PROTO, 0, '', 0);
        const entries = times(count, (index) => {
          const value = index * 8;
          object.symbol(`p${index}`, { info: GLOBAL.FUNC, section, value, size: 8 });
          object.symbol(`f${index}`, { info: GLOBAL.NOTYPE, section: 0 });
          return [types.add(KIND.FUNC, 2, `f${index}`, prototype), 0, 0];
        });
        object.symbol('g', { info: GLOBAL.NOTYPE, section: 0 });
        types.addList(KIND.DATASEC, '.ksyms', 0, entries);
        return object.write();
      },
      linkAll,
    );
  });
});

/** How variables lie, in bytes. */
interface Layout {
  readonly members: number;
  /** From one to the next. */
  readonly distance: number;
}

/**
 * So many variables of one struct of functions, each with a program as its first member; a single one
 * has it as every member.
 */
function withVariables(count: number, { members, distance }: Layout): Uint8Array {
  const object = new ObjectBuilder();
  const { types } = object;
  const pointer = types.add(KIND.PTR, 0, '', types.add(KIND.FUNC_PROTO, 0, '', 0));
  const size = members * 8;
  const named = times(members, (index) => [types.strings.add(`m${index}`), pointer, index * 64]);
  const struct = types.addList(KIND.STRUCT, 'ops', size, named);
  const code = object.code('struct_ops/m0', instructions(1));
  const program = object.symbol('p', { info: GLOBAL.FUNC, section: code, size: 8 });
  const contents = new Uint8Array((count - 1) * distance + size);
  const section = object.section('.struct_ops', contents, { flags: 3 });
  const entries = times(count, (index) => {
    const value = index * distance;
    object.symbol(`v${index}`, { info: GLOBAL.OBJECT, section, value, size });
    return [types.add(KIND.VAR, 0, `v${index}`, struct, 1), value, size];
  });
  types.addList(KIND.DATASEC, '.struct_ops', 0, entries);
  const places =
    count === 1 ? times(members, (index) => index * 8) : times(count, (index) => index * distance);
  object.relocations(
    section,
    places.map((place) => [place, program]),
  );
  return object.write();
}

describe('structs of functions', () => {
  it.each([
    ['behind each other', { members: 4, distance: 32 }],
    ['that overlap', { members: 4, distance: 8 }],
    ['at one place', { members: 1, distance: 0 }],
  ])('has many variables of struct_ops, %s', (_, layout) => {
    grows(1600, (count) => withVariables(count, layout), readVariables);
  });

  it('has a variable of struct_ops with many members', () => {
    grows(4000, (count) => withVariables(1, { members: count, distance: 0 }), readVariables);
  });

  it('has variables that overlap: few are read, more than the file has bytes are refused', () => {
    const read = (bytes: Uint8Array) => {
      const object = ObjectFile.parse(bytes);
      return Array.from(object.maps.values(), (map) => structOpsValue(object, map));
    };
    const layout = { members: 64, distance: 8 };
    const [first, second] = read(withVariables(2, layout));
    expect([...first!.programs]).toEqual([
      [0, 'p'],
      [1, 'p'],
    ]);
    expect([...second!.programs]).toEqual([[0, 'p']]);
    expect(() => read(withVariables(200, layout))).toThrow(
      expect.objectContaining({
        code: 'ERR_SKEP_ELF',
        message: expect.stringMatching(/^variable "v\d+" in section ".struct_ops" has the same/),
      }),
    );
  });
});
