/**
 * Objects made to cost time: ten times the bytes may take ten times the time, and some, whatever is in
 * them. What would take its square takes a hundred times as long.
 */

import { describe, expect, it } from 'vitest';
import { describeObject } from '../../src/cli/inspect-text.ts';
import { drawDiagram } from '../../src/cli/mermaid.ts';
import { dumpsOf } from '../../src/cli/program-dump.ts';
import { dumpDocument, dumpLines } from '../../src/cli/program-dump-text.ts';
import { codecOf } from '../../src/codec/from-btf.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { checkBtf } from '../../src/obj/btf/check.ts';
import { sizeOfType } from '../../src/obj/btf/layout.ts';
import { spellType } from '../../src/obj/btf/spell.ts';
import { encodeForKernel } from '../../src/obj/btf-for-kernel.ts';
import { partsOf } from '../../src/obj/btf-for-kernel-older.ts';
import { inspect } from '../../src/obj/inspection.ts';
import { listProgram } from '../../src/obj/instructions/listing.ts';
import { linkProgram } from '../../src/obj/link.ts';
import { ObjectFile } from '../../src/obj/object.ts';
import { parseVerifierLog } from '../../src/programs/verifier-log.ts';
import { answer, grows, times } from './growth.ts';
import { GLOBAL, instructions, ObjectBuilder, TypesBuilder } from './object-builder.ts';
import { KIND } from './types.ts';

/** Everything that can be asked of an object. */
function readAll(bytes: Uint8Array): void {
  const object = ObjectFile.parse(bytes);
  answer(() => {
    const document = inspect(object);
    JSON.stringify(document);
    drawDiagram(document);
    for (const width of WIDTHS) {
      describeObject(document, object.btf !== undefined, terminalOf(width));
    }
  });
  const { btf } = object;
  if (btf !== undefined) {
    answer(() => encodeForKernel(object, btf));
    answer(() => encodeForKernel(object, btf, partsOf(btf)));
  }
}

/** Of a pipe, and of a terminal. */
const WIDTHS = [Number.POSITIVE_INFINITY, 80];
const terminalOf = (width: number) => ({ width, bold: (text: string) => text });

function linkFirst(bytes: Uint8Array): void {
  const object = ObjectFile.parse(bytes);
  const [first] = object.programs.keys();
  listProgram(linkProgram(object, first!));
}

/** A map definition of `.maps`: `type` and whatever else. */
function addMaps(object: ObjectBuilder, count: number, structOf: (index: number) => number): void {
  const { types } = object;
  const section = object.section('.maps', new Uint8Array(count * 32), { flags: 3 });
  const entries = times(count, (index) => {
    const id = types.add(KIND.VAR, 0, `map${index}`, structOf(index), 1);
    object.symbol(`map${index}`, { info: GLOBAL.OBJECT, section, value: index * 32, size: 32 });
    return [id, index * 32, 32];
  });
  types.addList(KIND.DATASEC, '.maps', 0, entries);
}

/** A pointer to an array of so many: how `__uint` writes a number. */
function number(types: TypesBuilder, int: number, value: number): number {
  return types.add(KIND.PTR, 0, '', types.add(KIND.ARRAY, 0, '', 0, int, int, value));
}

describe('the container', () => {
  it('has sections whose names are parts of one long name', () => {
    grows(
      600,
      (count) => {
        const object = new ObjectBuilder();
        const start = object.names.add('x'.repeat(count * 64));
        times(count, (index) => object.section('', new Uint8Array(8), { name: start + index }));
        return object.write();
      },
      readAll,
    );
  });

  it('has programs whose names are parts of one long name that is not ASCII', () => {
    grows(
      600,
      (count) => {
        const object = new ObjectBuilder();
        const start = object.names.add('é'.repeat(count * 16));
        const section = object.code('xdp', instructions(count));
        times(count, (index) =>
          object.symbol('', {
            info: GLOBAL.FUNC,
            section,
            value: index * 8,
            size: 8,
            name: start + index * 2,
          }),
        );
        return object.write();
      },
      readAll,
    );
  });

  it('has many symbols at one place', () => {
    grows(
      3000,
      (count) => {
        const object = new ObjectBuilder();
        const section = object.section('.data', new Uint8Array(64), { flags: 3 });
        times(count, (index) =>
          object.symbol(`v${index}`, { info: GLOBAL.OBJECT, section, value: 8, size: 8 }),
        );
        return object.write();
      },
      readAll,
    );
  });
});

