/** The loader and programs, on kernels in the process: steps, their order, what is refused beforehand. */

import { tmpdir } from 'node:os';
import { describe, expect, it, vi } from 'vitest';
import { SkepError } from '../../src/errors.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { load, plan } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import { describeStep } from '../../src/loader/steps.ts';
import { ProgramArray } from '../../src/maps/program-array.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import { Btf } from '../../src/obj/btf/btf.ts';
import { fixturePath, openFixture } from '../support/fixtures.ts';
import { ScriptedKernel } from '../support/scripted-kernel.ts';

const openRun = (name: string) => ObjectFile.open(fixturePath(`run/${name}.bpf.o`));
const PINS = '/sys/fs/bpf/app';

describe('the plan of a load', () => {
  it('has programs behind all maps, then the slots that they go into, then their pins', () => {
    const kernel = new MemoryKernel();
    const steps = plan(openRun('stages'), { kernel, pinPrograms: PINS }).steps.map(describeStep);
    expect(steps).toEqual([
      'load the BTF of the object',
      'create "stages": prog_array, key 4 bytes, value 4 bytes, 4 entries',
      'load program "ten": sched_cls',
      'load program "twenty": sched_cls',
      'load program "enter": sched_cls',
      'fill "stages": [0] = ten, [2] = twenty',
      `pin program "ten" at ${PINS}/ten`,
      `pin program "twenty" at ${PINS}/twenty`,
      `pin program "enter" at ${PINS}/enter`,
    ]);
    expect(kernel.openDescriptors()).toEqual([]);
  });

  it('has options of the kernel written and frozen before programs read them', () => {
    const steps = plan(openRun('options'), { kernel: new MemoryKernel() }).steps.map(describeStep);
    expect(steps.slice(-4)).toEqual([
      expect.stringMatching(/^create "\.kconfig"/),
      'write options of the kernel to ".kconfig"',
      'freeze ".kconfig"',
      'load program "read_options": socket_filter',
    ]);
  });

  it('has no step of a program if there are to be maps alone', () => {
    const { steps, omitted } = plan(openRun('stages'), {
      kernel: new MemoryKernel(),
      programs: false,
    });
    expect(steps.map(({ step }) => step)).toEqual(['create']);
    expect(omitted).toEqual([
      { map: 'stages', reason: expect.stringMatching(/when programs are/) },
    ]);
  });

  it.each<[string, LoadOptions, RegExp]>([
    [
      'a program that is not there',
      { programs: { tenn: {} } },
      /no program "tenn" \(did you mean "ten"\?\); it has ten,/,
    ],
    ['a program that is like none', { programs: { other: {} } }, /no program "other"; it has ten,/],
    ['a level of the log that there is not', { logLevel: 8 }, /logLevel/],
    ['half a level of the log', { logLevel: 1.5 }, /logLevel/],
    [
      'options of the kernel that nothing asks for',
      { kernelConfig: { CONFIG_HZ: 100 } },
      /kernelConfig: the object has no kernel option "CONFIG_HZ"; it has none/,
    ],
    ['an option that is not there', { programs: { ten: { load: true } } } as never, /load/],
    ['pins of programs that are not loaded', { programs: false, pinPrograms: PINS }, /not loaded/],
    [
      'slots of a map that is left out',
      { maps: { stages: { create: false, slots: {} } } },
      /slots/,
    ],
    ['a slot that is no number', { maps: { stages: { slots: { one: 'ten' } as never } } }, /slots/],
    ['types that are no types', { kernelBtf: 7 as never }, /kernelBtf/],
    [
      'a program of another kernel',
      { programs: { ten: { attachProgram: {} as never } } },
      /Program/,
    ],
  ])('is refused with %s', (_, options, message) => {
    const kernel = new MemoryKernel();
    expect(() => plan(openRun('stages'), { kernel, ...options })).toThrow(TypeError);
    expect(() => plan(openRun('stages'), { kernel, ...options })).toThrow(message);
  });

  it.each<[string, LoadOptions, RegExp]>([
    [
      'a slot for a program that is not loaded',
      { programs: { ten: { autoload: false } } },
      /slot 0 of map "stages" is to hold program "ten", which is not loaded.*slots: \{ 0: null \}/,
    ],
    ['a slot that there is not', { maps: { stages: { slots: { 4: 'ten' } } } }, /slot 4.*it has 4/],
    [
      'two things at one path',
      { programs: { ten: { pin: `${PINS}/stages` } }, pinAll: true, pinDirectory: PINS },
      /map "stages" and program "ten" cannot both be pinned/,
    ],
  ])('is refused for %s', (_, options, message) => {
    const kernel = new MemoryKernel();
    expect(() => plan(openRun('stages'), { kernel, ...options })).toThrow(message);
  });

  it.each<[string, LoadOptions['maps']]>([
    ['left out', { '.kconfig': { create: false } }],
    ['replaced', { '.kconfig': { replace: Object.create(RawMap.prototype) as RawMap } }],
  ])('refuses options of the kernel if their map is %s', (what, maps) => {
    const kernelConfig = { CONFIG_HZ: 100 };
    const options = { kernel: new MemoryKernel(), maps: maps!, kernelConfig };
    expect(() => plan(openRun('options'), options)).toThrow(
      new TypeError(
        `load options: kernelConfig cannot be given: the map of section ".kconfig" is ${what}`,
      ),
    );
  });

  it('tells of declared slots that the options leave as they are', () => {
    const maps = { stages: { slots: { 0: null, 1: null } } };
    const { steps, omitted } = plan(openRun('stages'), { kernel: new MemoryKernel(), maps });
    expect(steps.map(describeStep)).toContain('fill "stages": [2] = twenty');
    expect(omitted.filter((left) => 'map' in left)).toEqual([
      { map: 'stages', reason: 'slot 0 is left as it is, without program "ten"' },
    ]);
  });

  it('refuses slots with programs of a map that is no program array', () => {
    const maps = { counts: { slots: { 0: 'answer' } } };
    expect(() => plan(openRun('packets'), { kernel: new MemoryKernel(), maps })).toThrow(
      /map "counts" is no program array/,
    );
  });
});

