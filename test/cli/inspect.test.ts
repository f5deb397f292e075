/**
 * `skep inspect` for people and for programs. What it shows was compared by eye with the sources in
 * fixtures/src; the golden outputs keep it that way. What is in an object is tested in test/obj.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeObject } from '../../src/cli/inspect-text.ts';
import { inspectionSchema } from '../../src/loader/inspection-schema.ts';
import type { ObjectFile } from '../../src/loader/object-file.ts';
import { inspect } from '../../src/obj/inspection.ts';
import { fixtureBytes, fixtureNames, openFixture } from '../support/fixtures.ts';
import { hasProgram } from '../support/programs.ts';
import { objectPath, ROOT, shell, skep, stdoutOf } from './skep.ts';

describe('the text of skep inspect', () => {
  it.each([
    // Maps of maps as trees, wide C types, data, a program.
    ['demo', undefined],
    ['demo', '80'],
    ['demo', '60'],
    // Slots, also many, of maps and of programs.
    ['nested/array-of-maps', '80'],
    ['nested/slots-64', '80'],
    ['nested/pinned', '80'],
    ['prog-array/slots', '80'],
    ['data/sections', '80'],
    ['maps/flags', '80'],
    ['maps/map-extra', '80'],
    ['maps/numa-node', '80'],
    ['maps/names', '80'],
    ['types/ringbuf', '80'],
    ['types/arena', '80'],
    ['legacy/both-styles', '80'],
    // Sleepable, not autoloaded, unknown with and without a suggestion.
    ['programs/every-section', '80'],
    ['programs/every-section', '160'],
    ['programs/optional', '80'],
    ['programs/unknown-section', '80'],
    // Nothing but the heading.
    ['plain/empty', '80'],
    ['demo.eb', '80'],
  ])('of %s in %s columns is as recorded', async (name, columns) => {
    const env: Record<string, string> = columns === undefined ? {} : { COLUMNS: columns };
    const file = `${name.replace('/', '-')}${columns === undefined ? '' : `-${columns}`}.txt`;
    await expect(stdoutOf(['inspect', objectPath(name)], { env })).toMatchFileSnapshot(
      `golden/inspect/${file}`,
    );
  });

  const objects = fixtureNames().map((name): [string, ObjectFile] => [name, openFixture(name)]);

  function text(object: ObjectFile, width: number): string {
    const terminal = { width, bold: (word: string) => word };
    return describeObject(inspect(object), object.btf !== undefined, terminal);
  }

  it('fits 80 columns for every fixture, but for the path of the file', () => {
    for (const [name, object] of objects) {
      const [, ...lines] = text(object, 80).split('\n');
      expect(
        lines.filter((line) => [...line].length > 80),
        name,
      ).toEqual([]);
    }
  });

  it('names everything that is in an object, once', () => {
    for (const [name, object] of objects) {
      const names = [...object.maps.keys(), ...object.data.keys(), ...object.programs.keys()];
      const first = text(object, Number.POSITIVE_INFINITY)
        .split('\n')
        .slice(1)
        .filter((line) => /^[^ ├└]/.test(line))
        .map((line) => line.split(' ')[0]!)
        .filter((word) => !['MAP', 'DATA', 'PROGRAM', 'no'].includes(word));
      expect(first.sort(), name).toEqual(names.sort());
    }
  });

  it('has no spaces at the ends of its lines', () => {
    for (const [, object] of objects) {
      expect(text(object, 80)).not.toMatch(/ $/m);
    }
  });
});

describe('skep inspect --json', () => {
  it.each(['demo', 'nested/inner-kinds', 'data/names', 'maps/map-extra', 'plain/empty', 'demo.eb'])(
    'prints of %s what inspect() of the library returns, with 2 spaces',
    (name) => {
      const printed = stdoutOf(['inspect', '--json', objectPath(name)]);
      const expected = { ...inspect(openFixture(name)), file: objectPath(name) };
      expect(printed).toBe(`${JSON.stringify(expected, null, 2)}\n`);
      expect(inspectionSchema.parse(JSON.parse(printed))).toEqual(expected);
    },
  );
});

describe('names that are hostile to a terminal', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'skep-cli-'));
  });
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });

  /** The demo object with other bytes for a name, as long as it, wherever it occurs. */
  function renamed(name: string, replacement: string): string {
    const bytes = Buffer.from(fixtureBytes('objects/demo.bpf.o'));
    const wanted = Buffer.from(replacement);
    expect(wanted.length).toBe(name.length);
    let found = 0;
    for (let at = bytes.indexOf(name); at !== -1; at = bytes.indexOf(name, at + 1)) {
      wanted.copy(bytes, at);
      found += 1;
    }
    expect(found).toBeGreaterThan(0);
    const path = join(directory, 'renamed.bpf.o');
    writeFileSync(path, bytes);
    return path;
  }

  it('are printed escaped: a program cannot clear the screen of who inspects it', () => {
    const { status, stdout } = skep([
      'inspect',
      renamed('count_packets', 'x\u001b[2J\u0007\rtitles'),
    ]);
    expect(status).toBe(0);
    expect(stdout).toContain('\nx\\x1b[2J\\x07\\x0dtitles  xdp ');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });

  it('are not printed raw in errors either', () => {
    const { status, stderr } = skep(['inspect', 'no\u001b[2Jfile\nfake: line']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^skep: no\\x1b\[2Jfile fake: line cannot be read: .*\n$/);
  });

  it('keep the direction of the text', () => {
    // U+202E turns what follows around; in UTF-8 it has 3 bytes.
    const { stdout } = skep(['inspect', renamed('count_packets', 'count\u202epacke')]);
    expect(stdout).toContain('count\\u202epacke');
  });
});

describe('colours', () => {
  const BOLD = '\u001b[1m';
  const tiny = objectPath('plain/tiny');

  it('are not there when the output is no terminal', () => {
    expect(stdoutOf(['inspect', tiny])).not.toContain('\u001b');
    expect(stdoutOf(['inspect', tiny], { env: { FORCE_COLOR: '1' } })).not.toContain('\u001b');
  });

  // script(1) gives the command a pseudo-terminal.
  describe.skipIf(!hasProgram('script'))('on a terminal', () => {
    const onTerminal = (line: string, env: Record<string, string> = { TERM: 'xterm' }): string =>
      shell(`script -qec "${line}" /dev/null < /dev/null`, env).stdout.replaceAll('\r\n', '\n');

    it('make the heading and the heads of tables bold', () => {
      const text = onTerminal(`$SKEP inspect ${tiny}`);
      expect(text).toContain(`${BOLD}${tiny}\u001b[22m: `);
      expect(text).toContain(`${BOLD}PROGRAM\u001b[22m`);
    });

    it.each([
      ['NO_COLOR is set', { TERM: 'xterm', NO_COLOR: '1' }],
      ['the terminal is dumb', { TERM: 'dumb' }],
    ])('are not there if %s', (_, env) => {
      const text = onTerminal(`$SKEP inspect ${tiny}`, env);
      expect(text).toContain('PROGRAM  SECTION');
      expect(text).not.toContain('\u001b');
    });

    it('leave the columns where they are', () => {
      const plain = stdoutOf(['inspect', objectPath('demo')], { env: { COLUMNS: '80' } });
      const styled = onTerminal(`stty cols 80; $SKEP inspect ${objectPath('demo')}`);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it removes
      expect(styled.replace(/\u001b\[\d+m/g, '')).toBe(plain);
    });
  });
});

it('works from any directory', () => {
  expect(stdoutOf(['inspect', join(ROOT, objectPath('plain/tiny'))])).toContain('tiny     socket');
});
