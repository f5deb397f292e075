/** What a relocation's answer says besides the number: what was tried, and why it does not fit. */

import { describe, expect, it } from 'vitest';
import { ObjectFile } from '../../../src/loader/object-file.ts';
import { applyCore, POISON_HELPER } from '../../../src/obj/core/apply.ts';
import { CoreResolver, type CoreResult } from '../../../src/obj/core/resolve.ts';
import { Instructions } from '../../../src/obj/instructions/instructions.ts';
import { linkProgram } from '../../../src/obj/link.ts';
import { fixtureBytes, openFixture } from '../../support/fixtures.ts';

function parse(file: string): ObjectFile {
  return ObjectFile.parse(fixtureBytes(`core/${file}`), { file });
}

/** The answer to the only relocation of a program. */
function answer(name: string, target: string): CoreResult {
  const object = parse(`${target.split('-')[0]}.bpf.o`);
  const btf = parse(`${target}.target.o`).btf!;
  const [relocation] = linkProgram(object, name).relocations;
  if (relocation?.kind !== 'core') {
    throw new Error(`${name} has no CO-RE relocation`);
  }
  return new CoreResolver(object.btf!, [{ name: 'vmlinux', btf }]).resolve(relocation.core);
}

function failures(name: string, target: string): (string | null)[] {
  return answer(name, target).candidates.map(({ failure }) => failure);
}

describe('an answer', () => {
  it('names the local type, the access as C, and what was found', () => {
    expect(answer('second_of_many', 'fields-moved')).toEqual({
      kind: 'field_byte_offset',
      localType: 'struct sample',
      access: 'many[2].second',
      spec: '0:5:2:1',
      value: expect.any(BigInt),
      original: expect.any(BigInt),
      memory: { originalBytes: 2, bytes: 2, failure: null },
      candidates: [{ target: 'vmlinux', typeId: 1, type: 'struct sample', failure: null }],
      failure: null,
    });
  });

  it.each([
    ['gone_offset', 'fields-moved', 'it has no member "gone"'],
    ['missing_type', 'fields-moved', undefined],
    ['pointer_offset', 'fields-changed', 'its member "pointer" is "int" there, "void *" here'],
    ['opaque', 'fields-changed', null],
    ['truth_exists', 'fields-changed', null],
    ['in_union', 'fields-changed', 'its member "in_union" is "float" there, "int" here'],
    ['in_struct', 'fields-changed', 'its member "in_struct" is "int[2]" there, "int" here'],
    [
      'element',
      'fields-changed',
      'its member "many" is "union inner" there, "const struct inner[4]" here',
    ],
    [
      'last_of_many',
      'fields-moved',
      'its member "many" has 3 elements there, and element 3 is asked for',
    ],
    [
      'color_offset',
      'fields-changed',
      'its member "color" is "enum other_color" there, "enum color" here',
    ],
    ['by_typedef', 'fields-changed', 'it is "int" there, which has no members'],
    ['choice_number', 'fields-changed', undefined],
    ['plain_gone_value', 'enums-changed', 'it has no enumerator "PLAIN_GONE"'],
    ['by_typedef_value', 'enums-changed', 'it is "plain_t" (int) there, no enum'],
    ['simple_matches', 'types-other', 'it has fewer members there (1) than here (2)'],
    ['nested_matches', 'types-other', 'member "simple": it is "int" there, "struct simple" here'],
    [
      'pointers_matches',
      'types-other',
      'member "simple": it is "union simple_union" there, "struct simple" here',
    ],
    [
      'functions_matches',
      'types-other',
      'member "call": it is "int" there, "struct simple *" here',
    ],
    ['arrays_matches', 'types-other', 'member "numbers": it is "int[5]" there, "int[4]" here'],
    [
      'enums_matches',
      'types-other',
      'member "kind": it has fewer enumerators there (1) than here (2)',
    ],
    ['floats_matches', 'types-larger', 'member "f": float types are not compared'],
    ['number_matches', 'types-other', 'it is "unsigned long" there, "int" here'],
    ['function_exists', 'types-other', 'it is "function_t"'],
    ['missing_matches', 'types-larger', undefined],
  ])('says why nothing fits: %s against %s', (name, target, reason) => {
    const [first] = failures(name, target);
    if (typeof reason === 'string') {
      expect(first).toContain(reason);
    } else {
      expect(first).toBe(reason);
    }
  });

  it('says in one sentence why there is none, with every candidate', () => {
    expect(answer('old_renamed_offset', 'fields-moved')).toMatchObject({
      value: null,
      localType: 'struct sample___old',
      access: 'renamed',
      failure: 'struct sample (vmlinux [1]) does not fit: it has no member "renamed"',
    });
  });

  it('says which candidates disagree', () => {
    expect(() => answer('b_offset', 'fields-flavours')).toThrow(
      /^CO-RE: field_byte_offset of struct sample, "b" is ambiguous: struct sample \(vmlinux \[1\]\) says 4, struct sample___2 \(vmlinux \[\d+\]\) says 6;/,
    );
  });

  it('says why a load cannot read what is there', () => {
    expect(answer('load_a', 'fields-changed').memory).toEqual({
      originalBytes: 4,
      bytes: 8,
      failure:
        '"a" is unsigned long long of 8 bytes there, int of 4 here; only pointers and unsigned integers can be read in another size',
    });
    expect(answer('load_once_plain', 'bits-moved').memory?.failure).toBe(
      '"once_plain" is a bitfield there only',
    );
  });

  it('is kept: the same question has the same answer', () => {
    const object = parse('fields.bpf.o');
    const btf = parse('fields-moved.target.o').btf!;
    const resolver = new CoreResolver(object.btf!, [{ name: 'vmlinux', btf }]);
    const [one] = linkProgram(object, 'load_a').relocations;
    const [other] = linkProgram(object, 'a_offset').relocations;
    if (one?.kind !== 'core' || other?.kind !== 'core') {
      throw new Error('both are CO-RE relocations');
    }
    expect(resolver.resolve(one.core)).toBe(resolver.resolve(other.core));
  });

  it('is the same for big endian objects, shifts aside', () => {
    const [little, big] = ['programs/core', 'programs/core.eb'].map((name) => {
      const object = openFixture(name);
      const resolver = new CoreResolver(object.btf!, [{ name: 'vmlinux', btf: object.btf! }]);
      const linked = linkProgram(object, 'read_parent');
      return linked.relocations.flatMap((relocation) => {
        if (relocation.kind !== 'core') {
          return [];
        }
        const result = resolver.resolve(relocation.core);
        applyCore(linked.instructions, relocation.slot, result);
        return [{ ...result, instruction: linked.instructions.at(relocation.slot) }];
      });
    });
    expect(big!.length).toBeGreaterThan(3);
    expect(big).toEqual(little);
  });
});

