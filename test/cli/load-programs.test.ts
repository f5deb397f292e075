/** `skep load` and programs: loaded, pinned, left out, refused. */

import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { LoadDocument, PlanDocument } from '../../src/cli/load-document.ts';
import { MemoryKernel } from '../../src/testing.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { hasProgram, output } from '../support/programs.ts';
import { printed, runHere } from './in-process.ts';
import { objectPath } from './skep.ts';

const DEMO = objectPath('demo');
const OPTIONAL = objectPath('programs/optional');
const PACKETS = 'fixtures/run/packets.bpf.o';
const STAGES = 'fixtures/run/stages.bpf.o';
const OPTIONS = objectPath('data/kconfig');
const REFUSED = 'fixtures/run/refused.bpf.o';
const GOES = 'verified, and unloaded with the end of this command (--pin-programs keeps them): ';

/** Names of the programs that a plan loads, and of those that it leaves out. */
async function planned(args: readonly string[]): Promise<Record<'loaded' | 'omitted', string[]>> {
  const kernel = new MemoryKernel();
  const { stdout } = await runHere(['load', '--plan', '--json', ...args], kernel);
  const { plan, omitted } = JSON.parse(stdout) as PlanDocument;
  const loaded = plan.filter(({ step }) => step === 'load-program');
  return {
    loaded: loaded.map(({ program }) => program!),
    omitted: omitted.flatMap((left) => ('program' in left ? [left.program] : [])),
  };
}

