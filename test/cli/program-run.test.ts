/** `skep program run`: test runs, of pinned programs and of programs of an object. */

import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { MemoryKernel } from '../../src/testing.ts';
import { BPF_PROG_TYPE } from '../../src/uapi/program-types.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';
import { printed, runHere } from './in-process.ts';

const PACKETS = 'fixtures/run/packets.bpf.o';
/** To, from, and the type of ARP, which the program `answer` sends back with the addresses swapped. */
const ARP = '0202020202020404040404040806';

describeKernel('skep program run', () => {
  const pins = pinDirectory();

  it('loads a program of an object for the run, and prints what it makes of a packet', async () => {
    const text = await printed(['program', 'run', PACKETS, 'answer', '--data', ARP]);
    expect(text).toMatch(/^returned {2}3 \(XDP_TX\)\n/);
    expect(text).toMatch(/^took {6}\d+ ns$/m);
    expect(text).toContain(
      'data      14 bytes\n  0000  04 04 04 04 04 04 02 02 02 02 02 02 08 06        ..............\n',
    );
  });

  it('repeats, and says that the time is a mean', async () => {
    const args = ['program', 'run', PACKETS, 'lengthen', '--data', `0x${ARP}`, '--repeat', '10'];
    const text = await printed(args);
    expect(text).toMatch(/^took {6}\d+ ns, the mean of 10 runs$/m);
  });

  it('prints one document, with bytes as digits', async () => {
    const args = ['program', 'run', PACKETS, 'lengthen', '--data', ARP, '--json'];
    expect(JSON.parse(await printed(args))).toEqual({
      format: 1,
      program: { id: expect.any(Number), name: 'lengthen', type: 'xdp' },
      returnValue: 2,
      durationNanoseconds: expect.any(Number),
      data: `0x${ARP}${'00'.repeat(64)}`,
      context: null,
    });
  });

  it('gives a context to a program, and prints what is left of it', async () => {
    // struct __sk_buff, with 7 in `mark`: fields before that are 4 bytes, `len` and `pkt_type`.
    const context = `${'00'.repeat(8)}07000000${'00'.repeat(180)}`;
    const args = ['program', 'run', PACKETS, 'mark', '--data', ARP, '--context', context, '--json'];
    const document = JSON.parse(await printed(args));
    expect(document.returnValue).toBe(14);
    expect(document.context.slice(2 + 16, 2 + 24)).toBe('08000000');
    const text = await printed(['program', 'run', PACKETS, 'mark', '--data', ARP]);
    expect(text).toMatch(/^returned {2}2 \(TC_ACT_SHOT\)\n/);
  });

  it('loads the programs that are tail called as well', async () => {
    const run = (first: string) =>
      printed(['program', 'run', 'fixtures/run/stages.bpf.o', 'enter', '--data', first + ARP]);
    expect(await run('00')).toMatch(/^returned {2}10\n/);
    expect(await run('02')).toMatch(/^returned {2}20\n/);
    expect(await run('03')).toMatch(/^returned {2}7 /);
  });

  it('reads a packet from a file', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'skep-cli-'));
    try {
      writeFileSync(join(directory, 'packet'), Buffer.from(ARP, 'hex'));
      const data = `@${directory}/packet`;
      expect(await printed(['program', 'run', PACKETS, 'answer', '--data', data])).toMatch(
        /XDP_TX/,
      );
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('runs a pinned program, which keeps its maps', async () => {
    await runHere(['load', PACKETS, '--pin-dir', pins.path, '--pin-programs', pins.path]);
    for (const _ of [1, 2]) {
      await printed(['program', 'run', `${pins.path}/answer`, '--data', ARP]);
    }
    const entries = await printed(['map', 'dump', `${pins.path}/counts`, '--ndjson']);
    expect(JSON.parse(entries)).toEqual({ key: 0x0608, value: 2 });
  });

  it('pins nothing of an object, not even maps that are declared as pinned', async () => {
    const before = readdirSync('/sys/fs/bpf').sort();
    const args = ['program', 'run', 'fixtures/objects/demo.bpf.o', '--data', ARP];
    expect(await printed(args)).toMatch(/^returned {2}2 \(XDP_PASS\)\n/);
    expect(readdirSync('/sys/fs/bpf').sort()).toEqual(before);
  });

  it('says what the kernel does not take, and what it may be', async () => {
    const short = await runHere(['program', 'run', PACKETS, 'answer', '--data', '00']);
    expect(short).toMatchObject({ status: 1, stdout: '' });
    expect(short.stderr).toMatch(
      /^skep: program "answer": .* EINVAL .*14.* \[ERR_SKEP_SYSCALL\]\n$/,
    );
  });

  it.each([
    [['--cpu', '0'], /only raw tracepoints can be run on a CPU of choice/],
    [['--data', 'xyz'], /--data: "xyz" is neither pairs of hexadecimal digits nor @FILE/],
    [['--data', '123'], /--data: "123" is neither/],
    [['--repeat', '-1'], /"-1" is no number/],
  ])('tells wrong usage: %j', async (options, message) => {
    const run = await runHere(['program', 'run', PACKETS, 'answer', ...options]);
    expect(run).toMatchObject({ status: 2, stdout: '' });
    expect(run.stderr).toMatch(message);
  });
});

