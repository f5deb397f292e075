/** Codecs of 300 types chosen at random, against where clang puts their members (fixtures/layouts). */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Chooser,
  type Composite,
  DEFINITIONS,
  type Enum,
  type Member,
  placesOf,
  type ScalarName,
  type Type,
} from '../../fixtures/layouts/types.mjs';
import { array, bytes, enumeration } from '../../src/codec/aggregates.ts';
import { struct, union } from '../../src/codec/by-hand.ts';
import { type Codec, Memory } from '../../src/codec/codec.ts';
import { codecOf } from '../../src/codec/from-btf.ts';
import * as numbers from '../../src/codec/numbers.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { BtfComposite } from '../../src/obj/btf/types.ts';
import { fixturePath } from '../support/fixtures.ts';
import {
  clangLayouts,
  type Layout,
  type Leaf,
  spell,
  valueAt,
} from '../support/generated-layouts.ts';

type AnyCodec = Codec<unknown, unknown>;

const ORDERS = [
  { order: 'little', suffix: '' },
  { order: 'big', suffix: '.eb' },
] as const;

/** Types as they are behind typedefs and names. */
function resolved(type: Type): Type {
  return type.kind === 'named' ? resolved(type.definition.type) : type;
}

function isComposite(type: Type): type is Composite {
  return type.kind === 'struct' || type.kind === 'union';
}

/** The integer, truth value or float behind a leaf. */
function scalarOf(type: Type): ScalarName | undefined {
  const base = resolved(type);
  return base.kind === 'scalar' ? base.scalar : base.kind === 'enum' ? base.base : undefined;
}

/** Those of a type and of all types in it. */
function membersWithin(type: Type): Member[] {
  if (type.kind === 'named') return membersWithin(type.definition.type);
  if (type.kind === 'array') return membersWithin(type.of);
  return isComposite(type)
    ? type.members.flatMap((member) => [member, ...membersWithin(member.type)])
    : [];
}

/** Whether nothing about a type is packed or aligned otherwise than by C's rules. */
function isNatural(type: Type): boolean {
  switch (type.kind) {
    case 'named':
      return type.definition.aligned === 0 && isNatural(type.definition.type);
    case 'array':
      return isNatural(type.of);
    case 'struct':
    case 'union':
      return (
        !type.isPacked &&
        type.aligned === 0 &&
        type.members.every(
          (member) => !member.isPacked && member.aligned === 0 && isNatural(member.type),
        )
      );
    default:
      return true;
  }
}

/** The value of a bitfield whose bits are all one, or which is 1 as far as it can be. */
function fieldValue({ type, bits }: Member, which: 'ones' | 'lowest'): unknown {
  const base = resolved(type);
  const scalar = scalarOf(type)!;
  if (scalar === 'bool') return true;
  const isSigned = scalar.startsWith('i');
  const ones = isSigned ? -1n : (1n << BigInt(bits!)) - 1n;
  const value = which === 'ones' || bits === 1 ? ones : 1n;
  const name =
    base.kind === 'enum' ? base.values.find(([, each]) => each === value)?.[0] : undefined;
  return name ?? (scalar.endsWith('64') ? value : Number(value));
}

/**
 * Which values change with which bytes, where they should not, or do not where they should. A byte of 1
 * becomes 0: every kind of value shows that.
 */
function misplaced(
  codec: AnyCodec,
  { definition, size, leaves }: Layout,
  little: boolean,
): string[] {
  const own = leaves.filter(({ bits }) => bits === null);
  const before = codec.read(new Memory(new Uint8Array(size).fill(1), little), 0);
  const wrong: string[] = [];
  for (let at = 0; at < size; at += 1) {
    const memory = new Memory(new Uint8Array(size).fill(1), little);
    memory.bytes[at] = 0;
    const after = codec.read(memory, 0);
    for (const leaf of own) {
      const changes = !Object.is(valueAt(before, leaf.path), valueAt(after, leaf.path));
      if (changes !== covers(leaf, at)) {
        wrong.push(`${spell(definition, leaf.path)} ${changes ? 'has' : 'lacks'} byte ${at}`);
      }
    }
  }
  return wrong;
}

