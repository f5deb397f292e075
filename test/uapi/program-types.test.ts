import { describe, expect, it } from 'vitest';
import { BPF_PROG_TYPE, programTypeName } from '../../src/uapi/program-types.ts';
import { named, prefixed, recorded } from './recorded.ts';

describe('program types', () => {
  it('spells every number as libbpf does', () => {
    const theirs = named(recorded.programTypes);
    expect(theirs).toHaveLength(recorded.header.__MAX_BPF_PROG_TYPE!);
    expect(theirs.map(([type]) => [type, programTypeName(type)])).toEqual(theirs);
  });

  it('has exactly the names and numbers of the kernel', () => {
    expect(prefixed('BPF_PROG_TYPE_', BPF_PROG_TYPE)).toEqual(recorded.kernel.programTypes);
  });

  it('gives a placeholder for a number it does not know', () => {
    expect(programTypeName(99)).toBe('type_99');
    expect(programTypeName(recorded.header.__MAX_BPF_PROG_TYPE!)).toMatch(/^type_\d+$/);
  });
});
