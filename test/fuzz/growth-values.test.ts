/** Types of values made to cost time when the in-process kernel makes maps of them. */

import { describe, expect, it } from 'vitest';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { grows, times } from './growth.ts';
import { TypesBuilder } from './object-builder.ts';
import { KIND } from './types.ts';

/** Makes some maps with keys of type 1, which has 4 bytes, and values of the last type. */
function createMaps(kernel: Kernel, types: TypesBuilder, valueSize: number, maps: number): void {
  const fd = kernel.loadBtf(types.write());
  for (let made = 0; made < maps; made += 1) {
    const map = kernel.createMap({
      ...{ type: BPF_MAP_TYPE.HASH, keySize: 4, valueSize, maxEntries: 1, flags: 0 },
      ...{ numaNode: 0, mapExtra: 0n, innerMapFd: null, name: 'm' },
      btf: { fd, keyTypeId: 1, valueTypeId: types.next - 1 },
    });
    kernel.close(map);
  }
  kernel.close(fd);
}

describe('the in-process kernel makes maps', () => {
  it('of structs that have each other many times, at the same place', () => {
    const types = new TypesBuilder();
    let last = types.int();
    for (let level = 0; level < 6; level += 1) {
      const members = times(60, (index) => [types.strings.add(`m${index}`), last, 0]);
      last = types.addList(KIND.STRUCT, `s${level}`, 4, members);
    }
    const start = process.cpuUsage();
    createMaps(new MemoryKernel(), types, 4, 1);
    const { user } = process.cpuUsage(start);
    // 60 to the fifth would take minutes.
    expect(user).toBeLessThan(1_000_000);
  });

  it('that share a value of many members', () => {
    grows(
      2000,
      (count) => {
        const types = new TypesBuilder();
        const int = types.int();
        const members = times(count, (index) => [types.strings.add(`m${index}`), int, 0]);
        types.addList(KIND.STRUCT, 's', 4, members);
        return { types, count };
      },
      ({ types, count }) => createMaps(new MemoryKernel(), types, 4, count),
    );
  });
});
