/** Longest prefix match tries, on both kernels. */

import { expect, expectTypeOf, it } from 'vitest';
import { struct } from '../../src/codec/by-hand.ts';
import { u16, u32, u64 } from '../../src/codec/numbers.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { load } from '../../src/loader/load.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { LpmKey } from '../../src/maps/lpm-key.ts';
import { lpmKey } from '../../src/maps/lpm-key-codec.ts';
import { LpmTrie } from '../../src/maps/lpm-trie.ts';
import { openFixture } from '../support/fixtures.ts';
import { describeKernels } from '../support/kernels.ts';
import { output } from '../support/programs.ts';

function createRoutes(kernel: Kernel, maxEntries = 64) {
  return LpmTrie.create({ kernel, key: lpmKey(4), value: u32, maxEntries, name: 'routes' });
}

/** 10.0.0.0/16, 10.1.0.0/16 and so on. */
function network(index: number): LpmKey {
  return new LpmKey(16, Uint8Array.of(10 + (index >> 8), index & 255, 0, 0));
}

describeKernels('a trie', (place) => {
  it('finds the longest prefix that covers a key', () => {
    const { kernel } = place;
    using routes = createRoutes(kernel);
    expectTypeOf(routes).toEqualTypeOf<LpmTrie<number, LpmKey>>();
    routes.set('10.0.0.0/8', 8).set('10.1.0.0/16', 16).set('10.1.2.3', 32).set('0.0.0.0/0', 0);
    expect(routes.get('10.1.2.3')).toBe(32);
    expect(routes.get('10.1.2.4')).toBe(16);
    expect(routes.get('10.9.9.9')).toBe(8);
    expect(routes.get('11.0.0.1')).toBe(0);
    expect(routes.delete('0.0.0.0/0')).toBe(true);
    expect(routes.get('11.0.0.1')).toBeUndefined();
    expect([routes.has('10.9.9.9'), routes.has('11.0.0.1')]).toEqual([true, false]);
  });

  it('does not find prefixes that are longer than the key', () => {
    const { kernel } = place;
    using routes = createRoutes(kernel);
    routes.set('10.1.0.0/16', 16);
    expect(routes.get('10.0.0.0/8')).toBeUndefined();
    expect(routes.get('10.1.0.0/15')).toBeUndefined();
    expect(routes.get('10.1.0.0/17')).toBe(16);
  });

  it('takes keys as text, as objects, and as it gave them', () => {
    const { kernel } = place;
    using routes = createRoutes(kernel);
    routes.set({ prefixLength: 8, data: [10, 0, 0, 0] }, 1);
    const [key] = [...routes.keys()];
    expect(key).toEqual(new LpmKey(8, Uint8Array.of(10, 0, 0, 0)));
    expect(`${key}`).toBe('10.0.0.0/8');
    routes.set(key!, 2);
    expect(routes.snapshot()).toEqual([[key, 2]]);
    expect(routes.delete(`${key}`)).toBe(true);
    expect(routes.delete(key!)).toBe(false);
  });

  it('counts only the bits of the prefix', () => {
    const { kernel } = place;
    using routes = createRoutes(kernel);
    routes.set('10.1.2.3/8', 1).set({ prefixLength: 8, data: [10, 255, 255, 255] }, 2);
    expect(routes.snapshot().map(([key, value]) => [`${key}`, value])).toEqual([['10.0.0.0/8', 2]]);
    expect(routes.delete('10.9.9.9/8')).toBe(true);
    expect(routes.count()).toBe(0);
  });

  it('has IPv6 addresses where keys have 16 bytes', () => {
    const { kernel } = place;
    using routes = LpmTrie.create({ kernel, key: lpmKey(16), value: u64, maxEntries: 8 });
    routes.set('2001:db8::/32', 1n).set('2001:db8:1::/48', 2n).set('::/0', 0n);
    expect(routes.get('2001:db8:1::5')).toBe(2n);
    expect(routes.get('2001:db8:2::5')).toBe(1n);
    expect(routes.get('fe80::1')).toBe(0n);
    expect([...routes.keys()].map(String).sort()).toEqual([
      '2001:db8:1::/48',
      '2001:db8::/32',
      '::/0',
    ]);
    expect(() => routes.set('10.0.0.0/8', 1n)).toThrow(/"10.0.0.0\/8" has 4 bytes, .* have 16/);
  });

  it('writes new or old keys only, if asked, and says when it is full', () => {
    const { kernel } = place;
    using routes = createRoutes(kernel, 1);
    expect(() => routes.set('10.0.0.0/8', 1, { mode: 'exist' })).toThrow(/ENOENT/);
    routes.set('10.0.0.0/8', 1, { mode: 'noexist' });
    expect(() => routes.set('10.0.0.0/8', 2, { mode: 'noexist' })).toThrow(/EEXIST/);
    expect(() => routes.set('11.0.0.0/8', 2)).toThrow(/ENOSPC.*the map is full/);
    expect(routes.get('10.0.0.0')).toBe(1);
  });

  it('writes nothing for a key that is none', () => {
    const { kernel } = place;
    using routes = createRoutes(kernel);
    expect(() => routes.set('10.0.0.0/33', 1)).toThrow(/longer than its 32 bits/);
    expect(() => routes.set('10.0.0/8', 1)).toThrow(/expected an address/);
    expect(() => routes.set({ prefixLength: 33, data: [10, 0, 0, 0] }, 1)).toThrow(
      /key\.prefixLength/,
    );
    expect(() => routes.set({ prefixLength: 8, data: [10, 0, 0] }, 1)).toThrow(
      /key\.data: .* 4 bytes/,
    );
    expect(() => routes.set(undefined as never, 1)).toThrow(/prefixLength, data.*got undefined/);
    expect(routes.count()).toBe(0);
  });

  it('walks over many entries, each once, and removes them', () => {
    const { kernel } = place;
    using routes = createRoutes(kernel, 5000);
    for (let index = 0; index < 3000; index += 1) {
      routes.set(network(index), index);
    }
    const seen = new Map([...routes].map(([key, value]) => [`${key}`, value]));
    expect(seen.size).toBe(3000);
    expect(seen.get('21.183.0.0/16')).toBe(2999);
    expect([...routes.values()]).toHaveLength(3000);
    expect(routes.count()).toBe(3000);
    expect(routes.clear()).toBe(3000);
    expect(routes.count()).toBe(0);
  });

  it('can lose entries while it is walked over', () => {
    const { kernel } = place;
    using routes = createRoutes(kernel, 40_000);
    for (let index = 0; index < 40_000; index += 1) {
      routes.set(network(index), index);
    }
    // Two of five go as soon as they are seen, and so does what many a batch ends with.
    const seen: string[] = [];
    for (const key of routes.keys()) {
      seen.push(`${key}`);
      if (seen.length % 5 < 2) routes.delete(key);
    }
    expect([seen.length, new Set(seen).size]).toEqual([40_000, 40_000]);
    expect(routes.count()).toBe(24_000);
  });

  it('meets no key twice when the kernel starts over because a key is gone', () => {
    const { kernel } = place;
    using routes = createRoutes(kernel, 5000);
    for (let index = 0; index < 2000; index += 1) {
      routes.set(network(index), index);
    }
    const all = [...routes.keys()];
    const seen: string[] = [];
    for (const key of routes.keys()) {
      seen.push(`${key}`);
      // Somebody else removes the key that the second batch is read from.
      if (seen.length === 1) routes.delete(all[511]!);
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen).toHaveLength(2000);
  });

  it('is created as the kernel wants it, which bpftool confirms', () => {
    const { kernel } = place;
    using routes = createRoutes(kernel);
    const path = `${place.directory}/routes`;
    routes.set('10.1.0.0/16', 0x01020304).pin(path);
    if (place.hasBpftool) {
      const shown = JSON.parse(output('bpftool', '-j', 'map', 'show', 'pinned', path));
      expect(shown).toMatchObject({ type: 'lpm_trie', flags: 1, bytes_key: 8, bytes_value: 4 });
      const dumped = JSON.parse(output('bpftool', '-j', 'map', 'dump', 'pinned', path));
      expect(dumped).toEqual([
        {
          key: ['0x10', '0x00', '0x00', '0x00', '0x0a', '0x01', '0x00', '0x00'],
          value: ['0x04', '0x03', '0x02', '0x01'],
        },
      ]);
    }
    using again = LpmTrie.openPinned(path, { key: lpmKey(4), value: u32 }, { kernel });
    expect(again.get('10.1.2.3')).toBe(0x01020304);
    expect(() => LpmTrie.openPinned(path, { key: lpmKey(16), value: u32 }, { kernel })).toThrow(
      /keys have 8 bytes, but lpmKey\(16\) has 20/,
    );
    expect(() => HashMap.openPinned(path, { key: u64, value: u32 }, { kernel })).toThrow(
      /is a lpm_trie; HashMap is for/,
    );
  });

  it('of an object has keys by the same rule, and its values', () => {
    const { kernel } = place;
    using app = load(openFixture('types/lpm_trie'), { kernel });
    const routes = app.map('lpm_trie_map', LpmTrie<number>);
    expectTypeOf(routes.get).returns.toEqualTypeOf<number | undefined>();
    expectTypeOf(routes.keys()).toEqualTypeOf<Generator<LpmKey, void, undefined>>();
    expectTypeOf(app.map('lpm_trie_map', LpmTrie).get).returns.toEqualTypeOf<unknown>();
    routes.set('192.168.0.0/16', 5);
    expect(routes.get('192.168.1.1')).toBe(5);
    expect([...routes.keys()].map(String)).toEqual(['192.168.0.0/16']);
  });

  it('has keys with several members as structs', () => {
    const { kernel } = place;
    const key = struct({ prefixlen: u32, vlan: u16, port: u16 });
    using trie = LpmTrie.create({ kernel, key, value: u32, maxEntries: 4 });
    trie.set({ prefixlen: 16, vlan: 0x100, port: 0 }, 1);
    expect(trie.get({ prefixlen: 32, vlan: 0x100, port: 80 })).toBe(1);
    expect(trie.get({ prefixlen: 32, vlan: 0x200, port: 80 })).toBeUndefined();
    // @ts-expect-error: text stands for keys with data only
    expect(() => trie.get('10.0.0.0/8')).toThrow(/expected struct/);
  });

  it('is refused for another kind of map', () => {
    const { kernel } = place;
    using app = load(openFixture('types/hash'), { kernel });
    expect(() => app.map('hash_map', LpmTrie)).toThrow(/is a hash; LpmTrie is for lpm_trie/);
  });

  it('refuses every call after close', () => {
    const { kernel } = place;
    const routes = createRoutes(kernel);
    routes.set('10.0.0.0/8', 1);
    const walk = routes.entries();
    routes.close();
    const calls: Readonly<Record<string, () => unknown>> = {
      get: () => routes.get('10.0.0.0'),
      set: () => routes.set('10.0.0.0/8', 1),
      has: () => routes.has('10.0.0.0'),
      delete: () => routes.delete('10.0.0.0/8'),
      clear: () => routes.clear(),
      count: () => routes.count(),
      snapshot: () => routes.snapshot(),
      keys: () => routes.keys().next(),
      values: () => routes.values().next(),
      'entries begun': () => walk.next(),
    };
    for (const [name, call] of Object.entries(calls)) {
      expect(call, name).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    }
  });
});