describe('types', () => {
  it.each([
    ['typedefs', KIND.TYPEDEF],
    ['pointers', KIND.PTR],
    ['constants', KIND.CONST],
  ])('form a long chain of %s', (_, kind) => {
    grows(
      2000,
      (count) => {
        const types = new TypesBuilder();
        let last = types.int();
        times(count, () => {
          last = types.add(kind, 0, 't', last);
        });
        return types.write();
      },
      useAll,
    );
  });

  it('form arrays of arrays, structs of structs, prototypes of prototypes', () => {
    grows(
      1000,
      (count) => {
        const types = new TypesBuilder();
        let last = types.int();
        times(count, (index) => {
          last =
            index % 3 === 0
              ? types.add(KIND.ARRAY, 0, '', 0, last, 1, 1)
              : index % 3 === 1
                ? types.addList(KIND.STRUCT, '', 4, [[0, last, 0]])
                : types.addList(KIND.FUNC_PROTO, '', last, [[0, last]]);
        });
        return types.write();
      },
      useAll,
    );
  });

  it('have names that are parts of one long name', () => {
    grows(
      500,
      (count) => {
        const types = new TypesBuilder();
        const start = types.strings.add('?'.repeat(count * 32));
        times(count, (index) => types.add(KIND.DATASEC, 0, start + index, 0));
        return types.write();
      },
      useAll,
    );
  });

  it('are functions that share a prototype with many parameters', () => {
    grows(
      1000,
      (count) => {
        const object = new ObjectBuilder();
        const { types } = object;
        const int = types.int();
        const prototype = types.addList(
          KIND.FUNC_PROTO,
          '',
          0,
          times(count, () => [0, int]),
        );
        times(count, (index) => types.add(KIND.FUNC, 0, `f${index}`, prototype));
        return object.write();
      },
      readAll,
    );
  });

  it('describe one section many times', () => {
    grows(
      1000,
      (count) => {
        const object = new ObjectBuilder();
        const { types } = object;
        const section = object.section('.data', new Uint8Array(64), { flags: 3 });
        times(count, (index) =>
          object.symbol(`v${index}`, { info: GLOBAL.OBJECT, section, value: 8, size: 8 }),
        );
        times(count, () => types.add(KIND.DATASEC, 0, '.data', 0));
        return object.write();
      },
      readAll,
    );
  });
});

/** Everything that can be asked of types. */
function useAll(bytes: Uint8Array): void {
  const btf = Btf.parse(bytes);
  answer(() => checkBtf(btf));
  for (let id = 0; id < btf.typeCount; id += 1) {
    answer(() => sizeOfType(btf, id));
    answer(() => codecOf(btf, id));
    answer(() => btf.find(btf.type(id).name));
  }
  // A spelling may be long; a few of them tell.
  for (let id = Math.max(0, btf.typeCount - 100); id < btf.typeCount; id += 1) {
    answer(() => spellType(btf, id));
  }
}

describe('maps', () => {
  it('share a definition with many members', () => {
    grows(
      500,
      (count) => {
        const object = new ObjectBuilder();
        const { types } = object;
        const type = number(types, types.int(), 1);
        const name = types.strings.add('type');
        const struct = types.addList(
          KIND.STRUCT,
          '',
          8,
          times(count * 8, () => [name, type, 0]),
        );
        addMaps(object, count, () => struct);
        return object.write();
      },
      readAll,
    );
  });

  it('share the template of their inner maps', () => {
    grows(
      500,
      (count) => {
        const object = new ObjectBuilder();
        const { types } = object;
        const int = types.int();
        const word = (text: string) => types.strings.add(text);
        const inner = types.addList(KIND.STRUCT, '', 8, [
          [word('type'), number(types, int, 1), 0],
          [word('key'), types.add(KIND.PTR, 0, '', int), 64],
        ]);
        const values = types.add(KIND.ARRAY, 0, '', 0, types.add(KIND.PTR, 0, '', inner), int, 0);
        const outer = types.addList(KIND.STRUCT, '', 16, [
          [word('type'), number(types, int, 13), 0],
          [word('values'), values, 64],
        ]);
        addMaps(object, count, () => outer);
        return object.write();
      },
      readAll,
    );
  });

  it('have slots whose relocations stand in tables that share their bytes', () => {
    grows(
      200,
      (count) => {
        const object = new ObjectBuilder();
        const { types } = object;
        const int = types.int();
        const struct = types.addList(KIND.STRUCT, '', 8, [
          [types.strings.add('type'), number(types, int, 3), 0],
          [
            types.strings.add('values'),
            types.add(
              KIND.ARRAY,
              0,
              '',
              0,
              types.add(KIND.PTR, 0, '', types.add(KIND.FUNC_PROTO, 0, '', 0)),
              int,
              0,
            ),
            64,
          ],
        ]);
        addMaps(object, 1, () => struct);
        const section = object.code('xdp', instructions(1));
        const program = object.symbol('p', { info: GLOBAL.FUNC, section, size: 8 });
        const table = object.relocations(
          3,
          times(count * 4, () => [8, program]),
        );
        times(count, () =>
          object.section('.rel', new Uint8Array(0), {
            type: 9,
            link: 2,
            info: 3,
            entrySize: 16,
            sameAs: table,
          }),
        );
        return object.write();
      },
      readAll,
    );
  });
});