describe('skep load chooses programs', () => {
  it('as their sections say', async () => {
    expect(await planned([OPTIONAL])).toEqual({
      loaded: ['always'],
      omitted: ['on_demand', 'on_demand_xdp', 'on_demand_probe'],
    });
  });

  it('--program takes those that are named, and no others', async () => {
    expect(await planned([OPTIONAL, '--program', 'on_demand_xdp'])).toEqual({
      loaded: ['on_demand_xdp'],
      omitted: ['on_demand', 'on_demand_probe', 'always'],
    });
    const two = ['--program', 'on_demand_xdp', '--program', 'always'];
    expect((await planned([OPTIONAL, ...two])).loaded).toEqual(['on_demand_xdp', 'always']);
  });

  it('--omit leaves one out', async () => {
    const { loaded, omitted } = await planned([PACKETS, '--omit', 'mark', '--omit', 'answer']);
    expect({ loaded, omitted }).toEqual({ loaded: ['lengthen'], omitted: ['answer', 'mark'] });
  });

  it('--maps-only takes none', async () => {
    expect(await planned([PACKETS, '--maps-only'])).toEqual({ loaded: [], omitted: [] });
  });

  it('--type and --attach-to say what a section does not', async () => {
    const kernel = new MemoryKernel();
    const unknown = objectPath('programs/unknown-section');
    const plan = async (...args: string[]) =>
      (await runHere(['load', '--plan', ...args], kernel)).stdout;
    expect(await plan(unknown, '--program', 'unknown', '--type', 'unknown=xdp')).toMatch(
      / load program "unknown": xdp$/m,
    );
    const bare = objectPath('programs/bare-sections');
    const args = ['--program', 'on_tp_btf_bare', '--attach-to', 'on_tp_btf_bare=sched_switch'];
    expect(await plan(bare, ...args)).toMatch(/"on_tp_btf_bare": tracing, .* for sched_switch\n/);
  });

  it('--slot says what is in a program array', async () => {
    const plan = async (...args: string[]) =>
      (await runHere(['load', '--plan', STAGES, ...args], new MemoryKernel())).stdout;
    const set = [
      '--slot',
      'stages:0=twenty',
      '--slot',
      'stages:2=none',
      '--slot',
      'stages:0x3=ten',
    ];
    const text = await plan(...set);
    expect(text).toContain(' fill "stages": [0] = twenty, [3] = ten\n');
    expect(text).toContain('omitted  "stages": slot 2 is left as it is, without program "twenty"');
  });

  it('leaves slots of programs that the user leaves out as they are, and says so', async () => {
    const one = await planned([STAGES, '--program', 'enter']);
    expect(one).toEqual({ loaded: ['enter'], omitted: ['ten', 'twenty', 'thirty'] });
    const { stdout } = await runHere(
      ['load', '--plan', STAGES, '--omit', 'ten'],
      new MemoryKernel(),
    );
    expect(stdout).toContain(' fill "stages": [2] = twenty\n');
    expect(stdout).toContain('omitted  "stages": slot 0 is left as it is, without program "ten"\n');
  });

  it('advises how to leave a slot empty, if its program was put there by hand', async () => {
    const args = ['load', STAGES, '--omit', 'ten', '--slot', 'stages:1=ten'];
    expect((await runHere(args, new MemoryKernel())).stderr).toMatch(
      /slot 1 of map "stages" is to hold program "ten", .* by --slot stages:1=none \[ERR_SKEP_LOAD\]/,
    );
  });

  it('--kernel-config gives options that the kernel does not tell', async () => {
    const kernel = new MemoryKernel();
    const without = await runHere(['load', OPTIONS], kernel);
    expect(without.stderr).toMatch(/; give their values by --kernel-config NAME=VALUE \[ERR_/);
    const given = [
      'CONFIG_HZ=250',
      'CONFIG_BPF_SYSCALL=y',
      'CONFIG_BPF_JIT=m',
      'CONFIG_LOG_BUF_SHIFT=17',
      'CONFIG_DEFAULT_HOSTNAME=here',
      'CONFIG_SKEP_LETTER=y',
      'CONFIG_SKEP_MISSING=0',
    ];
    const wrong = ['load', OPTIONS, '--kernel-config', 'CONFIG_BPF_SYSCALL=m'];
    expect(await runHere(wrong, kernel)).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(
        /^skep: --kernel-config CONFIG_BPF_SYSCALL: expected a boolean/,
      ),
    });
    const args = given.flatMap((option) => ['--kernel-config', option]);
    expect(await runHere(['load', OPTIONS, ...args], kernel)).toMatchObject({ status: 0 });
  });

  it('says which option helps', async () => {
    const kernel = new MemoryKernel();
    const unknown = await runHere(['load', objectPath('programs/unknown-section')], kernel);
    expect(unknown.stderr).toMatch(/give --type unknown=TYPE, or .* by --omit unknown \[ERR_/);
    const args = ['load', objectPath('programs/bare-sections'), '--program', 'on_tp_btf_bare'];
    expect((await runHere(args, kernel)).stderr).toMatch(
      /by --attach-to on_tp_btf_bare=TARGET \[ERR_SKEP_LOAD\]\n$/,
    );
    expect((await runHere(['load', '--plan', OPTIONAL], kernel)).stdout).toMatch(
      /^omitted {2}program "on_demand": .* it is loaded if --program names it$/m,
    );
  });

  it.each([
    [['--program', 'anwser'], 'the object has no program "anwser"; did you mean "answer"?'],
    [
      ['--attach-to', 'nobody=x'],
      'the object has no program "nobody"; it has answer, lengthen, mark',
    ],
    [['--type', 'mark=xpd'], '--type mark: there is no program type "xpd"; did you mean "xdp"?'],
    [
      ['--attach-to', 'answer=vfs_read'],
      '--attach-to answer: a program of type xdp has no target when it is loaded; leave it out',
    ],
    [
      ['--slot', 'counts:0=answer'],
      'map "counts" is no program array, so no programs go into its slots',
    ],
    [['--slot', 'counts:0=anwser'], 'the object has no program "anwser"; did you mean "answer"?'],
    [
      ['--slot', 'counts=answer'],
      "option '--slot <MAP:INDEX=PROGRAM>' argument 'counts=answer' is invalid. Expected MAP:INDEX=PROGRAM, or MAP:INDEX=none.",
    ],
    [
      ['--kernel-config', 'CONFIG_HZ=100'],
      '--kernel-config: the object has no kernel option "CONFIG_HZ"; it has none',
    ],
    [
      ['--verifier-log', '8'],
      `option '--verifier-log <LEVEL>' argument '8' is invalid. "8" is no level: 1, 2 for every instruction, 4 for numbers alone, or a sum of them.`,
    ],
    [
      ['--type', 'mark=xdp', '--type', 'mark=tc'],
      `option '--type <NAME=TYPE>' argument 'mark=tc' is invalid. Program "mark" was given before.`,
    ],
    [
      ['--maps-only', '--pin-programs', '/sys/fs/bpf'],
      "option '--maps-only' cannot be used with option '--pin-programs <DIR>'",
    ],
    [
      ['--omit', 'mark', '--program', 'mark'],
      "option '--program <NAME>' cannot be used with option '--omit <NAME>'",
    ],
  ])('tells wrong usage: %j', async (args, message) => {
    expect(await runHere(['load', '--plan', PACKETS, ...args], new MemoryKernel())).toEqual({
      status: 2,
      stdout: '',
      stderr: `skep: ${message}\n`,
    });
  });
});

