/** Structs of functions in a plan, and what the options change. No kernel calls them here. */

import { describe, expect, it } from 'vitest';
import type { SkepError } from '../../src/errors.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { load, plan } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import { describeStep } from '../../src/loader/steps.ts';
import { fixturePath } from '../support/fixtures.ts';

const object = ObjectFile.open(fixturePath('run/struct-ops.bpf.o'));
const planned = (options: LoadOptions = {}) =>
  plan(object, { kernel: new MemoryKernel(), ...options });
const steps = (options: LoadOptions = {}) => planned(options).steps.map(describeStep);

/** Options that leave every struct out but one. */
const only = (name: string, options: LoadOptions['maps'] = {}): LoadOptions => ({
  maps: {
    ...Object.fromEntries(
      ['linked', 'nameless', 'plain'].map((map) => [map, { create: map === name }]),
    ),
    ...options,
  },
});

describe('the plan of structs of functions', () => {
  it('creates the struct, then loads its programs', () => {
    expect(steps(only('plain'))).toEqual([
      'load the BTF of the object',
      'create "plain": struct tcp_congestion_ops, undo_cwnd = skep_undo_cwnd, ssthresh = skep_ssthresh, cong_avoid = skep_cong_avoid',
      'create ".bss": array, key 4 bytes, value 12 bytes, 1 entry, flags MMAPABLE',
      'load program "skep_ssthresh": struct_ops, for ssthresh',
      'load program "skep_cong_avoid": struct_ops, for cong_avoid',
      'load program "skep_undo_cwnd": struct_ops, for undo_cwnd',
    ]);
  });

  it('says why others are left out', () => {
    const reasons = (options: LoadOptions) =>
      new Map(
        planned(options).omitted.map((each) => [
          'map' in each ? each.map : each.program,
          each.reason,
        ]),
      );
    const plain = reasons(only('plain'));
    expect(plain.get('linked')).toBe('left out by the options');
    expect(plain.get('optional')).toMatch(/starts with "\?": it is created if its option create/);
    expect(plain.get('skep_unused')).toBe('no struct of functions that is created has it');
    expect(plain.get('skep_other_avoid')).toBe('no struct of functions that is created has it');
    expect(reasons({ programs: false }).get('linked')).toMatch(/made when programs are loaded/);
    const without = reasons({ programs: { skep_init: { autoload: false } } });
    expect(without.get('linked')).toBe('its program "skep_init" is left out by the options');
    expect(without.has('plain')).toBe(false);
  });

  it('holds what the options set', () => {
    const members = { name: 'other', flags: 2, init: 'skep_unused', cong_avoid: null };
    const { steps } = planned(only('linked', { linked: { members } }));
    const [step] = steps.flatMap((each) => (each.step === 'create-struct-ops' ? [each] : []));
    const { struct, contents, programs } = step!.value;
    const named = Array.from(programs, ([index, name]) => [struct.members[index]!.name, name]);
    expect(Object.fromEntries(named)).toEqual({
      undo_cwnd: 'skep_undo_cwnd',
      ssthresh: 'skep_ssthresh',
      init: 'skep_unused',
    });
    const flags = struct.members.find(({ name }) => name === 'flags')!.bitOffset / 8;
    expect(new TextDecoder().decode(contents.subarray(0, 16))).toBe('other'.padEnd(16, '\0'));
    expect(contents[flags]).toBe(2);
  });

  it.each<[string, LoadOptions, RegExp]>([
    [
      'a member that is not there',
      only('plain', { plain: { members: { size: 1 } } }),
      /maps\.plain\.members\.size: struct tcp_congestion_ops has no such member.*it has name, undo/,
    ],
    [
      'a value that does not fit',
      only('plain', { plain: { members: { flags: -1 } } }),
      /^maps\.plain\.members\.flags: /,
    ],
    [
      'a function that is a number',
      only('plain', { plain: { members: { init: 7 } } }),
      /members\.init: a function is the name of a program, or null/,
    ],
    [
      'a program that is not there',
      only('plain', { plain: { members: { init: 'no' } } }),
      /members\.init: the object has no program "no"/,
    ],
    [
      'members of another kind of map',
      { maps: { '.bss': { members: {} } } },
      /map "\.bss" is no struct of functions/,
    ],
    [
      'members of what is not created',
      { maps: { plain: { create: false, members: {} } } },
      /map "plain" is not created, so its members cannot be set/,
    ],
    [
      'a pin',
      { maps: { plain: { pin: '/sys/fs/bpf/plain' } } },
      /map "plain" is a struct of functions, which each load makes anew; it cannot be pinned/,
    ],
    [
      'a struct without a program of it',
      { maps: { plain: { create: true } }, programs: { skep_ssthresh: { autoload: false } } },
      /program "skep_ssthresh" is left out by the options, but map "plain" is to be created/,
    ],
    [
      'a program without a struct',
      { programs: { skep_unused: { autoload: true } } },
      /program "skep_unused" is a function of a struct .* but no struct that is created has it/,
    ],
  ])('refuses %s', (_what, options, message) => {
    expect(() => planned(options)).toThrow(message);
  });
});

describe('structs of functions in the kernel inside the process', () => {
  it('are refused, as it has none, and nothing is left', () => {
    const kernel = new MemoryKernel();
    expect(() => load(object, { kernel })).toThrow(
      expect.objectContaining<Partial<SkepError>>({
        code: 'ERR_SKEP_LOAD',
        message:
          'the kernel takes no programs for the functions of struct tcp_congestion_ops: it has no BTF (CONFIG_DEBUG_INFO_BTF)',
      }),
    );
    expect(kernel.nextMapId(0)).toBeNull();
  });

  it('are left out by the options, or with all programs', () => {
    const kernel = new MemoryKernel();
    using without = load(object, { kernel, ...only('none') });
    expect([[...without.maps.keys()], without.programs.size]).toEqual([['.bss'], 0]);
    using maps = load(object, { kernel, programs: false });
    expect([...maps.maps.keys()]).toEqual(['.bss']);
  });
});
