/** `skep map get`, `set`, `delete`, `create` and `watch`, next to bpftool and to typed handles. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { text } from '../../src/codec/aggregates.ts';
import { u16, u32, u64 } from '../../src/codec/numbers.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { load as loadObject } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { BloomFilter } from '../../src/maps/bloom-filter.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { HashOfMaps } from '../../src/maps/hash-of-maps.ts';
import { LpmTrie } from '../../src/maps/lpm-trie.ts';
import { PerCpuHashMap } from '../../src/maps/per-cpu-hash-map.ts';
import { Queue } from '../../src/maps/queue.ts';
import { fixturePath, openFixture } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { describeKernels } from '../support/kernels.ts';
import { loadProgram } from '../support/program.ts';
import { bpftool, hasProgram, output } from '../support/programs.ts';
import { ringProducer } from '../support/rings.ts';
import { failsOn, printed as printedBy } from './in-process.ts';
import { MAIN, ROOT } from './skep.ts';

const hasBpftool = hasProgram('bpftool');

describeKernels('skep map', (place) => {
  const at = (name: string) => `${place.directory}/${name}`;
  /** For calls that take the kernel. */
  const here = () => ({ kernel: place.kernel });
  const printed = (args: readonly string[]) => printedBy(args, place.kernel);
  const fails = (status: number, words: string | RegExp, ...args: string[]) =>
    failsOn(place.kernel, status, words, ['map', ...args]);

  function load(name: string): void {
    loadObject(openFixture(name), {
      ...here(),
      pinDirectory: place.directory,
      pinAll: true,
    }).close();
  }

  describe('get, set and delete', () => {
    const key = '{"source":"0x0a000001","destination":"0x0a000002","source_port":1,';
    const rest = '"destination_port":443,"protocol":6,"padding":"0x000000"}';
    const flow = key + rest;
    const counters = (packets: string) =>
      `{"packets":${packets},"bytes":2,"first_seen":3,"last_seen":4}`;

    it('move structs as JSON, and bpftool sees the same', async () => {
      load('demo');
      const flows = at('flows');
      // A number that no double holds, as bpftool prints it.
      await printed(['map', 'set', flows, flow, counters('18446744073709551615')]);
      const hex = '0a 00 00 01 0a 00 00 02 01 00 bb 01 06 00 00 00'.split(' ');
      if (place.hasBpftool) {
        const lookup = ['map', 'lookup', 'pinned', flows, 'key', 'hex', ...hex];
        const found = output('bpftool', '-j', ...lookup);
        expect(found).toContain('"packets":18446744073709551615');
        expect(JSON.parse(found).formatted.value).toMatchObject({ bytes: 2, last_seen: 4 });
      }
      expect(await printed(['map', 'get', flows, flow])).toBe(
        `${counters('"18446744073709551615"')}\n`,
      );
      const entry = await printed(['map', 'get', flows, flow, '--json']);
      expect(entry).toBe(`{"key":${flow},"value":${counters('"18446744073709551615"')}}\n`);
      expect(await printed(['map', 'dump', flows, '--ndjson'])).toBe(entry);
      // What was printed can be given back, and --raw is the same in bytes.
      const { value } = JSON.parse(entry);
      await printed(['map', 'set', flows, flow, JSON.stringify(value), '--mode', 'exist']);
      const raw = await printed(['map', 'get', flows, `0x${hex.join('')}`, '--raw']);
      expect(raw).toMatch(/^"0xffffffffffffffff0200000000000000/);
      await printed(['map', 'delete', flows, flow]);
      expect(await printed(['map', 'dump', flows])).toBe('no entries\n');
      if (place.hasBpftool) {
        expect(bpftool<unknown[]>('map', 'dump', 'pinned', flows)).toEqual([]);
      }
    });

    it('name what is wrong in the JSON, and change nothing then', async () => {
      load('demo');
      const flows = at('flows');
      const set = (...words: string[]) => ['set', flows, ...words];
      await fails(
        2,
        'KEY: source_port: expected u16, an integer from 0',
        ...set(flow.replace(':1,', ':65536,'), '{}'),
      );
      await fails(
        2,
        'KEY: source: expected 4 bytes, as "0x" and 8 hex',
        ...set(flow.replace('0x0a', '0a'), '{}'),
      );
      await fails(2, 'VALUE: bytes: missing; u64 is expected', ...set(flow, '{"packets":1}'));
      await fails(2, 'VALUE is no JSON: ', ...set(flow, '{"packets":1'));
      await fails(2, 'expected MAP KEY VALUE, where MAP is', ...set(flow));
      await fails(2, 'VALUE: expected', ...set(flow, 'much'));
      await fails(
        2,
        "argument 'always' is invalid",
        ...set(flow, counters('1'), '--mode', 'always'),
      );
      await fails(2, '"/" is no id of a map', 'get', 'id', '/', flow);
      await fails(2, '--key-type: "u33" is no type', 'get', flows, '1', '--key-type', 'u33');
      await fails(
        1,
        /ENOENT \(the key is not there\)/,
        ...set(flow, counters('1'), '--mode', 'exist'),
      );
      await fails(
        1,
        /^skep: "flows" \(hash, id \d+\) has no entry with the key \{"source"/,
        'get',
        flows,
        flow,
      );
      using map = HashMap.openPinned(flows, undefined, here());
      expect(map.count()).toBe(0);
    });

    it('take words without quotes for text, addresses and bytes', async () => {
      load('types/lpm_trie');
      const trie = at('lpm_trie_map');
      await printed(['map', 'set', trie, '10.0.0.0/8', '0x10']);
      await printed(['map', 'set', trie, '10.1.0.0/16', '17']);
      expect(await printed(['map', 'get', trie, '10.1.2.3', '--json'])).toBe(
        '{"key":"10.1.2.3/32","value":17}\n',
      );
      using map = LpmTrie.openPinned(trie, undefined, here());
      expect(map.get('10.9.9.9')).toBe(16);
      await printed(['map', 'delete', trie, '10.0.0.0/8', '"10.1.0.0/16"']);
      expect(map.count()).toBe(0);
      using names = HashMap.create({ ...here(), key: text(8), value: u16, maxEntries: 4 });
      names.pin(at('names'));
      const types = ['--key-type', 'text:8', '--value-type', 'i16'];
      await printed(['map', 'set', at('names'), 'eth0', '-2', ...types]);
      expect(names.snapshot()).toEqual([['eth0', 0xfffe]]);
      expect(await printed(['map', 'dump', at('names'), ...types])).toBe('"eth0": -2\n');
    });

    it('delete says which keys were not there, and removes the others', async () => {
      using map = HashMap.create({ ...here(), key: u32, value: u32, maxEntries: 8 });
      map.pin(at('numbers'));
      map.set(1, 1).set(2, 2).set(3, 3);
      const types = ['--key-type', 'u32'];
      await fails(2, 'KEY: expected u32', 'delete', at('numbers'), '1', '-1', ...types);
      expect(map.count()).toBe(3);
      await fails(
        1,
        'has no entry with the key 8, 9\n',
        'delete',
        at('numbers'),
        '1',
        '8',
        '2',
        '9',
        ...types,
      );
      expect([...map.keys()]).toEqual([3]);
      await fails(2, 'KEY: expected 4 bytes, as "0x" and 8 hex', 'delete', at('numbers'), '"3"');
      map.freeze();
      await fails(1, /EPERM \(the map is frozen/, 'delete', at('numbers'), '3', ...types);
    });

    it('work on values for each CPU', async () => {
      load('types/percpu_hash');
      const path = at('percpu_hash_map');
      using map = PerCpuHashMap.openPinned(path, undefined, here()) as PerCpuHashMap<
        number,
        bigint
      >;
      const cpus = map.kernel.possibleCpus();
      await printed(['map', 'set', path, '7', '5', '--all-cpus']);
      expect([...map.get(7)!]).toEqual(new Array(cpus).fill(5n));
      const values = Array.from({ length: cpus }, (_, cpu) => cpu + 10);
      await printed(['map', 'set', path, '7', JSON.stringify(values)]);
      expect(await printed(['map', 'get', path, '7'])).toBe(`${JSON.stringify(values)}\n`);
      await fails(
        2,
        `VALUE: expected one value for each of ${cpus} CPUs, got 0`,
        'set',
        path,
        '7',
        '[]',
      );
      await fails(2, 'VALUE: expected u64', 'set', path, '7', 'much', '--all-cpus');
      using plain = HashMap.create({ ...here(), key: u32, value: u32, maxEntries: 1 });
      plain.pin(at('plain'));
      await fails(
        2,
        'has no values for each CPU',
        'set',
        at('plain'),
        '0x00000000',
        '1',
        '--all-cpus',
      );
    });

    it('work on what has no keys: queues and filters', async () => {
      using queue = Queue.create({ ...here(), value: u32, maxEntries: 2 });
      using filter = BloomFilter.create({ ...here(), value: u32, maxEntries: 2 });
      queue.pin(at('queue'));
      filter.pin(at('filter'));
      const types = ['--value-type', 'u32'];
      await fails(1, / is empty\n$/, 'get', at('queue'));
      await printed(['map', 'set', at('queue'), '5', ...types]);
      await printed(['map', 'set', at('queue'), '6', ...types]);
      expect(await printed(['map', 'get', at('queue'), ...types])).toBe('5\n');
      expect([queue.pop(), queue.pop()]).toEqual([5, 6]);
      await printed(['map', 'set', at('filter'), '5', ...types]);
      expect([filter.has(5), filter.has(6)]).toEqual([true, false]);
      expect(await printed(['map', 'get', at('filter'), '5', ...types])).toBe('true\n');
      expect(await printed(['map', 'get', at('filter'), '6', ...types])).toBe('false\n');
      await fails(1, 'has no keys, so none can be deleted', 'delete', at('queue'), '5');
    });

    it('take maps for the values of maps of maps', async () => {
      using inner = HashMap.create({
        ...here(),
        key: u32,
        value: u64,
        maxEntries: 4,
        name: 'inner',
      });
      using outer = HashOfMaps.create({
        ...here(),
        key: u32,
        inner: { kind: HashMap, key: u32, value: u64, maxEntries: 4 },
        maxEntries: 4,
      });
      using other = HashMap.create({
        ...here(),
        key: u32,
        value: u32,
        maxEntries: 4,
        name: 'other',
      });
      inner.set(1, 2n).pin(at('inner'));
      outer.pin(at('outer'));
      const types = ['--key-type', 'u32'];
      const { id } = inner.info();
      await printed(['map', 'set', at('outer'), '7', at('inner'), ...types]);
      await printed(['map', 'set', at('outer'), '8', 'id', `${id}`, ...types, '--mode', 'noexist']);
      expect(new Map(outer.ids())).toEqual(
        new Map([
          [7, id],
          [8, id],
        ]),
      );
      const [one, two] = ['"0x01000000"', '"0x0200000000000000"'];
      expect(await printed(['map', 'get', at('outer'), '7', ...types])).toBe(
        `map ${id} (hash "inner")\n  ${one}: ${two}\n`,
      );
      const json = JSON.parse(await printed(['map', 'get', at('outer'), '7', '--json', ...types]));
      expect(json).toEqual({
        key: 7,
        value: {
          ...{ id, type: 'hash', name: 'inner' },
          entries: [{ key: '0x01000000', value: '0x0200000000000000' }],
        },
      });
      await printed(['map', 'delete', at('outer'), '7', ...types]);
      expect([...outer.keys()]).toEqual([8]);
      await fails(
        1,
        /wanted 8, found 4 .*INNER_MISMATCH/,
        'set',
        at('outer'),
        '7',
        `id:${other.info().id}`,
        ...types,
      );
      await fails(
        2,
        'the values of a map of maps are maps',
        'dump',
        at('outer'),
        '--value-type',
        'u64',
      );
      await fails(1, 'has no entry with the key 7', 'get', at('outer'), '7', ...types);
      await fails(
        1,
        /^skep: \/sys\/fs\/bpf\/.*\/nothing: .* \(nothing is pinned there\)/,
        'set',
        at('outer'),
        '7',
        at('nothing'),
        ...types,
      );
    });

    const unreadable: readonly (readonly [type: string, command: string, words: string])[] = [
      ['prog_array', 'set', 'its values go in as file descriptors'],
      ['ringbuf', 'get', 'it is a ring buffer: its records are consumed'],
    ];
    const ofLinux: typeof unreadable = [
      ['stack_trace', 'set', 'only programs put stacks into it'],
      ['sk_storage', 'get', 'it is storage of sockets'],
    ];
    it.each(place.runsOn === 'linux' ? [...unreadable, ...ofLinux] : unreadable)(
      'say of type %s why %s cannot be',
      async (type, command, words) => {
        load(`types/${type}`);
        await fails(
          1,
          `cannot be ${command === 'set' ? 'set' : 'read'}: ${words}`,
          command,
          at(`${type}_map`),
          '0',
          '0',
        );
      },
    );

    it('find a map by its name, if it is the only one', async () => {
      const name = `only_${process.pid}`.slice(0, 15);
      using map = HashMap.create({ ...here(), key: u32, value: u32, maxEntries: 1, name });
      map.set(1, 2);
      const types = ['--key-type', 'u32', '--value-type', 'u32'];
      expect(await printed(['map', 'get', `name:${name}`, '1', ...types])).toBe('2\n');
      expect(await printed(['map', 'dump', 'name', name, ...types])).toBe('1: 2\n');
      using twin = HashMap.create({ ...here(), key: u32, value: u32, maxEntries: 1, name });
      const ids = `id:${map.info().id}, id:${twin.info().id}`;
      await fails(
        1,
        `2 maps are called "${name}"; say which by ${ids}`,
        'get',
        `name:${name}`,
        '1',
      );
      await fails(1, 'no map is called "no_such_map"', 'show', 'name:no_such_map');
    });
  });

  describe('watch', () => {
    const object = ['--object', 'fixtures/run/ring.bpf.o'];
    // Programs are loaded by bpftool.
    const hasProducer = place.runsOn === 'memory' || place.hasBpftool;

    it.skipIf(!hasProducer)('prints what the first example of its help says it does', async () => {
      const help = await printed(['map', 'watch', '--help']);
      const [, example] = /Examples:\n *skep (.*)\n/.exec(help) ?? [];
      const words = example!.split(' ').map((word) => {
        return word === 'demo.bpf.o' ? fixturePath('objects/demo.bpf.o') : word;
      });
      expect(words.slice(0, 3)).toEqual(['map', 'watch', '/sys/fs/bpf/demo/events']);
      load('demo');
      const producer = ringProducer(place, at('events'));
      expect(producer.produce({ count: 1, first: 0x0100_007f, tag: 0 })).toBe(1);
      producer.close();
      words[2] = at('events');
      expect(JSON.parse(await printed([...words, '--count', '1']))).toMatchObject({
        source: '0x7f000001',
        destination_port: 0,
      });
    });

    it.skipIf(!hasProducer)('prints records that wait, by the types of the object', async () => {
      loadRing(here().kernel, place.directory);
      const producer = ringProducer(place, at('events'));
      expect(producer.produce({ count: 5, first: 100, tag: 9 })).toBe(5);
      producer.close();
      const lines = (
        await printed(['map', 'watch', at('events'), '--count', '2', ...object])
      ).split('\n');
      expect(JSON.parse(lines[0]!)).toEqual({
        ...{ number: 100, tag: 9, half: 0, payload: expect.stringMatching(/^0x/) },
      });
      expect(lines).toHaveLength(3);
      const named = await printed([
        ...['map', 'watch', at('events'), '--count', '1', ...object, '--type', 'struct event'],
      ]);
      expect(JSON.parse(named)).toMatchObject({ number: 102 });
      const bare = await printed(['map', 'watch', at('events'), '--count', '1']);
      expect(JSON.parse(bare)).toMatch(/^0x67000000000000000900000001000000/);
      const word = ['--value-type', 'u64'];
      expect(await printed(['map', 'watch', at('events'), '--count', '1', ...word])).toBe('104\n');
      await fails(2, 'did you mean "event"?', 'watch', at('events'), ...object, '--type', 'evnt');
      await fails(2, 'give --object FILE as well', 'watch', at('events'), '--type', 'event');
    });

    it('refuses maps that have no records', async () => {
      load('types/hash');
      await fails(1, 'is a hash, which has no records to wait for', 'watch', at('hash_map'));
    });
  });
});

describeKernel('skep map watch in a process of its own', () => {
  const pins = pinDirectory();
  const at = (name: string) => `${pins.path}/${name}`;

  it.skipIf(!hasBpftool)('waits for records until it is interrupted', async () => {
    loadRing(linuxKernel(), pins.path);
    const producer = ringProducer({ kernel: linuxKernel() }, at('events'));
    const child = spawn(
      process.execPath,
      [MAIN, 'map', 'watch', at('events'), '--value-type', 'u64'],
      { cwd: ROOT },
    );
    let printed = '';
    child.stdout.on('data', (data) => {
      printed += data;
    });
    for (const first of [0, 1000]) {
      expect(producer.produce({ count: 500, first })).toBe(500);
      while (printed.split('\n').length - 1 < (first === 0 ? 500 : 1000)) {
        await once(child.stdout, 'data');
      }
    }
    producer.close();
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([0, null]);
    const expected = [0, 1000].flatMap((first) =>
      Array.from({ length: 500 }, (_, index) => first + index),
    );
    expect(printed.trim().split('\n').map(Number)).toEqual(expected);
  });

  it.skipIf(!hasBpftool)('prints the records of a perf event array', async () => {
    const perf = ObjectFile.open(fixturePath('run/perf.bpf.o'));
    loadObject(perf, { pinDirectory: pins.path, pinAll: true }).close();
    using program = loadProgram('perf', pins.path, { events: at('events') });
    const args = [MAIN, 'map', 'watch', at('events'), '--count', '2'];
    const child = spawn(
      process.execPath,
      [...args, '--object', 'fixtures/run/perf.bpf.o', '--type', 'event'],
      { cwd: ROOT },
    );
    let printed = '';
    child.stdout.on('data', (data) => {
      printed += data;
    });
    const ended = once(child, 'exit');
    // It does not say when it is there; what comes before is lost.
    const packet = new DataView(new ArrayBuffer(64));
    packet.setUint16(14, 1, true);
    let number = 0;
    const timer = setInterval(() => {
      number += 1;
      packet.setBigUint64(16, BigInt(number), true);
      program.run({ packet: new Uint8Array(packet.buffer) });
    }, 20);
    expect(await ended).toEqual([0, null]);
    clearInterval(timer);
    const records = printed
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(records).toHaveLength(2);
    expect(records[1].number).toBe(records[0].number + 1);
  });
});

/** Pins the ring buffer of fixtures/run/ring.bpf.c. */
function loadRing(kernel: Kernel, pinDirectory: string): void {
  const object = ObjectFile.open(fixturePath('run/ring.bpf.o'));
  loadObject(object, { kernel, pinDirectory, pinAll: true }).close();
}
