import { describe, expect, it } from 'vitest';
import { attachTypeName, BPF_ATTACH_TYPE } from '../../src/uapi/attach-types.ts';
import { named, prefixed, recorded } from './recorded.ts';

describe('attach types', () => {
  it('spells every number as libbpf does', () => {
    const theirs = named(recorded.attachTypes);
    expect(theirs).toHaveLength(recorded.header.__MAX_BPF_ATTACH_TYPE!);
    expect(theirs.map(([type]) => [type, attachTypeName(type)])).toEqual(theirs);
  });

  it('numbers every name as the kernel does', () => {
    expect(prefixed('BPF_', BPF_ATTACH_TYPE)).toMatchObject(recorded.kernel.attachTypes);
  });

  it('adds three after the end of the header, in the order of the kernel', () => {
    const end = recorded.header.__MAX_BPF_ATTACH_TYPE!;
    const added = Object.entries(BPF_ATTACH_TYPE).filter(([, number]) => number >= end);
    expect(added).toEqual([
      ['TRACE_FENTRY_MULTI', end],
      ['TRACE_FEXIT_MULTI', end + 1],
      ['TRACE_FSESSION_MULTI', end + 2],
    ]);
    expect(attachTypeName(end)).toBe('trace_fentry_multi');
  });

  it('gives a placeholder for a number it does not know, where libbpf has no name', () => {
    expect(recorded.attachTypes[79]).toBeNull();
    expect(attachTypeName(79)).toBe('type_79');
    expect(attachTypeName(-1)).toBe('type_-1');
  });
});
