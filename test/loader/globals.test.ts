/** Globals without a kernel: names, initial values, and kernels that cannot map memory. */

import { describe, expect, it } from 'vitest';
import { ValueError } from '../../src/codec/codec.ts';
import { describeUnknown, nameGlobals } from '../../src/loader/global-names.ts';
import { load, plan } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { RawMap } from '../../src/maps/raw-map.ts';
import type { DataSection, DataVariable } from '../../src/obj/data.ts';
import { fixturePath } from '../support/fixtures.ts';
import { ScriptedKernel } from '../support/scripted-kernel.ts';

const open = () => ObjectFile.open(fixturePath('run/globals.bpf.o'));

/** What a load would write to a section first. */
function planned(section: string, globals: Record<string, unknown>): Uint8Array | undefined {
  const { steps } = plan(open(), { kernel: new ScriptedKernel(), globals });
  const step = steps.find((each) => each.step === 'write' && each.map === section);
  return step?.step === 'write' ? step.contents : undefined;
}

function section(name: string, ...variables: [name: string, offset: number][]): DataSection {
  return {
    name,
    size: 64,
    readOnly: false,
    flags: 0,
    typeId: 0,
    contents: null,
    variables: variables.map(
      ([own, offset]): DataVariable => ({ name: own, type: null, typeId: 0, offset, size: 4 }),
    ),
  };
}

describe('names of globals', () => {
  it('are those of the variables, if each is the only one', () => {
    const { globals, shared } = nameGlobals([
      section('.data', ['a', 0], ['b.c', 4]),
      section('.bss', ['d', 0]),
    ]);
    expect([...globals.keys()]).toEqual(['a', 'b.c', 'd']);
    expect(shared.size).toBe(0);
  });

  it('have the section in front where several variables share one, and the offset behind', () => {
    const names = nameGlobals([
      section('.data', ['count', 0], ['last', 4], ['last', 8]),
      section('.bss', ['count', 16]),
    ]);
    expect([...names.globals].map(([name, { variable }]) => [name, variable.offset])).toEqual([
      ['.data:count', 0],
      ['.bss:count', 16],
      ['.data:last@4', 4],
      ['.data:last@8', 8],
    ]);
    expect(describeUnknown('count', names)).toBe(
      'there are several globals "count": .data:count, .bss:count',
    );
  });

  it('do not include options of the kernel', () => {
    expect(nameGlobals([section('.kconfig', ['LINUX_KERNEL_VERSION', 0])]).globals.size).toBe(0);
  });
});

