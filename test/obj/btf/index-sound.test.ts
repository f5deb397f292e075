/**
 * Objects' BTF is indexed and checked in one walk, that of kernels is only indexed: the walk accepts what
 * the index and the check accept one after the other, with the same result, and refuses what they refuse,
 * with the same words.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Btf } from '../../../src/obj/btf/btf.ts';
import { checkBtf } from '../../../src/obj/btf/check.ts';
import { indexSound } from '../../../src/obj/btf/index-sound.ts';
import { BTF_KIND } from '../../../src/uapi/btf-kinds.ts';
import { fixtureNames, openFixture } from '../../support/fixtures.ts';

const HEADER_BYTES = 24;

/** A table of these words, whose only string is the empty one. */
function table(types: readonly number[]): Uint8Array {
  const typesBytes = types.length * 4;
  const bytes = new Uint8Array(HEADER_BYTES + typesBytes + 1);
  const view = new DataView(bytes.buffer);
  for (const [index, word] of [0x1eb9f, 24, 0, typesBytes, typesBytes, 1, ...types].entries()) {
    view.setUint32(index * 4, word, true);
  }
  return bytes;
}

/** The starts of types, or the message of the error. */
function outcome(parse: () => Btf): readonly number[] | string {
  try {
    return [...parse().starts];
  } catch (error) {
    return (error as Error).message;
  }
}

const atOnce = (bytes: Uint8Array) => outcome(() => Btf.parseChecked(bytes));

function oneAfterTheOther(bytes: Uint8Array): readonly number[] | string {
  return outcome(() => {
    const btf = Btf.parse(bytes);
    checkBtf(btf);
    return btf;
  });
}

/** The BTF sections of objects that compilers wrote. */
const compiled = fixtureNames().flatMap((name) => {
  const { elf } = openFixture(name);
  const section = elf.sections.find((candidate) => candidate.name === '.BTF');
  return section === undefined ? [] : [{ name, bytes: new Uint8Array(elf.data(section)) }];
});

describe('the BTF of a compiled object', () => {
  it.each(compiled)('is sound, and indexed in one walk: $name', ({ bytes }) => {
    const btf = Btf.parse(bytes);
    const starts = indexSound(btf.words, btf.strings.bytes.length);
    expect(starts).toEqual(btf.starts);
    expect(btf.typeCount).toBeGreaterThan(1);
  });
});

describe('BTF with a word that was overwritten', () => {
  it('is taken or refused as it is by the index and the check', () => {
    const outcomes = { taken: 0, refused: 0 };
    const small = compiled.filter(({ bytes }) => bytes.length < 4096);
    const word = fc.oneof(
      fc.integer({ min: 0, max: 100 }),
      fc.integer({ min: 0, max: 0x1f }).map((kind) => (kind << 24) | 1),
      fc.integer({ min: 0, max: 0xffff_ffff }),
    );
    fc.assert(
      fc.property(fc.constantFrom(...small), fc.nat(), word, ({ bytes }, place, value) => {
        const broken = new Uint8Array(bytes);
        const view = new DataView(broken.buffer);
        const isLittle = broken[0] === 0x9f;
        const words = view.getUint32(12, isLittle) / 4;
        view.setUint32(HEADER_BYTES + (place % words) * 4, value, isLittle);
        const expected = oneAfterTheOther(broken);
        outcomes[typeof expected === 'string' ? 'refused' : 'taken'] += 1;
        expect(atOnce(broken)).toEqual(expected);
      }),
      { numRuns: 2000 },
    );
    expect(Math.min(outcomes.taken, outcomes.refused)).toBeGreaterThan(50);
  });
});

describe('a function', () => {
  const prototype = [0, BTF_KIND.FUNC_PROTO << 24, 0];
  const functionOf = (id: number) => [0, BTF_KIND.FUNC << 24, id];

  it('may come before its prototype, which compilers do not write', () => {
    expect(atOnce(table([...functionOf(2), ...prototype]))).toEqual([0, 0, 3]);
  });

  it('is refused if it has none', () => {
    expect(atOnce(table([...prototype, ...functionOf(2)]))).toMatch(/\[2\] is no prototype/);
    expect(atOnce(table([...prototype, ...functionOf(0)]))).toMatch(/\[0\] is no prototype/);
    expect(atOnce(table([...prototype, ...functionOf(3)]))).toMatch(/refers to type \[3\]/);
  });
});

describe('a type that claims more entries than there are words', () => {
  const KINDS = ['STRUCT', 'UNION', 'ENUM', 'ENUM64', 'FUNC_PROTO', 'DATASEC', 'ARRAY'] as const;

  it.each(KINDS)('is refused without looking for them: %s', (kind) => {
    const claims = [0, (BTF_KIND[kind] << 24) | 0xffffff, 0];
    expect(atOnce(table(claims))).toMatch(/reaches behind the end of the type section/);
  });
});

describe('a table of the shortest types', () => {
  it('has room for all of them, though most types are longer', () => {
    const count = 100_000;
    const pointers = Array.from({ length: count * 3 }, (_, word) =>
      word % 3 === 1 ? BTF_KIND.PTR << 24 : 0,
    );
    const bytes = table(pointers);
    const { starts } = Btf.parse(bytes);
    expect(starts.length).toBe(count + 1);
    expect(starts[count]).toBe((count - 1) * 3);
    expect(Btf.parseChecked(bytes).starts).toEqual(starts);
  });
});
