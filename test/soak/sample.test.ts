/** What `npm run soak` measures, and what it takes for growth: a soak that cannot turn red proves nothing. */

import { closeSync, openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Census, judge, mappingsIn, type Sample, takeSample } from '../../scripts/soak/sample.mjs';
import { u32 } from '../../src/codec/numbers.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { MemoryKernel } from '../../src/testing.ts';

const MIB = 1 << 20;
const COUNT = 72;
const U32 = { key: u32, value: u32, maxEntries: 4 };

/** A run of twelve minutes; `change` says what is different in the sample of a number. */
function samples(change: (at: number) => Partial<Sample>, count = COUNT): Sample[] {
  return Array.from({ length: count }, (_, at) => ({
    ...{ rounds: 33 * at, seconds: 10 * at },
    ...{ rss: 115 * MIB, heap: 17 * MIB, external: 3 * MIB },
    ...{ fds: 18, mappings: 0, maps: 0, programs: 0 },
    ...change(at),
  }));
}

/** The figures that grew. */
function grown(run: readonly Sample[]): string[] {
  const { lines, isFlat } = judge(run)!;
  const names = lines.flatMap((line) => /^GREW +(\w+)/.exec(line)?.slice(1) ?? []);
  expect(isFlat).toBe(names.length === 0);
  return names;
}

/** Up and down without a pattern that quarters have, from -1 to 1. */
const noise = (at: number) => Math.sin(at * at * 7.3);

describe('the judge of a soak', () => {
  it('calls the same figures flat', () => {
    expect(grown(samples(() => ({})))).toEqual([]);
  });

  it('calls noise flat, whatever the single samples are', () => {
    const noisy = (at: number) => ({
      rss: (115 + 6 * noise(at)) * MIB,
      heap: (17 + 1.5 * noise(at + 1)) * MIB,
      external: (3 + 0.5 * noise(at + 2)) * MIB,
      // Something that was open for the moment of a sample.
      fds: at % 10 === 9 ? 19 : 18,
    });
    expect(grown(samples(noisy))).toEqual([]);
  });

  it('does not mind what is used for the first time, nor what shrinks', () => {
    const warming = (at: number) =>
      at < COUNT / 4 ? { rss: (60 + at) * MIB, heap: 8 * MIB, fds: 12 } : {};
    expect(grown(samples(warming))).toEqual([]);
    const shrinking = (at: number) => ({ rss: (200 - at) * MIB, fds: 100 - at, maps: COUNT - at });
    expect(grown(samples(shrinking))).toEqual([]);
  });

  it.each<[string, keyof Sample, (at: number) => Partial<Sample>]>([
    ['memory grows', 'rss', (at) => ({ rss: (115 + at / 2) * MIB })],
    [
      'memory grows below its noise',
      'rss',
      (at) => ({ rss: (115 + at / 2 + 3 * noise(at)) * MIB }),
    ],
    ['the heap grows', 'heap', (at) => ({ heap: (17 + at / 10) * MIB })],
    ['buffers grow', 'external', (at) => ({ external: (3 + at / 40) * MIB })],
    ['descriptors become more and more', 'fds', (at) => ({ fds: 18 + at })],
    ['a descriptor is left', 'fds', (at) => ({ fds: at > COUNT / 2 ? 19 : 18 })],
    ['a mapping is left', 'mappings', (at) => ({ mappings: at > COUNT / 2 ? 1 : 0 })],
    ['a map is left', 'maps', (at) => ({ maps: at > COUNT / 2 ? 1 : 0 })],
    ['a program is left', 'programs', (at) => ({ programs: at > COUNT / 2 ? 1 : 0 })],
  ])('sees that %s', (_, name, change) => {
    expect(grown(samples(change))).toEqual([name]);
  });

  it('cannot tell from fewer than three samples in a quarter', () => {
    expect(judge(samples(() => ({}), 11))).toBeNull();
    expect(judge(samples(() => ({}), 12))).not.toBeNull();
  });
});

describe('a sample of a soak', () => {
  it('counts the maps that were made and are still there', async () => {
    const census = new Census(new MemoryKernel());
    const kernel = census.watched();
    const closed = HashMap.create({ ...U32, kernel });
    closed.close();
    expect(await census.count()).toEqual({ maps: 0, programs: 0 });
    using _left = HashMap.create({ ...U32, kernel });
    expect(await census.count()).toEqual({ maps: 1, programs: 0 });
  });

  it.runIf(process.platform === 'linux')('counts descriptors', async () => {
    const census = new Census(new MemoryKernel());
    const before = await takeSample(census, 1);
    const fd = openSync('/dev/null', 'r');
    try {
      expect((await takeSample(census, 2)).fds).toBe(before.fds + 1);
    } finally {
      closeSync(fd);
    }
  });

  it('counts mappings of maps and of perf events', () => {
    const maps = [
      '7f0000000000-7f0000001000 r--p 00000000 08:01 42       /usr/lib/libc.so.6',
      '7f0000002000-7f0000003000 rw-s 00000000 00:0e 1057     anon_inode:bpf-map',
      '7f0000004000-7f0000006000 r--s 00001000 00:0e 1057     anon_inode:bpf-map',
      '7f0000008000-7f0000011000 rw-s 00000000 00:0e 1057     anon_inode:[perf_event]',
      '7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0        [stack]',
    ];
    expect(mappingsIn(`${maps.join('\n')}\n`)).toBe(3);
  });
});
