/**
 * Objects made to have the command print more than is in them: many rows or programs, and one long name
 * or function for all of them.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dumpsOf } from '../../src/cli/program-dump.ts';
import { dumpDocument, dumpLines } from '../../src/cli/program-dump-text.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { times } from '../fuzz/growth.ts';
import { GLOBAL, instructions, ObjectBuilder } from '../fuzz/object-builder.ts';
import { failsOn, printed, runHere } from './in-process.ts';
import { shell } from './skep.ts';

const CALL = [0x85, 0x10, 0, 0, 0xff, 0xff, 0xff, 0xff];
const LONG_NAME = 'x'.repeat(60_000);
/** Linking and listing millions of instructions may take a while. */
const timeout = 120_000;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'skep-long-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

function write(name: string, object: ObjectBuilder): string {
  const file = join(directory, `${name}.bpf.o`);
  writeFileSync(file, object.write());
  return file;
}

/** Programs of one instruction, the first of which has a long name. */
function withLongName(count: number): ObjectBuilder {
  const object = new ObjectBuilder();
  const section = object.code('xdp', instructions(count));
  times(count, (index) =>
    object.symbol(index === 0 ? LONG_NAME : `p${index}`, {
      ...{ info: GLOBAL.FUNC, section, value: index * 8, size: 8 },
    }),
  );
  return object;
}

/** Programs of some calls of one function, and an `exit`. */
function withCalls(
  programs: number,
  calls: number,
  called: { readonly name: string; readonly length: number },
): ObjectBuilder {
  const object = new ObjectBuilder();
  const text = object.code('.text', instructions(called.length));
  const target = object.symbol(called.name, {
    ...{ info: GLOBAL.FUNC, section: text, size: called.length * 8 },
  });
  const slots = calls + 1;
  const places = times(programs * calls, (at) => Math.floor(at / calls) * slots + (at % calls));
  const code = Object.fromEntries(places.map((slot) => [slot, CALL]));
  const section = object.code('xdp', instructions(programs * slots, code));
  const size = slots * 8;
  times(programs, (index) =>
    object.symbol(`p${index}`, { info: GLOBAL.FUNC, section, value: index * size, size }),
  );
  object.relocations(
    section,
    places.map((slot) => [slot * 8, target]),
  );
  return object;
}

describe('one long name among thousands of programs', () => {
  it('is printed by skep inspect as often as it is there', { timeout }, async () => {
    const file = write('inspected', withLongName(5000));
    const text = await printed(['inspect', file]);
    expect(text.split(LONG_NAME)).toHaveLength(2);
    expect(text.length).toBeLessThan(400_000);
    expect(text).toMatch(/^p4999 {4}xdp /m);
  });

  it('is printed by skep load in its step, its row and its end', { timeout }, async () => {
    const file = write('loaded', withLongName(2000));
    const { status, stdout } = await runHere(['load', file], new MemoryKernel());
    expect(status).toBe(0);
    expect(stdout.split(LONG_NAME)).toHaveLength(4);
    expect(stdout.length).toBeLessThan(500_000);
  });
});

describe('programs that all call one long function', () => {
  it.each([
    ['text', []],
    ['JSON', ['--json']],
  ])('are not dumped all at once as %s: it says what to do', { timeout }, async (_, options) => {
    const file = write('calls', withCalls(1000, 1, { name: 'f', length: 1100 }));
    await failsOn(
      new MemoryKernel(),
      1,
      /its 1000 programs together have more than 1048576 instructions.*give its name/,
      ['program', 'dump', file, ...options],
    );
  });

  it('are dumped by name', { timeout }, async () => {
    const file = write('calls', withCalls(1000, 1, { name: 'f', length: 1100 }));
    const text = await printed(['program', 'dump', file, 'p7']);
    expect(text.trimEnd().split('\n')).toHaveLength(1104);
    const document = JSON.parse(await printed(['program', 'dump', file, 'p7', '--json']));
    expect(document.programs[0].instructions).toHaveLength(1102);
  });

  it('are linked one after the other: the first is printed before the second is made', () => {
    const object = ObjectFile.parse(withCalls(3, 1, { name: 'f', length: 2 }).write());
    for (const pieces of [
      (dumps: ReturnType<typeof dumpsOf>) => dumpLines(dumps, true),
      (dumps: ReturnType<typeof dumpsOf>) => dumpDocument({}, dumps),
    ]) {
      const made: string[] = [];
      const names = (function* () {
        for (const name of object.programs.keys()) {
          made.push(name);
          yield name;
        }
      })();
      for (const piece of pieces(dumpsOf(object, 'file', names))) {
        if (piece.includes('exit')) break;
      }
      expect(made).toEqual(['p0']);
    }
  });
});

describe('a program with thousands of calls of a function with a long name', () => {
  it('is dumped if it is named, not otherwise', { timeout }, async () => {
    const file = write('names', withCalls(1, 2500, { name: LONG_NAME, length: 1 }));
    await failsOn(
      new MemoryKernel(),
      1,
      /its program has more than 134217728 characters.*give its name/,
      ['program', 'dump', file],
    );
    const { stdout, stderr } = shell(`$SKEP program dump ${file} p0 | wc -c`);
    expect(stderr).toBe('');
    expect(Number(stdout)).toBeGreaterThan(2500 * LONG_NAME.length);
  });
});

describe('a reader that has seen enough', () => {
  it.each([
    'inspect',
    'inspect --json',
    'inspect --diagram',
    'program dump',
    'program dump --json',
  ])('ends skep %s quietly', { timeout }, (command) => {
    // More than a pipe holds.
    const file = write('read', withLongName(3000));
    const line = `$SKEP ${command} ${file}`;
    const { stdout, stderr } = shell(`{ ${line}; echo "status $?" >&2; } | head -n 1`);
    expect(stdout).toMatch(/^.+\n$/);
    expect(stderr).toBe('status 0\n');
  });
});
