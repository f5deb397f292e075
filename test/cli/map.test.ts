/** `skep map`: what it prints of maps of the running kernel, next to what bpftool prints of them. */

import { existsSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ListedMap, ShownMap } from '../../src/cli/kernel-map.ts';
import { load as loadObject } from '../../src/loader/load.ts';
import type { MapOptions } from '../../src/loader/options.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import { openFixture } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { bpftool, hasProgram, output } from '../support/programs.ts';
import { printed, runHere } from './in-process.ts';
import { objectPath, shell, skep, stdoutOf } from './skep.ts';

/** What bpftool prints of a map. Numbers where its tables end: types newer than it. */
interface BpftoolMap {
  readonly id: number;
  readonly type: string;
  readonly name: string;
  readonly flags: number;
  readonly bytes_key: number;
  readonly bytes_value: number;
  readonly max_entries: number;
  readonly bytes_memlock: number;
  readonly frozen: number;
  readonly btf_id?: number;
}

/** A line of `skep map dump --ndjson`. */
interface DumpedEntry {
  readonly key: string;
  readonly value: string | string[] | number;
}

function showJson(...map: string[]): ShownMap {
  const document = JSON.parse(stdoutOf(['map', 'show', '--json', ...map]));
  expect(Object.keys(document)).toEqual(['format', 'map']);
  expect(document.format).toBe(1);
  return document.map;
}

function dumpJson(...map: string[]): DumpedEntry[] {
  return stdoutOf(['map', 'dump', '--ndjson', '--raw', ...map])
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

/** Bytes as bpftool prints them, `["0x01","0x02"]`, as skep does: `0x0102`. */
function joined(bytes: readonly string[]): string {
  return `0x${bytes.map((byte) => byte.slice(2)).join('')}`;
}

type Formatted = Readonly<Record<string, unknown>>;

/** bpftool has arrays of numbers where skep has bytes. */
function inOurs(value: Formatted): Record<string, unknown> {
  const bytes = (list: readonly number[]) => `0x${Buffer.from(list).toString('hex')}`;
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [
      name,
      Array.isArray(each) ? bytes(each as number[]) : each,
    ]),
  );
}