function covers({ start, mask }: Leaf, at: number): boolean {
  return (mask[at - start] ?? 0) !== 0;
}

/** The bits of these leaves as a mask of a whole value. */
function maskOf(leaves: readonly Leaf[], size: number): Uint8Array {
  const mask = new Uint8Array(size);
  for (const leaf of leaves) {
    leaf.mask.forEach((bits, index) => {
      mask[leaf.start + index]! |= bits;
    });
  }
  return mask;
}

/** A value in which of each union there is one member, and the leaves that are left. */
function withOneMemberEach(type: Type, value: unknown, choose: Chooser): [unknown, Keep] {
  const base = resolved(type);
  if (base.kind === 'array' && !(value instanceof Uint8Array)) {
    const made = (value as unknown[]).map((each) => withOneMemberEach(base.of, each, choose));
    return [made.map(([each]) => each), ([index, ...rest]) => made[Number(index)]![1](rest)];
  }
  if (!isComposite(base)) {
    return [value, () => true];
  }
  const out: Record<string, unknown> = {};
  const kept = new Map<string | number, Keep>();
  keepMembers(base, value as Record<string, unknown>, choose, out, kept);
  return [out, ([name, ...rest]) => kept.get(name!)?.(rest) === true];
}

type Keep = (path: readonly (string | number)[]) => boolean;

function keepMembers(
  { kind, members }: Composite,
  value: Readonly<Record<string, unknown>>,
  choose: Chooser,
  out: Record<string, unknown>,
  kept: Map<string | number, Keep>,
): void {
  // What has no names cannot be given.
  const given = members.filter(
    ({ name, bits, type }) => name !== '' || (bits === null && [...placesOf(type)].length > 0),
  );
  for (const { name, type } of kind === 'union' ? [choose.oneOf(given)] : given) {
    if (name === '') {
      keepMembers(type as Composite, value, choose, out, kept);
    } else {
      const [inner, keep] = withOneMemberEach(type, value[name], choose);
      out[name] = inner;
      kept.set(name, keep);
    }
  }
}

/** The bytes without what no value has, such as other truth values than 0 and 1. */
function canonical(random: Uint8Array, leaves: readonly Leaf[], little: boolean): Uint8Array {
  const mask = maskOf(leaves, random.length);
  const out = random.map((byte, at) => byte & mask[at]!);
  for (const { type, start, mask, bits } of leaves) {
    const scalar = scalarOf(type);
    if (scalar === 'bool' && bits === null) {
      out[start]! &= 1;
    } else if (scalar === 'f32' || scalar === 'f64') {
      // Never NaN: it may be written with other bits than it was read.
      out[little ? start + mask.length - 1 : start]! &= 0xbf;
    }
  }
  return out;
}

const SCALARS: Readonly<Record<ScalarName, Codec<unknown, never>>> = numbers;

/** The type written by hand, or undefined if there is no way to say it. */
function byHand(type: Type): Codec<unknown, never> | undefined {
  switch (type.kind) {
    case 'scalar':
      return SCALARS[type.scalar];
    case 'enum':
      return enumByHand(type);
    case 'named':
      return type.definition.aligned === 0 ? byHand(type.definition.type) : undefined;
    case 'array': {
      const of = byHand(type.of);
      const c = resolved(type.of);
      const isBytes = c.kind === 'scalar' && (c.c === 'char' || c.c === 'unsigned char');
      if (isBytes || of === undefined) return isBytes ? bytes(type.count) : undefined;
      // BTF codecs show no elements where these have no bytes.
      return array(of as AnyCodec, of.sizeBytes === 0 ? 0 : type.count);
    }
    default:
      return compositeByHand(type);
  }
}

