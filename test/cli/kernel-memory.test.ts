/** `--kernel memory`: the command without Linux, without privileges, without the native shim. */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LoadDocument } from '../../src/cli/load-document.ts';
import { MemoryKernel } from '../../src/testing.ts';
import { printed, runHere } from './in-process.ts';
import { objectPath, ROOT, type Surroundings, skep } from './skep.ts';

const demo = objectPath('demo');
const IN_MEMORY = ['--kernel', 'memory'];
const LOAD_NOTE =
  'skep: the kernel was in this process, so nothing of this load remains (--kernel memory)\n';
const MAP_NOTE =
  /^skep: the kernel in this process starts without maps, and ends with the command; .*\n$/;

describe('skep load --kernel memory', () => {
  // What was recorded of the running kernel.
  const steps = readFileSync(join(ROOT, 'test/cli/golden/load/demo-first.txt'), 'utf8');

  it('prints what a load on Linux prints, and that nothing remains', async () => {
    const args = ['load', demo, ...IN_MEMORY, '--pin-dir', '/sys/fs/bpf/demo'];
    const { status, stdout, stderr } = await runHere(args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: LOAD_NOTE });
    expect(stdout.split('\n\n')[0]).toBe(steps.trimEnd());
    expect(stdout).toMatch(/^tenants +\d+ +hash_of_maps +\/sys\/fs\/bpf\/demo\/tenants$/m);
  });

  it('prints a document as well', async () => {
    const { status, stdout, stderr } = await runHere(['load', demo, ...IN_MEMORY, '--json']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: LOAD_NOTE });
    const document = JSON.parse(stdout) as LoadDocument;
    expect(document.maps.map(({ name, pinPath }) => [name, pinPath])).toEqual([
      ['tenant_zero', null],
      ['tenant_one', null],
      ['flows', '/sys/fs/bpf/flows'],
      ['events', null],
      ['.rodata', null],
      ['.bss', null],
      ['tenants', '/sys/fs/bpf/tenants'],
    ]);
  });

  it('starts anew each time', async () => {
    const args = ['load', demo, ...IN_MEMORY];
    expect((await runHere(args)).stdout).toBe((await runHere(args)).stdout);
  });

  it('has a CPU for each of this machine', async () => {
    const object = objectPath('maps/perf-per-cpu');
    const { stdout } = await runHere(['load', object, ...IN_MEMORY]);
    expect(stdout).toMatch(new RegExp(`perf_event_array, .* ${cpus().length} (?:entry|entries)`));
  });

  it.each([
    [
      ['--max-entries', 'flows=0'],
      /^skep: map "flows": BPF_MAP_CREATE failed with EINVAL .* \[ERR_SKEP_SYSCALL\]\n$/,
    ],
    [
      ['--pin-dir', '/somewhere/else'],
      /^skep: .* does not lie on a BPF file system .* \[ERR_SKEP_PIN_PATH\]\n$/,
    ],
    [['--pin-dir', '/sys/fs/bpf/a.b'], /^skep: .* has a dot in "a\.b".* \[ERR_SKEP_PIN_PATH\]\n$/],
  ])('fails as on Linux with %j', async (args, message) => {
    const { status, stderr } = await runHere(['load', demo, ...IN_MEMORY, ...args]);
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
  });

  it('plans, of which there is nothing to note', async () => {
    const args = ['load', demo, '--plan', ...IN_MEMORY, '--pin-dir', '/sys/fs/bpf/demo'];
    const plan = await printed(args);
    const golden = readFileSync(join(ROOT, 'test/cli/golden/load/demo-plan.txt'), 'utf8');
    expect(plan.replaceAll('/sys/fs/bpf/demo', '/sys/fs/bpf/not-made')).toBe(golden);
  });
});

describe('skep map --kernel memory', () => {
  it.each([
    ['map', 'list', ...IN_MEMORY],
    ['map', ...IN_MEMORY, 'list'],
  ])('finds no maps, and says why: %j', async (...args) => {
    const { status, stdout, stderr } = await runHere(args);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'the kernel has no maps\n' });
    expect(stderr).toMatch(MAP_NOTE);
  });

  it.each([
    ['show', 'id:1'],
    ['dump', '/sys/fs/bpf/flows'],
    ['get', '/sys/fs/bpf/flows', '1'],
    ['set', '/sys/fs/bpf/flows', '1', '2'],
    ['delete', '/sys/fs/bpf/flows', '1'],
    ['watch', '/sys/fs/bpf/flows'],
    ['pin', 'id:1', '/sys/fs/bpf/flows'],
    ['unpin', '/sys/fs/bpf/flows'],
  ])('is taken by %s, which finds nothing', async (...args) => {
    const { status, stdout, stderr } = await runHere(['map', ...args, ...IN_MEMORY]);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    const [note, error] = stderr.split(/(?<=\n)/);
    expect(note).toMatch(MAP_NOTE);
    expect(error).toMatch(/^skep: .* failed with ENOENT .* \[ERR_SKEP_SYSCALL\]\n$/);
  });

  it('tells whether a map can be created', async () => {
    const create = (...args: string[]) =>
      runHere(['map', 'create', '/sys/fs/bpf/new', '--type', 'hash', ...args, ...IN_MEMORY]);
    const sized = ['--key', 'u32', '--value', 'u64', '--max-entries'];
    expect(await create(...sized, '16')).toMatchObject({
      status: 0,
      stdout: 'created map 1 (hash) at /sys/fs/bpf/new\n',
    });
    expect(await create(...sized, '0')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('BPF_MAP_CREATE failed with EINVAL'),
    });
  });

  it('says nothing of the kernel where the command line is wrong', async () => {
    expect(await runHere(['map', 'show', 'id', 'seven', ...IN_MEMORY])).toMatchObject({
      status: 2,
      stderr: 'skep: "seven" is no id of a map; ids are numbers, as "map list" shows\n',
    });
  });
});

