/** `skep map`: what it prints of maps of the running kernel, next to what bpftool prints of them. */

import { existsSync } from 'node:fs';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ListedMap, ShownMap } from '../../src/cli/kernel-map.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { hasProgram, output } from '../support/programs.ts';
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

/** A line of `skep map dump --json`. */
interface DumpedEntry {
  readonly key: string;
  readonly value: string | string[] | number;
}

function bpftool<T>(...args: string[]): T {
  return JSON.parse(output('bpftool', '-j', ...args)) as T;
}

function showJson(...map: string[]): ShownMap {
  const document = JSON.parse(stdoutOf(['map', 'show', '--json', ...map]));
  expect(Object.keys(document)).toEqual(['format', 'map']);
  expect(document.format).toBe(1);
  return document.map;
}

function dumpJson(...map: string[]): DumpedEntry[] {
  return stdoutOf(['map', 'dump', '--json', '--raw', ...map])
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
  function load(name: string): void {
    stdoutOf(['load', objectPath(name), '--pin-dir', pins.path]);
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
      for (const id of [`${byPath.id}`, `0x${byPath.id.toString(16)}`]) {
        expect(showJson('id', id)).toEqual({ ...byPath, pinPath: null });
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
      '--json has the bytes that bpftool has, one entry a line',
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
      '--json has a value for each CPU of a map of type %s',
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
        const lines = stdoutOf(['map', 'dump', '--json', path]).split('\n').slice(0, -1);
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

    it('has the ids of inner maps as numbers, and skips empty slots', () => {
      load('nested/array-of-maps');
      const id = (name: string) => showJson(`${pins.path}/${name}`).id;
      const [first, second, third] = [id('first'), id('second'), id('third')];
      expect(dumpJson(`${pins.path}/outer`)).toEqual([
        { key: '0x00000000', value: first },
        { key: '0x01000000', value: second },
        { key: '0x04000000', value: third },
        { key: '0x07000000', value: first },
      ]);
      expect(stdoutOf(['map', 'dump', `${pins.path}/outer`])).toBe(
        [
          'KEY          INNER MAP',
          `00 00 00 00  ${first}`,
          `01 00 00 00  ${second}`,
          `04 00 00 00  ${third}`,
          `07 00 00 00  ${first}`,
          '',
        ].join('\n'),
      );
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
      expect(stdoutOf(['map', 'dump', `${pins.path}/flows`, '--json'])).toBe('');
    });

    it('prints all of a map with many entries', () => {
      stdoutOf([
        ...['load', objectPath('types/array'), '--pin-dir', pins.path],
        ...['--max-entries', 'array_map=5000'],
      ]);
      const entries = dumpJson(`${pins.path}/array_map`);
      expect(entries.length).toBe(5000);
      expect(new Set(entries.map(({ key }) => key)).size).toBe(5000);
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
    ])('of type %s fails and says that it is %s', (type, words) => {
      load(`types/${type}`);
      for (const json of [[], ['--json']]) {
        const { status, stdout, stderr } = skep([
          'map',
          'dump',
          `${pins.path}/${type}_map`,
          ...json,
        ]);
        expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
        expect(stderr).toMatch(
          new RegExp(`^skep: "\\w+" \\(${type}, id \\d+\\) cannot be dumped: it is ${words}`),
        );
      }
    });

    it.each(['stack_trace', 'devmap', 'cpumap', 'sockhash', 'prog_array', 'hash_of_maps'])(
      'of an empty map of type %s, which has entries, succeeds',
      (type) => {
        load(`types/${type}`);
        expect(stdoutOf(['map', 'dump', `${pins.path}/${type}_map`])).toBe('no entries\n');
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