function enumByHand({ base, values }: Enum): Codec<unknown, never> {
  const isBig = base.endsWith('64');
  const list = values.map(([name, value]) => [name, isBig ? value : Number(value)] as const);
  return enumeration(SCALARS[base] as Codec<number | bigint>, new Map(list));
}

function compositeByHand({ kind, members, isPacked, aligned }: Composite): AnyCodec | undefined {
  const made: Record<string, Codec<unknown, never>> = {};
  for (const member of members) {
    const codec = byHand(member.type);
    const isPlain = member.name !== '' && member.bits === null;
    if (!isPlain || member.isPacked || member.aligned > 0 || codec === undefined) {
      return undefined;
    }
    made[member.name] = codec;
  }
  if (aligned > 0 || (kind === 'union' && isPacked)) {
    return undefined;
  }
  return (kind === 'struct' ? struct(made, { packed: isPacked }) : union(made)) as AnyCodec;
}

describe('types chosen at random', () => {
  const all = DEFINITIONS.map(({ type }) => type);
  const members = all.flatMap((type) => (type.kind === 'named' ? [] : membersWithin(type)));
  const scalars = new Set(members.map(({ type }) => scalarOf(type)));

  it.each<[string, number]>([
    ['types', all.length],
    ['structs', all.filter(({ kind }) => kind === 'struct').length],
    ['unions', all.filter(({ kind }) => kind === 'union').length],
    ['anonymous members', members.filter(({ name, bits }) => name === '' && bits === null).length],
    ['bitfields', members.filter(({ bits }) => bits !== null && bits > 0).length],
    [
      'bitfields of an enum',
      members.filter(({ type, bits }) => bits !== null && resolved(type).kind === 'enum').length,
    ],
    ['bitfields of no bits', members.filter(({ bits }) => bits === 0).length],
    [
      'arrays of arrays',
      members.filter(({ type }) => type.kind === 'array' && type.of.kind === 'array').length,
    ],
    ['packed members', members.filter(({ isPacked }) => isPacked).length],
    ['packed types', all.filter((type) => isComposite(type) && type.isPacked).length],
    ['aligned members', members.filter(({ aligned }) => aligned > 0).length],
    ['aligned types', all.filter((type) => isComposite(type) && type.aligned > 0).length],
    ['typedefs', DEFINITIONS.filter(({ by }) => by === 'typedef').length],
  ])('are of every flavour: %s', (_, count) => {
    expect(count).toBeGreaterThanOrEqual(10);
  });

  it('have members of every scalar type', () => {
    for (const name of Object.keys(numbers).filter((each) => !each.startsWith('check'))) {
      expect(scalars).toContain(name);
    }
  });
});

