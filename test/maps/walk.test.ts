/** Walks over maps where the kernel has no batches, and where it starts over. */

import { describe, expect, it } from 'vitest';
import { clear, type WalkedMap, walk } from '../../src/maps/walk.ts';
import { ScriptedKernel } from '../support/scripted-kernel.ts';

function mapOf(kernel: ScriptedKernel, entries: number, maxEntries = 1000): WalkedMap {
  const fd = kernel.createMap({
    type: 1,
    keySize: 4,
    valueSize: 4,
    maxEntries,
    flags: 0,
    name: 'walked',
    numaNode: 0,
    mapExtra: 0n,
    innerMapFd: null,
    btf: null,
  });
  for (let key = 0; key < entries; key += 1) {
    kernel.update(fd, bytes(key), bytes(key));
  }
  return { kernel, name: 'walked', fd, keyBytes: 4, valueBytes: 4, maxEntries };
}

function bytes(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function keysOf(map: WalkedMap, onKey: (key: number) => void = () => {}): number[] {
  const out: number[] = [];
  for (const { keys, count } of walk(map)) {
    const view = new DataView(keys.buffer);
    for (let index = 0; index < count; index += 1) {
      const key = view.getUint32(index * 4, true);
      out.push(key);
      onKey(key);
    }
  }
  return out;
}

describe('a walk by next keys', () => {
  it.each([0, 1, 63, 64, 65, 500])('meets each of %i entries once', (count) => {
    const found = keysOf(mapOf(new ScriptedKernel(), count));
    expect(found.sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, index) => index));
  });

  it('meets no key twice when the kernel starts over because a key is gone', () => {
    const kernel = new ScriptedKernel();
    const map = mapOf(kernel, 300);
    const found = keysOf(map, (key) => {
      // The last key of the first chunk: the next one is looked for from it.
      if (key === 63) kernel.delete(map.fd, bytes(63));
    });
    expect(new Set(found).size).toBe(found.length);
    expect(found.length).toBe(300);
  });

  it('ends with an error if the map never stops changing', () => {
    const kernel = new ScriptedKernel();
    const map = mapOf(kernel, 100, 200);
    let fresh = 1000;
    kernel.before = ([method]) => {
      if (method !== 'nextKey') return;
      kernel.before = () => {};
      const entries = [...walkKeys(kernel, map.fd)];
      for (const key of entries) kernel.delete(map.fd, bytes(key));
      for (let count = 0; count < 100; count += 1) kernel.update(map.fd, bytes(fresh++), bytes(0));
      kernel.before = again;
    };
    const again = kernel.before;
    expect(() => keysOf(map)).toThrow(expect.objectContaining({ code: 'ERR_SKEP_ITERATION' }));
  });

  it('removes every entry', () => {
    const map = mapOf(new ScriptedKernel(), 130);
    expect(clear(map)).toBe(130);
    expect(keysOf(map)).toEqual([]);
  });
});

function* walkKeys(kernel: ScriptedKernel, fd: number): Generator<number> {
  let key: Uint8Array | null = null;
  for (;;) {
    const next = new Uint8Array(4);
    if (!kernel.nextKey(fd, key, next)) return;
    yield new DataView(next.buffer).getUint32(0, true);
    key = next;
  }
}
