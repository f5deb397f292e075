import { describe, expect, it } from 'vitest';
import { BPF_FUNC, helperName } from '../../src/uapi/helpers.ts';
import { prefixed, recorded } from './recorded.ts';

// The last enumerator is no helper: it counts them.
const { __BPF_FUNC_MAX_ID: count, ...numbers } = recorded.kernel.helpers;

describe('helpers', () => {
  it('are numbered as by the kernel', () => {
    expect(prefixed('BPF_FUNC_', BPF_FUNC)).toEqual(numbers);
    expect(Object.keys(BPF_FUNC)).toHaveLength(count!);
  });

  it('have the names that the kernel prints', () => {
    for (const [name, number] of Object.entries(numbers)) {
      expect(helperName(number)).toBe(name.replace('BPF_FUNC_', 'bpf_'));
    }
  });

  it('have no name for a number that is not in the table', () => {
    expect(helperName(9999)).toBeUndefined();
    expect(helperName(-1)).toBeUndefined();
  });
});