describe('code', () => {
  const CALL = [0x85, 0x10, 0, 0, 0xff, 0xff, 0xff, 0xff];

  it('calls in a long chain', () => {
    grows(
      2000,
      (count) => {
        const object = new ObjectBuilder();
        const section = object.code(
          'xdp',
          instructions(count * 2, Object.fromEntries(times(count - 1, (i) => [i * 2, CALL]))),
        );
        const symbols = times(count, (index) =>
          object.symbol(`f${index}`, {
            info: GLOBAL.FUNC,
            section,
            value: index * 16,
            size: 16,
          }),
        );
        object.relocations(
          section,
          times(count - 1, (index) => [index * 16, symbols[index + 1]!]),
        );
        return object.write();
      },
      linkFirst,
    );
  });

  it('has many relocations of one instruction', () => {
    grows(
      5000,
      (count) => {
        const object = new ObjectBuilder();
        const section = object.code('xdp', instructions(2, { 0: CALL }));
        const program = object.symbol('p', { info: GLOBAL.FUNC, section, size: 16 });
        object.relocations(
          section,
          times(count, () => [0, program]),
        );
        return object.write();
      },
      linkFirst,
    );
  });

  it('has tables of relocations that share their bytes', () => {
    grows(
      200,
      (count) => {
        const object = new ObjectBuilder();
        const section = object.code('xdp', instructions(2, { 0: CALL }));
        const program = object.symbol('p', { info: GLOBAL.FUNC, section, size: 16 });
        const table = object.relocations(
          section,
          times(count * 4, () => [0, program]),
        );
        times(count, () =>
          object.section('.rel', new Uint8Array(0), {
            type: 9,
            link: 2,
            info: section,
            entrySize: 16,
            sameAs: table,
          }),
        );
        return object.write();
      },
      linkFirst,
    );
  });

  it('calls functions of sections that share their bytes', () => {
    grows(
      60,
      (count) => {
        const object = new ObjectBuilder();
        const long = object.code(
          'xdp',
          instructions(count * 20, Object.fromEntries(times(count, (i) => [i, CALL]))),
        );
        object.symbol('p', { info: GLOBAL.FUNC, section: long, size: count * 160 });
        const symbols = times(count, (index) => {
          const section = object.section(`s${index}`, new Uint8Array(0), {
            flags: 6,
            sameAs: long,
          });
          return object.symbol(`f${index}`, { info: GLOBAL.FUNC, section, size: count * 160 });
        });
        object.relocations(
          long,
          symbols.map((symbol, index) => [index * 8, symbol]),
        );
        return object.write();
      },
      linkFirst,
    );
  });

  it('refers to many options of the kernel', () => {
    grows(
      700,
      (count) => {
        const object = new ObjectBuilder();
        const { types } = object;
        const int = types.int();
        const entries = times(count, (index) => [
          types.add(KIND.VAR, 0, `CONFIG_${index}`, int, 2),
          0,
          4,
        ]);
        types.addList(KIND.DATASEC, '.kconfig', 0, entries);
        const section = object.code(
          'xdp',
          instructions(count * 2 + 1, Object.fromEntries(times(count, (i) => [i * 2, [0x18]]))),
        );
        object.symbol('p', { info: GLOBAL.FUNC, section, size: count * 16 + 8 });
        const symbols = times(count, (index) =>
          object.symbol(`CONFIG_${index}`, { info: GLOBAL.NOTYPE, section: 0 }),
        );
        object.relocations(
          section,
          symbols.map((symbol, index) => [index * 16, symbol]),
        );
        return object.write();
      },
      linkFirst,
    );
  });

  it('has programs with many exception callbacks', () => {
    grows(
      1000,
      (count) => {
        const object = new ObjectBuilder();
        const { types } = object;
        const prototype = types.add(KIND.FUNC_PROTO, 0, '', 0);
        const text = object.code('.text', instructions(count));
        const xdp = object.code('xdp', instructions(count));
        times(count, (index) => {
          const value = index * 8;
          object.symbol(`t${index}`, { info: GLOBAL.FUNC, section: text, value, size: 8 });
          object.symbol(`p${index}`, { info: GLOBAL.FUNC, section: xdp, value, size: 8 });
          const id = types.add(KIND.FUNC, 1, `p${index}`, prototype);
          types.add(17, 0, `exception_callback:t${index}`, id, 0xffff_ffff);
          types.add(17, 0, `exception_callback:t${index}`, prototype + 1, 0xffff_ffff);
        });
        return object.write();
      },
      (bytes) => {
        const object = ObjectFile.parse(bytes);
        for (const name of object.programs.keys()) {
          answer(() => linkProgram(object, name));
        }
      },
    );
  });
});