describeKernel('skep map', () => {
  const pins = pinDirectory();

  /** Loads an object and pins its maps in the directory of this test. */
  function load(name: string, maps: Readonly<Record<string, MapOptions>> = {}): void {
    loadObject(openFixture(name), { pinDirectory: pins.path, pinAll: true, maps }).close();
  }

  function withMap(name: string, use: (map: RawMap) => void): void {
    const map = RawMap.openPinned(`${pins.path}/${name}`);
    try {
      use(map);
    } finally {
      map.close();
    }
  }

  describe('show', () => {
    it.skipIf(!hasProgram('bpftool')).each([
      ['demo', 'flows'],
      ['demo', 'events'],
      ['demo', 'tenants'],
      ['maps/flags', 'several'],
      ['types/percpu_hash', 'percpu_hash_map'],
      ['types/lpm_trie', 'lpm_trie_map'],
      ['types/bloom_filter', 'bloom_filter_map'],
      ['types/queue', 'queue_map'],
    ])('--json says of %s, map %s, what bpftool says', (object, name) => {
      load(object);
      const path = `${pins.path}/${name}`;
      const expected = bpftool<BpftoolMap>('map', 'show', 'pinned', path);
      const shown = showJson(path);
      expect(shown).toMatchObject({
        id: expected.id,
        type: expected.type,
        name: expected.name,
        flags: expected.flags,
        keySize: expected.bytes_key,
        valueSize: expected.bytes_value,
        maxEntries: expected.max_entries,
        memoryBytes: expected.bytes_memlock,
        frozen: expected.frozen === 1,
        btfId: expected.btf_id ?? 0,
        pinPath: path,
      });
      expect(shown.valueTypeId > 0).toBe(shown.btfId > 0);
    });

    it('finds a map by its id, decimal or hexadecimal; then it knows no pin', () => {
      load('demo');
      const byPath = showJson(`${pins.path}/flows`);
      for (const words of [['id', `${byPath.id}`], [`id:0x${byPath.id.toString(16)}`]]) {
        expect(showJson(...words)).toEqual({ ...byPath, pinPath: null });
      }
    });

    it('shows map_extra, which has 64 bits, as a decimal string', () => {
      load('maps/map-extra');
      expect(showJson(`${pins.path}/by_enum64`).mapExtra).toBe(`${0x7f00_0000_0000}`);
    });

    it('prints one property a line for people', () => {
      load('maps/flags');
      const path = `${pins.path}/several`;
      const { id, memoryBytes, btfId, keyTypeId, valueTypeId } = showJson(path);
      expect(stdoutOf(['map', 'show', path])).toBe(
        [
          `id         ${id}`,
          'type       hash',
          'name       several',
          'key        4 bytes',
          'value      4 bytes',
          'entries    4',
          'flags      NO_PREALLOC | ZERO_SEED | RDONLY_PROG',
          `memory     ${memoryBytes} bytes`,
          'frozen     no',
          `BTF        id ${btfId}, key type ${keyTypeId}, value type ${valueTypeId}`,
          'map_extra  none',
          `pin path   ${path}`,
          '',
        ].join('\n'),
      );
    });

    it('tells that a map is frozen', () => {
      load('demo');
      withMap('flows', (map) => map.freeze());
      expect(showJson(`${pins.path}/flows`).frozen).toBe(true);
      expect(stdoutOf(['map', 'show', `${pins.path}/flows`])).toContain('frozen     yes\n');
    });

    it('fails for what is not there, or is no map', () => {
      const fails = (args: string[], message: RegExp) => {
        const { status, stdout, stderr } = skep(['map', 'show', ...args]);
        expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
        expect(stderr).toMatch(message);
      };
      fails([`${pins.path}/nothing`], /ENOENT \(nothing is pinned there\) \[ERR_SKEP_SYSCALL\]\n$/);
      fails([pins.path], /EACCES .*it is no pin but a directory/);
      fails(
        ['id', '0xffffffff'],
        /ENOENT \(there is no map with that id\) \[ERR_SKEP_SYSCALL\]\n$/,
      );
      fails(['relative/path'], /relative; .* \[ERR_SKEP_PIN_PATH\]\n$/);
    });
  });

  describe('list', () => {
    it.skipIf(!hasProgram('bpftool'))(
      '--json has every map that bpftool lists, and the same',
      () => {
        load('demo');
        const names = ['flows', 'events', 'tenants', 'tenant_zero', 'tenant_one'];
        const ours = new Set(names.map((name) => showJson(`${pins.path}/${name}`).id));
        const listed: { format: 1; maps: ListedMap[] } = JSON.parse(
          stdoutOf(['map', 'list', '--json']),
        );
        expect(listed.format).toBe(1);
        // Others create and remove maps at the same time; ours stay.
        const found = listed.maps.filter(({ id }) => ours.has(id));
        const expected = bpftool<BpftoolMap[]>('map', 'list').filter(({ id }) => ours.has(id));
        expect(found.length).toBe(ours.size);
        expect(
          found.map(({ id, type, name, keySize, valueSize, maxEntries, flags, memoryBytes }) => [
            ...[id, type, name, keySize, valueSize, maxEntries, flags, memoryBytes],
          ]),
        ).toEqual(
          expected.map((map) => [
            ...[map.id, map.type, map.name, map.bytes_key, map.bytes_value],
            ...[map.max_entries, map.flags, map.bytes_memlock],
          ]),
        );
      },
    );

    it('shows what map show --json shows, less what is of one map only', () => {
      load('demo');
      const { btfId, keyTypeId, valueTypeId, mapExtra, pinPath, ...listed } = showJson(
        `${pins.path}/flows`,
      );
      const { maps } = JSON.parse(stdoutOf(['map', 'list', '--json']));
      expect(maps).toContainEqual(listed);
    });

    it('prints a table for people', () => {
      load('demo');
      const { id, memoryBytes } = showJson(`${pins.path}/events`);
      const [head, ...lines] = stdoutOf(['map', 'list']).split('\n');
      expect(head).toMatch(/^ *ID {2}TYPE +NAME +KEY +VALUE +ENTRIES +MEMORY/);
      const line = lines.find((each) => each.trim().startsWith(`${id} `));
      expect(line?.trim().split(/ +/)).toEqual(
        [id, 'ringbuf', 'events', 0, 0, 65536, 'B', memoryBytes].map(String),
      );
    });
  });

  describe('dump', () => {
    it.skipIf(!hasProgram('bpftool'))(
      '--ndjson has the bytes that bpftool has, one entry a line',
      () => {
        load('demo');
        const path = `${pins.path}/flows`;
        withMap('flows', (map) => {
          for (let entry = 1; entry <= 5; entry += 1) {
            map.set(new Uint8Array(16).fill(entry), new Uint8Array(32).fill(entry * 16));
          }
        });
        const expected = bpftool<{ key: string[]; value: string[] }[]>(
          ...['map', 'dump', 'pinned', path],
        );
        expect(expected.length).toBe(5);
        expect(dumpJson(path)).toEqual(
          expected.map(({ key, value }) => ({ key: joined(key), value: joined(value) })),
        );
      },
    );

    it.skipIf(!hasProgram('bpftool')).each(['percpu_array', 'percpu_hash', 'lru_percpu_hash'])(
      '--ndjson has a value for each CPU of a map of type %s',
      (type) => {
        load(`types/${type}`);
        const path = `${pins.path}/${type}_map`;
        withMap(`${type}_map`, (map) => {
          const key = new Uint8Array(map.info().keySize);
          const value = new Uint8Array(map.kernel.valueBytes(map.fd));
          // Every byte another, so that a wrong stride or size shows.
          map.set(
            key,
            value.map((_, at) => at + 1),
          );
        });
        const expected = bpftool<{ key: string[]; values: { cpu: number; value: string[] }[] }[]>(
          'map',
          'dump',
          'pinned',
          path,
        );
        expect(expected[0]?.values.length).toBeGreaterThan(0);
        expect(dumpJson(path)).toEqual(
          expected.map(({ key, values }) => ({
            key: joined(key),
            value: values.map(({ value }) => joined(value)),
          })),
        );
        const text = stdoutOf(['map', 'dump', '--raw', path]);
        for (const { cpu, value } of expected[0]!.values) {
          expect(text).toContain(`  CPU ${cpu}: ${value.map((byte) => byte.slice(2)).join(' ')}\n`);
        }
      },
    );

    it.skipIf(!hasProgram('bpftool'))(
      "decodes keys and values as bpftool does, by the map's BTF",
      () => {
        load('demo');
        withMap('flows', (map) => {
          for (let entry = 1; entry <= 3; entry += 1) {
            const value = new Uint8Array(32);
            new DataView(value.buffer).setBigUint64(0, 2n ** 53n * BigInt(entry - 1) + 1n, true);
            map.set(
              Uint8Array.from({ length: 16 }, (_, at) => at * entry),
              value,
            );
          }
        });
        const path = `${pins.path}/flows`;
        const lines = stdoutOf(['map', 'dump', '--ndjson', path]).split('\n').slice(0, -1);
        const expected = bpftool<{ formatted: { key: Formatted; value: Formatted } }[]>(
          ...['map', 'dump', 'pinned', path],
        ).map(({ formatted: { key, value } }) => ({ key: inOurs(key), value: inOurs(value) }));
        // bpftool's large numbers are read as doubles here; skep prints them as strings, exactly.
        const rounded = (text: string) =>
          JSON.parse(text, (_, each) => (/^\d{16,}$/.test(each) ? Number(each) : each));
        expect(lines.map(rounded)).toEqual(expected);
        expect(lines.some((line) => line.includes('"packets":"9007199254740993"'))).toBe(true);
        const [first] = stdoutOf(['map', 'dump', path]).split('\n');
        expect(first).toMatch(/^\{"source":"0x.*\}: \{"packets":/);
      },
    );

    describe('of maps of maps', () => {
      const numbers = (file: string) => JSON.parse(stdoutOf(['map', 'dump', '--json', file]));

      it('has what is in the inner maps, and skips empty slots', () => {
        load('nested/array-of-maps');
        const outer = `${pins.path}/outer`;
        withMap('first', (map) => {
          const [key] = [new Uint8Array(map.info().keySize)];
          map.set(key, new Uint8Array(map.info().valueSize).fill(1));
        });
        const shown = ['first', 'second', 'third'].map((name) => {
          const path = `${pins.path}/${name}`;
          const { map, entries } = numbers(path);
          return { ...map, entries };
        });
        const [first, second, third] = shown;
        expect(first.entries.length).toBeGreaterThan(0);
        const expected = [
          { key: 0, value: first },
          { key: 1, value: second },
          { key: 4, value: third },
          { key: 7, value: first },
        ];
        expect(numbers(outer).entries).toEqual(expected);
        const lines = stdoutOf(['map', 'dump', '--ndjson', outer]).split('\n').slice(0, -1);
        expect(lines.map((line) => JSON.parse(line))).toEqual(expected);
        const text = expected.flatMap(({ key, value: { id, type, name, entries } }) => [
          `${key}: map ${id} (${type} "${name}")`,
          ...(entries as DumpedEntry[]).map(
            (entry) => `  ${JSON.stringify(entry.key)}: ${JSON.stringify(entry.value)}`,
          ),
          '',
        ]);
        expect(stdoutOf(['map', 'dump', outer])).toBe(
          `${text.filter((line) => line !== '').join('\n')}\n`,
        );
        expect(stdoutOf(['map', 'dump', '--shallow', outer])).toBe(
          `0: ${first.id}\n1: ${second.id}\n4: ${third.id}\n7: ${first.id}\n`,
        );
      });

      it('has no entries for inner maps that have none to go through', () => {
        load('nested/inner-kinds');
        const inner = numbers(`${pins.path}/of_ringbuf`).entries;
        expect(inner).toEqual([
          { key: 1, value: expect.objectContaining({ type: 'ringbuf', entries: null }) },
        ]);
        expect(stdoutOf(['map', 'dump', `${pins.path}/of_percpu_array`])).toMatch(
          /^1: map \d+ \(percpu_array "inner_percpu_ar"\)\n {2}0: \[0(?:,0)*\]\n {2}1: \[0/,
        );
      });

      it.skipIf(!hasProgram('setpriv'))('has ids only without CAP_SYS_ADMIN, and says so', () => {
        load('nested/array-of-maps');
        const id = showJson(`${pins.path}/second`).id;
        const command = `$SKEP map dump --ndjson ${pins.path}/outer`;
        const { status, stdout, stderr } = shell(
          `setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin ${command}`,
        );
        expect(status).toBe(0);
        expect(stdout.split('\n')[1]).toBe(
          `{"key":1,"value":{"id":${id},"type":null,"name":null,"entries":null}}`,
        );
        expect(stderr).toMatch(/^skep: only the ids of inner maps are shown, .*CAP_SYS_ADMIN\n$/);
      });
    });

    it.skipIf(!hasProgram('bpftool'))('has the ids of the programs in a program array', () => {
      load('types/prog_array');
      const [programs, program] = [`${pins.path}/prog_array_map`, `${pins.path}/program`];
      output('bpftool', 'prog', 'load', objectPath('plain/tiny'), program, 'type', 'socket');
      const key = ['key', '1', '0', '0', '0', 'value', 'pinned', program];
      output('bpftool', 'map', 'update', 'pinned', programs, ...key);
      const { id } = bpftool<{ id: number }>('prog', 'show', 'pinned', program);
      expect(stdoutOf(['map', 'dump', '--ndjson', programs])).toBe(`{"key":1,"value":${id}}\n`);
      expect(stdoutOf(['map', 'dump', programs])).toBe(`1: ${id}\n`);
    });

    it('wraps long values to the width of the terminal, and not where there is none', () => {
      load('demo');
      withMap('flows', (map) => {
        map.set(
          Uint8Array.from({ length: 16 }, (_, at) => at),
          Uint8Array.from({ length: 32 }, (_, at) => at + 0x40),
        );
      });
      const args = ['map', 'dump', '--raw', `${pins.path}/flows`];
      expect(stdoutOf(args, { env: { COLUMNS: '80' } })).toBe(
        [
          `KEY${' '.repeat(46)}VALUE`,
          '00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  40 41 42 43 44 45 46 47',
          `${' '.repeat(49)}48 49 4a 4b 4c 4d 4e 4f`,
          `${' '.repeat(49)}50 51 52 53 54 55 56 57`,
          `${' '.repeat(49)}58 59 5a 5b 5c 5d 5e 5f`,
          '',
        ].join('\n'),
      );
      expect(stdoutOf(args).split('\n').slice(1)).toEqual([
        `00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  ${Array.from({ length: 32 }, (_, at) =>
          (at + 0x40).toString(16),
        ).join(' ')}`,
        '',
      ]);
    });

    it('of an empty map says so to people, and prints nothing for programs', () => {
      load('demo');
      expect(stdoutOf(['map', 'dump', `${pins.path}/flows`])).toBe('no entries\n');
      expect(stdoutOf(['map', 'dump', `${pins.path}/flows`, '--ndjson'])).toBe('');
      expect(JSON.parse(stdoutOf(['map', 'dump', `${pins.path}/flows`, '--json']))).toEqual({
        format: 1,
        map: { id: showJson(`${pins.path}/flows`).id, type: 'hash', name: 'flows' },
        entries: [],
      });
    });

    it('prints all of a map with many entries', () => {
      load('types/array', { array_map: { maxEntries: 20_000 } });
      const path = `${pins.path}/array_map`;
      const indices = Array.from({ length: 20_000 }, (_, index) => index);
      const document = JSON.parse(stdoutOf(['map', 'dump', '--json', path]));
      expect(document.entries.map(({ key }: { key: number }) => key)).toEqual(indices);
      const lines = stdoutOf(['map', 'dump', '--ndjson', path]).split('\n').slice(0, -1);
      expect(lines.map((line) => JSON.parse(line))).toEqual(document.entries);
    });

    it('ends quietly when its reader has seen enough', () => {
      load('types/array', { array_map: { maxEntries: 20_000 } });
      const command = `$SKEP map dump --ndjson ${pins.path}/array_map`;
      const { stdout, stderr } = shell(`{ ${command}; echo "status $?" >&2; } | head -n 1`);
      expect(stdout).toMatch(/^\{"key":0,"value":.*\}\n$/);
      expect(stderr).toBe('status 0\n');
    });

    it.each([
      ['ringbuf', 'a ring buffer'],
      ['user_ringbuf', 'a ring buffer'],
      ['queue', 'a queue'],
      ['stack', 'a stack'],
      ['bloom_filter', 'a Bloom filter'],
      ['arena', 'an arena'],
      ['sk_storage', 'storage of sockets'],
      ['inode_storage', 'storage of inodes'],
      ['task_storage', 'storage of tasks'],
      ['cgrp_storage', 'storage of cgroups'],
      ['perf_event_array', 'an array of perf events'],
      ['cgroup_array', 'an array of cgroups'],
      ['xskmap', 'an array of AF_XDP sockets'],
    ])('of type %s fails and says that it is %s', async (type, words) => {
      load(`types/${type}`);
      const { status, stdout, stderr } = await runHere(['map', 'dump', `${pins.path}/${type}_map`]);
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(
        new RegExp(`^skep: "\\w+" \\(${type}, id \\d+\\) cannot be dumped: it is ${words}`),
      );
    });

    it.each(['stack_trace', 'devmap', 'cpumap', 'sockhash', 'prog_array', 'hash_of_maps'])(
      'of an empty map of type %s, which has entries, succeeds',
      async (type) => {
        load(`types/${type}`);
        expect(await printed(['map', 'dump', `${pins.path}/${type}_map`])).toBe('no entries\n');
      },
    );
  });

  describe('pin and unpin', () => {
    beforeEach(() => load('demo'));

    it('pin a map once more, by path or id, and remove the pins again', () => {
      const flows = `${pins.path}/flows`;
      const { id } = showJson(flows);
      const title = `"flows" (hash, id ${id})`;
      const [second, third] = [`${pins.path}/new/second`, `${pins.path}/third`];
      expect(stdoutOf(['map', 'pin', flows, second])).toBe(`pinned ${title} at ${second}\n`);
      expect(stdoutOf(['map', 'pin', 'id', `${id}`, third])).toBe(`pinned ${title} at ${third}\n`);
      expect(showJson(second).id).toBe(id);
      expect(showJson(third).id).toBe(id);
      expect(stdoutOf(['map', 'unpin', flows])).toBe(`unpinned ${title} from ${flows}\n`);
      expect(existsSync(flows)).toBe(false);
      expect(showJson(third).id).toBe(id);
    });

    it('refuse a path that is taken, outside a BPF file system, or not there', () => {
      const flows = `${pins.path}/flows`;
      const fails = (args: string[], message: RegExp) => {
        const { status, stdout, stderr } = skep(['map', ...args]);
        expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
        expect(stderr).toMatch(message);
      };
      fails(['pin', flows, `${pins.path}/tenants`], /EEXIST .*\[ERR_SKEP_SYSCALL\]\n$/);
      fails(['pin', flows, '/tmp/flows'], /does not lie on a BPF file system .*_PIN_PATH\]\n$/);
      fails(['unpin', `${pins.path}/nothing`], /ENOENT \(nothing is pinned there\) \[.*\]\n$/);
      fails(['unpin', pins.path], /EACCES /);
    });

    it.skipIf(!hasProgram('bpftool'))('leave the pin of a program alone', () => {
      const path = `${pins.path}/program`;
      output('bpftool', 'prog', 'load', objectPath('plain/tiny'), path, 'type', 'socket');
      const { status, stderr } = skep(['map', 'unpin', path]);
      expect(status).toBe(1);
      expect(stderr).toContain('it is no map but a bpf-prog');
      expect(existsSync(path)).toBe(true);
    });
  });

  it.skipIf(!hasProgram('setpriv'))('says which privilege a list needs', () => {
    // Still root, so that the files can be read, but without any capability.
    const { status, stdout, stderr } = shell('setpriv --bounding-set=-all $SKEP map list');
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/BPF_MAP_GET_NEXT_ID failed with EPERM \(needs CAP_SYS_ADMIN\) \[.*\n$/);
  });
});
