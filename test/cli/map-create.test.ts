/** `skep map create`: maps without an object, next to bpftool and to typed handles. */

import { expect, it } from 'vitest';
import { HashMap } from '../../src/maps/hash-map.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import { openMap } from '../../src/maps/open-map.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import { describeKernels } from '../support/kernels.ts';
import { bpftool } from '../support/programs.ts';
import { failsOn, printed as printedBy, runHere } from './in-process.ts';

describeKernels('skep map create', (place) => {
  const at = (name: string) => `${place.directory}/${name}`;
  /** For calls that take the kernel. */
  const here = () => ({ kernel: place.kernel });
  const printed = (args: readonly string[]) => printedBy(args, place.kernel);
  const fails = (status: number, words: string | RegExp, ...args: string[]) =>
    failsOn(place.kernel, status, words, ['map', ...args]);
  const create = (name: string, ...options: string[]) =>
    printed(['map', 'create', at(name), ...options]);

  it('makes and pins a map, whose types the kernel knows', async () => {
    const told = await create(
      ...(['counts', '--type', 'lru_hash', '--key', 'text:8', '--value', 'i64'] as const),
      ...['--max-entries', '0x10', '--name', 'counts', '--flags', 'NO_COMMON_LRU'],
    );
    await printed(['map', 'set', at('counts'), 'eth0', '-9007199254740993']);
    using map = HashMap.openPinned(at('counts'), undefined, here());
    expect(map.snapshot()).toEqual([['eth0', -9007199254740993n]]);
    const { id, ...info } = map.info();
    expect(told).toBe(`created "counts" (lru_hash, id ${id}) at ${at('counts')}\n`);
    expect(info).toMatchObject({ typeName: 'lru_hash', flags: 2, keySize: 8, valueSize: 8 });
    // As many for each CPU, since each has a list of its own.
    const cpus = place.kernel.possibleCpus();
    const maxEntries = Math.ceil(16 / cpus) * cpus;
    expect(info).toMatchObject({ name: 'counts', maxEntries });
    expect(info.btfId).toBeGreaterThan(0);
    if (place.hasBpftool) {
      expect(bpftool('map', 'show', 'pinned', at('counts'))).toMatchObject({
        ...{ id, type: 'lru_hash', name: 'counts', flags: 2, bytes_key: 8, bytes_value: 8 },
        ...{ max_entries: maxEntries, btf_id: info.btfId },
      });
      const [entry] = bpftool<{ formatted: unknown }[]>('map', 'dump', 'pinned', at('counts'));
      expect(entry?.formatted).toMatchObject({ value: Number(-9007199254740993n) });
    }
  });

  it('makes maps of each kind', async () => {
    const kinds: [name: string, options: string[], entry: unknown[]][] = [
      ['array', ['--key', 'u32', '--value', 'f64', '--max-entries', '1'], [[0, 0]]],
      ['lpm_trie', ['--key', 'lpm:16', '--value', 'u8', '--max-entries', '4'], []],
      [
        'percpu_array',
        ['--key', 'u32', '--value', 'u64', '--max-entries', '1'],
        [[0, expect.anything()]],
      ],
    ];
    for (const [type, options, entries] of kinds) {
      await create(type, '--type', type, ...options);
      using map = openMap(at(type), here());
      expect(map.info().btfId, type).toBeGreaterThan(0);
      expect((map as HashMap<unknown, unknown>).snapshot()).toEqual(entries);
    }
    await create('queue', '--type', 'queue', '--value', 'u32', '--max-entries', '4');
    await create('ringbuf', '--type', 'ringbuf', '--max-entries', '4096');
    await create('progs', '--type', 'prog_array', '--max-entries', '4');
    const sizes = ['queue', 'ringbuf', 'progs'].map((name) => {
      using map = openMap(at(name), here());
      const { keySize, valueSize } = map.info();
      return [keySize, valueSize];
    });
    expect(sizes).toEqual([
      [0, 4],
      [0, 0],
      [4, 4],
    ]);
  });

  it('needs no type of indices, and refuses other maps without a type of keys or values', async () => {
    const arrays = ['array', 'percpu_array'];
    // The in-process kernel has no stacks.
    for (const type of place.runsOn === 'memory' ? arrays : [...arrays, 'stack_trace']) {
      await create(type, '--type', type, '--value', 'u64', '--max-entries', '2');
      using map = openMap(at(type), here());
      expect(map.info(), type).toMatchObject({ keySize: 4, valueSize: 8, maxEntries: 2 });
    }
    const made = (...options: string[]) => ['create', at('new'), '--max-entries', '2', ...options];
    const hash = ['--type', 'hash'];
    await fails(2, 'of type hash needs a type of keys: give --key T', ...made(...hash));
    await fails(2, 'give --value TYPE', ...made(...hash, '--key', 'u32'));
    await fails(2, 'give --value TYPE', ...made('--type', 'queue'));
    expect(place.namesIn(place.directory)).not.toContain('new');
  });

  it('rounds the bytes of a ring buffer up, as a load does', async () => {
    const { pageSize } = place.kernel;
    for (const type of ['ringbuf', 'user_ringbuf']) {
      await create(type, '--type', type, '--max-entries', String(pageSize + 1));
      using map = RawMap.openPinned(at(type), here());
      expect(map.info().maxEntries, type).toBe(2 * pageSize);
    }
  });

  it('makes queues, whose types the kernel does not keep: others say them again', async () => {
    await create('queue', '--type', 'queue', '--value', 'u32', '--max-entries', '4');
    await fails(2, /VALUE: expected 4 bytes, .*; .* --value-type TYPE\n$/, 'set', at('queue'), '5');
    const types = ['--value-type', 'u32'];
    await printed(['map', 'set', at('queue'), '5', ...types]);
    expect(await printed(['map', 'get', at('queue'), ...types])).toBe('5\n');
    // Nothing would be gained by another type here.
    const raw = await runHere(['map', 'set', at('queue'), '5', '--raw'], place.kernel);
    expect(raw.stderr).toMatch(/^skep: VALUE: expected 4 bytes, [^;]*\n$/);
    const help = await printed(['map', 'create', '--help']);
    expect(help.replace(/\s+/g, ' ')).toContain('"map get" and "map set" need --value-type there');
    // Of these it does.
    await create('seen', '--type', 'bloom_filter', '--value', 'u32', '--max-entries', '4');
    await printed(['map', 'set', at('seen'), '5']);
    expect(await printed(['map', 'get', at('seen'), '5'])).toBe('true\n');
  });

  it.skipIf(place.runsOn === 'memory')(
    'makes storage, which has no number of entries',
    async () => {
      await create('marks', '--type', 'sk_storage', '--value', 'u64');
      using map = openMap(at('marks'), here());
      expect(map.info()).toMatchObject({ keySize: 4, valueSize: 8, maxEntries: 0 });
    },
  );

  it('makes maps of maps, and maps that fit into them', async () => {
    await create('one', '--type', 'hash', '--key', 'u32', '--value', 'u64', '--max-entries', '4');
    await create(
      'outer',
      '--type',
      'hash_of_maps',
      '--key',
      'u32',
      '--max-entries',
      '4',
      '--inner',
      at('one'),
    );
    await create('two', '--like', at('one'), '--max-entries', '4', '--name', 'two');
    using outer = HashOfMaps.openPinned(at('outer'), undefined, here());
    using two = HashMap.openPinned(at('two'), undefined, here()) as HashMap<number, bigint>;
    two.set(1, 2n);
    outer.set(Uint8Array.of(7, 0, 0, 0), two);
    const [entry] = JSON.parse(
      await printed(['map', 'dump', '--json', at('outer'), '--key-type', 'u32']),
    ).entries;
    expect(entry).toEqual({
      key: 7,
      value: { id: two.info().id, type: 'hash', name: 'two', entries: [{ key: 1, value: 2 }] },
    });
  });

  it('leaves nothing where it fails', async () => {
    const made = (...options: string[]) => ['create', at('new'), ...options];
    const hash = ['--type', 'hash', '--key', 'u32', '--value', 'u32'];
    await fails(2, 'give --type TYPE, or --like MAP', ...made('--max-entries', '1'));
    await fails(2, 'did you mean "hash"?', ...made('--type', 'hsh', '--max-entries', '1'));
    await fails(2, 'give --max-entries N', ...made(...hash));
    await fails(
      2,
      'did you mean "NO_PREALLOC"?',
      ...made(...hash, '--max-entries', '1', '--flags', 'NOPREALLOC'),
    );
    await fails(
      2,
      '--key: "bytes:0" is no type',
      ...made('--type', 'hash', '--key', 'bytes:0', '--max-entries', '1'),
    );
    await fails(
      2,
      'needs a map like those to come: --inner MAP',
      ...made('--type', 'array_of_maps', '--max-entries', '1'),
    );
    await fails(2, '--like has the type', ...made('--like', at('x'), '--type', 'hash'));
    await fails(2, '"1e3" is no number from 0', ...made(...hash, '--max-entries', '1e3'));
    await fails(
      1,
      /EINVAL/,
      ...made('--type', 'array', '--key', 'u64', '--value', 'u64', '--max-entries', '1'),
    );
    expect(place.namesIn(place.directory)).toEqual([]);
    await fails(
      1,
      'does not lie on a BPF file system',
      'create',
      '/tmp/new',
      ...hash,
      '--max-entries',
      '1',
    );
  });
});