describe.each(ORDERS)('codecs of generated types in $order-endian order', ({ order, suffix }) => {
  const little = order === 'little';
  const { btf } = ObjectFile.open(fixturePath(`layouts/types${suffix}.bpf.o`));
  const everything = btf!.type(btf!.find('all_types', 'union')) as BtfComposite;
  const typeIds = new Map(everything.members.map(({ name, typeId }) => [name, typeId]));
  const layouts = clangLayouts(suffix);
  const fromBtf = new Map(
    layouts.map(({ definition: { name } }) => [
      name,
      codecOf(btf!, typeIds.get(name)!, { characters: 'bytes' }),
    ]),
  );
  const cases = layouts.map((layout) => ({ layout, codec: fromBtf.get(layout.definition.name)! }));
  const written = layouts.flatMap((layout) => {
    const codec = byHand({ kind: 'named', definition: layout.definition });
    return codec === undefined ? [] : [{ layout, codec: codec as AnyCodec }];
  });

  function read(codec: AnyCodec, image: Uint8Array): unknown {
    return codec.read(new Memory(image.slice(), little), 0);
  }

  it('have the size that clang gives the type', () => {
    const wrong = cases.filter(({ layout, codec }) => codec.sizeBytes !== layout.size);
    expect(wrong.map(({ codec, layout }) => [layout.definition.name, codec.sizeBytes])).toEqual([]);
  });

  it('have its alignment, unless attributes change it, of which BTF says nothing', () => {
    const natural = cases.filter(({ layout: { definition } }) =>
      isNatural({ kind: 'named', definition }),
    );
    expect(natural.length).toBeGreaterThan(50);
    const wrong = natural.filter(({ layout, codec }) => codec.alignment !== layout.alignment);
    expect(wrong.map(({ codec, layout }) => [layout.definition.name, codec.alignment])).toEqual([]);
  });

  it('read every value from the bytes where clang puts it, and from no others', () => {
    expect(cases.flatMap(({ layout, codec }) => misplaced(codec, layout, little))).toEqual([]);
  });

  it('read every bitfield from the bits where clang puts it, and from no others', () => {
    const wrong: string[] = [];
    for (const { layout, codec } of cases) {
      const zero = read(codec, new Uint8Array(layout.size));
      for (const { path, member, ones, lowest } of layout.images) {
        const image = read(codec, ones);
        const rest = read(
          codec,
          ones.map((byte) => ~byte),
        );
        const found = [image, read(codec, lowest), rest].map((value) => valueAt(value, path));
        const expected = [
          fieldValue(member, 'ones'),
          fieldValue(member, 'lowest'),
          valueAt(zero, path),
        ];
        if (found.some((value, index) => value !== expected[index])) {
          wrong.push(`${spell(layout.definition, path)}: ${found.join()} not ${expected.join()}`);
        }
        for (const leaf of layout.leaves) {
          const changes = !Object.is(valueAt(image, leaf.path), valueAt(zero, leaf.path));
          if (
            changes !== ones.some((byte, at) => (byte & (leaf.mask[at - leaf.start] ?? 0)) !== 0)
          ) {
            wrong.push(`${spell(layout.definition, leaf.path)} shares bits with ${path.join('.')}`);
          }
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('write what they read into the same bits, and zero into padding', () => {
    for (const { layout, codec } of [...cases, ...written]) {
      const { definition, size, leaves } = layout;
      fc.assert(
        fc.property(
          fc.uint8Array({ minLength: size, maxLength: size }),
          fc.nat(),
          fc.nat(255),
          (random, choice, rubbish) => {
            const choose = new Chooser(choice);
            const [, keep] = withOneMemberEach(definition.type, read(codec, random), choose);
            const kept = leaves.filter(({ path }) => keep(path));
            const expected = canonical(random, kept, little);
            const [value] = withOneMemberEach(
              definition.type,
              read(codec, expected),
              new Chooser(choice),
            );
            const memory = new Memory(new Uint8Array(size).fill(rubbish), little);
            codec.write(memory, 0, value);
            expect(memory.bytes, definition.name).toEqual(expected);
          },
        ),
        { numRuns: 20 },
      );
    }
  });

  it('can be written by hand, with the same size, alignment and places', () => {
    expect(written.length).toBeGreaterThan(100);
    for (const { layout, codec } of written) {
      const { name } = layout.definition;
      expect([name, codec.sizeBytes, codec.alignment]).toEqual([
        name,
        layout.size,
        layout.alignment,
      ]);
    }
    expect(written.flatMap(({ layout, codec }) => misplaced(codec, layout, little))).toEqual([]);
  });

  it('read the same, made by hand or from BTF', () => {
    for (const { layout, codec } of written) {
      const { definition, size } = layout;
      fc.assert(
        fc.property(fc.uint8Array({ minLength: size, maxLength: size }), (random) => {
          expect(read(codec, random)).toEqual(read(fromBtf.get(definition.name)!, random));
        }),
        { numRuns: 10 },
      );
    }
  });
});
