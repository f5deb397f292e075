import { describe, expect, it } from 'vitest';
import { u8 } from '../../src/codec/numbers.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { walkKeys } from '../../src/maps/key-walk.ts';
import { ScriptedKernel } from '../support/scripted-kernel.ts';

function hashOf(...keys: number[]) {
  const map = HashMap.create({ key: u8, value: u8, maxEntries: 8, kernel: new ScriptedKernel() });
  for (const key of keys) {
    map.set(key, 0);
  }
  return map;
}

describe('a walk over keys', () => {
  it('gives each once, as a copy', () => {
    const seen: number[] = [];
    for (const key of walkKeys(hashOf(3, 1, 2))) {
      seen.push(key[0]!);
      key[0] = 99;
    }
    expect(seen).toEqual([3, 1, 2]);
  });

  it('gives each once, also where the kernel starts over since the key reached is gone', () => {
    const map = hashOf(1, 2, 3, 4);
    const seen: number[] = [];
    for (const [key] of walkKeys(map)) {
      seen.push(key!);
      if (key === 3) {
        map.delete(3);
      }
    }
    expect(seen).toEqual([1, 2, 3, 4]);
  });

  it('may remove what it is given', () => {
    const map = hashOf(1, 2, 3, 4);
    for (const [key] of walkKeys(map)) {
      map.delete(key!);
    }
    expect([...walkKeys(map)]).toEqual([]);
  });

  it('gives up on a map that never lets it end', () => {
    const map = hashOf(1, 2);
    const kernel = Object.assign(Object.create(map.kernel), {
      // Always the first key again, as if the one reached were gone each time.
      nextKey: (_fd: number, _key: unknown, next: Uint8Array) => {
        next[0] = 1;
        return true;
      },
    });
    const broken = { fd: map.fd, info: () => map.info(), kernel, name: 'flows' };
    expect(() => [...walkKeys(broken)]).toThrow(
      expect.objectContaining({ code: 'ERR_SKEP_ITERATION' }),
    );
  });
});
