/**
 * CO-RE with relocations and types that no compiler writes: each is one clear error, or an answer, and
 * none takes time.
 */

import { describe, expect, it } from 'vitest';
import { ObjectError } from '../../../src/errors.ts';
import type { Btf } from '../../../src/obj/btf/btf.ts';
import { CoreResolver, type CoreResult } from '../../../src/obj/core/resolve.ts';
import { BPF_CORE, coreKindName } from '../../../src/uapi/core-kinds.ts';
import { BtfBuilder, type Member } from './build-btf.ts';

function ask(
  local: Btf,
  target: Btf,
  kindNumber: number,
  typeId: number,
  access: string,
): CoreResult {
  const relocation = { offset: 0, typeId, access, kindNumber, kind: coreKindName(kindNumber) };
  return new CoreResolver(local, [{ name: 'vmlinux', btf: target }]).resolve(relocation);
}

/** The error of a relocation that is refused. */
function refusal(run: () => unknown): ObjectError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(ObjectError);
    expect((error as ObjectError).message.split('\n')).toHaveLength(1);
    return error as ObjectError;
  }
  throw new Error('it was answered');
}

const { FIELD_BYTE_OFFSET, FIELD_EXISTS, FIELD_SIGNED, TYPE_EXISTS, TYPE_MATCHES } = BPF_CORE;

/** struct s { int a; int four[4]; }, enum e { A, B }, and a struct without a name. */
function ordinary() {
  const types = new BtfBuilder();
  const int = types.int('int', 4);
  const four = types.array(int, 4);
  const s = types.struct(
    's',
    [
      ['a', int],
      ['four', four, 32],
    ],
    20,
  );
  const e = types.enum('e', ['A', 'B']);
  const anonymous = types.struct('', [['a', int]], 4);
  return { btf: types.build(), int, s, e, anonymous };
}

describe('a path that is broken', () => {
  const { btf, s, e } = ordinary();

  it.each(['', ':', '0:', ':0', '0::1', '-1', '+1', '0:a', '0 1', '0:1;', '0x0', '０'])(
    'is refused: "%s"',
    (access) => {
      const error = refusal(() => ask(btf, btf, FIELD_BYTE_OFFSET, s, access));
      expect(error.code).toBe('ERR_SKEP_BTF');
      expect(error.message).toContain('a path is made of numbers with colons between them');
    },
  );

  it.each([
    ['0:2', 'struct s has 2 members, not 3'],
    ['0:1:4', 'an array has 4 elements, not 5'],
    ['0:0:0', 'int has neither members nor elements'],
    ['0:4294967295', 'an index does not fit 31 bits'],
    ['99999999999', 'a path is made of numbers'],
    ['2147483647', 'more than 512 MiB from the start'],
    [Array.from({ length: 65 }, () => 0).join(':'), 'it has more than 64 steps'],
    ['0:'.repeat(100_000), 'a path is made of numbers'],
  ])('is refused: %.20s', (access, problem) => {
    const error = refusal(() => ask(btf, btf, FIELD_BYTE_OFFSET, s, access));
    expect(error.code).toBe('ERR_SKEP_BTF');
    expect(error.message).toContain(problem);
    expect(error.message.length).toBeLessThan(400);
  });

  it('is refused for an enumerator that is not there, or no enum', () => {
    for (const [type, access] of [
      [e, '2'],
      [e, '0:1'],
      [s, '0'],
    ] as const) {
      expect(refusal(() => ask(btf, btf, BPF_CORE.ENUMVAL_VALUE, type, access)).message).toContain(
        'there is no such enumerator',
      );
    }
  });

  it('is refused for a type as a whole unless it is "0"', () => {
    for (const access of ['', '1', '0:0']) {
      expect(refusal(() => ask(btf, btf, TYPE_EXISTS, s, access)).message).toContain(
        'a relocation about a type as a whole has the path "0"',
      );
    }
  });
});

describe('a relocation that is broken', () => {
  const { btf, s, anonymous } = ordinary();

  it('is refused if its kind is not known', () => {
    const error = refusal(() => ask(btf, btf, 13, s, '0'));
    expect(error.message).toBe('section .BTF.ext: kind 13 of CO-RE relocations is not known');
  });

  it('is refused if its type is not there', () => {
    const error = refusal(() => ask(btf, btf, FIELD_BYTE_OFFSET, 100, '0:0'));
    expect(error.message).toContain('there is no type [100]');
  });

  it('is refused if its type has no name, as nothing can be found for it', () => {
    const error = refusal(() => ask(btf, btf, FIELD_BYTE_OFFSET, anonymous, '0:0'));
    expect(error.message).toContain('is about a type without a name');
  });

  it('is refused if it asks of an element what only members have', () => {
    const error = refusal(() => ask(btf, btf, FIELD_SIGNED, s, '0:1:2'));
    expect(error.code).toBe('ERR_SKEP_PROGRAM');
    expect(error.message).toBe(
      'CO-RE: field_signed of "four[2]" in struct s: an element of an array has no answer to that',
    );
  });
});

