/** What `npm run test:vm` makes of its arguments: mistakes are found before anything is fetched or run. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readArguments, UsageError } from '../../scripts/vm/arguments.mjs';

const SCRIPT = fileURLToPath(new URL('../../scripts/vm/run.mjs', import.meta.url));

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'skep-arguments-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe('arguments', () => {
  it('are versions, from the oldest to the newest, each once', () => {
    expect(readArguments(['6.12', '6.1', '6.12'])).toMatchObject({
      versions: ['6.1', '6.12'],
      ...{ memoryMiB: 1400, cpus: 2, timeoutSeconds: 1800, hostReport: null, forVitest: [] },
    });
  });

  it('after two dashes are for vitest', () => {
    expect(readArguments(['6.1', '--', 'a.test.ts', '--bail=1']).forVitest).toEqual([
      'a.test.ts',
      '--bail=1',
    ]);
  });

  it.each(['abc', '6', '6.1.2', 'v6.1', '6.1;id', ''])('are no versions such as %j', (version) => {
    expect(() => readArguments(['6.1', version])).toThrow(/is no version of Linux: two numbers/);
  });

  it('have to name a kernel', () => {
    expect(() => readArguments([])).toThrow(/which kernels\?/);
    expect(readArguments(['--help']).help).toBe(true);
  });

  it.each([
    ['--memory', 'x'],
    ['--memory', '64'],
    ['--memory', '1e3'],
    ['--cpus', '0'],
    ['--cpus', '1.5'],
    ['--timeout', '0'],
    ['--timeout', '-5'],
    ['--timeout', ''],
  ])('%s is no %j', (option, value) => {
    expect(() => readArguments([`${option}=${value}`, '6.1'])).toThrow(
      `${option} is a whole number from `,
    );
  });

  it('are known', () => {
    expect(() => readArguments(['6.1', '--fast'])).toThrow(UsageError);
  });
});

describe('a report of the host', () => {
  it('is read before the machines are run', () => {
    const file = join(directory, 'good.json');
    writeFileSync(file, '{"startTime":1,"testResults":[]}');
    expect(readArguments(['6.1', '--host-report', file]).hostReport).toEqual({
      startTime: 1,
      testResults: [],
    });
  });

  it.each([
    ['is not there', null, /ENOENT/],
    ['is empty, as after a run that broke off', '', /JSON/],
    ['is something else', '{"a":1}', /is no report of vitest/],
    ['is null', 'null', /is no report of vitest/],
  ])('that %s is a mistake', (name, content, message) => {
    const file = join(directory, `${name}.json`);
    if (content !== null) writeFileSync(file, content);
    expect(() => readArguments(['6.1', '--host-report', file])).toThrow(message);
  });
});

describe('the command', () => {
  it.each([
    ['abc', /^"abc" is no version of Linux/],
    ['--memory=x', /^--memory is a whole number/],
  ])('ends with status 2 and a sentence after %s, not with a stack trace', (argument, message) => {
    const { status, stderr } = spawnSync(process.execPath, [SCRIPT, argument, '6.1'], {
      encoding: 'utf8',
    });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^ {4}at /m);
    expect(status).toBe(2);
  });
});
