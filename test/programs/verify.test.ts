/** Giving programs to a kernel that refuses: what is asked again, with which room for a log, and with less. */

import { describe, expect, it } from 'vitest';
import { SyscallError } from '../../src/errors.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import type { LogRequest, ProgramAttributes } from '../../src/kernel/program-calls.ts';
import { Refusal, type Verified, verify } from '../../src/programs/verify.ts';
import { ERRNO } from '../../src/uapi/errno.ts';

const ATTRIBUTES: ProgramAttributes = {
  type: 6,
  instructions: new Uint8Array(16),
  license: 'GPL',
  name: 'entry',
  flags: 0,
  expectedAttachType: 37,
  kernelVersion: 0,
  btf: { fd: 9, functionInfo: null, lineInfo: null },
  target: null,
  descriptors: [],
};

/** What a kernel says to one call: a log, and the name of an errno if it refuses. */
interface Answer {
  readonly errno?: keyof typeof ERRNO;
  readonly log?: string;
  /** Whether it tells how long its log is (6.4). */
  readonly tellsLength?: boolean;
}

interface Call {
  readonly attributes: ProgramAttributes;
  readonly level: number;
  readonly room: number;
}

/** A kernel that answers each call by a function. */
function answering(answer: (call: Call, index: number) => Answer) {
  const calls: Call[] = [];
  const loadProgram = (attributes: ProgramAttributes, log: LogRequest | null): number => {
    const call = { attributes, level: log?.level ?? 0, room: log?.buffer.length ?? 0 };
    const { errno, log: text = '', tellsLength = false } = answer(call, calls.push(call) - 1);
    const bytes = new TextEncoder().encode(`${text}\0`);
    const fits = log === null || bytes.length <= log.buffer.length;
    log?.buffer.set(bytes.subarray(0, log.buffer.length - 1));
    if (log !== null && tellsLength) {
      log.wholeBytes = bytes.length;
    }
    const name = fits ? errno : 'ENOSPC';
    if (name !== undefined) {
      throw new SyscallError('program "entry"', {
        command: 'BPF_PROG_LOAD',
        errno: ERRNO[name],
        errnoName: name,
      });
    }
    return 42;
  };
  return { kernel: { loadProgram } as unknown as Kernel, calls };
}

const QUIET = { level: 0, attachTypeOptional: true };
const refusedWith = (outcome: Verified | Refusal) => {
  expect(outcome).toBeInstanceOf(Refusal);
  return outcome as Refusal;
};

describe('a program that is right', () => {
  it('is given once, without a log', () => {
    const { kernel, calls } = answering(() => ({ log: 'processed 2 insns' }));
    expect(verify(kernel, ATTRIBUTES, QUIET)).toEqual({
      fd: 42,
      log: '',
      truncated: false,
      leftOut: undefined,
    });
    expect(calls).toEqual([{ attributes: ATTRIBUTES, level: 0, room: 0 }]);
  });

  it('is given once with the log that is asked for', () => {
    const { kernel, calls } = answering(() => ({ log: 'processed 2 insns' }));
    const outcome = verify(kernel, ATTRIBUTES, { ...QUIET, level: 4 });
    expect(outcome).toMatchObject({ fd: 42, log: 'processed 2 insns', truncated: false });
    expect(calls).toMatchObject([{ level: 4 }]);
  });

  it('is loaded without a log that is longer than any room, and what there is of it is told', () => {
    const { kernel, calls } = answering(() => ({ log: 'x'.repeat(17 << 20) }));
    const outcome = verify(kernel, ATTRIBUTES, { ...QUIET, level: 2 });
    expect(outcome).toMatchObject({ fd: 42, truncated: true });
    expect((outcome as Verified).log).toHaveLength(0xff_fffe);
    expect(calls.map(({ room }) => room)).toEqual([
      1 << 16,
      1 << 18,
      1 << 20,
      1 << 22,
      0xff_ffff,
      0,
    ]);
  });
});

