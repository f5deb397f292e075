/** `skep load`: plans, and loads on the running kernel, where bpftool looks at what is left. */

import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { endianness, tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LoadDocument, PlanDocument } from '../../src/cli/load-document.ts';
import { plan } from '../../src/loader/load.ts';
import { mapTypeName } from '../../src/uapi/map-types.ts';
import { programTypeName } from '../../src/uapi/program-types.ts';
import { openFixture } from '../support/fixtures.ts';
import { describeKernel, kernelProblem, pinDirectory } from '../support/kernel.ts';
import { bpftool, hasProgram } from '../support/programs.ts';
import { objectPath, skep, stdoutOf } from './skep.ts';

const demo = objectPath('demo');
const REMAINS_NOTHING = 'so nothing of this load remains; use --pin-dir\n';

/** What bpftool prints of a map, as far as it is looked at. */
interface BpftoolMap {
  readonly id: number;
  readonly type: string;
  readonly name: string;
  readonly bytes_key: number;
  readonly bytes_value: number;
  readonly max_entries: number;
}

describe('skep load --plan', () => {
  it('prints the steps, numbered, and does none of them', async () => {
    const directory = '/sys/fs/bpf/not-made';
    const printed = skep(['load', demo, '--plan', '--pin-dir', directory]);
    expect(printed).toMatchObject({ status: 0 });
    await expect(printed.stdout).toMatchFileSnapshot('golden/load/demo-plan.txt');
    expect(existsSync(directory)).toBe(false);
  });

  it('takes --pin and --max-entries, in decimal and hexadecimal', () => {
    const { stdout } = skep([
      ...['load', demo, '--plan', '--pin', 'events=/sys/fs/bpf/new/events'],
      ...['--max-entries', 'flows=0x20', '--max-entries', 'events=131072'],
    ]);
    expect(stdout).toMatch(/ create "flows": hash, .* 32 entries$/m);
    expect(stdout).toMatch(/ create "events": ringbuf, 131072 bytes$/m);
    expect(stdout).toMatch(/ pin "events" at \/sys\/fs\/bpf\/new\/events$/m);
  });

  it('takes maps by names that mean something to JavaScript', () => {
    const { status, stdout } = skep([
      ...['load', objectPath('maps/names'), '--plan', '--pin', '__proto__=/sys/fs/bpf/x'],
      ...['--max-entries', '__proto__=5', '--max-entries', 'constructor=6'],
    ]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/ create "__proto__": .* 5 entries$/m);
    expect(stdout).toMatch(/ create "constructor": .* 6 entries$/m);
    expect(stdout).toMatch(/ pin "__proto__" at \/sys\/fs\/bpf\/x$/m);
  });

  it('says on stderr if nothing would be pinned, and names what is left out', () => {
    expect(skep(['load', '--plan', '--maps-only', objectPath('data/kconfig')])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^omitted {2}"\.kconfig": .*\n$/m),
      stderr: expect.stringMatching(/^skep: nothing would be pinned, .* use --pin-dir\n$/m),
    });
    expect(skep(['load', '--plan', demo]).stderr).not.toContain('pinned');
  });

  it('has nothing to do for the maps of an object without maps', () => {
    const args = ['load', '--plan', '--maps-only', objectPath('plain/no-maps')];
    expect(skep(args).stdout).toBe('nothing to do\n');
  });

  describe.skipIf(kernelProblem !== null)('--json', () => {
    it.each(['demo', 'nested/inner-kinds', 'data/sections', 'data/kconfig', 'maps/map-extra'])(
      'prints the steps of the library for %s as plain data',
      (name) => {
        const args = ['load', '--plan', '--json', objectPath(name)];
        const printed = JSON.parse(skep(args).stdout) as PlanDocument;
        const { steps, omitted } = plan(openFixture(name));
        expect(printed).toMatchObject({ format: 1, file: objectPath(name), omitted });
        expect(printed.plan.map(({ step, map }) => [step, map])).toEqual(
          steps.map((step) => [step.step, 'map' in step ? step.map : undefined]),
        );
        printed.plan.forEach((documented, at) => {
          const step = steps[at]!;
          if (step.step === 'write') {
            expect(documented).toEqual({
              step: 'write',
              map: step.map,
              bytes: step.contents.length,
            });
          } else if (step.step === 'load-program') {
            const { type, attachType, attachTypeOptional: _, ...rest } = step.attributes;
            expect(documented).toMatchObject({ step: 'load-program', program: step.program });
            expect({ name: step.program, ...documented.attributes }).toMatchObject({
              name: rest.name,
              section: rest.section,
              attachTo: rest.attachTo,
              flags: rest.flags,
              type: programTypeName(type),
              typeNumber: type,
              attachTypeNumber: attachType,
            });
          } else if ('shape' in step) {
            const { type, mapExtra, optionalFlags: _, ...rest } = step.shape;
            expect(documented.shape).toEqual({
              ...rest,
              type: mapTypeName(type),
              typeNumber: type,
              mapExtra: String(mapExtra),
            });
          } else if (step.step === 'fill') {
            expect(documented).toEqual({ step: 'fill', map: step.map, slots: step.slots });
          } else {
            expect(documented).toEqual(step);
          }
        });
      },
    );

    it('is as recorded for the demo', async () => {
      const printed = stdoutOf(['load', demo, '--plan', '--json', '--pin-dir', '/sys/fs/bpf/x']);
      await expect(printed).toMatchFileSnapshot('golden/load/demo-plan.json');
    });
  });
});

