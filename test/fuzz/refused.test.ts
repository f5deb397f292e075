/** What is refused because no compiler writes it and reading it could cost any amount of time or memory. */

import { describe, expect, it } from 'vitest';
import { StringTable } from '../../src/bytes/string-table.ts';
import { codecOf } from '../../src/codec/from-btf.ts';
import { hasCode } from '../../src/errors.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { load } from '../../src/loader/load.ts';
import { planLoad } from '../../src/loader/plan.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { spellType } from '../../src/obj/btf/spell.ts';
import { inspect } from '../../src/obj/inspection.ts';
import { linkProgram } from '../../src/obj/link.ts';
import { ObjectFile } from '../../src/obj/object.ts';
import { fixtureBytes } from '../support/fixtures.ts';
import { refusal } from '../support/refusal.ts';
import { Image } from './image.ts';
import { GLOBAL, instructions, ObjectBuilder, TypesBuilder } from './object-builder.ts';
import { KIND } from './types.ts';

const times = <T>(count: number, make: (index: number) => T) =>
  Array.from({ length: count }, (_, index) => make(index));

describe('codecs', () => {
  it('have no unions that contain each other twice, thirty levels deep', () => {
    const types = new TypesBuilder();
    let last = types.int();
    for (let level = 0; level < 30; level += 1) {
      last = types.addList(KIND.UNION, '', 4, [
        [types.strings.add('a'), last, 0],
        [types.strings.add('b'), last, 0],
      ]);
    }
    const btf = Btf.parse(types.write());
    const error = refusal(() => codecOf(btf, last));
    expect(error.message).toContain('has 4 bytes, which its unions show as more than 4096 values');
  });

  it('have no unnamed structs that contain each other twice', () => {
    const types = new TypesBuilder();
    let last = types.addList(KIND.STRUCT, '', 4, [[types.strings.add('a'), types.int(), 0]]);
    for (let level = 0; level < 40; level += 1) {
      last = types.addList(KIND.STRUCT, '', 4, [
        [0, last, 0],
        [0, last, 0],
      ]);
    }
    const btf = Btf.parse(types.write());
    expect(
      hasCode(
        refusal(() => codecOf(btf, last)),
        'ERR_SKEP_BTF',
      ),
    ).toBe(true);
  });

  it.each(['outermost first', 'innermost first'])(
    'do not nest a hundred thousand deep, %s',
    (order) => {
      const types = new TypesBuilder();
      const name = types.strings.add('a');
      let last = types.int();
      for (let level = 0; level < 100_000; level += 1) {
        last = types.addList(KIND.STRUCT, '', 4, [[name, last, 0]]);
      }
      const btf = Btf.parse(types.write());
      if (order === 'innermost first') {
        codecOf(btf, 50);
        codecOf(btf, 65);
      }
      const error = refusal(() => codecOf(btf, order === 'innermost first' ? 66 : last));
      expect(error.message).toContain('nests more than 64 deep');
    },
  );

  it('have no arrays of themselves', () => {
    const types = new TypesBuilder();
    const id = types.add(KIND.ARRAY, 0, '', 0, types.next, types.next, 2);
    const btf = Btf.parse(types.write());
    expect(refusal(() => codecOf(btf, id)).message).toMatch(/contains itself|nests more than/);
  });

  it('have arrays of 2^32-1 elements as long as those have no size', () => {
    const types = new TypesBuilder();
    const empty = types.addList(KIND.STRUCT, 'empty', 0, []);
    const id = types.add(KIND.ARRAY, 0, '', 0, empty, empty, 0xffff_ffff);
    expect(codecOf(Btf.parse(types.write()), id).sizeBytes).toBe(0);
  });
});

describe('strings', () => {
  it('are at most some 128 KiB long', () => {
    const table = new StringTable(new Uint8Array(0x3_0000).fill(0x78, 0, 0x2_ffff));
    expect(table.at(0)).toBeUndefined();
    expect(table.has(0)).toBe(false);
  });

  it('of 64 KiB are read', () => {
    const table = new StringTable(new Uint8Array(0x1_0001).fill(0x78, 0, 0xffff));
    expect(table.at(0)).toHaveLength(0xffff);
  });

  it('that are not ASCII are not read from every place in them', () => {
    const bytes = new Uint8Array(0xf000).fill(0xc3, 0, 0xefff);
    const table = new StringTable(bytes);
    const read = times(0xefff, (offset) => table.at(offset)).filter((text) => text !== undefined);
    const characters = read.reduce((sum, { length }) => sum + length, 0);
    expect(characters).toBeLessThan(bytes.length * 16 + 0x10_0000);
  });

  it('of types are left out of what is spelled if they are long', () => {
    const types = new TypesBuilder();
    const id = types.add(KIND.TYPEDEF, 0, 'x'.repeat(5000), types.int());
    expect(spellType(Btf.parse(types.write()), id)).toBe('...');
  });
});

/** An object with global data whose `.bss`, which has no contents in the file, claims so many bytes. */
function withBss(size: number): Uint8Array {
  const image = new Image(Uint8Array.from(fixtureBytes('run/globals.bpf.o')));
  image.named('.bss')!.claimedSize = BigInt(size);
  return image.write();
}