describe('types that contain themselves', () => {
  it('end in an error: a typedef of itself', () => {
    const types = new BtfBuilder();
    const loop = types.typedef('loop', types.next);
    const btf = types.build();
    for (const kind of [TYPE_EXISTS, TYPE_MATCHES, BPF_CORE.TYPE_SIZE]) {
      expect(refusal(() => ask(btf, btf, kind, loop, '0')).code).toBe('ERR_SKEP_BTF');
    }
    expect(refusal(() => ask(btf, btf, FIELD_EXISTS, loop, '0:0')).code).toBe('ERR_SKEP_BTF');
  });

  it('end in an error: a pointer and an array of itself', () => {
    const types = new BtfBuilder();
    const pointer = types.typedef('pointer', types.pointer(types.next));
    const array = types.typedef('array', types.array(types.next, 1));
    const btf = types.build();
    expect(refusal(() => ask(btf, btf, BPF_CORE.TYPE_SIZE, array, '0')).code).toBe('ERR_SKEP_BTF');
    for (const kind of [TYPE_EXISTS, TYPE_MATCHES]) {
      expect(refusal(() => ask(btf, btf, kind, pointer, '0')).message).toContain('nests more than');
      expect(refusal(() => ask(btf, btf, kind, array, '0')).message).toContain('nests more than');
    }
  });

  it('have an answer: an anonymous member that is the struct itself', () => {
    const { btf, s } = ordinary();
    const types = new BtfBuilder();
    const int = types.int('int', 4);
    types.struct('s', [
      ['', types.next],
      ['b', int],
    ]);
    const result = ask(btf, types.build(), FIELD_EXISTS, s, '0:0');
    expect(result.value).toBe(0n);
    expect(result.failure).toContain('it has no member "a"');
  });

  it('end in an error: anonymous members more than 64 deep', () => {
    const { btf, s } = ordinary();
    const types = new BtfBuilder();
    let inner = types.struct('', [['a', types.int('int', 4)]]);
    for (let depth = 0; depth < 70; depth += 1) {
      inner = types.struct('', [['', inner]]);
    }
    types.struct('s', [['', inner]]);
    const target = types.build();
    expect(refusal(() => ask(btf, target, FIELD_EXISTS, s, '0:0')).message).toContain(
      'more than 64 members deep',
    );
  });
});

/** Types that contain the next one twice, so that there are 2^levels ways to the last. */
function doubled(levels: number, name: string, isAnonymous: boolean): [Btf, number] {
  const types = new BtfBuilder();
  const int = types.int('int', 4);
  let inner = types.struct(isAnonymous ? '' : 'level0', [['last', int]]);
  for (let level = 1; level < levels; level += 1) {
    const members: Member[] = isAnonymous
      ? [
          ['', inner],
          ['', inner, 64],
        ]
      : [
          ['left', inner],
          ['right', inner, 64],
        ];
    inner = types.struct(level === levels - 1 ? name : isAnonymous ? '' : `level${level}`, members);
  }
  return [types.build(), inner];
}

describe('types with very many ways through them', () => {
  it('are searched once for a member', () => {
    const { btf, s } = ordinary();
    const [target] = doubled(60, 's', true);
    expect(ask(btf, target, FIELD_EXISTS, s, '0:0').value).toBe(0n);
  });

  it('are compared once', () => {
    const [btf, root] = doubled(30, 'root', false);
    const [other, otherRoot] = doubled(30, 'root', false);
    expect(ask(btf, other, TYPE_MATCHES, root, '0').value).toBe(1n);
    expect(otherRoot).toBe(root);
  });

  it('end in an error if they are nested more than 32 deep', () => {
    const [btf, root] = doubled(40, 'root', false);
    expect(refusal(() => ask(btf, btf, TYPE_MATCHES, root, '0')).message).toContain(
      'nests more than 32 deep',
    );
  });

  it('are compared once: prototypes', () => {
    const types = new BtfBuilder();
    let inner = types.pointer(types.prototype(0, []));
    for (let level = 0; level < 28; level += 1) {
      inner = types.pointer(types.prototype(0, [inner, inner]));
    }
    const root = types.typedef('root', inner);
    const btf = types.build();
    expect(ask(btf, btf, TYPE_EXISTS, root, '0').value).toBe(1n);
    expect(ask(btf, btf, TYPE_MATCHES, root, '0').value).toBe(1n);
  });

  it('are looked at once each: twenty thousand flavours', () => {
    const { btf, s } = ordinary();
    const types = new BtfBuilder();
    const int = types.int('int', 4);
    for (let count = 0; count < 20_000; count += 1) {
      types.struct(`s___${count}`, [['a', int]], 4);
    }
    const result = ask(btf, types.build(), FIELD_BYTE_OFFSET, s, '0:0');
    expect(result.value).toBe(0n);
    expect(result.candidates).toHaveLength(20_000);
  });
});

describe('a bitfield that is broken', () => {
  it('is refused if it is of no integer', () => {
    const types = new BtfBuilder();
    const empty = types.int('nothing', 0);
    const s = types.struct('s', [['a', empty, 3, 5]]);
    const btf = types.build();
    expect(refusal(() => ask(btf, btf, FIELD_BYTE_OFFSET, s, '0:0')).message).toContain(
      'a bitfield "a" is of type [1], which is no integer',
    );
  });
});
