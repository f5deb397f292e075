/**
 * CO-RE against the running kernel, for the relocations of fixtures/objects/programs/core.bpf.o: the
 * numbers are those that bpftool shows for the same members.
 */

import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openKernelBtf } from '../../../src/kernel/kernel-btf.ts';
import { CoreResolver, type CoreResult } from '../../../src/obj/core/resolve.ts';
import { linkProgram } from '../../../src/obj/link.ts';
import { openFixture } from '../../support/fixtures.ts';
import { hasProgram, output } from '../../support/programs.ts';

const KERNEL = '/sys/kernel/btf/vmlinux';
const isReadable = existsSync(KERNEL) && hasProgram('bpftool');

/** The relocations of the fixture, in the order of its source. */
function results(): CoreResult[] {
  const object = openFixture('programs/core');
  const resolver = new CoreResolver(object.btf!, [{ name: 'vmlinux', btf: openKernelBtf() }]);
  return linkProgram(object, 'read_parent').relocations.flatMap((relocation) =>
    relocation.kind === 'core' ? [resolver.resolve(relocation.core)] : [],
  );
}

/** Byte offset of a member as bpftool shows it; undefined if it shows none. */
function offsetOf(dump: string, struct: string, member: string): number | undefined {
  const from = dump.indexOf(`STRUCT '${struct}' `);
  const body = dump.slice(from, dump.indexOf('\n[', from));
  const bits = new RegExp(`^\\t'${member}' type_id=\\d+ bits_offset=(\\d+)$`, 'm').exec(body)?.[1];
  return bits === undefined ? undefined : Number(bits) / 8;
}

describe.runIf(isReadable)('CO-RE against the running kernel', () => {
  const dump = isReadable ? output('bpftool', 'btf', 'dump', 'file', KERNEL) : '';
  const answers = isReadable ? results() : [];
  const answer = (access: string, kind: string) =>
    answers.find((one) => one.access === access && one.kind === kind);

  it.each(['real_parent', 'tgid'])('finds task_struct.%s where bpftool shows it', (member) => {
    const expected = offsetOf(dump, 'task_struct', member);
    expect(expected).toBeGreaterThan(0);
    expect(answer(member, 'field_byte_offset')?.value).toBe(BigInt(expected!));
  });

  it('knows the size of a member', () => {
    expect(answer('tgid', 'field_byte_size')).toMatchObject({ value: 4n, failure: null });
  });

  it('knows what is not there, and says why', () => {
    // The kernel renamed `state` to `__state` in 5.14.
    const state = offsetOf(dump, 'task_struct', 'state');
    expect(answer('state', 'field_exists')).toMatchObject({
      localType: 'struct task_struct___old',
      value: state === undefined ? 0n : 1n,
    });
    expect(answers.find(({ kind }) => kind === 'type_exists')).toMatchObject({
      localType: 'struct skep_absent',
      access: '',
      value: 0n,
      failure: 'vmlinux has no type like struct skep_absent',
    });
    expect(answers.find(({ kind }) => kind === 'enumval_exists')).toMatchObject({
      access: 'enum skep_example::SKEP_EXAMPLE_ONE',
      value: 0n,
    });
  });
});
