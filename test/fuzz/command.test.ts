/** `npm run fuzz` as a command: what it refuses to do, and that it ends when it is told to. */

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SCRIPT = join(ROOT, 'scripts/fuzz.mjs');
const FINDING = 'test/fuzz/findings/codec-array-of-itself.json';
/** The machine may have others to serve. */
const timeout = 240_000;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'skep-fuzz-'));
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function fuzz(...args: readonly string[]) {
  return spawnSync(process.execPath, [SCRIPT, '--out', directory, ...args], {
    cwd: ROOT,
    encoding: 'utf8',
  });
}

/** The finding with other text in its place. */
function changed(from: string, to: string): string {
  const file = join(directory, 'changed.json');
  writeFileSync(file, readFileSync(join(ROOT, FINDING), 'utf8').replace(from, to));
  return file;
}

describe('wrong usage is a sentence and status 2:', () => {
  it.each([
    ['no number', ['--minutes', 'abc'], "argument 'abc' is invalid. Expected a number."],
    ['no whole number', ['--seed', '1.5'], "argument '1.5' is invalid. Expected a whole number."],
    ['no option', ['--wat'], "unknown option '--wat'"],
    ['no target', ['--target', 'elf'], "argument 'elf' is invalid. Allowed choices are obj, btf"],
    ['one argument too many', ['obj'], 'too many arguments'],
    ['no directory', ['--out', 'package.json'], 'findings cannot go to package.json: EEXIST'],
    ['no file', ['--replay', 'no-such-file'], 'there is nothing to replay: ENOENT'],
    ['no JSON', ['--replay', 'README.md'], 'README.md is no finding of the fuzzer: '],
    [
      'no finding',
      ['--replay', 'package.json'],
      'package.json is no finding of the fuzzer: recipe',
    ],
  ])('%s', { timeout }, (_, args, message) => {
    const { status, stdout, stderr } = fuzz(...args);
    expect(stderr).toMatch(/^error: .*\n$/);
    expect(stderr).toContain(message);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  });

  it.each([
    ['target', '"codec"', '"codecs"', 'recipe.target: '],
    ['fixture', 'hash-of-maps.eb', 'hash-of-nothing', 'there is no fixture objects/nested/'],
    ['edit', 'typeDrop', 'typeDropped', 'there is no edit "typeDropped"'],
  ])('a finding with a %s that there is not', { timeout }, (_, from, to, message) => {
    const { status, stderr } = fuzz('--replay', changed(from, to));
    expect(stderr).toMatch(/^error: .*\n$/);
    expect(stderr).toContain(message);
    expect(status).toBe(2);
  });
});

it('says how it is used', { timeout }, () => {
  const { status, stdout } = fuzz('--help');
  expect(stdout).toContain('--minutes <n>');
  expect(status).toBe(0);
});

it('replays a finding', { timeout }, () => {
  const { status, stdout, stderr } = fuzz('--replay', FINDING);
  expect(stdout).toContain('findings: 0');
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

it.each(['SIGINT', 'SIGTERM'] as const)(
  'ends early with its summary at %s, and leaves nothing behind',
  { timeout },
  async (signal) => {
    const args = [SCRIPT, '--minutes', '60', '--target', 'log', '--out', directory];
    const child = spawn(process.execPath, args, {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (text.includes('seed')) {
        child.kill(signal);
      }
    });
    const status = await new Promise((resolve) => child.on('close', resolve));
    expect(output).toContain('slowest input');
    expect(output).toContain('findings: 0');
    expect(status).toBe(0);
    expect(existsSync(join(ROOT, `node_modules/.cache/skep-fuzz-${child.pid}`))).toBe(false);
  },
);