describe('a program that is refused', () => {
  it('is given again for the reason', () => {
    const { kernel, calls } = answering(() => ({ errno: 'EACCES', log: 'R0 !read_ok' }));
    const { log, error, truncated } = refusedWith(verify(kernel, ATTRIBUTES, QUIET));
    expect([log, error.errnoName, truncated]).toEqual(['R0 !read_ok', 'EACCES', false]);
    expect(calls.map(({ level }) => level)).toEqual([0, 1]);
  });

  it('is given again for the place, if only statistics were asked for', () => {
    const { kernel, calls } = answering(({ level }) => ({
      errno: 'EACCES',
      log: level === 4 ? 'R0 !read_ok' : '; return x; @ a.c:3\n0: (95) exit\nR0 !read_ok',
    }));
    const { log } = refusedWith(verify(kernel, ATTRIBUTES, { ...QUIET, level: 4 }));
    expect(log).toContain('0: (95) exit');
    expect(calls.map(({ level }) => level)).toEqual([4, 5]);
  });

  it.each([1, 2, 6])('is given once at level %i, which has the place', (level) => {
    const { kernel, calls } = answering(() => ({ errno: 'EACCES', log: 'R0 !read_ok' }));
    refusedWith(verify(kernel, ATTRIBUTES, { ...QUIET, level }));
    expect(calls.map((call) => call.level)).toEqual([level]);
  });

  it('is given with as much room as the kernel says that the log takes', () => {
    const log = 'x'.repeat(300_000);
    const { kernel, calls } = answering(() => ({ errno: 'EINVAL', log, tellsLength: true }));
    expect(refusedWith(verify(kernel, ATTRIBUTES, QUIET)).log).toBe(log);
    expect(calls.map(({ room }) => room)).toEqual([0, 1 << 16, 300_001]);
  });

  it('is given with more and more room where it does not say', () => {
    const log = 'x'.repeat(300_000);
    const { kernel, calls } = answering(() => ({ errno: 'EINVAL', log }));
    expect(refusedWith(verify(kernel, ATTRIBUTES, QUIET)).log).toBe(log);
    expect(calls.map(({ room }) => room)).toEqual([0, 1 << 16, 1 << 18, 1 << 20]);
  });

  it('keeps the reason that it had without a log, if that is longer than any room', () => {
    const { kernel } = answering(() => ({ errno: 'E2BIG', log: 'x'.repeat(17 << 20) }));
    const { error, truncated } = refusedWith(verify(kernel, ATTRIBUTES, QUIET));
    expect([error.errnoName, truncated]).toEqual(['E2BIG', true]);
  });

  it('is not given with less if the verifier said why', () => {
    const { kernel, calls } = answering(() => ({ errno: 'EINVAL', log: 'unreachable insn 2' }));
    verify(kernel, ATTRIBUTES, QUIET);
    expect(calls.every(({ attributes }) => attributes === ATTRIBUTES)).toBe(true);
  });

  it('is not given with less for want of privileges', () => {
    const { kernel, calls } = answering(() => ({ errno: 'EPERM' }));
    expect(refusedWith(verify(kernel, ATTRIBUTES, QUIET)).error.errnoName).toBe('EPERM');
    expect(calls).toHaveLength(2);
  });
});

describe('a kernel that does not know all of what a program is given with', () => {
  const knows = (isKnown: (attributes: ProgramAttributes) => boolean) =>
    answering(({ attributes }) => (isKnown(attributes) ? {} : { errno: 'E2BIG' }));

  it.each<[string, (attributes: ProgramAttributes) => boolean, string]>([
    [
      'its expected attach type (4.17)',
      (one) => one.expectedAttachType === 0,
      'expected attach type',
    ],
    ['its types (5.0)', (one) => one.btf === null, 'types'],
    ['its name (4.15)', (one) => one.name === '' && one.btf === null, 'name'],
  ])('gets the program without %s, and that is told', (_, isKnown, what) => {
    const outcome = verify(knows(isKnown).kernel, ATTRIBUTES, QUIET);
    expect(outcome).toMatchObject({ fd: 42, leftOut: { what } });
    expect((outcome as Verified).leftOut!.refusal.errnoName).toBe('E2BIG');
  });

  it('does not get it without an attach type that it must have', () => {
    const { kernel } = knows((one) => one.expectedAttachType === 0);
    refusedWith(verify(kernel, ATTRIBUTES, { level: 0, attachTypeOptional: false }));
  });

  it('says of the program what it says when it understands', () => {
    const { kernel } = answering(({ attributes }) =>
      attributes.btf === null ? { errno: 'EACCES', log: 'R1 invalid' } : { errno: 'E2BIG' },
    );
    const { error, log } = refusedWith(verify(kernel, ATTRIBUTES, QUIET));
    expect([error.errnoName, log]).toEqual(['EACCES', 'R1 invalid']);
  });
});

it('what is no refusal by the kernel is thrown as it is', () => {
  const kernel = {
    loadProgram() {
      throw new RangeError('a defect');
    },
  } as unknown as Kernel;
  expect(() => verify(kernel, ATTRIBUTES, QUIET)).toThrow(RangeError);
});
