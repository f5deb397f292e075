/** What the end of a verifier's log becomes when a poisoned instruction was reached. */

import { describe, expect, it } from 'vitest';
import type { CoreResult } from '../../src/obj/core/resolve.ts';
import { describePoison, explainPoison, type Poison } from '../../src/programs/poison.ts';

/** As Linux 6.18 ends a log, for the instruction that libbpf poisons so. */
const ending = (slot: number, number: number) =>
  `${slot - 1}: (85) call bpf_get_current_task_btf#158\n; return x; @ a.c:3\n${slot}: (85) call unknown#${number}\ninvalid func unknown#${number}\nprocessed 2 insns (limit 1000000)\n`;

const result: CoreResult = {
  kind: 'field_byte_offset',
  localType: 'struct task_struct___old',
  access: 'state',
  spec: '0:0',
  value: null,
  original: 0n,
  memory: null,
  candidates: [
    { target: 'vmlinux', typeId: 7, type: 'struct task_struct', failure: 'has no member "state"' },
  ],
  failure: 'struct task_struct (vmlinux [7]) does not fit: has no member "state"',
};

describe('a CO-RE relocation without an answer', () => {
  const said = (more: Partial<CoreResult>) =>
    describePoison({ slot: 5, kind: 'core', result: { ...result, ...more } });

  it('says once why a candidate does not fit', () => {
    expect(said({}).match(/has no member "state"/g)).toHaveLength(1);
  });

  it('says that there is no candidate', () => {
    const failure = 'vmlinux has no type like struct task_struct___old';
    expect(said({ candidates: [], failure })).toMatch(/\(0:0\): vmlinux has no type like [^:;]*$/);
  });

  it('says why a load cannot be adjusted to the type that fits', () => {
    const memory = { originalBytes: 4, bytes: 8, failure: '"state" is long of 8 bytes there' };
    const [candidate] = result.candidates;
    const candidates = [{ ...candidate!, failure: null }];
    expect(said({ value: 8n, failure: null, memory, candidates })).toMatch(
      /: "state" is long of 8 bytes there; vmlinux \[7\] struct task_struct: it fits$/,
    );
  });
});

describe('a log that ends with a poisoned instruction', () => {
  it.each<[string, Poison, number, string]>([
    [
      'says which CO-RE relocation, which types were tried, and why they do not fit',
      { slot: 5, kind: 'core', result },
      195896080,
      '5: <invalid CO-RE relocation>\nfailed to resolve CO-RE relocation field_byte_offset of struct task_struct___old, state (0:0): vmlinux [7] struct task_struct: has no member "state"\n',
    ],
    [
      'says which map was left out',
      { slot: 5, kind: 'map', name: 'flows' },
      2001000000,
      '5: <invalid BPF map reference>\nmap "flows" is used but was left out of the load\n',
    ],
    [
      'says which map, of the second half of a load too',
      { slot: 4, kind: 'map', name: 'flows' },
      2001000000,
      '5: <invalid BPF map reference>\nmap "flows" is used but was left out of the load\n',
    ],
    [
      'says which function of the kernel is not there',
      { slot: 5, kind: 'kfunc', name: 'bpf_thing' },
      2002000000,
      '5: <invalid kfunc call>\nthe kernel function "bpf_thing" is called but this kernel has none of that name\n',
    ],
  ])('%s', (_, poison, number, expected) => {
    const log = ending(5, number);
    const explained = explainPoison(log, [{ slot: 1, kind: 'map', name: 'other' }, poison]);
    expect(explained).toContain(expected);
    expect(explained).not.toContain(`unknown#${number}`);
    const start = log.slice(0, log.indexOf('5: (85)'));
    expect(explained.startsWith(start)).toBe(true);
    expect(explained.endsWith('\nprocessed 2 insns (limit 1000000)\n')).toBe(true);
  });

  it('stays as it is if something else was refused', () => {
    const log = '0: (61) r0 = *(u32 *)(r1 +0)\ninvalid bpf_context access off=0 size=4\n';
    expect(explainPoison(log, [{ slot: 5, kind: 'map', name: 'flows' }])).toBe(log);
  });

  it('stays as it is if nothing was poisoned there', () => {
    const log = ending(5, 195896080);
    expect(explainPoison(log, [])).toBe(log);
    expect(explainPoison(log, [{ slot: 6, kind: 'map', name: 'flows' }])).toBe(log);
  });

  it('is looked at near its end only, however long it is', () => {
    const log = `${'1: (b7) r0 = 1\n'.repeat(1_000_000)}${ending(5, 2001000000)}`;
    const explained = explainPoison(log, [{ slot: 5, kind: 'map', name: 'flows' }]);
    expect(explained).toContain('map "flows"');
  });
});
