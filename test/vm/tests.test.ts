/** Which tests guests run: every folder is run, or left out for a reason that is written down. */

import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { LEFT_OUT, testFiles } from '../../scripts/vm/tests.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

describe('the tests of guests', () => {
  it('are of each folder of tests, or that is left out for a reason', () => {
    const run = testFiles(ROOT).map((file) => file.split('/').slice(0, 2).join('/'));
    const folders = readdirSync(join(ROOT, 'test'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `test/${name}`);
    expect([...new Set(run), ...Object.keys(LEFT_OUT)].sort()).toEqual(folders.sort());
  });

  it('are compiled, and there', () => {
    const files = testFiles(ROOT);
    expect(files).toContain('test/kernel/locked-down.test.js');
    expect(files.filter((file) => !/^test\/[a-z]+\/[a-z-]+\.test\.js$/.test(file))).toEqual([]);
  });

  it('do not leave out a new folder in silence', () => {
    const directory = mkdtempSync(join(tmpdir(), 'skep-folders-'));
    try {
      mkdirSync(join(directory, 'test/novel'), { recursive: true });
      writeFileSync(join(directory, 'test/novel/a.test.ts'), '');
      expect(() => testFiles(directory)).toThrow(/does not say whether guests run test\/novel/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
