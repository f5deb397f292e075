import { describe, expect, it } from 'vitest';
import { BPF_CMD, commandName } from '../../src/uapi/commands.ts';
import { prefixed, recorded } from './recorded.ts';

describe('commands of bpf(2)', () => {
  it('numbers every name as the kernel does', () => {
    expect(prefixed('BPF_', BPF_CMD)).toMatchObject(recorded.kernel.commands);
  });

  it('has all of the header', () => {
    const numbers = new Set(Object.values(BPF_CMD));
    expect([...numbers]).toEqual(
      Array.from({ length: recorded.header.__MAX_BPF_CMD! }, (_, number) => number),
    );
  });

  it('names every number as the kernel does', () => {
    for (const [name, number] of Object.entries(recorded.kernel.commands)) {
      // Two names for one number: see below.
      if (name !== 'BPF_PROG_RUN') expect(commandName(number)).toBe(name);
    }
  });

  it('calls BPF_PROG_RUN by its first name', () => {
    expect(recorded.kernel.commands.BPF_PROG_RUN).toBe(BPF_CMD.PROG_TEST_RUN);
    expect(commandName(BPF_CMD.PROG_RUN)).toBe('BPF_PROG_TEST_RUN');
  });

  it('gives a placeholder for a number it does not know', () => {
    expect(commandName(99)).toBe('command_99');
  });
});
