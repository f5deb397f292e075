/** What an object is read from: a regular file, or a pipe that the process was given. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { shell } from '../cli/skep.ts';
import { fixturePath } from '../support/fixtures.ts';

const DEMO = fixturePath('objects/demo.bpf.o');

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'skep-object-file-'));
});

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function problem(path: string): unknown {
  try {
    ObjectFile.open(path);
  } catch (error) {
    return error;
  }
  throw new Error(`${path} was read`);
}

describe('ObjectFile.open', () => {
  it('reads a link to a regular file', () => {
    const link = join(directory, 'link.o');
    symlinkSync(DEMO, link);
    expect(ObjectFile.open(link).file).toBe(link);
  });

  it.each([
    ['/dev/null', 'a character device'],
    ['/proc', 'a directory'],
  ])('refuses %s, which is %s', (path, kind) => {
    expect(problem(path)).toMatchObject({
      code: 'ERR_SKEP_FILE',
      message: `${path} cannot be read: it is ${kind}; an object is a regular file`,
    });
  });

  it('refuses a socket', async () => {
    const path = join(directory, 'socket');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    try {
      // Linux does not even open it.
      expect(problem(path)).toMatchObject({
        code: 'ERR_SKEP_FILE',
        message: expect.stringMatching(/cannot be read: (ENXIO|it is a socket)/),
      });
    } finally {
      server.close();
    }
  });
});

// In processes of their own, which can be ended if they wait for what never comes.
describe('skep inspect', () => {
  it('does not wait for whoever writes to a named pipe', { timeout: 60_000 }, () => {
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const { status, stderr } = shell(`timeout 30 $SKEP inspect '${pipe}'`);
    expect(stderr).toBe(
      `skep: ${pipe} cannot be read: it is a named pipe; an object is a regular file [ERR_SKEP_FILE]\n`,
    );
    expect(status).toBe(1);
  });

  it('does not read a device that never ends', { timeout: 60_000 }, () => {
    const { status, stderr } = shell('timeout 30 $SKEP inspect /dev/zero');
    expect(stderr).toContain('/dev/zero cannot be read: it is a character device');
    expect(status).toBe(1);
  });

  it.each([
    ['a file without a size', '', '/proc/self/pagemap', 'this is not an ELF file'],
    ['a pipe of zeros', 'cat /dev/zero |', '/dev/stdin', 'this is not an ELF file'],
    [
      'a pipe that begins as an object',
      "(printf '\\177ELF'; cat /dev/zero) |",
      '/dev/stdin',
      '/dev/stdin cannot be read: it gives 268435456 bytes and more',
    ],
  ])('does not read %s for ever', { timeout: 60_000 }, (_, writer, file, said) => {
    const { status, stderr } = shell(`${writer} timeout 30 $SKEP inspect ${file}`);
    expect(stderr).toContain(said);
    expect(status).toBe(1);
  });

  it('reads a pipe that gives a byte at a time', { timeout: 60_000 }, () => {
    const { status, stdout } = shell(
      `dd if='${DEMO}' bs=1 2>/dev/null | $SKEP inspect --json /dev/stdin`,
    );
    expect(status).toBe(0);
    expect(JSON.parse(stdout).maps.length).toBe(ObjectFile.open(DEMO).maps.size);
  });

  it.each([
    ['a file at its input', `$SKEP inspect --json /dev/stdin < '${DEMO}'`],
    ['a pipe at its input', `cat '${DEMO}' | $SKEP inspect --json /dev/stdin`],
    ['a pipe that is slow', `(sleep 1; cat '${DEMO}') | $SKEP inspect --json /dev/fd/0`],
  ])('reads %s', { timeout: 60_000 }, (_, line) => {
    const { status, stdout, stderr } = shell(line);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(JSON.parse(stdout).maps.length).toBe(ObjectFile.open(DEMO).maps.size);
  });
});
