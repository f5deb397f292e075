import { describe, expect, it } from 'vitest';
import { BTF_INT, BTF_KIND, BTF_KIND_NAMES, btfKindName } from '../../src/uapi/btf-kinds.ts';
import { prefixed, recorded } from './recorded.ts';

describe('BTF kinds', () => {
  it('have the names and numbers of the kernel', () => {
    expect(prefixed('BTF_KIND_', BTF_KIND)).toEqual(recorded.kernel.btfKinds);
    expect(Object.keys(BTF_KIND)).toHaveLength(recorded.header.NR_BTF_KINDS!);
  });

  it('are spelled as bpftool prints them, in lower case', () => {
    const theirs = recorded.btfKinds.map((kind) => kind.toLowerCase());
    expect(theirs).toHaveLength(19);
    expect(BTF_KIND_NAMES.slice(1)).toEqual(theirs);
    expect(theirs.map((_, index) => btfKindName(index + 1))).toEqual(theirs);
  });

  it('call kind 0 void', () => {
    expect(btfKindName(BTF_KIND.UNKN)).toBe('void');
  });

  it('give a placeholder for a number they do not know', () => {
    expect(btfKindName(20)).toBe('kind_20');
  });
});

describe('encodings of BTF integers', () => {
  it('are those of the header, as the C compiler reads it', () => {
    expect(recorded.header).toMatchObject(prefixed('BTF_INT_', BTF_INT));
    expect(Object.keys(BTF_INT)).toEqual(['SIGNED', 'CHAR', 'BOOL']);
  });
});
