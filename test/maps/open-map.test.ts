/** What opening a map does on kernels that tests do not run on: a scripted one answers. */

import { describe, expect, it } from 'vitest';
import { SyscallError } from '../../src/errors.ts';
import type { Kernel, MapInfo } from '../../src/kernel/kernel.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { openMap } from '../../src/maps/open-map.ts';
import { Queue } from '../../src/maps/queue.ts';
import { RawMap } from '../../src/maps/raw-map.ts';

const INFO: MapInfo = {
  ...{ id: 7, type: 1, name: 'some', keySize: 4, valueSize: 8, maxEntries: 1, flags: 0 },
  ...{ mapExtra: 0n, btfId: 0, keyTypeId: 0, valueTypeId: 0 },
};

/** A kernel with one map, which notes what is open. */
function kernelWith(info: Partial<MapInfo>, readBtf: () => Uint8Array = () => new Uint8Array()) {
  const open = new Set<number>();
  const kernel = {
    littleEndian: true,
    openMapById: () => {
      open.add(50);
      return 50;
    },
    close: (fd: number) => open.delete(fd),
    mapInfo: () => ({ ...INFO, ...info }),
    valueBytes: () => INFO.valueSize,
    readBtf,
  } as unknown as Kernel;
  return { kernel, open };
}

function refusal(errnoName: string, errno: number): () => never {
  return () => {
    throw new SyscallError('BTF', { command: 'BPF_BTF_GET_FD_BY_ID', errno, errnoName });
  };
}

describe('a map of the kernel', () => {
  it('is a RawMap if its type is newer than skep', () => {
    const { kernel, open } = kernelWith({ type: 99 });
    const map = openMap({ id: 7 }, { kernel });
    expect(map.constructor).toBe(RawMap);
    expect(map.info().typeName).toBe('type_99');
    map.close();
    expect(open.size).toBe(0);
  });

  it('is not asked for BTF that says nothing of keys and values', () => {
    const { kernel } = kernelWith({ btfId: 3 }, refusal('EPERM', 1));
    expect(openMap({ id: 7 }, { kernel })).toBeInstanceOf(HashMap);
  });

  it.each([
    ['EPERM', 1, /^types of map "some": .* needs CAP_SYS_ADMIN; pass them instead/],
    ['ENOENT', 2, /^BTF: .*ENOENT/],
  ])('is closed again where its types cannot be had: %s', (name, errno, message) => {
    const typed = { btfId: 3, keyTypeId: 1, valueTypeId: 2 };
    const { kernel, open } = kernelWith(typed, refusal(name, errno));
    expect(() => openMap({ id: 7 }, { kernel })).toThrow(message);
    expect(() => HashMap.openById(7, undefined, { kernel })).toThrow(message);
    expect(open.size).toBe(0);
  });

  it('is not even opened with options in the place of types', () => {
    const { kernel, open } = kernelWith({});
    expect(() => HashMap.openById(7, { kernel } as never)).toThrow(/options come behind them/);
    expect(() => Queue.openById(7, { access: 'read-only' } as never, { kernel })).toThrow(
      TypeError,
    );
    expect(open.size).toBe(0);
  });

  it('is closed again where its BTF is damaged', () => {
    const typed = { btfId: 3, keyTypeId: 1, valueTypeId: 2 };
    const { kernel, open } = kernelWith(typed, () => Uint8Array.of(1, 2, 3));
    expect(() => openMap({ id: 7 }, { kernel })).toThrow(/the kernel's BTF 3/);
    expect(open.size).toBe(0);
  });
});
