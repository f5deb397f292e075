/**
 * Split BTF, as modules of the kernel have it: fixtures/core/modules.split.btf, made by libbpf, against
 * what bpftool reads from it (fixtures/expected/bpftool-split.json).
 */

import { describe, expect, it } from 'vitest';
import { ObjectFile } from '../../../src/loader/object-file.ts';
import { Btf } from '../../../src/obj/btf/btf.ts';
import { checkBtf } from '../../../src/obj/btf/check.ts';
import { sizeOfType } from '../../../src/obj/btf/layout.ts';
import { spellType } from '../../../src/obj/btf/spell.ts';
import { fixtureBytes, fixtureJson } from '../../support/fixtures.ts';

interface ShownType {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  readonly size?: number;
  readonly type_id?: number;
  readonly members?: readonly { readonly name: string; readonly type_id: number }[];
  readonly values?: readonly { readonly name: string; readonly val: number }[];
  readonly vars?: readonly { readonly type_id: number; readonly size: number }[];
}

const kernelFile = 'core/modules-kernel.target.o';
const kernel = ObjectFile.parse(fixtureBytes(kernelFile), { file: kernelFile }).btf!;
const bytes = fixtureBytes('core/modules.split.btf');
const split = Btf.parse(bytes, 'module', kernel);
const { types } = fixtureJson<{ readonly types: readonly ShownType[] }>(
  'expected/bpftool-split.json',
);

/** The same fields as bpftool shows. */
function shown(id: number): Partial<ShownType> {
  const type = split.type(id);
  const common = {
    id,
    kind: type.kind.toUpperCase(),
    name: type.name === '' ? '(anon)' : type.name,
  };
  switch (type.kind) {
    case 'struct':
      return {
        ...common,
        size: type.sizeBytes,
        members: type.members.map(({ name, typeId }) => ({ name, type_id: typeId })),
      };
    case 'enum':
      return {
        ...common,
        size: type.sizeBytes,
        values: type.values.map(({ name, value }) => ({ name, val: value })),
      };
    case 'datasec':
      return {
        ...common,
        vars: type.variables.map(({ typeId, sizeBytes }) => ({ type_id: typeId, size: sizeBytes })),
      };
    case 'ptr':
    case 'var':
    case 'typedef':
      return { ...common, type_id: type.typeId };
    default:
      throw new Error(`no ${type.kind} is expected`);
  }
}

describe('split BTF', () => {
  it('goes on where the ids of its base end', () => {
    expect(split.firstId).toBe(kernel.typeCount);
    expect(split.typeCount).toBe(kernel.typeCount + types.length);
    expect(types[0]!.id).toBe(split.firstId);
  });

  it.each(types)('has the type [$id] that bpftool reads: $kind $name', (type) => {
    expect(type).toMatchObject(shown(type.id));
    expect(split.nameOf(type.id)).toBe(type.name === '(anon)' ? '' : type.name);
  });

  it('answers for the types of its base', () => {
    for (let id = 0; id < kernel.typeCount; id += 1) {
      expect(split.type(id)).toBe(kernel.type(id));
      expect(split.kindOf(id)).toBe(kernel.kindOf(id));
      expect(split.nameOf(id)).toBe(kernel.nameOf(id));
      expect(split.sizeOrType(id)).toBe(kernel.sizeOrType(id));
      expect(split.entriesOf(id)).toBe(kernel.entriesOf(id));
    }
  });

  it('finds names in the base first, then its own', () => {
    const inKernel = kernel.find('of_both', 'struct');
    const own = types.find(({ name }) => name === 'of_both')!.id;
    expect(inKernel).not.toBe(0);
    expect(split.find('of_both', 'struct')).toBe(inKernel);
    expect(own).toBeGreaterThan(inKernel);
    expect(split.find('of_module', 'struct')).toBe(
      types.find(({ name }) => name === 'of_module')!.id,
    );
    expect(split.find('shared', 'struct')).toBe(kernel.find('shared', 'struct'));
    expect(split.find('of_module', 'enum')).toBe(0);
    expect(kernel.find('of_module')).toBe(0);
    // Its name is among the strings of the base: libbpf stores none twice.
    expect(split.find('v2', 'var')).toBe(kernel.find('v2', 'var'));
    expect(split.find('v3', 'var')).toBe(types.find(({ name }) => name === 'v3')!.id);
  });

  it('lists the types of a kind, those of the base first', () => {
    const own = types.filter(({ kind }) => kind === 'STRUCT').map(({ id }) => id);
    expect(split.idsOfKind('struct')).toEqual([...kernel.idsOfKind('struct'), ...own]);
  });

  it('is laid out and spelled across both', () => {
    const module = split.find('of_module', 'struct');
    const type = split.type(module);
    const members = type.kind === 'struct' ? type.members : [];
    const shared = members.find(({ name }) => name === 'shared')!;
    expect(shared.typeId).toBeLessThan(split.firstId);
    expect(spellType(split, shared.typeId, 'x')).toBe('struct shared x');
    // sizeof(struct shared): long, int, pointer.
    expect(sizeOfType(split, shared.typeId)).toBe(24);
    expect(sizeOfType(split, split.find('module_t', 'typedef'))).toBe(80);
  });

  it('is checked as a whole', () => {
    expect(() => checkBtf(split)).not.toThrow();
  });
});

describe('split BTF that is broken', () => {
  it('is an error without its base', () => {
    expect(() => Btf.parse(bytes)).toThrow(/does not start and end with a NUL/);
  });

  it('is an error if a type refers to an id behind its own', () => {
    const changed = Uint8Array.from(bytes);
    const view = new DataView(changed.buffer);
    // The type of the first member of the first type, a struct.
    view.setUint32(24 + 12 + 4, split.typeCount, true);
    const broken = Btf.parse(changed, 'module', kernel);
    expect(() => checkBtf(broken)).toThrow(
      `BTF in module: type [${split.firstId}] refers to type [${split.typeCount}]`,
    );
    expect(() => broken.type(broken.firstId)).toThrow(/refers to type/);
  });

  it('is an error if a name is behind its strings', () => {
    const changed = Uint8Array.from(bytes);
    new DataView(changed.buffer).setUint32(24, 0xffff, true);
    const broken = Btf.parse(changed, 'module', kernel);
    expect(() => checkBtf(broken)).toThrow(/has a name at offset 65535, outside the strings/);
    expect(() => broken.nameOf(broken.firstId)).toThrow(/there is no string at offset 65535/);
  });

  it('names cut off types by their ids', () => {
    const changed = Uint8Array.from(bytes);
    // 0x1f is no kind.
    changed[24 + 7] = 0x1f;
    expect(() => Btf.parse(changed, 'module', kernel)).toThrow(
      `BTF in module: type [${split.firstId}] has the unknown kind 31`,
    );
  });
});