describeKernel('skep program run of a syscall program', () => {
  const run = (...args: string[]) => runHere(['program', 'run', ...args]);

  it.each([
    [[], /\(the program reads its context, and none was given; give it by the option context\)/],
    [
      ['--context', '01'],
      /\(the program reads more of its context than the 1 bytes that were given/,
    ],
  ])('says what it lacks: %j', async (args, message) => {
    const { status, stderr } = await run('fixtures/run/tenants.bpf.o', 'account', ...args);
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
  });

  it('--kernel-config gives an object options of the kernel', async () => {
    const args = ['fixtures/run/options.bpf.o', '--data', ARP, '--kernel-config'];
    expect(await run(...args, 'CONFIG_SKEP_U8=7')).toMatchObject({ status: 0 });
    expect(await run(...args, 'CONFIG_SKEP_U8=256')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/^skep: --kernel-config CONFIG_SKEP_U8: expected /),
    });
    expect(await run('id:1', '--kernel-config', 'CONFIG_SKEP_U8=7')).toMatchObject({ status: 2 });
  });
});

describe('skep program run of an object', () => {
  it('asks which program, if there are several', async () => {
    expect(await runHere(['program', 'run', PACKETS])).toEqual({
      status: 2,
      stdout: '',
      stderr: `skep: ${PACKETS} has 3 programs; say which: answer, lengthen, mark\n`,
    });
    const near = await runHere(['program', 'run', PACKETS, 'anwser']);
    expect(near).toMatchObject({ status: 2 });
    expect(near.stderr).toContain('did you mean answer?');
  });

  it('fails for a file that is not there', async () => {
    const { status, stderr } = await runHere(['program', 'run', 'no/such/file', 'x']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^skep: no\/such\/file cannot be read: .*\[ERR_SKEP_FILE\]\n$/);
    const data = await runHere(['program', 'run', PACKETS, 'answer', '--data', '@no/such/file']);
    expect(data).toMatchObject({ status: 1 });
    expect(data.stderr).toMatch(/^skep: no\/such\/file cannot be read: .*\[ERR_SKEP_FILE\]\n$/);
  });

  it.runIf(existsSync('/dev/zero'))('fails for a file without an end', async () => {
    const { status, stderr } = await runHere([
      'program',
      'run',
      PACKETS,
      'answer',
      '--data',
      '@/dev/zero',
    ]);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr:
        'skep: /dev/zero cannot be read: it gives more than 1048576 bytes, which no test run takes [ERR_SKEP_FILE]\n',
    });
  });
});

describe('skep program run on the kernel in this process', () => {
  it('runs what a test says', async () => {
    const kernel = new MemoryKernel();
    kernel.createProgram(BPF_PROG_TYPE.XDP, 'entry');
    kernel.onTestRun('entry', ({ data }) => ({ returnValue: data?.[0] ?? 0 }));
    const args = ['program', 'run', 'name:entry', '--data', `01${ARP}`];
    expect(await printed(args, kernel)).toMatch(/^returned {2}1 \(XDP_DROP\)\n/);
  });

  it('runs a program of an object by its name', async () => {
    const kernel = new MemoryKernel();
    kernel.onTestRun('count_packets', () => ({ returnValue: 2 }));
    const args = ['program', 'run', 'fixtures/objects/demo.bpf.o', '--data', ARP];
    expect(await printed(args, kernel)).toMatch(/^returned {2}2 \(XDP_PASS\)\n/);
    expect(kernel.openDescriptors()).toEqual([]);
  });
});
