import { describe, expect, it } from 'vitest';
import { BPF_MAP_TYPE, mapTypeName, mapTypeNumber } from '../../src/uapi/map-types.ts';
import { named, prefixed, recorded } from './recorded.ts';

describe('map types', () => {
  it('spells every number as libbpf does', () => {
    const theirs = named(recorded.mapTypes);
    expect(theirs).toHaveLength(recorded.header.__MAX_BPF_MAP_TYPE!);
    expect(theirs.map(([type]) => [type, mapTypeName(type)])).toEqual(theirs);
  });

  it('numbers every name as the kernel does', () => {
    expect(prefixed('BPF_MAP_TYPE_', BPF_MAP_TYPE)).toMatchObject(recorded.kernel.mapTypes);
  });

  it('has all of the header, and RHASH, which the header has not yet', () => {
    const { __MAX_BPF_MAP_TYPE: end } = recorded.header;
    const numbers = new Set(Object.values(BPF_MAP_TYPE));
    expect([...numbers]).toEqual(Array.from({ length: end! + 1 }, (_, number) => number));
    expect(BPF_MAP_TYPE.RHASH).toBe(end);
    expect(mapTypeName(BPF_MAP_TYPE.RHASH)).toBe('rhash');
  });

  it('finds the number of every name it spells', () => {
    for (const type of Object.values(BPF_MAP_TYPE)) {
      expect(mapTypeNumber(mapTypeName(type))).toBe(type);
    }
  });

  it('calls the deprecated types by their old names', () => {
    expect(mapTypeName(BPF_MAP_TYPE.CGROUP_STORAGE_DEPRECATED)).toBe('cgroup_storage');
    expect(mapTypeName(BPF_MAP_TYPE.PERCPU_CGROUP_STORAGE_DEPRECATED)).toBe(
      'percpu_cgroup_storage',
    );
  });

  it('gives a placeholder for a number it does not know', () => {
    expect(mapTypeName(99)).toBe('type_99');
    expect(mapTypeName(0xffff_ffff)).toBe('type_4294967295');
    expect(mapTypeName(-1)).toBe('type_-1');
  });

  it.each(['', 'HASH', 'hash ', 'BPF_MAP_TYPE_HASH', 'type_99', 'constructor', '__proto__'])(
    'has no number for %j',
    (name) => {
      expect(mapTypeNumber(name)).toBeUndefined();
    },
  );
});
