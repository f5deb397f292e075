/**
 * CO-RE about types of modules, as libbpf 1.7 does it (fixtures/expected/libbpf-modules.json, made by
 * fixtures/oracle/libbpf-modules.c).
 */

import { describe, expect, it } from 'vitest';
import { ObjectFile } from '../../../src/loader/object-file.ts';
import { Btf } from '../../../src/obj/btf/btf.ts';
import { CoreResolver, type CoreResult, type CoreTarget } from '../../../src/obj/core/resolve.ts';
import { linkProgram } from '../../../src/obj/link.ts';
import { coreKindName } from '../../../src/uapi/core-kinds.ts';
import { fixtureBytes, fixtureJson } from '../../support/fixtures.ts';

interface RecordedRelocation {
  readonly kind: number;
  readonly typeId: number;
  readonly access: string;
  readonly candidates: readonly (readonly [string, number])[];
  readonly poison: boolean;
  readonly value: string;
}

function parse(file: string): ObjectFile {
  return ObjectFile.parse(fixtureBytes(file), { file });
}

const object = parse('core/modules.bpf.o');
const kernel = parse('core/modules-kernel.target.o').btf!;
const module = Btf.parse(fixtureBytes('core/modules.split.btf'), 'module', kernel);
const { relocations } = fixtureJson<{ readonly relocations: readonly RecordedRelocation[] }>(
  'expected/libbpf-modules.json',
);

/** The kernel, and its module if that is asked for. */
function* targets(asked: string[] = []): Iterable<CoreTarget> {
  asked.push('vmlinux');
  yield { name: 'vmlinux', btf: kernel };
  asked.push('module');
  yield { name: 'module', btf: module };
}

function resolve(program: string, from: Iterable<CoreTarget> = targets()): CoreResult {
  const [relocation] = linkProgram(object, program).relocations;
  if (relocation?.kind !== 'core') {
    throw new Error(`${program} has no CO-RE relocation`);
  }
  return new CoreResolver(object.btf!, from).resolve(relocation.core);
}

describe('CO-RE about types of a module', () => {
  it.each(relocations)('is as in libbpf: kind $kind of [$typeId], $access', (recorded) => {
    const { kind, typeId, access, candidates, poison, value } = recorded;
    const relocation = { offset: 0, typeId, access, kindNumber: kind, kind: coreKindName(kind) };
    const result = new CoreResolver(object.btf!, targets()).resolve(relocation);
    expect(result.value).toBe(poison ? null : BigInt(value));
    // libbpf looks for candidates of local ids too.
    if (result.kind !== 'type_id_local') {
      expect(result.candidates.map(({ target, typeId: id }) => [target, id])).toEqual(candidates);
    }
  });

  it('asks for modules only if the kernel has no type of that name', () => {
    const asked: string[] = [];
    resolve('both_offset', targets(asked));
    expect(asked).toEqual(['vmlinux']);
    resolve('module_offset', targets(asked));
    expect(asked).toEqual(['vmlinux', 'vmlinux', 'module']);
  });

  it('says where it looked in vain', () => {
    expect(resolve('none_exists').failure).toBe(
      'neither vmlinux nor any of its 1 modules has a type like struct of_none',
    );
    expect(resolve('none_exists', [{ name: 'vmlinux', btf: kernel }]).failure).toBe(
      'vmlinux has no type like struct of_none',
    );
    expect(resolve('none_exists', []).failure).toBe('there are no types of a kernel to look into');
  });
});
