/** What both kernels promise of LRU maps, and nothing about which entry goes. */

import { expect, it } from 'vitest';
import { u32 } from '../../src/codec/numbers.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { BPF_MAP_TYPE } from '../../src/uapi/map-types.ts';
import { describeKernels } from '../support/kernels.ts';

describeKernels('a full LRU map', (place) => {
  it('takes every new entry, and has room for no more than it was made for', () => {
    const { kernel } = place;
    using map = HashMap.create({ key: u32, value: u32, maxEntries: 200, lru: true, kernel });
    expect(map.info().type).toBe(BPF_MAP_TYPE.LRU_HASH);
    for (let key = 0; key < 2000; key += 1) {
      map.set(key, key * 2);
      expect(map.get(key)).toBe(key * 2);
    }
    const left = map.snapshot();
    expect(left.length).toBeGreaterThan(0);
    expect(left.length).toBeLessThanOrEqual(200);
    expect(left.every(([key, value]) => value === key * 2)).toBe(true);
  });

  it('refuses a new key where the mode wants an old one, and loses nothing for it', () => {
    const { kernel } = place;
    using map = HashMap.create({ key: u32, value: u32, maxEntries: 1024, lru: true, kernel });
    map.set(1, 1);
    expect(() => map.set(2, 2, { mode: 'exist' })).toThrow('ENOENT');
    expect(() => map.set(1, 2, { mode: 'noexist' })).toThrow('EEXIST');
    expect(map.snapshot()).toEqual([[1, 1]]);
  });
});