describe('initial values', () => {
  it('replace those of the object in what is written first', () => {
    const before = open().data.get('.rodata')!.contents!;
    const after = planned('.rodata', { targets: [5, -6] })!;
    expect(new Int32Array(after.buffer, 4, 2)).toEqual(Int32Array.of(5, -6));
    expect([...after.subarray(0, 4)]).toEqual([...before.subarray(0, 4)]);
    expect([...after.subarray(12)]).toEqual([...before.subarray(12)]);
  });

  it('make a section written that would start with zeros', () => {
    expect(planned('.bss', {})).toBeUndefined();
    const bss = open().data.get('.bss')!;
    const contents = planned('.bss', { runs: 258 })!;
    const { offset } = bss.variables.find(({ name }) => name === 'runs')!;
    const expected = new Uint8Array(bss.size);
    expected.set([2, 1], offset);
    expect(contents).toEqual(expected);
  });

  it('leave the object as it is', () => {
    const object = open();
    const before = [...object.data.get('.data')!.contents!];
    load(object, { kernel: new ScriptedKernel(), globals: { letter: 1 } }).close();
    expect([...object.data.get('.data')!.contents!]).toEqual(before);
  });

  it('are checked before anything is asked of the kernel', () => {
    const kernel = new ScriptedKernel();
    const attempt = (globals: Record<string, unknown>) => () => load(open(), { kernel, globals });
    expect(attempt({ tresholt: 1 })).toThrow(
      /load options: globals: the object has no global "tresholt"; did you mean "threshold"\?/,
    );
    expect(attempt({ something_else: 1 })).toThrow(
      /no global "something_else"; it has threshold, /,
    );
    expect(attempt({ steps: [1, 2, 70_000] })).toThrow(/^globals\.steps\[2\]: expected u16/);
    expect(attempt({ config: { level: 1 } })).toThrow(/^globals\.config\.ports: missing/);
    expect(attempt({ threshold: undefined })).toThrow(ValueError);
    expect(attempt(7 as never)).toThrow(/globals: expected an object of values by name/);
    expect(kernel.calls).toEqual([]);
  });

  it('are refused for a section that is left out or replaced', () => {
    const kernel = new ScriptedKernel();
    const fd = kernel.createMap({
      type: 2,
      keySize: 4,
      valueSize: 24,
      maxEntries: 1,
      flags: 0x480,
      name: 'mine',
      numaNode: 0,
      mapExtra: 0n,
      innerMapFd: null,
      btf: null,
    });
    using mine = RawMap.adopt({ kernel, fd });
    const attempt = (map: { readonly create: false } | { readonly replace: RawMap }) => () =>
      load(open(), { kernel, globals: { threshold: 4 }, maps: { '.rodata': map } });
    expect(attempt({ create: false })).toThrow(
      /section ".rodata" cannot be set: its map is left out/,
    );
    expect(attempt({ replace: mine })).toThrow(
      /section ".rodata" cannot be set: its map is replaced/,
    );
  });
});

describe('a kernel that cannot map memory', () => {
  /** As Linux before 5.5. */
  function oldKernel(): ScriptedKernel {
    const kernel = new ScriptedKernel();
    kernel.fail = ([method, , attributes]) =>
      method === 'createMap' && ((attributes as { flags: number }).flags & 0x400) !== 0
        ? 'EINVAL'
        : undefined;
    return kernel;
  }

  // Only the maps of data sections can do without the flag.
  const maps = {
    counts: { create: false },
    narrow: { create: false },
    configs: { create: false },
  };

  it('is asked for the section each time', () => {
    const kernel = oldKernel();
    using app = load(open(), { kernel, maps, globals: { letter: 3 } });
    expect(app.maps.get('.data')!.info().flags).toBe(0);
    kernel.calls.length = 0;
    expect(app.globals.letter).toBe(3);
    app.globals.letter = 4;
    expect(app.globals).toMatchObject({ letter: 4, steps: [1, 2, 3], threshold: 3, runs: 0n });
    expect(kernel.methods.slice(0, 4)).toEqual(['lookup', 'lookup', 'update', 'lookup']);
    expect(() => app.globalNumbers('steps')).toThrow(/section .data is not mapped into memory/);
  });

  it('is not written to if a value does not fit', () => {
    const kernel = oldKernel();
    using app = load(open(), { kernel, maps });
    expect(app.globals.steps).toEqual([1, 2, 3]);
    kernel.calls.length = 0;
    expect(() => {
      app.globals.steps = [7, 8, -1];
    }).toThrow(/^\[2\]: expected u16/);
    expect(kernel.methods).not.toContain('update');
    expect(app.globals.steps).toEqual([1, 2, 3]);
  });

  it('may also have the flag and refuse the memory', () => {
    using app = load(open(), { kernel: new ScriptedKernel() });
    expect(app.maps.get('.data')!.info().flags & 0x400).toBe(0x400);
    app.globals.letter = 9;
    expect(app.globals.letter).toBe(9);
  });
});

describe('a section that is not loaded', () => {
  it('has variables that say so, and are not listed', () => {
    const kernel = new ScriptedKernel();
    using app = load(open(), { kernel, maps: { '.data': { create: false } } });
    expect(() => app.globals.letter).toThrow(/global "letter": section .data was not loaded/);
    expect(Object.keys(app.globals)).not.toContain('letter');
  });
});
