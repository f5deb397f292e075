/**
 * CO-RE as libbpf 1.7 does it: every program of fixtures/core against its own types and those of other
 * kernels, instruction by instruction (fixtures/expected/libbpf-core, made by
 * fixtures/oracle/libbpf-core.c). What libbpf says of candidates on the way must be what skep says.
 */

import { describe, expect, it } from 'vitest';
import { ObjectFile } from '../../../src/loader/object-file.ts';
import { Btf } from '../../../src/obj/btf/btf.ts';
import { applyCore } from '../../../src/obj/core/apply.ts';
import { CoreResolver, type CoreResult } from '../../../src/obj/core/resolve.ts';
import { linkProgram } from '../../../src/obj/link.ts';
import { filesBelow, fixtureBytes, fixtureJson } from '../../support/fixtures.ts';

interface RecordedProgram {
  readonly name: string;
  readonly errno: number;
  readonly insns: readonly string[];
  readonly log: readonly string[];
}

interface Recorded {
  readonly command: string;
  readonly programs: readonly RecordedProgram[];
}

function parse(file: string): ObjectFile {
  return ObjectFile.parse(fixtureBytes(file), { file });
}

/** The types of a file: those of an object, or BTF as it is in sysfs. */
function typesOf(file: string): Btf {
  return file.endsWith('.btf') ? Btf.parse(fixtureBytes(file), file) : parse(file).btf!;
}

/** Relocates a program; the results in the order of its relocations. */
function relocate(object: ObjectFile, target: Btf, name: string) {
  const { instructions, relocations } = linkProgram(object, name);
  const resolver = new CoreResolver(object.btf!, [{ name: 'vmlinux', btf: target }]);
  const results: CoreResult[] = [];
  for (const relocation of relocations) {
    if (relocation.kind === 'core') {
      const result = resolver.resolve(relocation.core);
      applyCore(instructions, relocation.slot, result);
      results.push(result);
    }
  }
  const { bytes } = instructions;
  const insns = Array.from({ length: instructions.length }, (_, slot) =>
    Buffer.from(bytes.subarray(slot * 8, slot * 8 + 8)).toString('hex'),
  );
  return { insns, results };
}

/** `matching candidate #0 <byte_off> [12] struct sample.a (...)` as [12, true], in order. */
function saidOfCandidates(log: readonly string[]): [number, boolean][] {
  return log.flatMap((line) => {
    const [, non, id] = /: (non-)?matching candidate #\d+ <\w+> \[(\d+)\]/.exec(line) ?? [];
    return id === undefined ? [] : [[Number(id), non === undefined] as [number, boolean]];
  });
}

/** `<byte_off> [2] struct sample.a (0:0 @ offset 0)` as ['a', '0:0'], in order. */
function saidOfAccesses(log: readonly string[]): [string, string | undefined][] {
  return log.flatMap((line) => {
    const rest = /relo #\d+: <\w+> \[\d+\] \w+ [\w<>]+(.*)$/.exec(line)?.[1];
    if (rest === undefined) {
      return [];
    }
    const enumerator = /^(::\w+) = /.exec(rest)?.[1];
    if (enumerator !== undefined) {
      return [[enumerator, undefined] as [string, undefined]];
    }
    const [, path, spec] = /^(\S*) \(([\d:]+) @/.exec(rest) ?? [];
    return [[(path ?? '').replace(/^\./, ''), spec] as [string, string | undefined]];
  });
}

const RULED_OUT = 'it did not fit another relocation of this type';
/** libbpf takes 32 bits as signed whether the enum is or not, and then misses them in the code. */
const ONLY_HERE = new Set(['high_a_value', 'high_b_value']);

describe.each(filesBelow('expected/libbpf-core', '.json'))(
  'CO-RE as libbpf does it: %s',
  (name) => {
    const { command, programs } = fixtureJson<Recorded>(`expected/libbpf-core/${name}.json`);
    const [, objectFile, targetFile] = command.split(' ') as [string, string, string];
    const object = parse(objectFile);
    const target = typesOf(targetFile);

    const done = programs.filter(({ errno }) => errno === 0);
    const refused = programs.filter(({ errno, name: own }) => errno !== 0 && !ONLY_HERE.has(own));

    it.each(done)('$name has the same instructions, poison included', ({ name: own, insns }) => {
      expect(relocate(object, target, own).insns).toEqual(insns);
    });

    it.each(done)('$name has the same candidates, access and path', ({ name: own, log }) => {
      const { results } = relocate(object, target, own);
      const found = results.flatMap(({ candidates }) =>
        candidates
          .filter(({ failure }) => failure !== RULED_OUT)
          .map(({ typeId, failure }) => [typeId, failure === null]),
      );
      expect(found).toEqual(saidOfCandidates(log));
      const accesses = results.map(({ access, spec }) =>
        access.includes('::')
          ? [access.slice(access.indexOf('::')), undefined]
          : [access, access === '' && spec === '0' ? undefined : spec],
      );
      expect(accesses).toEqual(saidOfAccesses(log));
    });

    it('the same ones are refused, and no others', () => {
      const ours = programs.filter(({ name: own }) => {
        try {
          relocate(object, target, own);
          return false;
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_SKEP_PROGRAM' });
          return true;
        }
      });
      expect(ours).toEqual(refused);
    });
  },
);

describe('unsigned enumerators of 2^31 and more', () => {
  it('are taken as the compiler wrote them, which libbpf refuses', () => {
    const object = parse('core/enums.bpf.o');
    const target = typesOf('core/enums-changed.target.o');
    expect(relocate(object, object.btf!, 'high_a_value').insns.slice(0, 2)).toEqual([
      '18000000ffffffff',
      '0000000000000000',
    ]);
    // HIGH_A is 0x80000001 there, HIGH_B is 3.
    expect(relocate(object, target, 'high_a_value').insns.slice(0, 2)).toEqual([
      '1800000001000080',
      '0000000000000000',
    ]);
    expect(relocate(object, target, 'high_b_value').insns.slice(0, 2)).toEqual([
      '1800000003000000',
      '0000000000000000',
    ]);
  });
});
