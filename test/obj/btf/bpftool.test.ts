/** BTF as bpftool reads it: every type of every fixture, and of the running kernel. */

import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openKernelBtf } from '../../../src/kernel/kernel-btf.ts';
import type { Btf } from '../../../src/obj/btf/btf.ts';
import { checkBtf } from '../../../src/obj/btf/check.ts';
import { spellType } from '../../../src/obj/btf/spell.ts';
import type { BtfType } from '../../../src/obj/btf/types.ts';
import { fixtureNames, fixturePath, openFixture } from '../../support/fixtures.ts';
import { hasProgram, output } from '../../support/programs.ts';

const KERNEL = '/sys/kernel/btf/vmlinux';
const hasBpftool = hasProgram('bpftool');

/** A type as `bpftool -j btf dump` prints it. */
function shown(btf: Btf, type: BtfType): Record<string, unknown> {
  const kind = type.kind.toUpperCase();
  const common = { id: type.id, kind, name: type.name === '' ? '(anon)' : type.name };
  switch (type.kind) {
    case 'int':
      return {
        ...common,
        size: type.sizeBytes,
        bits_offset: type.bitOffset,
        nr_bits: type.bits,
        encoding: type.encoding === 'unsigned' ? '(none)' : type.encoding.toUpperCase(),
      };
    case 'array':
      return {
        ...common,
        type_id: type.elementTypeId,
        index_type_id: type.indexTypeId,
        nr_elems: type.length,
      };
    case 'struct':
    case 'union':
      return {
        ...common,
        size: type.sizeBytes,
        vlen: type.members.length,
        members: type.members.map((member) => ({
          name: member.name === '' ? '(anon)' : member.name,
          type_id: member.typeId,
          bits_offset: member.bitOffset,
          ...(member.bitSize > 0 ? { bitfield_size: member.bitSize } : {}),
        })),
      };
    case 'enum':
    case 'enum64':
      return {
        ...common,
        size: type.sizeBytes,
        encoding: type.signed ? 'SIGNED' : 'UNSIGNED',
        vlen: type.values.length,
        values: type.values.map(({ name, value }) => ({ name, val: Number(value) })),
      };
    case 'fwd':
      return { ...common, fwd_kind: type.of };
    case 'func':
      return { ...common, type_id: type.typeId, linkage: type.linkage };
    case 'func_proto':
      return {
        ...common,
        ret_type_id: type.returnTypeId,
        vlen: type.parameters.length,
        params: type.parameters.map(({ name, typeId }) => ({
          name: name === '' ? '(anon)' : name,
          type_id: typeId,
        })),
      };
    case 'var':
      return { ...common, type_id: type.typeId, linkage: type.linkage };
    case 'datasec':
      return {
        ...common,
        size: type.sizeBytes,
        vlen: type.variables.length,
        vars: type.variables.map(({ typeId, offset, sizeBytes }) => ({
          type_id: typeId,
          offset,
          size: sizeBytes,
          // bpftool prints the variable's name here as well where it is one.
          ...(btf.kindOf(typeId) === 14 ? { name: btf.nameOf(typeId) } : {}),
        })),
      };
    case 'float':
      return { ...common, size: type.sizeBytes };
    case 'decl_tag':
      return { ...common, type_id: type.typeId, component_idx: type.componentIndex };
    case 'void':
      return common;
    default:
      return { ...common, type_id: type.typeId };
  }
}

function dumped(path: string): Record<string, unknown>[] {
  const types = JSON.parse(output('bpftool', '-j', 'btf', 'dump', 'file', path)).types;
  return types as Record<string, unknown>[];
}

/** bpftool 7.1 has its own idea of two things. */
function normal(type: Record<string, unknown>): Record<string, unknown> {
  const { vars, ...rest } = type;
  if (vars === undefined) {
    return rest;
  }
  const list = (vars as { name?: string }[]).map(({ name: _, ...entry }) => entry);
  return { ...rest, vars: list };
}

/** Spaces are a matter of taste, and bpftool numbers types that share a name. */
function squeeze(line: string): string {
  return line.replace(/___\d+\b/g, '').replace(/\s+/g, '');
}

const withBtf = fixtureNames().filter((name) => openFixture(name).btf !== undefined);

describe.skipIf(!hasBpftool)('BTF of fixtures', () => {
  it.each(withBtf)('%s is what bpftool dumps', (name) => {
    const btf = openFixture(name).btf!;
    const found: Record<string, unknown>[] = [];
    for (let id = 1; id < btf.typeCount; id += 1) {
      found.push(normal(shown(btf, btf.type(id))));
    }
    expect(found).toEqual(dumped(fixturePath(`objects/${name}.bpf.o`)).map(normal));
  });

  it('shows every kind of type', () => {
    const kinds = new Set<string>();
    for (const name of withBtf) {
      const btf = openFixture(name).btf!;
      for (let id = 1; id < btf.typeCount; id += 1) {
        kinds.add(btf.type(id).kind);
      }
    }
    expect(kinds.size).toBe(19);
  });
});

describe.skipIf(!existsSync(KERNEL))('BTF of the running kernel', () => {
  const btf = openKernelBtf();

  it('is sound', () => {
    expect(() => checkBtf(btf)).not.toThrow();
    expect(btf.typeCount).toBeGreaterThan(10_000);
  });

  it('is found by name: the lowest id of that name and kind', () => {
    const first = new Map<string, number>();
    for (let id = 1; id < btf.typeCount; id += 1) {
      const key = `${btf.kindOf(id)} ${btf.nameOf(id)}`;
      if (btf.nameOf(id) !== '' && !first.has(key)) {
        first.set(key, id);
      }
    }
    let asked = 0;
    for (const [key, id] of first) {
      asked += 1;
      if (asked % 17 === 0) {
        expect(btf.find(btf.nameOf(id), btf.type(id).kind), key).toBe(id);
      }
    }
    expect(btf.find('task_struct', 'struct')).toBeGreaterThan(0);
    expect(btf.find('task_struct', 'union')).toBe(0);
    expect(btf.find('no_such_type_at_all')).toBe(0);
    expect(btf.find('')).toBe(0);
  });

  it.skipIf(!hasBpftool)('is spelled as C as bpftool spells it', () => {
    const lines = new Set(
      output('bpftool', 'btf', 'dump', 'file', KERNEL, 'format', 'c').split('\n').map(squeeze),
    );
    let compared = 0;
    for (const id of btf.idsOfKind('struct')) {
      const type = btf.type(id);
      if (
        type.kind !== 'struct' ||
        type.name === '' ||
        !lines.has(squeeze(`struct ${type.name} {`))
      ) {
        continue;
      }
      for (const member of type.members) {
        const spelled = spellType(btf, member.typeId, member.name);
        // Anonymous types are written out over several lines there; `...` parameters differ too.
        if (member.name === '' || spelled.includes('{') || spelled.includes('...')) {
          continue;
        }
        const line = `${spelled}${member.bitSize > 0 ? `: ${member.bitSize}` : ''};`;
        expect(lines.has(squeeze(line)), `struct ${type.name}: ${line}`).toBe(true);
        compared += 1;
      }
    }
    expect(compared).toBeGreaterThan(10_000);
  });
});
