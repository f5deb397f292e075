import { describe, expect, it } from 'vitest';
import { BPF_F, BPF_UPDATE, mapFlagNames } from '../../src/uapi/map-flags.ts';
import { prefixed, recorded } from './recorded.ts';

const ALL_OF_THEM = Object.values(BPF_F).reduce((flags, flag) => flags + flag, 0);

describe('map creation flags', () => {
  it('are those of the header, as the C compiler reads it', () => {
    expect(recorded.header).toMatchObject(prefixed('BPF_F_', BPF_F));
    expect(Object.keys(BPF_F)).toHaveLength(20);
  });

  it('are those of the kernel', () => {
    expect(prefixed('BPF_F_', BPF_F)).toMatchObject(recorded.kernel.mapFlags);
  });

  it('are named one by one, lowest first', () => {
    expect(mapFlagNames(0)).toEqual([]);
    expect(mapFlagNames(BPF_F.INNER_MAP)).toEqual(['INNER_MAP']);
    expect(mapFlagNames(BPF_F.MMAPABLE | BPF_F.NO_PREALLOC)).toEqual(['NO_PREALLOC', 'MMAPABLE']);
    expect(mapFlagNames(ALL_OF_THEM)).toEqual(Object.keys(BPF_F));
  });

  it('leave what has no name as one hexadecimal number, up to the highest bit', () => {
    expect(mapFlagNames(0x8010_0001)).toEqual(['NO_PREALLOC', '0x80100000']);
    expect(mapFlagNames(0xffff_ffff).at(-1)).toBe('0xfff00000');
    // The same 32 bits as a signed number, which is what JavaScript's operators give.
    expect(mapFlagNames(-1)).toEqual(mapFlagNames(0xffff_ffff));
  });
});

describe('update flags', () => {
  const full = {
    BPF_ANY: BPF_UPDATE.ANY,
    BPF_NOEXIST: BPF_UPDATE.NOEXIST,
    BPF_EXIST: BPF_UPDATE.EXIST,
    BPF_F_LOCK: BPF_UPDATE.LOCK,
    BPF_F_CPU: BPF_UPDATE.CPU,
    BPF_F_ALL_CPUS: BPF_UPDATE.ALL_CPUS,
  };

  it('are those of the header, as the C compiler reads it', () => {
    expect(recorded.header).toMatchObject(full);
    expect(Object.keys(BPF_UPDATE)).toHaveLength(Object.keys(full).length);
  });

  it('are those of the kernel', () => {
    expect(full).toMatchObject(recorded.kernel.updateFlags);
  });
});