describe('what a load looks at before it creates anything', () => {
  const untouched = (options: LoadOptions) => {
    const kernel = new ScriptedKernel();
    const create = vi.spyOn(kernel, 'createMap');
    expect(() => load(openRun('stages'), { kernel, ...options })).toThrow();
    expect(create).not.toHaveBeenCalled();
    expect(() => load(openRun('stages'), { kernel, ...options })).toThrow(SkepError);
    try {
      load(openRun('stages'), { kernel, ...options });
    } catch (error) {
      return error as SkepError;
    }
    throw new Error('it was loaded');
  };

  it('is whether there are types at the path of kernelBtf', () => {
    expect(untouched({ kernelBtf: tmpdir() })).toMatchObject({
      code: 'ERR_SKEP_FILE',
      message: `${tmpdir()} cannot be read (EISDIR): it is a directory; give a file with BTF`,
    });
    expect(untouched({ kernelBtf: '/absent/types' }).message).toMatch(/ENOENT.*no such file$/);
    expect(untouched({ kernelBtf: new Uint8Array(100) })).toMatchObject({ code: 'ERR_SKEP_BTF' });
  });

  it('is whether something is where a program is to be pinned', () => {
    const kernel = new MemoryKernel();
    load(openRun('stages'), { kernel, pinPrograms: PINS }).close();
    const verified = vi.spyOn(kernel, 'loadProgram');
    const before = kernel.openDescriptors();
    expect(() => load(openRun('stages'), { kernel, pinPrograms: PINS })).toThrow(
      expect.objectContaining({
        errnoName: 'EEXIST',
        message: expect.stringMatching(
          /^program "ten", pin \/sys\/fs\/bpf\/app\/ten: .*remove that pin, or choose another path/,
        ),
      }),
    );
    expect(verified).not.toHaveBeenCalled();
    expect(kernel.openDescriptors()).toEqual(before);
  });
});