/** How long the text of an object with so many of something is: twice as many make twice the text. */
function makesTwice(
  count: number,
  build: (count: number) => Uint8Array,
  run: (bytes: Uint8Array) => number,
): void {
  const one = run(build(count));
  expect(run(build(2 * count)) / one, `${one} characters for half of it`).toBeLessThan(2.5);
}

/** Characters of the pieces. */
function lengthOf(input: Uint8Array, pieces: (object: ObjectFile) => Iterable<string>): number {
  let length = 0;
  for (const piece of pieces(ObjectFile.parse(input))) {
    length += piece.length;
  }
  return length;
}

const describedAt = (width: number) => (object: ObjectFile) => [
  describeObject(inspect(object), object.btf !== undefined, terminalOf(width)),
];

describe('output', () => {
  /** The more rows, the longer the name in the first one. */
  const nameOf = (count: number, index: number) =>
    index === 0 ? 'x'.repeat(count * 12) : `n${index}`;

  function withPrograms(count: number): Uint8Array {
    const object = new ObjectBuilder();
    const section = object.code('xdp', instructions(count));
    times(count, (index) =>
      object.symbol(nameOf(count, index), {
        ...{ info: GLOBAL.FUNC, section, value: index * 8, size: 8 },
      }),
    );
    return object.write();
  }

  function withVariables(count: number): Uint8Array {
    const object = new ObjectBuilder();
    const { types } = object;
    const section = object.section('.data', new Uint8Array(count * 4), { flags: 3 });
    const int = types.int();
    const entries = times(count, (index) => {
      const name = nameOf(count, index);
      object.symbol(name, { info: GLOBAL.OBJECT, section, value: index * 4, size: 4 });
      return [types.add(KIND.VAR, 0, name, int, 1), index * 4, 4];
    });
    types.addList(KIND.DATASEC, '.data', count * 4, entries);
    return object.write();
  }

  it.each([
    ['programs', 'a pipe', withPrograms, WIDTHS[0]!],
    ['programs', 'a terminal', withPrograms, WIDTHS[1]!],
    ['variables', 'a pipe', withVariables, WIDTHS[0]!],
    ['variables', 'a terminal', withVariables, WIDTHS[1]!],
  ])('is a table of many %s on %s, one of which has a long name', (_, __, build, width) => {
    const run = (bytes: Uint8Array) => lengthOf(bytes, describedAt(width));
    makesTwice(1000, build, run);
    grows(500, build, run);
  });

  it.each([
    ['text', dumpText],
    ['a document', dumpJson],
  ])('is a dump of many programs as %s', (_, pieces) => {
    const build = (count: number) => {
      const object = new ObjectBuilder();
      const text = object.code('.text', instructions(20));
      const called = object.symbol('f', { info: GLOBAL.FUNC, section: text, size: 160 });
      const call = [0x85, 0x10, 0, 0, 0xff, 0xff, 0xff, 0xff];
      const calls = Object.fromEntries(times(count, (index) => [index * 2, call]));
      const section = object.code('xdp', instructions(count * 2, calls));
      const symbol = { info: GLOBAL.FUNC, section, size: 16 };
      times(count, (index) => object.symbol(`p${index}`, { ...symbol, value: index * 16 }));
      object.relocations(
        section,
        times(count, (index) => [index * 16, called]),
      );
      return object.write();
    };
    const run = (bytes: Uint8Array) => lengthOf(bytes, pieces);
    makesTwice(100, build, run);
    grows(100, build, run);
  });
});

function dumpText(object: ObjectFile): Iterable<string> {
  return dumpLines(dumpsOf(object, 'file', object.programs.keys()), true);
}

function dumpJson(object: ObjectFile): Iterable<string> {
  return dumpDocument({ file: 'file' }, dumpsOf(object, 'file', object.programs.keys()));
}

describe('text', () => {
  it.each([
    ['lines of instructions', '12: (bf) r1 = r6 ; R1_w=ctx() R6=ctx()\n'],
    ['lines of source', '; if (data + 14 > data_end) @ xdp.c:42\n'],
    ['messages', 'R1 invalid mem access\n'],
    ['states', 'from 5 to 9: R0=0 R1=ctx() fp-8=0000????\n'],
    ['brackets', '12: R1=('],
    ['spaces', ' '],
    ['digits', '1'],
    ['words', 'stack depth 1+'],
  ])('is a log of the verifier of nothing but %s', (_, line) => {
    grows(
      5000,
      (count) => line.repeat(count),
      (text) => parseVerifierLog(text),
    );
  });
});
