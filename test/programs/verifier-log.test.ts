/**
 * The verifier's log, on logs that a kernel wrote: fixtures/expected/verifier-logs, made by
 * fixtures/oracle/record-verifier-logs.sh from fixtures/oracle/refused.bpf.c.
 */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { hasCode, SyscallError, VerifierError } from '../../src/errors.ts';
import { parseVerifierLog, registersOf } from '../../src/programs/verifier-log.ts';
import { fixturePath } from '../support/fixtures.ts';

interface Recorded {
  readonly log: string;
  readonly errno: number;
}

const { logs } = JSON.parse(read('index.json')) as { logs: Recorded[] };
const SOURCE = readFileSync(fixturePath('oracle/refused.bpf.c'), 'utf8').split('\n');

function read(name: string): string {
  return readFileSync(fixturePath(`expected/verifier-logs/${name}`), 'utf8');
}

function parse(name: string) {
  const recorded = logs.find(({ log }) => log === `${name}.txt`)!;
  return parseVerifierLog(read(recorded.log), recorded.errno === 28);
}

function refusal(): SyscallError {
  return new SyscallError('program "p"', {
    command: 'BPF_PROG_LOAD',
    errno: 13,
    errnoName: 'EACCES',
  });
}

/** Reason, slot of the instruction, and line of C, as a person reads them in the record. */
const REASONS: Readonly<
  Record<string, readonly [cause: string, slot: number | null, line: string | null]>
> = {
  out_of_bounds: [
    'invalid access to packet, off=14 size=1, R1(id=0,off=14,r=0); R1 offset is outside of the packet',
    1,
    'return data[14];',
  ],
  index_too_large: [
    'invalid access to map value, value_size=40 off=64 size=8; R0 max value is outside of the allowed memory range',
    12,
    'return value->parts[value->count & 7];',
  ],
  null_check: ["R0 invalid mem access 'map_value_or_null'", 7, 'value->count += 1;'],
  'null_check-all': ["R0 invalid mem access 'map_value_or_null'", 7, 'value->count += 1;'],
  uninitialised: ['R7 !read_ok', 0, 'asm volatile("%0 = r7" : "=r"(result));'],
  endless_loop: [
    'infinite loop detected at insn 1',
    2,
    'asm volatile("r0 = 0; 1: if r0 == 5 goto 2f; goto 1b; 2:" ::: "r0");',
  ],
  unreachable: ['unreachable insn 2', null, null],
  unreleased: [
    'Unreleased reference id=2 alloc_insn=4; BPF_EXIT instruction in main prog would lead to reference leak',
    11,
    '}',
  ],
  wrong_helper: [
    'program of this type cannot use helper bpf_probe_read#4',
    6,
    'probe_read(&value, sizeof(value), ctx);',
  ],
  in_subprogram: [
    'invalid access to map value, value_size=40 off=40 size=8; R1 max value is outside of the allowed memory range',
    21,
    'return value->parts[index];',
  ],
  global_function: [
    "R1 type=ctx expected=fp; Caller passes invalid args into func#1 ('global_part')",
    4,
    'return global_part(ctx, &number);',
  ],
  bad_return: [
    'At program exit the register R0 has smin=7 smax=7 should have been in [0, 1]',
    1,
    'return 7;',
  ],
  context_write: ['invalid bpf_context access off=0 size=4', 1, 'ctx->data = 1;'],
  deep_stack: [
    'invalid write to stack R10 off=-520 size=8',
    0,
    'asm volatile("*(u64 *)(r10 - 520) = 0" ::: "memory");',
  ],
  too_complex: ['The sequence of 8193 jumps is too complex.', 3, null],
  'accepted-all': ['', null, null],
  'accepted-statistics': ['', null, null],
};