describe('skep load into the kernel in this process', () => {
  it('loads programs and pins them', async () => {
    const kernel = new MemoryKernel();
    const args = ['load', DEMO, '--pin-programs', '/sys/fs/bpf/programs'];
    const text = await printed(args, kernel);
    expect(text).toMatch(/^done {5}load program "count_packets": xdp\b.*\n/m);
    expect(text).toMatch(
      /^done {5}pin program "count_packets" at \/sys\/fs\/bpf\/programs\/count_packets\n/m,
    );
    expect(await printed(['program', 'list'], kernel)).toMatch(/^ 1 {2}xdp +count_packets /m);
    expect(kernel.openDescriptors()).toEqual([]);
  });
});

describeKernel('skep load', () => {
  const pins = pinDirectory();

  it.skipIf(!hasProgram('bpftool'))('pins programs, which bpftool then finds', async () => {
    const args = ['load', PACKETS, '--pin-programs', `${pins.path}/programs`];
    const text = await printed(args);
    expect(readdirSync(`${pins.path}/programs`).sort()).toEqual(['answer', 'lengthen', 'mark']);
    for (const [name, type] of [
      ['answer', 'xdp'],
      ['mark', 'sched_cls'],
    ]) {
      const path = `${pins.path}/programs/${name}`;
      const found = JSON.parse(output('bpftool', '-j', 'prog', 'show', 'pinned', path));
      expect(found).toMatchObject({ name, type });
      expect(text).toMatch(
        new RegExp(`^${name} +${found.id} +${type} +${found.tag} +${path}$`, 'm'),
      );
    }
    expect(text).not.toContain(GOES);
  });

  it('says of the kernel in this process that it has accepted them, and no more', async () => {
    const { stdout } = await runHere(['load', PACKETS, '--kernel', 'memory']);
    expect(stdout).toMatch(/^accepted, and unloaded with the end of this command/m);
    expect(stdout).not.toContain('verified');
  });

  it('says which programs were verified and no more', async () => {
    const args = ['load', PACKETS, '--pin', `counts=${pins.path}/counts`];
    const text = await printed(args);
    expect(text).toMatch(/^PROGRAM +ID +TYPE +TAG\n/m);
    expect(text.trimEnd().split('\n').pop()).toBe(`${GOES}answer, lengthen, mark`);
    expect(await runHere(['load', PACKETS])).toMatchObject({
      status: 0,
      stderr:
        'skep: nothing is pinned, so nothing of this load remains; use --pin-dir and --pin-programs\n',
    });
  });

  it('--json tells of programs as of maps', async () => {
    const args = ['load', PACKETS, '--json', '--pin-programs', pins.path, '--omit', 'lengthen'];
    const { steps, programs, omitted } = JSON.parse(await printed(args)) as LoadDocument;
    expect(programs).toEqual([
      {
        name: 'answer',
        id: expect.any(Number),
        type: 'xdp',
        tag: expect.stringMatching(/^[\da-f]{16}$/),
        pinPath: `${pins.path}/answer`,
      },
      expect.objectContaining({ name: 'mark', type: 'sched_cls' }),
    ]);
    expect(steps).toContainEqual({
      step: 'load-program',
      program: 'answer',
      kernelName: 'answer',
      attributes: expect.objectContaining({ section: 'xdp', type: 'xdp', attachType: 'xdp' }),
      outcome: 'done',
    });
    expect(steps).toContainEqual({
      step: 'pin-program',
      program: 'mark',
      path: `${pins.path}/mark`,
      outcome: 'done',
    });
    expect(omitted).toEqual([{ program: 'lengthen', reason: 'left out by the options' }]);
  });

  it('says that a pin of a program is taken before it does anything', async () => {
    await printed(['load', PACKETS, '--pin-programs', pins.path, '--program', 'mark']);
    const again = await runHere(['load', PACKETS, '--pin-programs', pins.path]);
    expect(again).toEqual({
      status: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /program "mark", pin .*\/mark: .* EEXIST .*remove that pin, or .*by --replace-programs/,
      ),
    });
    expect(readdirSync(pins.path)).toEqual(['mark']);
  });

  it('replaces it with --replace-programs', async () => {
    const only = ['load', PACKETS, '--pin-programs', pins.path, '--program', 'mark'];
    await printed(only);
    const pinned = async () => {
      const text = await printed(['program', 'show', '--json', `${pins.path}/mark`]);
      return (JSON.parse(text) as { program: { id: number } }).program.id;
    };
    const before = await pinned();
    await printed([...only, '--replace-programs']);
    expect(await pinned()).toBeGreaterThan(before);
    expect(readdirSync(pins.path)).toEqual(['mark']);
  });

  describe('of a program that the verifier refuses', () => {
    const load = (...args: string[]) => runHere(['load', REFUSED, '--program', ...args]);

    it('says why and where, and then the end of the log', async () => {
      const { status, stdout, stderr } = await load('beyond_end');
      expect(status).toBe(1);
      expect(stdout).toMatch(/\nundone {3}every step above\n$/);
      const [first, ...log] = stderr.trimEnd().split('\n');
      expect(first).toMatch(
        /^skep: program "beyond_end": refused by the verifier: .*invalid access to packet.*; at refused\.bpf\.c:\d+ "return data\[14\];", instruction \d+: .* \[ERR_SKEP_VERIFIER\]$/,
      );
      expect(log.length).toBeGreaterThan(2);
      expect(log.every((line) => line.startsWith('  '))).toBe(true);
      expect(log.pop()).toMatch(/^ {2}processed \d+ insns /);
    });

    it('shortens a long log, and --verbose does not', async () => {
      const args = ['load', objectPath('programs/recursion'), '--program', 'circle'];
      const short = (await runHere(args)).stderr.split('\n');
      expect(short[1]).toMatch(/^ {2}\(\d+ lines of the log before; --verbose prints them all\)$/);
      expect(short.length).toBeLessThan(20);
      const long = (await runHere([...args, '--verbose'])).stderr.split('\n');
      expect(long.length).toBeGreaterThan(60);
      expect(long[0]).toBe(short[0]);
    });

    it('--verifier-log prints all of it, once', async () => {
      const { stderr } = await load('beyond_end', '--verifier-log', '2');
      const lines = stderr.trimEnd().split('\n');
      expect(lines[0]).toBe(`skep: the verifier's log of program "beyond_end":`);
      expect(lines.pop()).toMatch(/^skep: program "beyond_end": .* \[ERR_SKEP_VERIFIER\]$/);
      expect(lines.filter((line) => /^processed \d+ insns/.test(line))).toHaveLength(1);
    });
  });

  it('--verifier-log prints what the verifier says of programs that it takes', async () => {
    const args = ['load', PACKETS, '--program', 'mark', '--verifier-log', '2', '--json'];
    const { status, stdout, stderr } = await runHere(args);
    expect(status).toBe(0);
    expect((JSON.parse(stdout) as LoadDocument).programs).toHaveLength(1);
    expect(stderr).toMatch(
      /^skep: the verifier's log of program "mark":\n.*^processed \d+ insns/ms,
    );
    expect(stderr).toMatch(/^\d+: \(95\) exit$/m);
  });

  it('--kernel-btf gives CO-RE other types than those of the running kernel', async () => {
    const core = objectPath('programs/core');
    const args = ['load', core, '--kernel-btf', '/sys/kernel/btf/vmlinux'];
    expect(await runHere(args)).toMatchObject({ status: 0 });
    const missing = await runHere(['load', core, '--kernel-btf', '/no/such/btf']);
    expect(missing).toMatchObject({ status: 1 });
    expect(missing.stderr).toMatch(/\/no\/such\/btf .*\[ERR_SKEP_FILE\]\n$/);
  });
});
