/** Numbers of kernels whose byte order is not that of the machine that runs the tests. */

import { describe, expect, it } from 'vitest';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { DevMapHash } from '../../src/maps/dev-map-hash.ts';
import { SockMap } from '../../src/maps/sock-map.ts';
import { STORAGE_TYPES, storageBtf } from '../../src/maps/storage-btf.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { ScriptedKernel } from '../support/scripted-kernel.ts';

const ORDERS = [true, false].map((littleEndian) => ({ littleEndian }));

function kernelOf(littleEndian: boolean): Kernel {
  return Object.defineProperty(new ScriptedKernel(), 'littleEndian', { value: littleEndian });
}

/** The bytes of the only entry of a map. */
function stored(kernel: Kernel, fd: number): number[] {
  const key = new Uint8Array(4);
  kernel.nextKey(fd, null, key);
  const value = new Uint8Array(kernel.valueBytes(fd));
  kernel.lookup(fd, key, value, 0);
  return [...key, ...value];
}

describe.each(ORDERS)('with little-endian numbers: $littleEndian', ({ littleEndian }) => {
  const key = littleEndian ? [1, 0, 0, 0] : [0, 0, 0, 1];

  it('a socket is one number of 4 or 8 bytes', () => {
    const kernel = kernelOf(littleEndian);
    using wide = SockMap.create({ maxEntries: 2, kernel });
    using narrow = SockMap.create({ maxEntries: 2, cookies: false, kernel });
    wide.set(1, 7);
    narrow.set(1, 7);
    const number = [7, 0, 0, 0, 0, 0, 0, 0];
    expect(stored(kernel, wide.fd)).toEqual([
      ...key,
      ...(littleEndian ? number : [...number].reverse()),
    ]);
    expect(stored(kernel, narrow.fd)).toEqual([
      ...key,
      ...(littleEndian ? number.slice(0, 4) : [0, 0, 0, 7]),
    ]);
    expect(wide.get(1)).toBe(7n);
  });

  it('an interface and its program are two', () => {
    const kernel = kernelOf(littleEndian);
    using ports = DevMapHash.create({ maxEntries: 2, kernel });
    ports.set(1, { ifindex: 5, program: 6 });
    const two = littleEndian ? [5, 0, 0, 0, 6, 0, 0, 0] : [0, 0, 0, 5, 0, 0, 0, 6];
    expect(stored(kernel, ports.fd)).toEqual([...key, ...two]);
    expect(ports.get(1)).toEqual({ ifindex: 5, programId: 6 });
  });

  it('the types of storage are an int and so many bytes', () => {
    const btf = Btf.parse(storageBtf(24, littleEndian), 'storage');
    expect(btf.littleEndian).toBe(littleEndian);
    expect(btf.type(STORAGE_TYPES.keyTypeId)).toMatchObject({
      kind: 'int',
      name: 'int',
      bits: 32,
      encoding: 'signed',
    });
    expect(btf.type(STORAGE_TYPES.valueTypeId)).toMatchObject({ kind: 'array', length: 24 });
  });
});