describe('an instruction', () => {
  const offset = answer('load_b', 'fields-moved');
  const apply = (
    opcode: number,
    result: CoreResult,
    fields: { imm?: number | bigint; src?: number; offset?: number } = {},
  ) => {
    const instructions = Instructions.encode(
      [{ opcode, dst: 1, src: fields.src ?? 0, offset: fields.offset ?? 0, imm: fields.imm ?? 0 }],
      'little',
    );
    applyCore(instructions, 0, result);
    return instructions;
  };

  it.each([
    [0x05, {}, 'it is neither arithmetic nor a load or store'],
    [0x0f, {}, 'it takes its operand from a register'],
    [0xb7, { imm: 5 }, "it holds 5, but 4 by the object's types"],
    [0x79, { offset: 8 }, "it holds 8, but 4 by the object's types"],
    [0x18, { imm: 4n, src: 1 }, 'it is no load of a plain number of 64 bits'],
    [0x20, { imm: 4 }, 'it is no load of a plain number of 64 bits'],
  ])('that no answer fits is an error: opcode %i', (opcode, fields, problem) => {
    expect(() => apply(opcode, offset, fields)).toThrow(
      `instruction 0 is to get field_byte_offset of struct sample, "b" (CO-RE): ${problem}`,
    );
  });

  it('takes no offset beyond 15 bits', () => {
    const far = { ...offset, value: 0x8000n };
    expect(() => apply(0x69, far, { offset: 4 })).toThrow(/32768 does not fit the offset/);
    expect(apply(0x69, { ...offset, value: 0x7fffn }, { offset: 4 }).offset(0)).toBe(0x7fff);
  });

  it('of another size than its type is an error if that has to change', () => {
    const wider = { ...offset, memory: { originalBytes: 2, bytes: 8, failure: null } };
    expect(() => apply(0x71, wider, { offset: 4 })).toThrow(
      /it accesses 1 bytes, but 2 by the object's types/,
    );
    const odd = { ...offset, memory: { originalBytes: 2, bytes: 3, failure: null } };
    expect(() => apply(0x69, odd, { offset: 4 })).toThrow(/no instruction accesses 3 bytes/);
    expect(apply(0x69, wider, { offset: 4 }).opcode(0)).toBe(0x79);
  });

  it('that is wide is poisoned in both halves, and not if one is missing', () => {
    const nothing = { ...offset, value: null };
    const poisoned = apply(0x18, nothing, { imm: 4n });
    expect([poisoned.at(0), poisoned.at(1)]).toEqual(
      [0, 1].map(() => ({ opcode: 0x85, dst: 0, src: 0, offset: 0, imm: POISON_HELPER })),
    );
    const half = new Instructions(Uint8Array.of(0x18, 0, 0, 0, 0, 0, 0, 0), 'little');
    expect(() => applyCore(half, 0, nothing)).toThrow(/its second half is missing/);
    expect(() => applyCore(half, 1, nothing)).toThrow(/there are 1 instructions only/);
  });
});