describe('objects', () => {
  it('with more names than fit a document are read and not described', () => {
    const object = new ObjectBuilder();
    const section = object.code(`xdp${'x'.repeat(60_000)}`, instructions(1000));
    times(1000, (index) =>
      object.symbol(`p${index}`, { info: GLOBAL.FUNC, section, value: index * 8, size: 8 }),
    );
    const read = ObjectFile.parse(object.write());
    expect(read.programs.size).toBe(1000);
    expect(refusal(() => inspect(read)).message).toContain('characters');
  });

  it('with a map of more members than there are', () => {
    const object = new ObjectBuilder();
    const { types } = object;
    const int = types.int();
    const type = types.add(KIND.PTR, 0, '', types.add(KIND.ARRAY, 0, '', 0, int, int, 1));
    const name = types.strings.add('type');
    const members = (count: number) =>
      types.addList(
        KIND.STRUCT,
        '',
        8,
        times(count, () => [name, type, 0]),
      );
    const section = object.section('.maps', new Uint8Array(8), { flags: 3 });
    object.symbol('m', { info: GLOBAL.OBJECT, section, size: 8 });
    const id = types.add(KIND.VAR, 0, 'm', members(12), 1);
    types.addList(KIND.DATASEC, '.maps', 0, [[id, 0, 8]]);
    const error = refusal(() => ObjectFile.parse(object.write()));
    expect(error.message).toContain('map "m": its struct has 12 members; there are type, key,');
  });

  it('with tables of relocations that share their bytes', () => {
    const object = new ObjectBuilder();
    const section = object.code('xdp', instructions(1, { 0: [0x85, 0x10] }));
    const program = object.symbol('p', { info: GLOBAL.FUNC, section, size: 8 });
    const table = object.relocations(
      section,
      times(1000, () => [0, program]),
    );
    times(20, () =>
      object.section('.rel', new Uint8Array(0), {
        ...{ type: 9, link: 2, info: section, entrySize: 16, sameAs: table },
      }),
    );
    const error = refusal(() => linkProgram(ObjectFile.parse(object.write()), 'p'));
    expect(error.message).toContain('has entries that belong to another section, too');
  });

  it.each([2 ** 32, 2 ** 32 + 8, 2 ** 52])('with a .bss of %d bytes', (size) => {
    const bytes = withBss(size);
    const error = refusal(() => ObjectFile.parse(bytes));
    expect(hasCode(error, 'ERR_SKEP_DATA')).toBe(true);
    expect(error).toMatchObject({
      message: expect.stringContaining(`data section ".bss" has ${size} bytes`),
      section: '.bss',
    });
  });

  it('with a .bss that the kernel refuses, with the error of the kernel', () => {
    const kernel = new MemoryKernel();
    const object = ObjectFile.parse(withBss(2 ** 32 - 1));
    expect(planLoad(object, {}, kernel).steps).not.toEqual([]);
    const error = refusal(() => load(object, { kernel }));
    expect(error).toMatchObject({ errnoName: 'E2BIG', message: expect.stringContaining('.bss') });
    expect(kernel.openDescriptors()).toEqual([]);
  });

  it.each([
    [1 << 19, '1048576', false],
    [(1 << 19) + 1, '1048578', true],
    [0xffff_ffff, '8589934590', true],
  ])('with options of the kernel that claim 2 times %i bytes', (bytes, sum, isRefused) => {
    const object = new ObjectBuilder();
    const { types } = object;
    const char = types.int('char', 1);
    const array = types.add(KIND.ARRAY, 0, '', 0, char, char, bytes);
    types.addList(KIND.DATASEC, '.kconfig', 0, [
      [types.add(KIND.VAR, 0, 'CONFIG_A', array, 2), 0, 0],
      [types.add(KIND.VAR, 0, 'CONFIG_B', array, 2), 0, 0],
    ]);
    const parse = () => ObjectFile.parse(object.write());
    if (isRefused) {
      expect(refusal(parse).message).toContain(`data section ".kconfig" has ${sum} bytes`);
    } else {
      expect(parse().data.get('.kconfig')?.size).toBe(Number(sum));
    }
  });

  it('with programs that are longer than the file', () => {
    const call = [0x85, 0x10, 0, 0, 0xff, 0xff, 0xff, 0xff];
    const object = new ObjectBuilder();
    const calls = Object.fromEntries(times(20, (slot) => [slot, call]));
    const long = object.code('xdp', instructions(2000, calls));
    object.symbol('p', { info: GLOBAL.FUNC, section: long, size: 16_000 });
    const symbols = times(20, (index) => {
      const section = object.section(`s${index}`, new Uint8Array(0), { flags: 6, sameAs: long });
      return object.symbol(`f${index}`, { info: GLOBAL.FUNC, section, size: 16_000 });
    });
    object.relocations(
      long,
      symbols.map((symbol, index) => [index * 8, symbol]),
    );
    const error = refusal(() => linkProgram(ObjectFile.parse(object.write()), 'p'));
    expect(error.message).toContain('has the same bytes as another function');
  });
});
