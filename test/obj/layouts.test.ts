/** Sizes and offsets as clang has them: fixtures/expected/layouts, and variables as libbpf has them. */

import { describe, expect, it } from 'vitest';
import { resolveType } from '../../src/obj/btf/layout.ts';
import { filesBelow, fixtureJson, openFixture } from '../support/fixtures.ts';

interface Layouts {
  readonly types: readonly { readonly name: string; readonly size: number }[];
  readonly members: readonly {
    readonly struct: string;
    readonly member: string;
    readonly offset: number;
    readonly size: number;
  }[];
}

const layouts = fixtureJson<Layouts>('expected/layouts/flavours.json');

describe.each(['', '.eb'])('types as clang lays them out%s', (order) => {
  const object = openFixture(`maps/flavour-values${order}`);

  it.each(layouts.types)('$name has $size bytes', ({ name, size }) => {
    const map = object.maps.get(`value_${name}`);
    expect(map, `a map with values of ${name}`).toBeDefined();
    expect(map!.valueSize).toBe(size);
  });

  it('have their members at the same offsets', () => {
    let compared = 0;
    for (const { struct, member, offset } of layouts.members) {
      const map = object.maps.get(`value_${struct}`);
      if (map === undefined) continue;
      const type = resolveType(object.btf!, map.valueTypeId);
      if (type.kind !== 'struct' && type.kind !== 'union') continue;
      const found = type.members.find(({ name }) => name === member);
      if (found === undefined) continue;
      expect(found.bitOffset, `${struct}.${member}`).toBe(offset * 8);
      compared += 1;
    }
    expect(compared).toBeGreaterThan(20);
  });
});

interface Dump {
  readonly variables: readonly {
    readonly section: string;
    readonly name: string;
    readonly offset: number;
    readonly size: number;
  }[];
}

describe('variables as libbpf places them', () => {
  it.each(filesBelow('expected/libbpf-dump', '.json'))('%s', (name) => {
    const object = openFixture(name);
    const found = [...object.data.values()].flatMap((section) =>
      section.variables.map((variable) => ({
        section: section.name,
        name: variable.name,
        offset: variable.offset,
        size: variable.size,
      })),
    );
    const wanted = fixtureJson<Dump>(`expected/libbpf-dump/${name}.json`).variables.map(
      ({ section, name: variable, offset, size }) => ({ section, name: variable, offset, size }),
    );
    const order = (a: { section: string; offset: number; name: string }, b: typeof a) =>
      a.section.localeCompare(b.section) || a.offset - b.offset || a.name.localeCompare(b.name);
    expect(found.sort(order)).toEqual(wanted.sort(order));
  });
});
