/** Programs that the verifier refuses: what the error says, and that nothing is left. */

import { expect, it } from 'vitest';
import { VerifierError, type VerifierLog } from '../../src/errors.ts';
import { load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';

const object = () => ObjectFile.open(fixturePath('run/refused.bpf.o'));

/** The error of loading one of the programs. */
function refusal(program: string, options: LoadOptions = {}): VerifierError {
  try {
    load(object(), { programs: { [program]: { autoload: true } }, ...options });
  } catch (error) {
    expect(error).toBeInstanceOf(VerifierError);
    return error as VerifierError;
  }
  throw new Error('it was not refused');
}

describeKernel('a program that the verifier refuses', () => {
  const pins = pinDirectory();

  it('is an error with the reason, the line of source, and the whole log as data', () => {
    const error = refusal('beyond_end');
    expect(error).toMatchObject({
      code: 'ERR_SKEP_VERIFIER',
      program: 'beyond_end',
      errnoName: 'EACCES',
    });
    expect(error.message).toMatch(/invalid access to packet/);
    expect(error.message).toMatch(/refused\.bpf\.c:\d+ "return data\[14\];"/);
    expect(error.log.cause).toMatch(/^invalid access to packet/);
    expect(error.log.truncated).toBe(false);
    expect(error.text).toMatch(/^processed \d+ insns/m);
  });

  it.each<[string, LoadOptions]>([
    ['onVerifierLog', { onVerifierLog: () => {} }],
    ['the level of statistics', { logLevel: 4 }],
  ])('has the place of the reason also with %s', (_, options) => {
    const error = refusal('beyond_end', options);
    expect(error.message).toMatch(/invalid access to packet/);
    expect(error.message).toMatch(/refused\.bpf\.c:\d+ "return data\[14\];"/);
    expect(error.log.place).toEqual(refusal('beyond_end').log.place);
  });

  it('is told why its CO-RE relocation has no answer, if that code is reached', () => {
    const error = refusal('unguarded_field');
    expect(error.log.cause).toMatch(
      /^failed to resolve CO-RE relocation field_byte_offset of struct task_struct, skep_absent \(0:0\): /,
    );
    expect(error.message).toMatch(/vmlinux \[\d+\] struct task_struct: .*skep_absent/);
    expect(error.text).not.toMatch(/unknown#195896080/);
  });

  it('is told which function of the kernel is not there, if it is called', () => {
    const { log } = refusal('unguarded_function');
    expect(log.cause).toMatch(/kernel function "bpf_skep_absent" is called but/);
  });

  it('is told which map was left out, if it is used', () => {
    const { log } = refusal('unguarded_map', {
      programs: { unguarded_map: { autoload: true } },
      maps: { numbers: { create: false } },
    });
    expect(log.cause).toMatch(/^map "numbers" is used but was left out/);
  });

  it('leaves no map, no program and no pin, also of those that were right', () => {
    const programs = {
      calls_hidden: { autoload: true },
      beyond_end: { autoload: true, pin: `${pins.path}/beyond` },
    };
    // Descriptors are looked at behind each test.
    refusal('', { programs, pinDirectory: pins.path, pinAll: true, pinPrograms: `${pins.path}/p` });
    expect(() => load(object(), { programs: {} }).close()).not.toThrow();
  });
});

describeKernel('a program that calls a hidden function', () => {
  it('is verified with what it calls it with, as a static one', () => {
    using app = load(object(), { programs: { calls_hidden: { autoload: true } } });
    expect(app.program('calls_hidden').run({ data: new Uint8Array(14) }).returnValue).toBe(42);
  });
});

describeKernel('the log of programs that are right', () => {
  it('has statistics alone, unless more is asked for', () => {
    const logs = new Map<string, VerifierLog>();
    const options: LoadOptions = {
      programs: { calls_hidden: { autoload: true } },
      onVerifierLog: (program, log) => logs.set(program, log),
    };
    load(object(), options).close();
    expect([...logs.keys()]).toEqual(['calls_hidden']);
    const { statistics, entries } = logs.get('calls_hidden')!;
    expect(statistics!.instructions).toBeGreaterThan(0);
    expect(entries.some(({ kind }) => kind === 'instruction')).toBe(false);
    load(object(), { ...options, logLevel: 2 }).close();
    const more = logs.get('calls_hidden')!.entries;
    expect(more.some(({ kind }) => kind === 'instruction')).toBe(true);
  });

  it('grows until all of it fits', () => {
    let text = '';
    const packets = ObjectFile.open(fixturePath('run/packets.bpf.o'));
    load(packets, {
      logLevel: 2,
      onVerifierLog: (_, log) => {
        text += log.text;
        expect(log.truncated).toBe(false);
      },
    }).close();
    expect(text).toMatch(/^0: R1=ctx\(/m);
    expect(text.match(/^processed \d+ insns/gm)).toHaveLength(3);
  });

  it('is told to whom may end the load, which is undone', () => {
    const stop = () => {
      throw new Error('enough');
    };
    expect(() =>
      load(object(), { programs: { calls_hidden: { autoload: true } }, onVerifierLog: stop }),
    ).toThrow('enough');
  });
});
