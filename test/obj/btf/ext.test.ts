/**
 * `.BTF.ext`: lines against the sources they come from, CO-RE relocations against llvm-objdump, and the
 * rules of libbpf's `btf_ext_parse` for what is refused.
 */

import { describe, expect, it } from 'vitest';
import { ObjectError } from '../../../src/errors.ts';
import { BtfExt } from '../../../src/obj/btf/ext.ts';
import { linkProgram } from '../../../src/obj/link.ts';
import { ObjectFile } from '../../../src/obj/object.ts';
import { fixtureBytes, fixtureJson, fixtureNames, openFixture } from '../../support/fixtures.ts';

function extBytes(object: ObjectFile): Uint8Array {
  const section = object.elf.sections.find(({ name }) => name === '.BTF.ext');
  return new Uint8Array(object.elf.data(section!));
}

describe('lines of source', () => {
  const withCode = fixtureNames().filter((name) => openFixture(name).programs.size > 0);
  const sources = new Map<string, string[]>();

  it.each(withCode)('are those of the file that was compiled: %s', (name) => {
    const object = openFixture(name);
    for (const program of object.programs.keys()) {
      for (const { file, line, text } of linkProgram(object, program).lines ?? []) {
        if (!sources.has(file)) {
          const source = Buffer.from(fixtureBytes(`src/${file}`)).toString();
          sources.set(file, source.split('\n'));
        }
        expect(text).toBe(sources.get(file)?.[line - 1]);
      }
    }
  });

  it('are found for every instruction', () => {
    const { lines } = linkProgram(openFixture('programs/subprograms'), 'caller');
    const texts = Array.from({ length: 4 }, (_, slot) => lines?.at(slot)?.text.trim());
    expect(texts[1]).toBe('return global_subprogram(skb->len) + leaf(skb->mark);');
    expect(texts[3]).toBe(texts[2]);
    expect(lines?.at(-1)).toBeUndefined();
  });
});

describe('CO-RE relocations', () => {
  const KINDS: Readonly<Record<string, string>> = {
    byte_off: 'field_byte_offset',
    byte_sz: 'field_byte_size',
    field_exists: 'field_exists',
    type_exists: 'type_exists',
    enumval_exists: 'enumval_exists',
  };

  it.each(['programs/core', 'programs/core.eb'])('are what llvm-objdump says: %s', (name) => {
    const { relocations } = fixtureJson<{ relocations: string[] }>(`expected/objdump/${name}.json`);
    const wanted = relocations.map((line) => {
      const [, offset, kind, typeId, type, , access] =
        /^(\w+): +CO-RE <(\w+)> \[(\d+)\] \w+ (\w+)(::\w+)?(?: \(([\d:]+)\))?/.exec(line)!;
      return { offset: Number.parseInt(offset!, 16), kind: KINDS[kind!], typeId, type, access };
    });
    const object = openFixture(name);
    const found = BtfExt.parse(extBytes(object), object.btf!)
      .coreRelocations('raw_tp/sched_switch')
      .map(({ offset, kind, typeId, access }, index) => ({
        offset,
        kind,
        typeId: String(typeId),
        type: object.btf!.nameOf(typeId),
        // llvm-objdump prints the path of fields only.
        access: wanted[index]?.access === undefined ? undefined : access,
      }));
    expect(found).toEqual(wanted);
    expect(found).toHaveLength(6);
  });

  it('are left for whoever loads the program, by instruction', () => {
    const { relocations } = linkProgram(openFixture('programs/core'), 'read_parent');
    expect(relocations.map(({ kind, slot }) => [kind, slot])).toEqual([
      ...[3, 12, 17, 19, 20, 29].map((slot) => ['core', slot]),
    ]);
  });
});

describe('a .BTF.ext', () => {
  const object = openFixture('programs/core');

  function edited(edit: (view: DataView) => void): Uint8Array {
    const bytes = extBytes(object);
    edit(new DataView(bytes.buffer));
    return bytes;
  }

  // The header of 32 bytes, then func_info: a record size, a section of one record.
  const FUNC_INFO = 32;

  it.each<[string, Uint8Array, string]>([
    ['nothing', new Uint8Array(0), 'fewer than a header'],
    ['another magic number', edited((view) => view.setUint16(0, 1, true)), 'magic number'],
    ['the other byte order', edited((view) => view.setUint16(0, 0xeb9f, false)), 'unlike .BTF'],
    ['another version', edited((view) => view.setUint8(2, 2)), 'version 2'],
    ['flags', edited((view) => view.setUint8(3, 1)), 'flags 1'],
    ['a header that is too short', edited((view) => view.setUint32(4, 20, true)), 'claims 20'],
    ['a header that is all there is', extBytes(object).slice(0, 32), 'claims 32'],
    [
      'an offset that wraps',
      edited((view) => view.setUint32(8, 0xffff_fffc, true)),
      'reaches behind the end',
    ],
    ['a misaligned table', edited((view) => view.setUint32(8, 2, true)), 'misaligned'],
    ['a table too short for a size', edited((view) => view.setUint32(12, 2, true)), 'too short'],
    ['a table of no records', edited((view) => view.setUint32(12, 4, true)), 'no records'],
    [
      'a record size that is no multiple of 4',
      edited((view) => view.setUint32(FUNC_INFO, 10, true)),
      'records of 10 bytes',
    ],
    [
      'a section of no records',
      edited((view) => view.setUint32(FUNC_INFO + 8, 0, true)),
      'claims 0 records',
    ],
    [
      'more records than there is room for',
      edited((view) => view.setUint32(FUNC_INFO + 8, 0xffff_ffff, true)),
      'claims 4294967295 records',
    ],
    [
      'a section without a name',
      edited((view) => view.setUint32(FUNC_INFO + 4, 0xffff_ffff, true)),
      'no string at offset',
    ],
  ])('is refused for %s', (_, bytes, problem) => {
    expect(() => BtfExt.parse(bytes, object.btf!)).toThrow(ObjectError);
    expect(() => BtfExt.parse(bytes, object.btf!)).toThrow(problem);
  });

  it('may lack what old compilers did not write', () => {
    const bytes = extBytes(object);
    const view = new DataView(bytes.buffer);
    // A header of 24 bytes: what follows is not CO-RE's, and the tables start 8 bytes earlier.
    view.setUint32(4, 24, true);
    view.setUint32(8, view.getUint32(8, true) + 8, true);
    view.setUint32(16, view.getUint32(16, true) + 8, true);
    const ext = BtfExt.parse(bytes, object.btf!);
    expect(ext.coreRelocations('raw_tp/sched_switch')).toEqual([]);
    expect(ext.functions('raw_tp/sched_switch')?.count).toBe(1);
  });

  it('that is broken is ignored where nothing needs types, as by libbpf', () => {
    const name = 'malformed/btf-ext-magic-without-maps.bpf.o';
    const broken = ObjectFile.parse(fixtureBytes(name));
    const [program] = broken.programs.keys();
    expect(linkProgram(broken, program!).functionInfo).toBeUndefined();
  });
});
