/** C spelling of types that were made to make it long. */

import { describe, expect, it } from 'vitest';
import { Btf } from '../../../src/obj/btf/btf.ts';
import { spellType } from '../../../src/obj/btf/spell.ts';
import { BTF_KIND } from '../../../src/uapi/btf-kinds.ts';

/** A table of types given by their words; names are offsets into `names`. */
function table(types: readonly (readonly number[])[], names = ''): Btf {
  const words = types.flat();
  const strings = new TextEncoder().encode(`\0${names}\0`);
  const bytes = new Uint8Array(24 + words.length * 4 + strings.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0xeb9f, true);
  bytes[2] = 1;
  [24, 0, words.length * 4, words.length * 4, strings.length].forEach((value, index) => {
    view.setUint32(4 + index * 4, value, true);
  });
  words.forEach((word, index) => {
    view.setUint32(24 + index * 4, word, true);
  });
  bytes.set(strings, 24 + words.length * 4);
  return Btf.parse(bytes);
}

const info = (kind: number, vlen = 0) => kind * 2 ** 24 + vlen;
const INT = [1, info(BTF_KIND.INT), 4, 32];

function prototype(returns: number, parameters: readonly number[]): number[] {
  return [
    0,
    info(BTF_KIND.FUNC_PROTO, parameters.length),
    returns,
    ...parameters.flatMap((id) => [0, id]),
  ];
}

describe('a type that refers to others many times over', () => {
  it.each([
    ['levels of prototypes with four parameters', 31, 4],
    ['levels of prototypes with sixty parameters', 10, 60],
  ])('%s is cut short', (_, levels, parameters) => {
    const types: number[][] = [INT];
    for (let level = 0; level < levels; level += 1) {
      const inner = types.length;
      types.push(prototype(inner, new Array(parameters).fill(inner)));
      types.push([0, info(BTF_KIND.PTR), 0, inner + 1].slice(0, 2).concat(inner + 1));
    }
    const text = spellType(table(types, 'int'), types.length);
    expect(text.length).toBeLessThan(20_000);
    expect(text).toContain('...');
  });

  it('prototypes that return and take themselves end', () => {
    const btf = table([[0, info(BTF_KIND.PTR), 2], prototype(1, [1, 1, 1])]);
    expect(spellType(btf, 1).length).toBeLessThan(20_000);
  });

  it('anonymous structs in each other end', () => {
    const types: number[][] = [INT];
    for (let level = 0; level < 30; level += 1) {
      const inner = types.length;
      types.push([0, info(BTF_KIND.STRUCT, 3), 4, 1, inner, 0, 1, inner, 0, 1, inner, 0]);
    }
    expect(spellType(table(types, 'int'), types.length).length).toBeLessThan(20_000);
  });
});
