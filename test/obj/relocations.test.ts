/** What instructions refer to. That they refer to the right thing, link.test.ts compares with libbpf. */

import { describe, expect, it } from 'vitest';
import { linkProgram } from '../../src/obj/link.ts';
import { ObjectFile } from '../../src/obj/object.ts';
import { essentialName } from '../../src/obj/relocations-externs.ts';
import { fixtureBytes, openFixture } from '../support/fixtures.ts';

function relocationsOf(fixture: string, program: string) {
  return linkProgram(openFixture(fixture), program).relocations;
}

describe('references of code', () => {
  it('are told apart by what they refer to', () => {
    expect(relocationsOf('programs/linking', 'first')).toMatchObject([
      { kind: 'map', map: 'totals' },
      { kind: 'data', section: '.data', offset: 0 },
      { kind: 'map', map: 'counters' },
      { kind: 'data', section: '.rodata', offset: 0 },
      { kind: 'kconfig', extern: { name: 'CONFIG_SKEP_ABSENT', isWeak: true }, offset: 4 },
      { kind: 'kconfig', extern: { name: 'LINUX_KERNEL_VERSION', isWeak: false }, offset: 0 },
      { kind: 'kfunc', extern: { name: 'bpf_rcu_read_lock' } },
      { kind: 'data', section: '.data', offset: 0 },
      { kind: 'kfunc', extern: { name: 'bpf_rcu_read_unlock' } },
      { kind: 'data', section: '.rodata', offset: 16 },
      { kind: 'ksym', extern: { name: 'schedule', kind: 'address', typeId: 0 } },
    ]);
  });

  it('say of symbols of the kernel what is known about them', () => {
    const object = openFixture('data/ksyms');
    const externs = relocationsOf('data/ksyms', 'look').flatMap((one) =>
      one.kind === 'ksym' || one.kind === 'kfunc' ? [one] : [],
    );
    expect(
      externs.map(({ kind, extern }) => [kind, extern.name, extern.kind, extern.isWeak]),
    ).toEqual([
      ['ksym', 'skep_absent', 'address', true],
      ['ksym', 'skep_absent_number', 'variable', true],
      ['ksym', 'schedule', 'address', false],
      ['ksym', 'bpf_task_acquire', 'kfunc', true],
      ['kfunc', 'bpf_rcu_read_lock', 'kfunc', false],
      ['kfunc', 'bpf_rcu_read_unlock', 'kfunc', false],
    ]);
    for (const { extern } of externs) {
      expect(object.btf?.nameOf(extern.btfId)).toBe(extern.name);
    }
    // `const int` without its qualifier.
    expect(object.btf?.nameOf(externs[1]!.extern.typeId)).toBe('int');
  });

  it('are into an arena for its globals', () => {
    expect(relocationsOf('data/arena-globals', 'touch')).toMatchObject([
      { slot: 0, kind: 'arena', offset: 0 },
      { slot: 6, kind: 'arena', offset: 8 },
    ]);
  });

  it('are to a legacy map by its place', () => {
    const object = openFixture('legacy/bpf-map-def');
    const [program] = object.programs.keys();
    const { relocations } = linkProgram(object, program!);
    expect(relocations.length).toBeGreaterThan(0);
    for (const relocation of relocations) {
      expect(relocation.kind).toBe('map');
      expect(object.maps.has((relocation as { map: string }).map)).toBe(true);
    }
  });

  it('that go wrong are reported with program, instruction and symbol', () => {
    const object = ObjectFile.parse(
      fixtureBytes('malformed/instruction-relocation-on-helper-call.bpf.o'),
    );
    expect(() => linkProgram(object, 'tail_main')).toThrow(
      expect.objectContaining({
        code: 'ERR_SKEP_PROGRAM',
        section: 'socket',
        offset: 40,
        message:
          'program "tail_main" in section "socket", instruction 3 (call bpf_tail_call#12): ' +
          'refers to "prog_array_init", but a call of a helper refers to nothing',
      }),
    );
  });
});

describe('the name of an extern to look for', () => {
  // As bpf_core_essential_name_len of libbpf's relo_core.c documents: X___Y, X and Y no underscores.
  it.each([
    ['schedule', 'schedule'],
    ['schedule___local', 'schedule'],
    ['a___b___c', 'a___b'],
    ['a____b', 'a____b'],
    ['___b', '___b'],
    ['a___', 'a___'],
    ['__x64_sys_bpf', '__x64_sys_bpf'],
    ['', ''],
  ])('%s is %s', (name, essential) => {
    expect(essentialName(name)).toBe(essential);
  });
});
