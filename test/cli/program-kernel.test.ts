/** `skep program list|show|dump|pin|unpin`: programs of the running kernel, next to what bpftool says. */

import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ListedProgram, ShownProgram } from '../../src/cli/kernel-program.ts';
import { load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import { MemoryKernel } from '../../src/testing.ts';
import { BPF_PROG_TYPE } from '../../src/uapi/program-types.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { bpftool, hasProgram, output } from '../support/programs.ts';
import { printed, runHere } from './in-process.ts';
import { ROOT } from './skep.ts';

/** What bpftool prints of a program. */
interface BpftoolProgram {
  readonly id: number;
  readonly type: string;
  readonly name?: string;
  readonly tag: string;
  readonly gpl_compatible: boolean;
  readonly loaded_at: number;
  readonly uid: number;
  readonly bytes_xlated: number;
  readonly bytes_jited: number;
  readonly map_ids?: readonly number[];
  readonly btf_id?: number;
}

/** A line of a dump: position and text. */
type Line = readonly [slot: number, text: string];

/** Instructions in the output of bpftool, less what it has in front of names of the program's functions. */
function bpftoolLines(text: string): Line[] {
  return Array.from(text.matchAll(/^ *(\d+): \([\da-f]{2}\) (.*)$/gm), ([, slot, rest]) => [
    Number(slot),
    rest!.replace(/#bpf_prog_[\da-f]{16}_/, '#'),
  ]);
}

/** Instructions in our output, less the names of functions that are pointed at, which bpftool has not. */
function ourLines(text: string): Line[] {
  return Array.from(text.matchAll(/^ *(\d+): (.*)$/gm), ([, slot, rest]) => [
    Number(slot),
    rest!.replace(/(subprog\[[+-]\d+\])#\w+$/, '$1'),
  ]);
}

/** Options that leave out all programs of an object but one. */
function only(object: string, name: string): NonNullable<LoadOptions['programs']> {
  const { programs } = ObjectFile.open(`${ROOT}/fixtures/${object}.bpf.o`);
  return Object.fromEntries(
    Array.from(programs.keys(), (each) => [each, { autoload: each === name }]),
  );
}

/** Source in the output of bpftool and in ours, without the place. */
function sourceLines(text: string): string[] {
  return Array.from(text.matchAll(/^; (.*)$/gm), ([, line]) =>
    line!.replace(/ \([^()]*\.bpf\.[ch]:\d+\)$/, '').trim(),
  );
}

describeKernel('skep program', () => {
  const pins = pinDirectory();

  /** Loads an object of fixtures/ and pins its programs in the directory of this test. */
  function loadPinned(object: string, options: LoadOptions = {}): void {
    const file = ObjectFile.open(`${ROOT}/fixtures/${object}.bpf.o`);
    const maps = Object.fromEntries(
      [...file.maps.keys()].map((name) => [name, { pin: false as const }]),
    );
    load(file, { maps, pinPrograms: pins.path, ...options }).close();
  }

  async function show(...words: string[]): Promise<ShownProgram> {
    const document = JSON.parse(await printed(['program', 'show', '--json', ...words]));
    expect(Object.keys(document)).toEqual(['format', 'program']);
    return document.program;
  }

  describe('show', () => {
    it.skipIf(!hasProgram('bpftool')).each([
      ['objects/demo', 'count_packets'],
      ['run/packets', 'mark'],
      ['objects/programs/linking', 'first'],
      ['objects/programs/license-none', 'nothing'],
      ['objects/programs/core', 'read_parent'],
    ])('--json says of %s, program %s, what bpftool says', async (object, name) => {
      loadPinned(object);
      const path = `${pins.path}/${name}`;
      const expected = bpftool<BpftoolProgram>('prog', 'show', 'pinned', path);
      const shown = await show(path);
      expect(shown).toMatchObject({
        id: expected.id,
        type: expected.type,
        name: expected.name,
        tag: expected.tag,
        gplCompatible: expected.gpl_compatible,
        userId: expected.uid,
        translatedBytes: expected.bytes_xlated,
        jitedBytes: expected.bytes_jited,
        mapIds: expected.map_ids ?? [],
        btfId: expected.btf_id ?? 0,
        pinPath: path,
        target: null,
      });
      // Both reckon from the time since boot, and round.
      const seconds = Date.parse(shown.loadedAt) / 1000;
      expect(Math.abs(seconds - expected.loaded_at)).toBeLessThanOrEqual(2);
    });

    it('names the maps that a program uses', async () => {
      loadPinned('run/packets');
      const { maps, mapIds } = await show(`${pins.path}/answer`);
      expect(maps.map(({ id }) => id)).toEqual(mapIds);
      expect(maps).toContainEqual({ id: expect.any(Number), type: 'hash', name: 'counts' });
      const text = await printed(['program', 'show', `${pins.path}/answer`]);
      expect(text).toMatch(/^maps +.*\bcounts \(hash, id \d+\)/m);
    });

    // As enum bpf_attach_type and the kernel's BTF have them: a tracepoint by its typedef.
    it.each([
      ['on_tp_btf', 'btf_trace_sched_switch'],
      ['on_iter', 'bpf_iter_task'],
    ])('names what a program was loaded for: %s', async (name, target) => {
      const object = 'objects/programs/every-section';
      loadPinned(object, { programs: only(object, name) });
      const shown = await show(`${pins.path}/${name}`);
      expect(shown.target).toMatchObject({ of: 'vmlinux', name: target });
      expect(await printed(['program', 'show', `${pins.path}/${name}`])).toMatch(
        new RegExp(`^target +${target}$`, 'm'),
      );
    });

    it.skipIf(!hasProgram('bpftool'))(
      'has names whole, of which the kernel keeps 15 characters',
      async () => {
        const name = 'on_sk_reuseport_migrate';
        const object = 'objects/programs/every-section';
        loadPinned(object, { programs: only(object, name) });
        const path = `${pins.path}/${name}`;
        const shown = await show(path);
        expect(shown.name).toBe(name);
        expect(shown.name).toBe(bpftool<BpftoolProgram>('prog', 'show', 'pinned', path).name);
        for (const word of [name, name.slice(0, 15)]) {
          expect((await show(`name:${word}`)).id).toBe(shown.id);
        }
      },
    );

    it('finds a program by id and by name, in one word or two', async () => {
      loadPinned('run/packets');
      const { id, name } = await show(`${pins.path}/lengthen`);
      for (const words of [[`id:${id}`], ['id', `0x${id.toString(16)}`]]) {
        expect(await show(...words)).toMatchObject({ id, name, pinPath: null });
      }
      const found = await runHere(['program', 'show', '--json', `name:${name}`]);
      // Others may have one of that name at the same time.
      expect(found.stdout + found.stderr).toContain(`${id}`);
    });
  });

  describe('list', () => {
    it('has every program, with what show says', async () => {
      loadPinned('objects/demo');
      const shown = await show(`${pins.path}/count_packets`);
      const { programs } = JSON.parse(await printed(['program', 'list', '--json'])) as {
        programs: ListedProgram[];
      };
      const listed = programs.find(({ id }) => id === shown.id);
      expect(shown).toMatchObject({ ...listed, loadedAt: expect.any(String) });
      const ids = programs.map(({ id }) => id);
      expect(ids).toEqual([...ids].sort((a, b) => a - b));
    });

    it('is a table for people', async () => {
      loadPinned('objects/demo');
      const { id, tag } = await show(`${pins.path}/count_packets`);
      const text = await printed(['program', 'list']);
      expect(text).toMatch(/^ +ID {2}TYPE +NAME +TAG +LOADED AT/);
      expect(text).toMatch(new RegExp(`^ *${id} {2}xdp +count_packets +${tag} `, 'm'));
    });
  });

  describe('dump', () => {
    it.skipIf(!hasProgram('bpftool')).each([
      ['objects/demo', 'count_packets'],
      ['run/packets', 'answer'],
      ['run/stages', 'enter'],
      ['objects/programs/linking', 'first'],
      ['objects/programs/subprograms', 'caller'],
      ['objects/programs/core', 'read_parent'],
    ])(
      'prints of %s, program %s, the instructions and source that bpftool prints',
      async (object, name) => {
        loadPinned(object);
        const path = `${pins.path}/${name}`;
        const expected = output('bpftool', 'prog', 'dump', 'xlated', 'pinned', path);
        const dumped = await printed(['program', 'dump', path]);
        expect(ourLines(dumped)).toEqual(bpftoolLines(expected));
        expect(ourLines(dumped).length).toBeGreaterThan(1);
        expect(sourceLines(dumped)).toEqual(sourceLines(expected));
      },
    );

    it('names the functions of a program where they start and where they are called', async () => {
      loadPinned('objects/demo');
      const dumped = await printed(['program', 'dump', `${pins.path}/count_packets`]);
      expect(dumped).toMatch(/^count_packets \(xdp, id \d+, tag [\da-f]{16}\):\n/);
      expect(dumped).toMatch(/^report:\n/m);
      expect(dumped).toMatch(/: call pc\+\d+#report$/m);
      const bare = await printed(['program', 'dump', '--no-source', `${pins.path}/count_packets`]);
      expect(bare).not.toContain(';');
    });

    it('prints the same as JSON', async () => {
      loadPinned('objects/demo');
      const path = `${pins.path}/count_packets`;
      const { format, programs } = JSON.parse(await printed(['program', 'dump', '--json', path]));
      expect({ format, programs }).toMatchObject({
        format: 1,
        programs: [{ id: expect.any(Number), name: 'count_packets', type: 'xdp' }],
      });
      const lines = programs[0].instructions.map(
        ({ slot, text }: { slot: number; text: string }) => [slot, text],
      );
      expect(lines).toEqual(ourLines(await printed(['program', 'dump', path])));
    });
  });

  describe('pin and unpin', () => {
    it('give a program one more pin, and take it away', async () => {
      loadPinned('objects/demo');
      const first = `${pins.path}/count_packets`;
      const second = `${pins.path}/deep/er`;
      const { id } = await show(first);
      expect(await printed(['program', 'pin', first, second])).toBe(
        `pinned "count_packets" (xdp, id ${id}) at ${second}\n`,
      );
      expect((await show(second)).id).toBe(id);
      expect(await printed(['program', 'unpin', second])).toBe(
        `unpinned "count_packets" (xdp, id ${id}) from ${second}\n`,
      );
      expect(existsSync(second)).toBe(false);
    });

    it('leave the pins of maps alone', async () => {
      await runHere(['load', 'fixtures/objects/demo.bpf.o', '--maps-only', '--pin-dir', pins.path]);
      const refused = await runHere(['program', 'unpin', `${pins.path}/flows`]);
      expect(refused).toMatchObject({ status: 1, stdout: '' });
      expect(refused.stderr).toMatch(/EINVAL .*\[ERR_SKEP_SYSCALL\]\n$/);
      expect(existsSync(`${pins.path}/flows`)).toBe(true);
    });
  });
});

describe('skep program on the kernel in this process', () => {
  it('shows and pins its programs', async () => {
    const kernel = new MemoryKernel();
    kernel.createProgram(BPF_PROG_TYPE.XDP, 'entry');
    await printed(['program', 'pin', 'name:entry', '/sys/fs/bpf/skep-entry'], kernel);
    const shown = JSON.parse(
      await printed(['program', 'show', '--json', '/sys/fs/bpf/skep-entry'], kernel),
    );
    expect(shown.program).toMatchObject({ name: 'entry', type: 'xdp', maps: [] });
    expect(Math.abs(Date.parse(shown.program.loadedAt) - Date.now())).toBeLessThan(10_000);
    expect(await printed(['program', 'dump', '/sys/fs/bpf/skep-entry'], kernel)).toBe(
      `entry (xdp, id ${shown.program.id}, tag ${shown.program.tag}):\n    0: r0 = 0\n    1: exit\n`,
    );
    expect(await printed(['program', 'list'], kernel)).toMatch(/\bentry\b/);
  });

  it('finds none in one of its own, and says why', async () => {
    const { status, stdout, stderr } = await runHere(['program', 'list', '--kernel', 'memory']);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'the kernel has no programs\n' });
    expect(stderr).toMatch(/^skep: the kernel in this process starts without programs, /);
  });

  it('does not guess between programs of one name', async () => {
    const kernel = new MemoryKernel();
    const ids = ['twin', 'twin'].map((name) => {
      const fd = kernel.createProgram(BPF_PROG_TYPE.XDP, name);
      return kernel.programInfo(fd).id;
    });
    expect(await runHere(['program', 'show', 'name:twin'], kernel)).toMatchObject({
      status: 1,
      stderr: `skep: 2 programs are called "twin"; say which by id:${ids.join(', id:')}\n`,
    });
    expect(await runHere(['program', 'show', 'name:nobody'], kernel)).toMatchObject({
      status: 1,
      stderr: 'skep: no program is called "nobody"\n',
    });
  });

  it.each([
    [
      ['show', 'id'],
      'expected PROGRAM, where PROGRAM is the path of a pin, id:N or name:NAME; got "id"',
    ],
    [['show', 'id:x'], '"x" is no id of a program; ids are numbers, as "program list" shows'],
    [
      ['pin', 'id:1'],
      'expected PROGRAM PATH, where PROGRAM is the path of a pin, id:N or name:NAME; got "id:1"',
    ],
    [
      ['dump', 'id:1', 'more'],
      'expected PROGRAM, where PROGRAM is the path of a pin, id:N or name:NAME; got "id:1 more"',
    ],
  ])('tells wrong usage: %j', async (words, message) => {
    expect(await runHere(['program', ...words], new MemoryKernel())).toEqual({
      status: 2,
      stdout: '',
      stderr: `skep: ${message}\n`,
    });
  });
});
