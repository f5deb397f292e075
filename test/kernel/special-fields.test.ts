/** Parts of values that the kernel keeps for itself: where it finds them, and when there are too many. */

import { expect, it } from 'vitest';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { TypesBuilder } from '../fuzz/object-builder.ts';
import { KIND } from '../fuzz/types.ts';
import { describeKernels } from '../support/kernels.ts';

const TIMER_BYTES = 16;
const IN_A_STRUCT = 'a timer in a struct';

/** Types of values, by what is in them; `add` gets a builder and the ids of a timer and an integer. */
const VALUES: readonly (readonly [
  what: string,
  zeroed: readonly number[],
  bytes: number,
  add: (types: TypesBuilder, timer: number, u64: number) => number,
])[] = [
  ['a timer', [0], 24, (types, timer, u64) => struct(types, 24, [timer, 0], [u64, 16])],
  [
    IN_A_STRUCT,
    [8],
    24,
    (types, timer, u64) => {
      const inner = struct(types, TIMER_BYTES, [timer, 0]);
      return struct(types, 24, [u64, 0], [inner, 8]);
    },
  ],
  ['two timers', [], 32, (types, timer) => struct(types, 32, [timer, 0], [timer, 16])],
];

function struct(types: TypesBuilder, bytes: number, ...members: (readonly [number, number])[]) {
  const entries = members.map(([type, offset], index) => [
    types.strings.add(`m${index}`),
    type,
    offset * 8,
  ]);
  return types.addList(KIND.STRUCT, `s${types.next}`, bytes, entries);
}

function createMap(kernel: Kernel, bytes: number, add: (typeof VALUES)[number][3]): number {
  const types = new TypesBuilder();
  const u64 = types.int('u64', 8);
  const pair = types.add(KIND.ARRAY, 0, '', 0, u64, u64, 2);
  const opaque = [types.strings.add('opaque'), pair, 0];
  const timer = types.addList(KIND.STRUCT, 'bpf_timer', TIMER_BYTES, [opaque]);
  const value = add(types, timer, u64);
  const fd = kernel.loadBtf(types.write());
  try {
    return kernel.createMap({
      ...{ type: BPF_MAP_TYPE.HASH, keySize: 8, valueSize: bytes, maxEntries: 1, flags: 0 },
      ...{ numaNode: 0, mapExtra: 0n, innerMapFd: null, name: 'special' },
      btf: { fd, keyTypeId: u64, valueTypeId: value },
    });
  } finally {
    kernel.close(fd);
  }
}

describeKernels('values with parts of the kernel', (place) => {
  it.for(VALUES)('keep what is written but for %s', ([what, zeroed, bytes, add], context) => {
    const { kernel } = place;
    if (what === IN_A_STRUCT) {
      place.needsLinux(context, '6.12', 'a timer of a struct in a value');
    }
    const map = createMap(kernel, bytes, add);
    const key = new Uint8Array(8);
    const read = new Uint8Array(bytes);
    kernel.update(map, key, new Uint8Array(bytes).fill(0xff), 0);
    kernel.lookup(map, key, read, 0);
    kernel.close(map);
    const wanted = new Uint8Array(bytes).fill(0xff);
    for (const start of zeroed) {
      wanted.fill(0, start, start + TIMER_BYTES);
    }
    expect(read).toEqual(wanted);
  });
});
