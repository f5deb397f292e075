/** Types of maps that skep has no class for. */

import { describe, expect, it } from 'vitest';
import { u32, u64 } from '../../src/codec/numbers.ts';
import { SyscallError } from '../../src/errors.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { describeKernel } from '../support/kernel.ts';
import { ScriptedKernel } from '../support/scripted-kernel.ts';

/** What a map of some type is created with. */
function attributesOf(type: number) {
  return {
    type,
    keySize: 4,
    valueSize: 8,
    maxEntries: 4,
    flags: 0,
    name: 'map',
    numaNode: 0,
    mapExtra: 0n,
    innerMapFd: null,
    btf: null,
  };
}

describe('a map of a type that nobody knows', () => {
  const TYPE = 99;

  it('opens as a raw one, with its number for a name', () => {
    const kernel = new ScriptedKernel();
    kernel.pinAsOther('/sys/fs/bpf/map', attributesOf(TYPE));
    using map = RawMap.openPinned('/sys/fs/bpf/map', { kernel });
    expect(map.info()).toMatchObject({ type: TYPE, typeName: 'type_99', keySize: 4, valueSize: 8 });
    const key = new Uint8Array(4);
    map.set(key, new Uint8Array(8).fill(7));
    expect(map.get(key)).toEqual(new Uint8Array(8).fill(7));
    expect([...map.keys()]).toEqual([key]);
  });

  it('is not taken for another kind', () => {
    const kernel = new ScriptedKernel();
    kernel.pinAsOther('/sys/fs/bpf/map', attributesOf(TYPE));
    const types = { key: u32, value: u64 };
    expect(() => HashMap.openPinned('/sys/fs/bpf/map', types, { kernel })).toThrow(
      /map "map" is a type_99; HashMap is for hash or lru_hash/,
    );
  });
});

describeKernel('a type without a class', () => {
  it.each(['INSN_ARRAY', 'RHASH', 'STRUCT_OPS'] as const)('is raw, or refused: %s', (name) => {
    const kernel = linuxKernel();
    let fd: number;
    try {
      fd = kernel.createMap(attributesOf(BPF_MAP_TYPE[name]));
    } catch (error) {
      expect(error).toBeInstanceOf(SyscallError);
      expect(String(error)).toMatch(/EINVAL \(the kernel does not know the type, or sizes/);
      return;
    }
    using map = RawMap.adopt({ kernel, fd });
    expect(map.info().typeName).toBe(name.toLowerCase());
  });
});