describe('a load of programs', () => {
  it('gives the kernel instructions with descriptors of the maps of the load', () => {
    const kernel = new ScriptedKernel();
    using app = load(openRun('stages'), { kernel });
    const programs = kernel.calls.filter(([method]) => method === 'loadProgram');
    expect(programs.map(([, name]) => name)).toEqual(['ten', 'twenty', 'enter']);
    const { instructions } = programs[2]![2] as { instructions: Uint8Array };
    const view = new DataView(instructions.buffer, instructions.byteOffset);
    const found = Array.from({ length: instructions.length / 8 }, (_, slot) => slot).filter(
      (slot) => instructions[slot * 8] === 0x18,
    );
    expect(found).toHaveLength(1);
    // BPF_PSEUDO_MAP_FD in the source register.
    expect(instructions[found[0]! * 8 + 1]! >> 4).toBe(1);
    expect(view.getInt32(found[0]! * 8 + 4, true)).toBe(app.maps.get('stages')!.fd);
  });

  it('gives the kernel what describes the instructions, unless it takes no types', () => {
    const kernel = new ScriptedKernel();
    load(openRun('stages'), { kernel }).close();
    const refusing = new ScriptedKernel();
    refusing.fail = ([method]) => (method === 'loadBtf' ? 'EINVAL' : undefined);
    load(openRun('stages'), { kernel: refusing }).close();
    const given = (one: ScriptedKernel) =>
      one.calls
        .filter(([method]) => method === 'loadProgram')
        .map(([, , attributes]) => (attributes as { btf: object | null }).btf !== null);
    expect(given(kernel)).toEqual([true, true, true]);
    expect(given(refusing)).toEqual([false, false, false]);
  });

  it('reports each step, and what a program was loaded without', () => {
    const kernel = new ScriptedKernel();
    kernel.fail = ([method, , attributes]) =>
      method === 'loadProgram' && (attributes as { name: string }).name === 'enter'
        ? 'E2BIG'
        : undefined;
    const events: string[] = [];
    load(openRun('stages'), {
      kernel,
      onStep: ({ step, outcome, reason }) => events.push(`${step.step} ${outcome} ${reason ?? ''}`),
    }).close();
    expect(events.slice(-4)).toEqual([
      'load-program done ',
      'load-program done ',
      expect.stringMatching(/^load-program done loaded without its name: .*E2BIG/),
      'fill-programs done ',
    ]);
  });

  it('takes the types of a kernel from bytes, from a file, or read already', () => {
    const target = openFixture('programs/core').btf!;
    const bytes = ObjectFile.open(fixturePath('objects/programs/core.bpf.o')).elf;
    const section = bytes.sections.find(({ name }) => name === '.BTF')!;
    const kernel = new MemoryKernel();
    for (const kernelBtf of [target, bytes.data(section)]) {
      using app = load(openFixture('programs/core'), { kernel, kernelBtf });
      expect(app.program('read_parent').info().typeName).toBe('raw_tracepoint');
    }
    expect(() => load(openFixture('programs/core'), { kernel })).toThrow(/kernelBtf/);
    expect(() => load(openFixture('programs/core'), { kernel, kernelBtf: '/absent' })).toThrow(
      /absent/,
    );
    expect(target).toBeInstanceOf(Btf);
  });
});

describe('a program array', () => {
  it('takes programs of its own kernel alone', () => {
    using app = load(openRun('stages'), { kernel: new MemoryKernel() });
    using other = load(openRun('stages'), { kernel: new MemoryKernel() });
    const stages = app.map('stages', ProgramArray);
    expect(() => stages.set(1, other.program('ten'))).toThrow(/of another kernel/);
    stages.set(1, app.program('ten'));
    expect(stages.get(1)).toBe(app.program('ten').info().id);
  });
});