describe("the verifier's log", () => {
  it('is recorded for every reason that is tested', () => {
    expect(logs.map(({ log }) => log.replace('.txt', '')).sort()).toEqual(
      Object.keys(REASONS).sort(),
    );
  });

  it.each(Object.entries(REASONS))('says why and where: %s', (name, [cause, slot, line]) => {
    const log = parse(name);
    expect(log.cause).toBe(cause);
    expect(log.place?.slot ?? null).toBe(slot);
    expect(log.place?.source?.text ?? null).toBe(line);
  });

  it('gives the line of the file', () => {
    for (const name of Object.keys(REASONS)) {
      const source = parse(name).place?.source;
      if (source) {
        expect(source.file).toBe('refused.bpf.c');
        expect(SOURCE[source.line! - 1]).toContain(source.text);
      }
    }
  });

  it('has an entry for every instruction that was processed', () => {
    const { entries, statistics } = parse('accepted-all');
    const instructions = entries.filter(({ kind }) => kind === 'instruction');
    expect(statistics?.instructions).toBe(34);
    expect(instructions).toHaveLength(34);
    // mov, load, call and exit, as they are numbered in linux/bpf_common.h.
    expect(instructions.at(-1)).toMatchObject({ slot: 25, opcode: 0x95, text: 'exit' });
    expect(instructions[0]).toMatchObject({ slot: 0, opcode: 0xb4, text: 'w6 = 0', state: 'R6=0' });
  });

  it('has the paths and the functions', () => {
    const { entries } = parse('accepted-all');
    expect(entries.filter(({ kind }) => kind === 'function')).toMatchObject([
      { number: 0, slot: 0 },
      { number: 1, slot: 26 },
    ]);
    const paths = entries.filter(({ kind }) => kind === 'path');
    expect(paths).toMatchObject([
      { from: 32, to: 17 },
      { from: 17, to: 23 },
    ]);
    expect(paths[1]).toMatchObject({ state: expect.stringMatching(/^R0=scalar\(smax32=3\) R6=/) });
  });

  it('has no words in it when a program is right', () => {
    for (const name of ['accepted-all', 'accepted-statistics']) {
      expect(parse(name).entries.filter(({ kind }) => kind === 'message')).toEqual([]);
    }
  });

  it('has statistics', () => {
    const { statistics } = parse('accepted-statistics');
    expect(statistics).toEqual({
      instructions: 34,
      limit: 1_000_000,
      maxStatesPerInstruction: 0,
      totalStates: 3,
      peakStates: 3,
      markRead: 0,
      microseconds: expect.any(Number),
      stackBytes: [8, 0],
    });
    expect(parse('out_of_bounds').statistics).toMatchObject({
      instructions: 2,
      microseconds: null,
      stackBytes: null,
    });
  });

  it('is read although its beginning is missing', () => {
    const log = parse('too_complex');
    expect(log.truncated).toBe(true);
    expect(log.entries[0]).toEqual({ line: 0, kind: 'detail', text: '    ; R6=8173' });
    expect(log.entries[1]).toMatchObject({ kind: 'instruction', slot: 1, text: 'r6 += 1' });
  });

  it('is read although its end is missing', () => {
    const text = read('out_of_bounds.txt');
    const log = parseVerifierLog(text.slice(0, text.indexOf('invalid access')), true);
    expect(log).toMatchObject({ cause: '', place: null, statistics: null, truncated: true });
  });

  it('may be empty', () => {
    expect(parseVerifierLog('')).toEqual({
      text: '',
      truncated: false,
      entries: [],
      cause: '',
      place: null,
      statistics: null,
    });
  });

  // As Linux 4.19 and 5.4 write it (tools/testing/selftests/bpf and reports of that time).
  it('is read as older kernels wrote it', () => {
    const log = parseVerifierLog(
      [
        '; int key = 0;',
        '0: (b7) r1 = 0',
        '1: R1_w=inv0 R10=fp0',
        '1: (15) if r0 == 0x0 goto pc+2',
        ' R0=map_value(id=0,off=0,ks=4,vs=8,imm=0) R10=fp0,call_-1',
        'from 1 to 4: safe',
        'from 1 to 4 (speculative execution): R0=inv0 R10=fp0',
        '4: (61) r0 = *(u32 *)(r0 +8)',
        'invalid access to map value, value_size=8 off=8 size=4',
        'R0 min value is outside of the array range',
        'processed 9 insns (limit 131072), stack depth 4+16',
        '',
      ].join('\n'),
    );
    expect(log.entries.map(({ kind }) => kind)).toEqual([
      'source',
      'instruction',
      'state',
      'instruction',
      'state',
      'detail',
      'path',
      'instruction',
      'message',
      'message',
      'statistics',
    ]);
    expect(log.cause).toMatch(/^invalid access to map value.*; R0 min value/);
    expect(log.place).toMatchObject({ slot: 4, source: { file: null, line: null } });
    expect(log.statistics).toMatchObject({
      instructions: 9,
      limit: 131_072,
      totalStates: null,
      stackBytes: [4, 16],
    });
  });

  it('has the instruction that a loader made invalid, as loaders word it', () => {
    const log = parseVerifierLog(
      '; int x = core(); @ a.c:7\n3: <invalid CO-RE relocation>\nfailed to resolve it\nprocessed 4 insns (limit 1000000)\n',
    );
    expect(log.cause).toBe('failed to resolve it');
    expect(log.place).toEqual({
      slot: 3,
      instruction: '<invalid CO-RE relocation>',
      source: { text: 'int x = core();', file: 'a.c', line: 7 },
    });
  });

  it('takes time in proportion to its length', () => {
    const text = read('accepted-all.txt');
    const timeOnce = (times: number) => {
      const long = text.repeat(times);
      const start = performance.now();
      parseVerifierLog(long);
      return performance.now() - start;
    };
    // The best of three, as others may need the processor meanwhile.
    const time = (times: number) => Math.min(...[1, 2, 3].map(() => timeOnce(times)));
    // 16 times the text; the square of it would be 256 times the time.
    expect(time(1600)).toBeLessThan(100 * Math.max(time(100), 1));
    // What might make a regular expression go back and forth.
    const odd = ['0: R1='.padEnd(1 << 20, '('), `; ${' @ '.repeat(1 << 18)}`, ' '.repeat(1 << 20)];
    const start = performance.now();
    parseVerifierLog(odd.join('\n'));
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('the registers of a state', () => {
  it('are what is between spaces that are not in parentheses', () => {
    const state = [...parse('in_subprogram').entries]
      .reverse()
      .find((entry) => entry.kind === 'instruction' && entry.state !== null);
    expect(state).toMatchObject({ slot: 20, state: expect.stringMatching(/^frame1: R1=/) });
    const registers = registersOf((state as { state: string }).state);
    expect([...registers.keys()]).toEqual(['R1', 'R2']);
    expect(registers.get('R2')).toBe(
      'scalar(smin=smin32=0,smax=umax=smax32=umax32=32,var_off=(0x0; 0x38))',
    );
  });

  it('include the stack', () => {
    expect([...registersOf('R1_w=ctx(id=0,off=0,imm=0) R10=fp0 fp-8=0000???? refs=2')]).toEqual([
      ['R1', 'ctx(id=0,off=0,imm=0)'],
      ['R10', 'fp0'],
      ['fp-8', '0000????'],
    ]);
  });
});

describe('VerifierError', () => {
  it('says what, why and where, and keeps the rest', () => {
    const cause = refusal();
    const error = new VerifierError('null_check', parse('null_check'), cause);
    expect(error.message).toBe(
      `program "null_check": refused by the verifier: R0 invalid mem access 'map_value_or_null'; at refused.bpf.c:64 "value->count += 1;", instruction 7: r1 = *(u64 *)(r0 +0); the error's "text" has the whole log (lines: 13)`,
    );
    expect(hasCode(error, 'ERR_SKEP_VERIFIER')).toBe(true);
    expect(error).toMatchObject({ program: 'null_check', errno: 13, errnoName: 'EACCES', cause });
    expect(error.text).toBe(read('null_check.txt'));
    expect(Object.keys(error)).not.toContain('log');
  });

  it('says what is missing of the log', () => {
    expect(new VerifierError('p', parse('too_complex'), refusal()).message).toContain(
      'of which a part is missing',
    );
    expect(new VerifierError('p', parseVerifierLog(''), refusal()).message).toBe(
      'program "p": refused by the verifier: it gives no reason (EACCES); there is no log: load it with a log level to get one',
    );
  });

  it('passes advice on', () => {
    const error = new VerifierError('p', parse('unreachable'), refusal(), 'try this');
    expect(error.message).toContain('unreachable insn 2; try this; the error');
  });
});
