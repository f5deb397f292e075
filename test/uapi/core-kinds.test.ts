import { describe, expect, it } from 'vitest';
import { BPF_CORE, coreKindName } from '../../src/uapi/core-kinds.ts';
import { prefixed, recorded } from './recorded.ts';

describe('kinds of CO-RE relocations', () => {
  it('are numbered as by the kernel', () => {
    expect(prefixed('BPF_CORE_', BPF_CORE)).toEqual(recorded.kernel.coreKinds);
  });

  it('have the kernel’s names in lower case', () => {
    for (const [name, number] of Object.entries(recorded.kernel.coreKinds)) {
      expect(coreKindName(number)).toBe(name.replace('BPF_CORE_', '').toLowerCase());
    }
  });

  it('have no name for a number that is not in the table', () => {
    expect(coreKindName(13)).toBeUndefined();
  });
});
