/** Handles on both kernels: bytes in, bytes out, and what happens after close. */

import { expect, it } from 'vitest';
import { bytes } from '../../src/codec/aggregates.ts';
import { u16 } from '../../src/codec/numbers.ts';
import { ArrayMap } from '../../src/maps/array-map.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { lpmKey } from '../../src/maps/lpm-key-codec.ts';
import { LpmTrie } from '../../src/maps/lpm-trie.ts';
import { PerCpuArray } from '../../src/maps/per-cpu-array.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import { loadUnpinned } from '../support/fixtures.ts';
import { describeKernel } from '../support/kernel.ts';
import { describeKernels, linuxPlace } from '../support/kernels.ts';

const u32 = (...values: number[]) => new Uint8Array(Uint32Array.from(values).buffer);

/** Memory of two threads, in the guise that a careless caller gives it. */
function sharedBytes(length: number): Uint8Array<ArrayBuffer> {
  const shared = new Uint8Array(new SharedArrayBuffer(length));
  return shared.fill(7) as unknown as Uint8Array<ArrayBuffer>;
}

describeKernels('a raw map', (place) => {
  it('gets, sets, deletes, and lists its keys', () => {
    const { kernel } = place;
    const app = loadUnpinned('demo', kernel);
    const map = app.maps.get('tenant_zero')!;
    const key = Uint8Array.of(1, 2);
    const value = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    expect(map.get(key)).toBeUndefined();
    map.set(key, value);
    expect(map.get(key)).toEqual(value);
    map.set(Uint8Array.of(3, 4), value);
    expect([...map.keys()].map(String).sort()).toEqual(['1,2', '3,4']);
    expect(map.delete(key)).toBe(true);
    expect(map.delete(key)).toBe(false);
    expect([...map.keys()].map(String)).toEqual(['3,4']);
    app.close();
  });

  it('goes through its entries, each a copy, and says whether a key is there', () => {
    const { kernel } = place;
    using typed = HashMap.create({ kernel, key: bytes(2), value: bytes(3), maxEntries: 2000 });
    // More than the kernel gives at once.
    const expected = Array.from({ length: 1300 }, (_, index): [string, string] => {
      const key = Uint8Array.of(index & 255, index >> 8);
      const value = Uint8Array.of(index & 255, 7, index >> 8);
      typed.set(key, value);
      return [String(key), String(value)];
    });
    using map = RawMap.openById(typed.info().id, { kernel });
    const seen = [...map];
    expect(seen.map(([key, value]) => [String(key), String(value)]).sort()).toEqual(
      expected.sort(),
    );
    for (const [key, value] of seen) {
      expect([key.buffer.byteLength, value.buffer.byteLength]).toEqual([2, 3]);
    }
    expect([map.has(Uint8Array.of(0, 1)), map.has(Uint8Array.of(0, 255))]).toEqual([true, false]);
    let removed = 0;
    for (const [key] of map.entries()) {
      removed += map.delete(key) ? 1 : 0;
    }
    expect(removed).toBe(1300);
    expect([...map]).toEqual([]);
  });

  it('goes through the values of all CPUs, and through prefixes', () => {
    const { kernel } = place;
    const cpus = kernel.possibleCpus();
    using counts = PerCpuArray.create({ kernel, value: u16, maxEntries: 2 });
    counts.fill(1, 258);
    using map = RawMap.openById(counts.info().id, { kernel });
    const pairs = [...map.entries()].map(([key, value]) => [key[0], value.length, value[0]]);
    expect(pairs).toEqual([
      [0, cpus * 8, 0],
      [1, cpus * 8, 2],
    ]);
    using trie = LpmTrie.create({ kernel, key: lpmKey(4), value: u16, maxEntries: 4 });
    trie.set('10.0.0.0/8', 1).set('10.1.0.0/16', 2);
    using prefixes = RawMap.openById(trie.info().id, { kernel });
    const lengths: (number | undefined)[] = [];
    for (const [key] of prefixes) {
      lengths.push(key[0]);
      prefixes.delete(key);
    }
    expect(lengths.sort()).toEqual([16, 8]);
  });

  it('writes only new keys, or only old ones, if asked', () => {
    const { kernel } = place;
    const app = loadUnpinned('demo', kernel);
    const map = app.maps.get('tenant_zero')!;
    const key = Uint8Array.of(1, 2);
    const value = new Uint8Array(8);
    expect(() => map.set(key, value, 'exist')).toThrow(/ENOENT/);
    map.set(key, value, 'noexist');
    expect(() => map.set(key, value, 'noexist')).toThrow(/EEXIST/);
    map.set(key, value, 'exist');
    expect(() => map.set(key, value, 'always' as 'any')).toThrow(TypeError);
    app.close();
  });

  it('takes keys and values of its own size only', () => {
    const { kernel } = place;
    const app = loadUnpinned('demo', kernel);
    const map = app.maps.get('tenant_zero')!;
    expect(() => map.get(new Uint8Array(3))).toThrow(/keys have 2 bytes, not 3/);
    expect(() => map.set(new Uint8Array(2), new Uint8Array(7))).toThrow(
      /values have 8 bytes, not 7/,
    );
    expect(() => map.get('ab' as unknown as Uint8Array)).toThrow(TypeError);
    expect(() => map.delete(new Uint8Array(1))).toThrow(RangeError);
    app.close();
  });

  it('moves the values of all CPUs in per-CPU maps', () => {
    const { kernel } = place;
    const app = loadUnpinned('types/percpu_array', kernel);
    const map = [...app.maps.values()][0]!;
    const { valueSize } = map.info();
    const bytes = Math.ceil(valueSize / 8) * 8 * kernel.possibleCpus();
    const value = new Uint8Array(bytes).fill(1);
    map.set(u32(0), value);
    expect(map.get(u32(0))).toHaveLength(bytes);
    app.close();
  });

  it('is read from bytes at any place of a larger buffer', () => {
    const { kernel } = place;
    const app = loadUnpinned('demo', kernel);
    const map = app.maps.get('tenant_zero')!;
    const large = new Uint8Array(64).map((_, index) => index);
    map.set(large.subarray(5, 7), large.subarray(20, 28));
    expect(map.get(Uint8Array.of(5, 6))).toEqual(Uint8Array.of(20, 21, 22, 23, 24, 25, 26, 27));
    expect(map.get(Buffer.from([5, 6]))).toBeDefined();
    app.close();
  });

  it('is opened by id', () => {
    const { kernel } = place;
    const app = loadUnpinned('demo', kernel);
    const flows = app.maps.get('flows')!;
    const again = RawMap.openById(flows.info().id, { kernel });
    expect(again.info()).toEqual(flows.info());
    again.close();
    app.close();
    expect(() => RawMap.openById(0x7fff_fffe, { kernel })).toThrow(/ENOENT.*no map with that id/);
  });

  it('refuses every call after close, and closes once', () => {
    const { kernel } = place;
    const app = loadUnpinned('demo', kernel);
    const map = app.maps.get('flows')!;
    const key = new Uint8Array(16);
    const keys = map.keys();
    const entries = map.entries();
    map.set(key, new Uint8Array(32));
    map.set(new Uint8Array(16).fill(1), new Uint8Array(32));
    entries.next();
    map.close();
    map.close();
    expect(map.closed).toBe(true);
    const calls: Readonly<Record<string, () => unknown>> = {
      fd: () => map.fd,
      info: () => map.info(),
      usage: () => map.usage(),
      get: () => map.get(key),
      has: () => map.has(key),
      entries: () => map.entries().next(),
      'entries begun': () => entries.next(),
      set: () => map.set(key, new Uint8Array(32)),
      delete: () => map.delete(key),
      keys: () => map.keys().next(),
      'keys begun': () => keys.next(),
      freeze: () => map.freeze(),
      pin: () => map.pin(`${place.directory}/x`),
      unpin: () => map.unpin(`${place.directory}/x`),
    };
    for (const [name, call] of Object.entries(calls)) {
      expect(call, name).toThrow(expect.objectContaining({ code: 'ERR_SKEP_CLOSED' }));
    }
    app.close();
  });

  it('is closed by its object, and by `using`', () => {
    const { kernel } = place;
    let kept: RawMap;
    {
      using app = loadUnpinned('demo', kernel);
      kept = app.maps.get('flows')!;
      expect(kept.closed).toBe(false);
    }
    expect(kept.closed).toBe(true);
  });

  it('copies small values that are shared between threads', () => {
    const { kernel } = place;
    const app = loadUnpinned('demo', kernel);
    const map = app.maps.get('tenant_zero')!;
    map.set(new Uint8Array(2), sharedBytes(8));
    expect(map.get(new Uint8Array(2))).toEqual(new Uint8Array(8).fill(7));
    app.close();
  });

  it('refuses values whose memory is gone', () => {
    const { kernel } = place;
    const app = loadUnpinned('demo', kernel);
    const map = app.maps.get('tenant_zero')!;
    const gone = new Uint8Array(8);
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    expect(() => map.set(new Uint8Array(2), gone)).toThrow(RangeError);
    expect(() => kernel.update(map.fd, new Uint8Array(2), gone, 0)).toThrow(/has 0 bytes/);
    expect(() => kernel.lookup(map.fd, new Uint8Array(2), gone, 0)).toThrow(/has 0 bytes/);
    expect(() => kernel.delete(map.fd, gone)).toThrow(/has 0 bytes/);
    app.close();
  });

  it.each([
    [1, 1],
    [64, 64],
    [65, 1],
    [1, 65],
    [200, 300],
  ])('keeps every byte of keys of %i and values of %i bytes', (keyBytes, valueBytes) => {
    const { kernel } = place;
    using map = HashMap.create({
      kernel,
      key: bytes(keyBytes),
      value: bytes(valueBytes),
      maxEntries: 8,
    });
    const keys = [1, 2].map((seed) => Uint8Array.from({ length: keyBytes }, (_, at) => at + seed));
    const values = [3, 4].map((seed) =>
      Uint8Array.from({ length: valueBytes }, (_, at) => at * 3 + seed),
    );
    keys.forEach((key, index) => {
      map.set(key, values[index]!);
    });
    const raw = RawMap.openById(map.info().id, { kernel });
    expect(keys.map((key) => raw.get(key))).toEqual(values);
    expect(keys.map((key) => map.get(key))).toEqual(values);
    expect([...raw.keys()].map(String).sort()).toEqual(keys.map(String).sort());
    expect(raw.delete(keys[0]!)).toBe(true);
    expect([...raw.keys()]).toEqual([keys[1]]);
    raw.close();
  });

  it('refuses what only looks like bytes', () => {
    const { kernel } = place;
    const app = loadUnpinned('demo', kernel);
    const map = app.maps.get('tenant_zero')!;
    const key = new Uint8Array(2);
    const forged = { length: 8, byteLength: 8, byteOffset: -64, buffer: new ArrayBuffer(16) };
    for (const wrong of [
      forged,
      new BigUint64Array(8),
      [1, 2, 3, 4, 5, 6, 7, 8],
      '12345678',
      null,
    ]) {
      expect(() => map.set(key, wrong as unknown as Uint8Array)).toThrow(TypeError);
      expect(() => map.kernel.update(map.fd, key, wrong as unknown as Uint8Array, 0)).toThrow(
        Error,
      );
    }
    expect(map.get(key)).toBeUndefined();
    app.close();
  });

  it('refuses options and ids that do not exist', () => {
    const { kernel } = place;
    const app = loadUnpinned('demo', kernel);
    const map = app.maps.get('tenant_zero')!;
    expect(() => map.set(new Uint8Array(2), new Uint8Array(8), 'toString' as 'any')).toThrow(
      TypeError,
    );
    for (const id of [1.5, Number.NaN, -1, 2 ** 32 + 1, '5' as unknown as number]) {
      expect(() => RawMap.openById(id, { kernel })).toThrow(TypeError);
    }
    const path = `${place.directory}/zero`;
    map.pin(path);
    expect(() => RawMap.openPinned(path, { kernel, access: 'readonly' as 'read-only' })).toThrow(
      TypeError,
    );
    expect(() => RawMap.openPinned(5 as unknown as string, { kernel })).toThrow(TypeError);
    app.close();
  });

  it('is not unpinned by the handle of another map', () => {
    const { kernel } = place;
    const app = loadUnpinned('demo', kernel);
    const [zero, one] = [app.maps.get('tenant_zero')!, app.maps.get('tenant_one')!];
    const path = `${place.directory}/zero`;
    zero.pin(path);
    expect(() => one.unpin(path)).toThrow(/another map than "tenant_one"/);
    expect(one.unpin(`${place.directory}/none`)).toBe(false);
    expect(zero.unpin(path)).toBe(true);
    app.close();
  });

  it('prints what it is', async () => {
    const { kernel } = place;
    const { inspect } = await import('node:util');
    const app = loadUnpinned('demo', kernel);
    const map = app.maps.get('flows')!;
    map.info();
    expect(inspect(map)).toBe(
      'RawMap "flows" { hash, key 16 bytes, value 32 bytes, 10240 entries }',
    );
    app.close();
    expect(inspect(map)).toContain('(closed)');
  });
});

describeKernel('memory that the running kernel would have to share with another thread', () => {
  const place = linuxPlace();

  it('is refused', () => {
    const { kernel } = place;
    using large = ArrayMap.create({ kernel, value: bytes(65), maxEntries: 1 });
    expect(() => kernel.update(large.fd, u32(0), sharedBytes(65), 0)).toThrow(/shared memory/);
  });
});