describeKernel('skep load', () => {
  const pins = pinDirectory();

  /** The steps and the table that a load prints, with another name for the directory. */
  function partsOf(printed: string): { readonly steps: string; readonly table: string[][] } {
    const [steps, table] = printed.replaceAll(pins.path, '/sys/fs/bpf/demo').split('\n\n');
    const rows = table!.trimEnd().split('\n');
    return { steps: `${steps}\n`, table: rows.map((row) => row.split(/ {2,}/)) };
  }

  it('with --pin-dir pins every map of .maps there, and prints each step as it is done', async () => {
    const { steps, table } = partsOf(stdoutOf(['load', demo, '--pin-dir', pins.path]));
    await expect(steps).toMatchFileSnapshot('golden/load/demo-first.txt');
    const id = expect.stringMatching(/^\d+$/);
    expect(table).toEqual([
      ['MAP', 'ID', 'TYPE', 'PINNED AT'],
      ['tenant_zero', id, 'hash', '/sys/fs/bpf/demo/tenant_zero'],
      ['tenant_one', id, 'hash', '/sys/fs/bpf/demo/tenant_one'],
      ['flows', id, 'hash', '/sys/fs/bpf/demo/flows'],
      ['events', id, 'ringbuf', '/sys/fs/bpf/demo/events'],
      ['.rodata', id, 'array'],
      ['.bss', id, 'array'],
      ['tenants', id, 'hash_of_maps', '/sys/fs/bpf/demo/tenants'],
    ]);
    expect(readdirSync(pins.path).sort()).toEqual([
      'events',
      'flows',
      'tenant_one',
      'tenant_zero',
      'tenants',
    ]);
  });

  it('reuses what is pinned when it is run again', async () => {
    const first = partsOf(stdoutOf(['load', demo, '--pin-dir', pins.path]));
    const { steps, table } = partsOf(stdoutOf(['load', demo, '--pin-dir', pins.path]));
    await expect(steps).toMatchFileSnapshot('golden/load/demo-again.txt');
    // The same maps, but for the data sections, which are not pinned.
    const pinned = first.table.slice(1).filter((row) => row.length === 4);
    expect(pinned.length).toBe(5);
    expect(table.filter((row) => row.includes('reused'))).toEqual(
      pinned.map((row) => [...row, 'reused']),
    );
  });

  it('makes the directories that are missing', () => {
    stdoutOf(['load', demo, '--pin-dir', `${pins.path}/new/deep/`]);
    expect(readdirSync(`${pins.path}/new/deep`)).toContain('tenants');
  });

  it.skipIf(!hasProgram('bpftool'))('creates what bpftool then finds', () => {
    stdoutOf(['load', demo, '--pin-dir', pins.path, '--max-entries', 'flows=0x10']);
    expect(bpftool<BpftoolMap>('map', 'show', 'pinned', `${pins.path}/flows`)).toMatchObject({
      type: 'hash',
      name: 'flows',
      bytes_key: 16,
      bytes_value: 32,
      max_entries: 16,
    });
    const inner = bpftool<BpftoolMap>('map', 'show', 'pinned', `${pins.path}/tenant_one`);
    const slots = bpftool<{ key: string[]; value: string[] }[]>(
      ...['map', 'dump', 'pinned', `${pins.path}/tenants`],
    );
    const held = slots.find(({ key }) => Number(key[0]) + Number(key[3]) === 1)?.value.map(Number);
    const id = new DataView(Uint8Array.from(held!).buffer).getUint32(0, endianness() === 'LE');
    expect(id).toBe(inner.id);
  });

  it('--json prints what was done and what came of it', () => {
    const args = ['load', demo, '--json', '--pin', `tenants=${pins.path}/t`];
    args.push('--pin', `flows=${pins.path}/f`);
    const first = JSON.parse(stdoutOf(args)) as LoadDocument;
    expect(first).toMatchObject({ format: 1, file: demo, omitted: [] });
    expect(first.steps).toContainEqual({ step: 'load-btf', outcome: 'done' });
    expect(first.steps).toContainEqual({
      step: 'fill',
      map: 'tenants',
      slots: [
        { index: 0, map: 'tenant_zero' },
        { index: 1, map: 'tenant_one' },
      ],
      outcome: 'done',
    });
    expect(first.maps).toEqual(
      [
        { name: 'tenant_zero', type: 'hash', pinPath: null },
        { name: 'tenant_one', type: 'hash', pinPath: null },
        { name: 'flows', type: 'hash', pinPath: `${pins.path}/f` },
        { name: 'events', type: 'ringbuf', pinPath: null },
        { name: '.rodata', type: 'array', pinPath: null },
        { name: '.bss', type: 'array', pinPath: null },
        { name: 'tenants', type: 'hash_of_maps', pinPath: `${pins.path}/t` },
      ].map((map) => ({ ...map, id: expect.any(Number), reused: false })),
    );

    const again = JSON.parse(stdoutOf(args)) as LoadDocument;
    const idOf = ({ maps }: LoadDocument, name: string) =>
      maps.find((map) => map.name === name)?.id;
    for (const name of ['flows', 'tenants']) {
      expect(again.maps.find((map) => map.name === name)?.reused).toBe(true);
      expect(idOf(again, name)).toBe(idOf(first, name));
      expect(again.steps.filter((step) => step.map === name)).toMatchObject([
        { step: 'open-pin', outcome: 'reused' },
      ]);
    }
    // Not pinned, so it went with the first command.
    expect(idOf(again, 'events')).not.toBe(idOf(first, 'events'));
  });

  it('says on stderr if nothing is pinned, and succeeds', () => {
    const object = objectPath('types/array');
    for (const args of [
      ['load', object],
      ['load', object, '--json'],
    ]) {
      const { status, stdout, stderr } = skep(args);
      expect({ status, stderr }).toEqual({
        status: 0,
        stderr: `skep: nothing is pinned, ${REMAINS_NOTHING}`,
      });
      expect(stdout).toContain('array_map');
    }
  });

  it('names what it leaves out', () => {
    const { stdout } = skep(['load', '--maps-only', objectPath('data/kconfig')]);
    expect(stdout).toMatch(/^omitted {2}"\.kconfig": options of the kernel /m);
  });

  it('fails if a pinned map does not match, naming the difference', () => {
    stdoutOf(['load', demo, '--pin-dir', pins.path, '--max-entries', 'flows=64']);
    for (const json of [[], ['--json']]) {
      const { status, stdout, stderr } = skep(['load', demo, '--pin-dir', pins.path, ...json]);
      expect(status).toBe(1);
      expect(stderr).toMatch(
        /^skep: map "flows": .* \(maxEntries: wanted 10240, found 64\); .* \[ERR_SKEP_PIN_MISMATCH\]\n$/,
      );
      expect(stdout).not.toContain('{');
    }
  });

  it('says that a load which failed half-way was undone, and nothing of it is left', () => {
    const [other, place] = [`${pins.path}/other`, `${pins.path}/app`];
    stdoutOf(['load', demo, '--pin-dir', other, '--max-entries', 'tenants=32']);
    stdoutOf(['map', 'pin', `${other}/tenants`, `${place}/tenants`]);
    const { status, stdout, stderr } = skep(['load', demo, '--pin-dir', place]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/\ndone {5}pin "flows" at .*\nundone {3}every step above\n$/s);
    expect(stderr).toMatch(/^skep: map "tenants": .* \[ERR_SKEP_PIN_MISMATCH\]\n$/);
    expect(readdirSync(place)).toEqual(['tenants']);
  });

  it('refuses a pin outside a BPF file system before anything is done', () => {
    const outside = mkdtempSync(join(tmpdir(), 'skep-cli-'));
    try {
      const { status, stdout, stderr } = skep([
        ...['load', demo, '--pin-dir', pins.path, '--pin', `tenants=${outside}/tenants`],
      ]);
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr).toMatch(
        /^skep: .* does not lie on a BPF file system .* \[ERR_SKEP_PIN_PATH\]\n$/,
      );
      expect(readdirSync(pins.path)).toEqual([]);
    } finally {
      rmSync(outside, { recursive: true });
    }
  });

  it('reports a map that the kernel refuses', () => {
    const { status, stderr } = skep([
      ...['load', demo, '--pin-dir', pins.path, '--max-entries', 'flows=0'],
    ]);
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^skep: map "flows": BPF_MAP_CREATE failed with EINVAL .* \[ERR_SKEP_SYSCALL\]\n$/,
    );
  });
});
