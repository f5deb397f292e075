/**
 * Objects from anybody: looking at one touches no kernel and writes nothing, and what is written in it
 * does not reach the terminal of who looks as anything but text.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Image } from '../fuzz/image.ts';
import { fixturePath } from '../support/fixtures.ts';
import { hasProgram, output } from '../support/programs.ts';
import { MAIN, skep } from './skep.ts';

const DEMO = 'objects/demo.bpf.o';

/** Control characters but line feeds, of both kinds, and what turns the direction of text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
const DANGEROUS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

/** Names in the object, and what stands there instead, as long in bytes. */
const CHANGES: readonly (readonly [string, string])[] = [
  // Clears the screen; sets the title; a control sequence in the 8-bit form; turns text around.
  ['tenants', '\u001b[2Jabc'],
  ['flows', '\u001b]0;\u0007'],
  ['events', '\u009b31m\r'],
  ['tenant_zero', '\u202etenant\u0000\u0000'],
  ['ignored_packets', 'ignored\n\u001b[1Abcd'],
  ['count_packets', 'count\u001b[31mpac'],
  ['config', 'con\u001bcg'],
  ['GPL', '\u001b[m'],
];

let directory: string;
let hostile: string;

/** Every command that reads an object, by arguments in front of the file. */
const COMMANDS: readonly (readonly string[])[] = [
  ['inspect'],
  ['inspect', '--json'],
  ['inspect', '--diagram'],
  ['program', 'dump'],
  ['program', 'dump', '--json'],
  ['load', '--kernel', 'memory', '--plan'],
  ['load', '--kernel', 'memory', '--plan', '--json'],
  ['load', '--kernel', 'memory'],
  ['load', '--kernel', 'memory', '--json'],
  ['load', '--kernel', 'memory', '--verbose'],
  ['doctor', '--kernel', 'memory'],
];

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'skep-untrusted-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Writes the object with these changes under a name that is hostile, too. */
function write(changes: readonly (readonly [string, string])[]): string {
  const bytes = readFileSync(fixturePath(DEMO));
  for (const [name, other] of changes) {
    const replacement = Buffer.from(other);
    expect(replacement.length, name).toBeLessThanOrEqual(name.length);
    const wanted = Buffer.from(`\0${name}\0`);
    for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + 1)) {
      bytes.fill(0, at + 1, at + 1 + name.length);
      replacement.copy(bytes, at + 1);
    }
  }
  hostile = join(directory, `ob\u001b[31m\u009bject${changes.length}.bpf.o`);
  writeFileSync(hostile, bytes);
  return hostile;
}

describe('names in an object, and its own, are text on the terminal', () => {
  it.each([...CHANGES, ['all', '']] as const)('%j that became %j', { timeout: 120_000 }, (name) => {
    const file = write(name === 'all' ? CHANGES : CHANGES.filter(([one]) => one === name));
    for (const command of name === 'all' ? COMMANDS : COMMANDS.slice(0, 1)) {
      const { stdout, stderr } = skep([...command, file]);
      if (command.includes('--json') && stdout !== '') JSON.parse(stdout);
      expect(stdout + stderr, command.join(' ')).not.toBe('');
      expect(DANGEROUS.exec(stdout)?.input.slice(0, 2000), command.join(' ')).toBeUndefined();
      expect(DANGEROUS.exec(stderr)?.input.slice(0, 2000), command.join(' ')).toBeUndefined();
    }
  });
});

describe('a .bss of 4 GiB, which takes no byte of the file', () => {
  it('is refused by every command before it has done anything', { timeout: 120_000 }, () => {
    const image = new Image(readFileSync(fixturePath('run/globals.bpf.o')));
    image.named('.bss')!.claimedSize = 2n ** 32n;
    const file = join(directory, 'large.bpf.o');
    writeFileSync(file, image.write());
    for (const command of COMMANDS) {
      const { status, stdout, stderr } = skep([...command, file]);
      expect(status, command.join(' ')).toBe(1);
      expect(stdout + stderr, command.join(' ')).toMatch(
        /data section (\\?)"\.bss\1" has 4294967296 bytes; the map for it can have 4294967295/,
      );
      expect(stderr, command.join(' ')).not.toContain('defect');
      expect(stdout, command.join(' ')).not.toContain('created');
    }
  });
});

const hasStrace = process.platform === 'linux' && hasProgram('strace');
if (!hasStrace) {
  console.warn('TESTS OF SYSTEM CALLS ARE SKIPPED: there is no strace');
}

describe.skipIf(!hasStrace)('system calls of a command that only reads', () => {
  const TRACED =
    'bpf,perf_event_open,mount,unlink,unlinkat,mkdir,mkdirat,socket,connect,openat,open';

  it.each([
    ['inspect'],
    ['inspect', '--json'],
    ['inspect', '--diagram'],
    ['program', 'dump'],
    ['load', '--kernel', 'memory'],
  ])(
    '%s %s %s: none of the kernel, and no file is written to',
    { timeout: 60_000 },
    (...command) => {
      const log = join(directory, 'strace.log');
      const file = fixturePath(DEMO);
      const node = [process.execPath, MAIN, ...command.filter(Boolean), file];
      output('strace', '-f', '-qq', '--seccomp-bpf', '-e', `trace=${TRACED}`, '-o', log, ...node);
      const calls = readFileSync(log, 'utf8').split('\n');
      expect(calls.some((line) => line.includes(file))).toBe(true);
      const opened = calls.filter((line) => /\bopen(at)?\(/.test(line));
      expect(
        calls.filter(
          (line) => line !== '' && !opened.includes(line) && !/exited|resumed/.test(line),
        ),
      ).toEqual([]);
      expect(
        opened.filter((line) => /O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND/.test(line)),
      ).toEqual([]);
      // Nor is the native part loaded, without which nothing could be called.
      expect(opened.filter((line) => line.includes('.node"'))).toEqual([]);
    },
  );
});
