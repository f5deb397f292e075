/**
 * Linked programs against what libbpf 1.7 hands to the kernel (fixtures/expected/libbpf-insns, made by
 * fixtures/oracle/libbpf-insns.c): instructions, function and line information.
 */

import { describe, expect, it } from 'vitest';
import { dataKernelName } from '../../src/loader/data-name.ts';
import type { InfoRecords } from '../../src/obj/btf/ext-records.ts';
import { Instructions } from '../../src/obj/instructions/instructions.ts';
import { type LinkedProgram, linkProgram } from '../../src/obj/link.ts';
import type { ObjectFile } from '../../src/obj/object.ts';
import type { LinkedRelocation } from '../../src/obj/relocations.ts';
import { fixtureNames, openFixture } from '../support/fixtures.ts';
import { recordedInsns } from '../support/libbpf-insns.ts';

/** One slot as 16 digits. */
function slots(bytes: Uint8Array): string[] {
  return Array.from({ length: bytes.length / 8 }, (_, slot) =>
    Buffer.from(bytes.subarray(slot * 8, slot * 8 + 8)).toString('hex'),
  );
}

/** Puts into the instructions what libbpf puts there, zeros for what the record has zeros for. */
function relocate(
  instructions: Instructions,
  object: ObjectFile,
  relocation: LinkedRelocation,
): string | undefined {
  const { slot } = relocation;
  const load = (src: number, upper: number) => {
    instructions.setSrc(slot, src);
    instructions.setImm(slot, 0);
    instructions.setImm(slot + 1, upper);
  };
  switch (relocation.kind) {
    case 'map':
      load(1, 0);
      return relocation.map;
    case 'data':
      load(2, relocation.offset);
      return dataKernelName(object.file, relocation.section);
    case 'arena':
      load(2, relocation.offset);
      return relocation.map;
    case 'kconfig':
      load(2, relocation.offset);
      return dataKernelName(object.file, '.kconfig');
    case 'kfunc':
      instructions.setSrc(slot, 2);
      instructions.setImm(slot, 0);
      return 'kfunc';
    default:
      return undefined;
  }
}

/** What another kernel would change: the answers of CO-RE, and where a symbol is. */
function changes({ kind }: LinkedRelocation): boolean {
  return kind === 'core' || kind === 'ksym';
}

function comparable(linked: LinkedProgram, object: ObjectFile): string[] {
  const instructions = new Instructions(linked.instructions.bytes.slice(), 'little');
  const marks = new Map(
    linked.relocations.map((one) => [one.slot, relocate(instructions, object, one)]),
  );
  return slots(instructions.bytes).map((text, slot) =>
    marks.get(slot) === undefined ? text : `${text} ${marks.get(slot)}`,
  );
}

function rows(records: InfoRecords | undefined, words: number): number[][] {
  return Array.from({ length: records?.count ?? 0 }, (_, record) =>
    Array.from({ length: words }, (_, word) => records!.word(record, word)),
  );
}

const prepared = [...recordedInsns].filter(([, { prepares }]) => prepares);

describe('programs as libbpf links them', () => {
  it('were recorded for every little endian object', () => {
    expect([...recordedInsns.keys()]).toEqual(fixtureNames().filter((one) => !one.endsWith('.eb')));
    expect(prepared.length).toBeGreaterThan(75);
  });

  const programs = prepared.flatMap(([fixture, { programs }]) =>
    programs.map((recorded) => ({ fixture, name: recorded.name, recorded })),
  );

  it.each(programs)('$fixture: $name has the same instructions', ({ fixture, name, recorded }) => {
    const object = openFixture(fixture);
    const linked = linkProgram(object, name);
    const found = comparable(linked, object);
    const wanted = [...recorded.insns];
    for (const relocation of linked.relocations) {
      if (changes(relocation)) {
        const { slot } = relocation;
        // Both slots of a 64-bit load.
        const end = slot + linked.instructions.slots(slot);
        for (let at = slot; at < end; at += 1) wanted[at] = found[at]!;
      }
    }
    expect(found).toEqual(wanted);
  });

  it.each(programs)('$fixture: $name has the same information', ({ fixture, name, recorded }) => {
    const linked = linkProgram(openFixture(fixture), name);
    expect(rows(linked.functionInfo, 2)).toEqual(recorded.funcInfo);
    expect(rows(linked.lineInfo, 4)).toEqual(recorded.lineInfo);
  });
});

describe('a linked program', () => {
  const openLinked = (fixture: string, name: string) => linkProgram(openFixture(fixture), name);

  it('is the same wherever its subprograms are, where libbpf wants them in .text', () => {
    const outside = openLinked('programs/calls-outside-text', 'whole');
    const inside = openLinked('programs/calls-inside-text', 'whole');
    expect(inside.functions.map(({ section }) => section)).toEqual([
      ...['socket', '.text', '.text', '.text'],
    ]);
    expect(outside.functions.map(({ section }) => section)).toEqual([
      ...['socket', 'socket', 'elsewhere', '.text'],
    ]);
    expect(slots(outside.instructions.bytes)).toEqual(slots(inside.instructions.bytes));
    expect(rows(outside.lineInfo, 1)).toEqual(rows(inside.lineInfo, 1));
  });

  it('is the same in both byte orders', () => {
    for (const name of ['first', 'second']) {
      const little = openLinked('programs/linking', name);
      const big = openLinked('programs/linking.eb', name);
      expect([...big.instructions]).toEqual([...little.instructions]);
      expect(big.relocations).toEqual(little.relocations);
      expect(rows(big.functionInfo, 2)).toEqual(rows(little.functionInfo, 2));
      expect([...(big.lines ?? [])]).toEqual([...(little.lines ?? [])]);
    }
  });

  it('leaves the object as it was', () => {
    const object = openFixture('programs/linking');
    const before = object.elf.bytes.toString();
    const first = linkProgram(object, 'first');
    first.instructions.bytes.fill(0xff);
    first.functionInfo?.bytes.fill(0xff);
    expect(object.elf.bytes.toString()).toBe(before);
    expect(rows(linkProgram(object, 'first').functionInfo, 1)[0]).toEqual([0]);
  });

  it('has each function once, in the order in which they are reached', () => {
    const { functions } = openLinked('programs/linking', 'first');
    expect(functions.map(({ name }) => name)).toEqual([
      ...['first', 'all', 'visit', 'lookup', 'versioned', 'locked'],
    ]);
  });

  it('comes without information if the object has none', () => {
    const linked = openLinked('plain/no-btf', 'count');
    expect([linked.functionInfo, linked.lineInfo, linked.lines]).toEqual([
      ...[undefined, undefined, undefined],
    ]);
  });

  it('can only be one that the object has', () => {
    expect(() => openLinked('demo', 'absent')).toThrow(
      new RangeError('linkProgram: the object has no program "absent"'),
    );
  });
});