describe('the choice of a kernel', () => {
  it('is made by SKEP_KERNEL too, and an option comes first', () => {
    const env = { SKEP_KERNEL: 'memory' };
    expect(skep(['load', demo], { env })).toMatchObject({ status: 0, stderr: LOAD_NOTE });
    expect(skep(['map', 'list'], { env })).toMatchObject({ status: 0 });
    expect(skep(['load', demo, ...IN_MEMORY], { env: { SKEP_KERNEL: 'linux' } })).toMatchObject({
      status: 0,
      stderr: LOAD_NOTE,
    });
  });

  it('is between two', async () => {
    expect(await runHere(['map', 'list', '--kernel', 'mach'])).toEqual({
      status: 2,
      stdout: '',
      stderr:
        "skep: option '--kernel <NAME>' argument 'mach' is invalid. Allowed choices are linux, memory.\n",
    });
    expect((await runHere(['inspect', demo, ...IN_MEMORY])).status).toBe(2);
  });

  it('is that of a program which runs the command', async () => {
    const kernel = new MemoryKernel();
    const here = (...args: string[]) => printed(args, kernel);
    await here('load', demo, '--pin-dir', '/sys/fs/bpf/demo');
    await here('map', 'set', '/sys/fs/bpf/demo/tenant_one', '443', '7');
    expect(await here('map', 'dump', '/sys/fs/bpf/demo/tenants', '--key-type', 'u32')).toBe(
      '0: map 1 (hash "tenant_zero")\n1: map 2 (hash "tenant_one")\n  443: 7\n',
    );
    expect(JSON.parse(await here('map', 'list', '--json')).maps).toHaveLength(5);
    expect(kernel.openDescriptors()).toEqual([]);
  });
});

describe('where there is no Linux kernel to talk to', () => {
  // A copy of the package without the native shim.
  let copy: string;
  let main: string;
  beforeAll(() => {
    copy = mkdtempSync(join(tmpdir(), 'skep-cli-'));
    main = join(copy, 'dist/bundle/command.js');
    cpSync(join(ROOT, 'dist'), join(copy, 'dist'), { recursive: true });
    cpSync(join(ROOT, 'package.json'), join(copy, 'package.json'));
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  });
  afterAll(() => {
    rmSync(copy, { recursive: true });
  });

  /** An environment in which Node.js says that it runs elsewhere. */
  function on(platform: string): Surroundings {
    const claim = `Object.defineProperty(process,'platform',{value:'${platform}'})`;
    return { main, env: { NODE_OPTIONS: `--import=data:text/javascript,${claim}` } };
  }

  it.each(['linux', 'darwin', 'win32'])('all of it works on %s', (platform) => {
    const loaded = skep(['load', demo, ...IN_MEMORY], on(platform));
    expect(loaded).toMatchObject({ status: 0, stderr: LOAD_NOTE });
    expect(loaded.stdout).toBe(skep(['load', demo, ...IN_MEMORY]).stdout);
    expect(skep(['map', 'list', ...IN_MEMORY], on(platform))).toMatchObject({ status: 0 });
  });

  it('the error of skep load says what works instead', () => {
    expect(skep(['load', demo], on('darwin'))).toEqual({
      status: 1,
      stdout: '',
      stderr:
        'skep: the kernel of darwin is not Linux; reading and inspecting objects works without it; --plan and --kernel memory do as well [ERR_SKEP_NO_KERNEL]\n',
    });
  });
});

describe('npm run demo', () => {
  it('shows the same where the running kernel is out of reach, and says so', () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [join(ROOT, 'scripts/demo.mjs'), '--in-process'],
      { encoding: 'utf8' },
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^\nWhat follows happens in a kernel inside this process /);
    expect(stdout).toMatch(/\n\$ skep load fixtures\/objects\/demo\.bpf\.o --pin-dir .*\n/);
    expect(stdout).toContain('\n1: map 2 (hash "tenant_one")\n  443: 7\n');
    expect(stdout).toMatch(/^reused {3}open "tenants" at /m);
    expect(stdout).toMatch(/unpinned "tenant_zero" \(hash, id 1\) from \S+\n$/);
  });
});
