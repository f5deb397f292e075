/** Loading programs: handles, pins, types by option, what of a load is undone. Against bpftool. */

import { readdirSync } from 'node:fs';
import { expect, it } from 'vitest';
import { hasCode, SkepError, SyscallError } from '../../src/errors.ts';
import { openKernelBtf } from '../../src/kernel/kernel-btf.ts';
import { load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { HashMap } from '../../src/maps/hash-map.ts';
import { ProgramArray } from '../../src/maps/program-array.ts';
import { Program } from '../../src/programs/program.ts';
import { fixturePath, openFixture } from '../support/fixtures.ts';
import { describeKernel, isLinux, pinDirectory } from '../support/kernel.ts';
import { output } from '../support/programs.ts';

const openRun = (name: string) => ObjectFile.open(fixturePath(`run/${name}.bpf.o`));
const PACKET = new Uint8Array(64);
/**
 * Sections whose programs are for what no kernel has (`example_function`), return what theirs may not,
 * or need more than 6.18: sleepable tracepoints, targets by pattern, infrared.
 */
const NOT_ANYWHERE =
  /example_function|example_\*|^freplace|^lsm|^struct_ops|^lirc|^(raw_)?(tp|tracepoint)(_btf)?\.s|recvmsg|getpeername|getsockname/;

/** The first versions of Linux with programs of some sections, which came after 6.1. */
const SINCE: readonly (readonly [RegExp, string])[] = [
  [/^netfilter/, '6.4'],
  [/^u(ret)?probe\.multi/, '6.6'],
  [/^tcx|^tc\/(in|e)gress/, '6.6'],
  [/^netkit/, '6.7'],
  [/_unix$/, '6.7'],
  [/^kprobe\.session/, '6.10'],
  [/^uprobe\.session/, '6.13'],
];

function isNewer(section: string): boolean {
  return SINCE.some(([pattern, since]) => pattern.test(section) && !isLinux(since));
}

describeKernel('a handle of a program', () => {
  const pins = pinDirectory();

  it('says what bpftool says', () => {
    using app = load(openRun('packets'));
    const { id, tag, typeName, name, gplCompatible, mapIds } = app.program('answer').info();
    expect({
      id,
      tag,
      type: typeName,
      name,
      gpl_compatible: gplCompatible,
      map_ids: mapIds,
    }).toEqual(expect.objectContaining({ type: 'xdp', name: 'answer' }));
    const shown = JSON.parse(output('bpftool', 'prog', 'show', 'id', `${id}`, '-j'));
    expect(shown).toMatchObject({
      id,
      tag,
      type: typeName,
      name,
      gpl_compatible: gplCompatible,
      map_ids: mapIds,
    });
    expect(mapIds).toContain(app.map('counts', HashMap).info().id);
  });

  it('gives the code, with the functions and lines of source that the object tells of', () => {
    using app = load(openRun('packets'));
    const { instructions, functionInfo, lineInfo } = app.program('answer').code();
    expect(instructions.length * 8).toBe(app.program('answer').info().translatedBytes);
    expect(functionInfo!.count).toBe(1);
    expect(lineInfo!.count).toBeGreaterThan(10);
    const listing = output(
      'bpftool',
      'prog',
      'dump',
      'xlated',
      'id',
      `${app.program('answer').info().id}`,
    );
    expect(listing).toMatch(/int answer\(struct xdp_md ?\* ?context\)/);
    expect(listing).toMatch(/; if \(end - data > limit\)/);
  });

  it('pins, is opened from the pin and by id, and unpins', () => {
    using app = load(openRun('packets'));
    const program = app.program('answer');
    const path = `${pins.path}/made/answer`;
    program.pin(path);
    expect(program.pinPath).toBe(path);
    using pinned = Program.openPinned(path);
    using byId = Program.openById(program.info().id);
    expect([pinned.info().id, byId.info().id]).toEqual([program.info().id, program.info().id]);
    expect(pinned.run({ data: PACKET }).returnValue).toBe(2);
    expect(byId.name).toBe('answer');
    expect(() => byId.run({ data: PACKET, context: { data_end: 64 } })).toThrow(/give its bytes/);
    using other = load(openRun('packets'));
    expect(() => other.program('answer').unpin(path)).toThrow(/another program/);
    expect(program.unpin()).toBe(true);
    expect(program.unpin(path)).toBe(false);
    expect(readdirSync(`${pins.path}/made`)).toEqual([]);
  });

  it('is closed with the object, and says so when it is used', () => {
    const app = load(openRun('packets'));
    const program = app.program('answer');
    app.close();
    expect(program.closed).toBe(true);
    for (const use of [
      () => program.fd,
      () => program.info(),
      () => program.run(),
      () => program.code(),
      () => program.pin('/sys/fs/bpf/x'),
      () => program.unpin(),
    ]) {
      expect(use).toThrow(SkepError);
      expect(use).toThrow('program "answer" is closed');
    }
    expect(() => app.program('answers')).toThrow(/no program "answers"/);
  });
});

describeKernel('a load of programs', () => {
  const pins = pinDirectory();

  it('pins all of them, or those that the options name', () => {
    const directory = `${pins.path}/programs`;
    load(openRun('packets'), {
      pinPrograms: directory,
      programs: { mark: { pin: false }, lengthen: { pin: `${pins.path}/longer` } },
    }).close();
    expect(readdirSync(directory)).toEqual(['answer']);
    using program = Program.openPinned(`${pins.path}/longer`);
    expect(program.info().name).toBe('lengthen');
  });

  it('that fails leaves neither programs nor pins, and program arrays as they were', () => {
    using before = load(openRun('stages'), { pinDirectory: pins.path, pinAll: true });
    const stages = before.map('stages', ProgramArray);
    const ids = stages.snapshot();
    const blocked = `${pins.path}/blocked`;
    before.program('ten').pin(blocked);
    const names = readdirSync(pins.path).sort();
    expect(() =>
      load(openRun('stages'), {
        pinDirectory: pins.path,
        pinAll: true,
        maps: { stages: { slots: { 1: 'twenty', 3: 'ten' } } },
        programs: { ten: { pin: `${pins.path}/fine` }, enter: { pin: blocked } },
      }),
    ).toThrow(/EEXIST/);
    expect(stages.snapshot()).toEqual(ids);
    expect(readdirSync(pins.path).sort()).toEqual(names);
  });

  it('puts its programs into an array that was pinned before', () => {
    using before = load(openRun('stages'), { pinDirectory: pins.path, pinAll: true });
    using after = load(openRun('stages'), { pinDirectory: pins.path, pinAll: true });
    const stages = before.map('stages', ProgramArray);
    expect(stages.get(0)).toBe(after.program('ten').info().id);
  });

  it('leaves out what waits to be asked for, and lists it', () => {
    using app = load(openFixture('programs/optional'), {
      programs: { on_demand: { autoload: true } },
    });
    expect([...app.programs.keys()]).toEqual(['on_demand', 'always']);
    expect(app.omitted).toEqual([
      { program: 'on_demand_xdp', reason: expect.stringMatching(/"\?"/) },
      { program: 'on_demand_probe', reason: expect.stringMatching(/"\?"/) },
    ]);
    expect(() => app.program('on_demand_xdp')).toThrow(/was not loaded; loaded: on_demand, always/);
  });

  it('refuses a section that says no type, and takes the type from the options', () => {
    const object = openFixture('programs/unknown-section');
    let error: unknown;
    try {
      load(object);
    } catch (thrown) {
      error = thrown;
    }
    expect(hasCode(error, 'ERR_SKEP_LOAD')).toBe(true);
    expect((error as Error).message).toMatch(/section "no_such_kind".*programs\.unknown\.type/);
    const others = [...object.programs.keys()].map((name) => [name, { autoload: false }]);
    const programs = { ...Object.fromEntries(others), unknown: { type: 'socket_filter' } };
    using app = load(object, { programs });
    expect(app.program('unknown').info().typeName).toBe('socket_filter');
  });

  it('takes attach type and flags from section and options', () => {
    using app = load(openRun('packets'), {
      programs: { answer: { attachType: 'xdp_devmap' }, mark: { type: 'xdp', autoload: false } },
    });
    // A program for device maps cannot be attached, so it cannot be run either.
    expect(() => app.program('answer').run({ data: PACKET })).toThrow(SyscallError);
    expect([...app.programs.keys()]).toEqual(['answer', 'lengthen']);
  });

  it('loads programs of every section that this kernel has', () => {
    const object = openFixture('programs/every-section');
    const programs = Object.fromEntries(
      [...object.programs.values()].map(({ name, section }) => [
        name,
        { autoload: !NOT_ANYWHERE.test(section) && !isNewer(section) },
      ]),
    );
    using app = load(object, { programs });
    expect(app.programs.size).toBeGreaterThan(isLinux('6.13') ? 75 : 50);
    for (const [name, program] of app.programs) {
      const { type, typeNumber } = object.programs.get(name)!;
      const info = program.info();
      expect([name, info.typeName, info.type]).toEqual([name, type, typeNumber]);
    }
  });

  it('finds what programs are for in the types of the kernel', () => {
    const programs = { on_switch: { autoload: true }, each_task: { autoload: true } };
    using app = load(openRun('replacing'), { programs });
    const kernel = openKernelBtf();
    const target = (name: string) => kernel.nameOf(app.program(name).info().attachTypeId);
    expect([target('on_switch'), target('each_task')]).toEqual([
      'btf_trace_sched_switch',
      'bpf_iter_task',
    ]);
  });

  it('finds what they are for in another program, which the options give', () => {
    using app = load(openRun('replacing'));
    const ask = app.program('ask');
    expect(ask.run({ data: PACKET }).returnValue).toBe(2);
    for (const options of [
      { other_answer: { autoload: true, attachProgram: ask } },
      { on_ask: { autoload: true, attachTo: 'ask', attachProgram: ask } },
    ]) {
      const programs = { ask: { autoload: false }, ...options };
      try {
        using other = load(openRun('replacing'), { programs });
        const [program] = other.programs.values();
        expect(program!.info().attachBtfObjectId).toBe(ask.info().btfId);
      } catch (error) {
        // A kernel that is locked down takes neither, and says nothing else.
        expect((error as SyscallError).message).toMatch(/EPERM.*locked down/);
      }
    }
    const programs = { on_ask: { autoload: true, attachTo: 'asks', attachProgram: ask } };
    expect(() => load(openRun('replacing'), { programs })).toThrow(/program "ask" .* has .*answer/);
  });

  it('gives programs to program arrays of their own kind alone, and says so', () => {
    const object = openRun('stages');
    const programs = { ten: { type: 'xdp', attachType: 'xdp' } } as const;
    expect(() => load(object, { programs })).toThrow(
      /^slot 0 of map "stages", program "ten": BPF_MAP_UPDATE_ELEM failed with EINVAL \(.*one type\)/,
    );
  });
});
