/** Global variables on both kernels; on the running one beside a program that reads and writes them. */

import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { expect, expectTypeOf, it } from 'vitest';
import { ValueError } from '../../src/codec/codec.ts';
import { PinMismatchError, type SkepError } from '../../src/errors.ts';
import { withFaults } from '../../src/kernel/faults.ts';
import type { Globals } from '../../src/loader/globals.ts';
import { type LoadedObject, load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import { fixturePath } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { describeKernels } from '../support/kernels.ts';
import { loadProgram, type TestProgram } from '../support/program.ts';
import { output } from '../support/programs.ts';

interface Config {
  readonly level: number;
  readonly ports: readonly number[];
  readonly tag: string;
  readonly limit: bigint;
  readonly wide: number;
  readonly flag: number;
}

interface Variables {
  readonly threshold: number;
  readonly targets: readonly number[];
  readonly ratio: number;
  mode: string;
  enabled: boolean;
  config: Config;
  steps: readonly number[];
  letter: number;
  runs: bigint;
  table: readonly bigint[];
  lowest: bigint;
  last: Config;
  note: string;
  unseen: bigint;
  shift: number;
  secret: number;
  secret_runs: number;
}

const START: Config = {
  level: 1,
  ports: [80, 443],
  tag: 'start',
  limit: 1n << 40n,
  wide: 5,
  flag: 0,
};
const ZERO: Config = { level: 0, ports: [0, 0], tag: '', limit: 0n, wide: 0, flag: 0 };
const SECTIONS = ['.rodata', '.data', '.bss', '.data.extra', '.data.private'];

const open = () => ObjectFile.open(fixturePath('run/globals.bpf.o'));

/** The object, and its program with the same maps. */
function loadBoth(
  directory: string,
  options: LoadOptions<Variables> = {},
): { app: LoadedObject<Variables>; run: (index: number, amount: number) => number } & Disposable {
  const app = load<Variables>(open(), options);
  let program: TestProgram;
  const pins: Record<string, string> = {};
  try {
    for (const [index, name] of [...app.maps.keys()].entries()) {
      // libbpf names the maps of plain sections after the file.
      const own = /^\.(data|bss|rodata)$/.test(name) ? `globals${name}` : name;
      pins[own] = `${directory}/map_${index}`;
      app.maps.get(name)!.pin(pins[own]);
    }
    program = loadProgram('globals', directory, pins);
  } catch (error) {
    app.close();
    throw error;
  }
  return {
    app,
    run: (index, amount) =>
      program.run({ context: new Uint8Array(Uint32Array.of(index, amount).buffer) }),
    [Symbol.dispose]() {
      program.close();
      app.close();
    },
  };
}

/** Mappings of maps in this process, as (address, permissions). */
function mappings(): string[] {
  return readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .filter((line) => line.includes('anon_inode:bpf-map'))
    .map((line) => line.split(' ').slice(0, 2).join(' '));
}

/** Lets the addresses of what was unmapped go. */
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

describeKernels('globals', (place) => {
  it('have the values of the object, whatever section they lie in', () => {
    const { kernel } = place;
    using app = load<Variables>(open(), { kernel });
    expect({ ...app.globals }).toEqual({
      threshold: 3,
      targets: [-1, -2],
      ratio: 0.5,
      mode: 'MODE_IDLE',
      enabled: true,
      config: START,
      steps: [1, 2, 3],
      letter: 97,
      runs: 0n,
      table: new Array(16).fill(0n),
      lowest: 0n,
      last: ZERO,
      note: '',
      unseen: 0n,
      shift: -2,
      secret: 5,
      secret_runs: 0,
    });
  });

  it('are frozen where they are constant', () => {
    const { kernel } = place;
    using app = load<Variables>(open(), { kernel });
    const set = () => {
      (app.globals as { threshold: number }).threshold = 4;
    };
    expect(set).toThrow(/"threshold" is constant \(section .rodata\); the load option globals/);
    expect(app.globals.threshold).toBe(3);
    const rodata = app.maps.get('.rodata')!;
    expect(rodata.usage().frozen).toBe(true);
    expect(() => rodata.set(new Uint8Array(4), new Uint8Array(rodata.info().valueSize))).toThrow(
      /EPERM/,
    );
    expect(() => app.globalNumbers('threshold')).toThrow(/"threshold": it is constant/);
  });

  it('take nothing that does not fit, and then nothing is changed', () => {
    const { kernel } = place;
    using app = load(open(), { kernel });
    const { globals } = app;
    expect(() => {
      globals.config = { ...START, ports: [1, 65_536] };
    }).toThrow(/^ports\[1\]: expected u16/);
    expect(globals.config).toEqual(START);
    expect(() => {
      globals.runs = 1.5;
    }).toThrow(ValueError);
    expect(() => {
      globals.secret = -1;
    }).toThrow(ValueError);
    expect(() => {
      globals.rums = 1;
    }).toThrow(/not extensible/);
    expect(globals.rums).toBeUndefined();
  });

  it('are listed and printed like properties', () => {
    const { kernel } = place;
    using app = load<Variables>(open(), { kernel });
    expect(Object.keys(app.globals)).toContain('threshold');
    expect(app.globals).toBe(app.globals);
    expect('config' in app.globals).toBe(true);
    expect(inspect(app.globals)).toMatch(/threshold: 3,\n.*ratio: 0.5/s);
    expectTypeOf(app.globals.runs).toEqualTypeOf<bigint>();
    // Initial values alone do not say what else there is.
    using other = load(open(), { kernel, globals: { runs: 1n } });
    expectTypeOf(other.globals).toEqualTypeOf<Globals>();
    // @ts-expect-error a name that the type does not have
    expect(() => load<Variables>(open(), { kernel, globals: { rums: 1n } })).toThrow(
      /did you mean "runs"/,
    );
  });

  it('keep their values at a pin; constants that are to be others are an error', () => {
    const { kernel } = place;
    const maps = {
      '.rodata': { pin: `${place.directory}/rodata` },
      '.data': { pin: `${place.directory}/data` },
    };
    const first = load<Variables>(open(), { kernel, maps, globals: { threshold: 8, letter: 1 } });
    first.globals.steps = [4, 5, 6];
    first.close();
    const second = load<Variables>(open(), { kernel, maps, globals: { threshold: 8, letter: 2 } });
    expect(second.globals).toMatchObject({ threshold: 8, letter: 1, steps: [4, 5, 6] });
    second.close();
    const other = () => load<Variables>(open(), { kernel, maps, globals: { threshold: 9 } });
    expect(other).toThrow(PinMismatchError);
    expect(other).toThrow(/"\.rodata".*\(threshold: wanted 9, found 8\); remove the pin/);
    load(open(), { kernel, maps }).close();
  });

  it('are read by calls where a descriptor may only read, for which the kernel shares no memory', () => {
    const { kernel } = place;
    const flags = 0x400 | (1 << 3);
    using app = load<Variables>(open(), { kernel, maps: { '.bss': { flags } } });
    expect(app.globals.runs).toBe(0n);
    expect(() => {
      app.globals.runs = 1n;
    }).toThrow(/EPERM.*read-only/);
    expect(() => app.globalNumbers('runs')).toThrow(/.bss is not mapped into memory/);
  });

  it('are copies where they are structs', () => {
    const { kernel } = place;
    using app = load<{ config: { level: number } }>(open(), { kernel });
    app.globals.config.level = 9;
    expect(app.globals.config.level).toBe(1);
    app.globals.config = { ...app.globals.config, level: 9 };
    expect(app.globals.config.level).toBe(9);
  });

  it('cost no system call, where the section is mapped', () => {
    const { kernel, calls } = withFaults(place.kernel);
    using app = load<Variables>(open(), { kernel });
    expect(app.maps.get('.bss')!.info().flags & 0x400).toBe(0x400);
    expect(app.globals.runs).toBe(0n);
    const before = calls.length;
    app.globals.runs = app.globals.runs + 1n;
    app.globals.last = { ...app.globals.last, level: 3 };
    expect(calls.length).toBe(before);
    // A section of static variables has no memory to map.
    app.globals.secret += 1;
    const moved = calls.slice(before).map(({ method }) => method);
    expect(moved.filter((method) => /lookup|update|mapMemory/.test(method))).toEqual([
      'lookup',
      'lookup',
      'update',
    ]);
    expect(app.globals.secret).toBe(6);
  });
});

describeKernel('globals of a program', () => {
  const directory = pinDirectory();

  it('show what a program writes, and a program sees what is written here', () => {
    using both = loadBoth(directory.path);
    const { globals } = both.app;
    expect(both.run(2, 10)).toBe(3);
    expect(globals).toMatchObject({
      runs: 1n,
      lowest: -10n,
      letter: 98,
      mode: 'MODE_BUSY',
      shift: -4,
      note: 'n1',
      unseen: 2n,
      secret_runs: 5,
      last: START,
      config: { ...START, level: 11 },
    });
    expect(globals.table[2]).toBe(10n);

    globals.runs = 6n;
    globals.enabled = false;
    globals.mode = 'MODE_IDLE';
    globals.shift = 100;
    globals.secret = 1000;
    globals.config = { level: 20, ports: [1, 2], tag: 'exactly8', limit: 5n, wide: 7, flag: 1 };
    both.run(2, 10);
    expect(globals).toMatchObject({
      runs: 7n,
      mode: 'MODE_IDLE',
      shift: 200,
      note: 'n7',
      secret_runs: 1005,
      last: { level: 20, ports: [1, 2], tag: 'exactly8', limit: 5n, wide: 7, flag: 1 },
    });
    expect(globals.config.level).toBe(30);
  });

  it('start with the values of the options, constants too, which the verifier knows', () => {
    using both = loadBoth(directory.path, {
      globals: { threshold: 40, targets: [7, 8], steps: [100, 200, 300], runs: 5n, secret: 9 },
    });
    expect(both.run(0, 39)).toBe(40);
    const { globals } = both.app;
    expect(globals).toMatchObject({
      threshold: 40,
      targets: [7, 8],
      steps: [100, 200, 300],
      runs: 6n,
      secret_runs: 9,
      mode: 'MODE_IDLE',
      // The rest of these sections is what the object says.
      ratio: 0.5,
      config: { ...START, level: 40 },
    });
    // The program adds targets[0] + steps[1] to the entry of an ordinary array.
    expect(both.app.maps.get('unmapped')!.get(new Uint8Array(4))).toEqual(
      new Uint8Array(BigUint64Array.of(207n).buffer),
    );
  });

  it('are what bpftool prints', () => {
    using app = load<Variables>(open(), { globals: { threshold: 12, letter: 7 } });
    app.globals.runs = 123456789n;
    app.globals.lowest = -5n;
    app.globals.table = app.globals.table.map((_, index) => BigInt(index) * 3n);
    app.globals.mode = 'MODE_BUSY';
    app.globals.secret = 77;
    const printed: Record<string, unknown> = {};
    for (const section of SECTIONS) {
      const { id } = app.maps.get(section)!.info();
      const text = output('bpftool', '-j', 'map', 'dump', 'id', String(id));
      // It has no word for floats, and no JSON either.
      const dump = JSON.parse(text.replace('(unsupported-kind', 'null'));
      const [contents] = Object.values(dump[0].formatted.value) as Record<string, unknown>[][];
      Object.assign(printed, ...contents!);
    }
    const asNumbers = (value: unknown) => JSON.parse(JSON.stringify(value, numbersOfBigints));
    for (const name of [
      'threshold',
      'targets',
      'letter',
      'runs',
      'lowest',
      'table',
      'steps',
    ] as const) {
      expect(printed[name], name).toEqual(asNumbers(app.globals[name]));
    }
    expect(printed).toMatchObject({ mode: 'MODE_BUSY', secret: 77, enabled: true });
    expect(printed.config).toMatchObject({ level: 1, ports: [80, 443], limit: 2 ** 40 });
  });

  it('can be watched and changed as typed arrays', () => {
    using both = loadBoth(directory.path);
    const table = both.app.globalNumbers('table');
    expectTypeOf(table).toEqualTypeOf<BigUint64Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>>();
    expect(table).toBeInstanceOf(BigUint64Array);
    table[3] = 1000n;
    both.run(3, 1);
    expect(table[3]).toBe(1001n);
    const runs = both.app.globalNumbers('runs') as BigUint64Array;
    expect(Atomics.add(runs, 0, 10n)).toBe(1n);
    expect(both.app.globals.runs).toBe(11n);
    expect(both.app.globalNumbers('steps')).toEqual(Uint16Array.of(1, 2, 3));
    expect(both.app.globalNumbers('letter')).toHaveLength(1);
    expect(() => both.app.globalNumbers('config')).toThrow(/it is struct config, which no typed/);
    expect(() => both.app.globalNumbers('secret')).toThrow(/.data.private is not mapped/);
    const unknown = both.app as unknown as LoadedObject;
    expect(() => unknown.globalNumbers('rums')).toThrow(/no global "rums"; did you mean "runs"/);
  });
});

describeKernels('memory of globals', (place) => {
  it('is gone after close, and every use says so', async () => {
    const { kernel } = place;
    const app = load<Variables>(open(), { kernel });
    const { globals } = app;
    const table = app.globalNumbers('table');
    expect([globals.runs, globals.secret, globals.config]).toEqual([0n, 5, START]);
    app.close();
    expect(table).toHaveLength(0);
    const uses: Record<string, () => unknown> = {
      number: () => globals.runs,
      struct: () => globals.config,
      'by call': () => globals.secret,
      'never used before': () => globals.threshold,
      'a section never used': () => globals.shift,
      write: () => {
        globals.runs = 1n;
      },
      view: () => app.globalNumbers('table'),
    };
    for (const [name, use] of Object.entries(uses)) {
      expect(code(use), name).toBe('ERR_SKEP_CLOSED');
    }
    expect(inspect(globals)).toMatch(/closed/);
  });
});

describeKernel('mappings of globals', () => {
  it('are made when they are first used, and not writable where it is constant', async () => {
    await nextTurn();
    const before = mappings();
    const app = load<Variables>(open());
    expect(app.globals).toBeDefined();
    expect(mappings()).toEqual(before);
    app.globals.runs = app.globals.runs + BigInt(app.globals.threshold);
    const added = mappings().filter((line) => !before.includes(line));
    expect(added.map((line) => line.split(' ')[1]).sort()).toEqual(['r--s', 'rw-s']);
    app.close();
    app.close();
    await nextTurn();
    expect(mappings()).toEqual(before);
  });

  it('are not left behind by a load that fails', async () => {
    await nextTurn();
    const before = mappings();
    const fail = () => {
      throw new Error('enough');
    };
    expect(() => load(open(), { globals: { runs: 1n }, onStep: fail })).toThrow('enough');
    expect(() => load(open(), { globals: { runs: -1n } })).toThrow(/^globals\.runs: expected u64/);
    await nextTurn();
    expect(mappings()).toEqual(before);
  });
});

function numbersOfBigints(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

function code(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    return (error as SkepError).code;
  }
  return undefined;
}
