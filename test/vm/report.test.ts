/** How runs under several kernels are read, and which tests count as lost between them. */

import { describe, expect, it } from 'vitest';
import { lostTests, type Run, resultsOf, totalsOf } from '../../scripts/vm/report.mjs';

/** A report as vitest's JSON reporter writes it, as far as it is read. */
const report = (root: string, ...tests: readonly (readonly [string, string, string?])[]) => ({
  testResults: [
    {
      name: `${root}/test/kernel/some.test.js`,
      message: '',
      assertionResults: tests.map(([fullName, status, skipped]) => ({
        fullName,
        status,
        failureMessages: status === 'failed' ? ['it is not so'] : [],
        meta: skipped === undefined ? {} : { skipped },
      })),
    },
  ],
});

const run = (kernel: string, ...tests: Parameters<typeof report>[1][]): Run => ({
  kernel,
  results: resultsOf(report('/guest', ...tests)),
  problem: null,
  seconds: 1,
});

describe('a report', () => {
  it('names a test in the same way wherever it was run', () => {
    const names = ['/guest', '/home/me/package'].map(
      (root) => resultsOf(report(root, ['a map is closed', 'passed']))[0]?.name,
    );
    expect(names).toEqual(Array(2).fill('test/kernel/some.test > a map is closed'));
  });

  it('has failures with their messages, and the reasons of skipped tests', () => {
    const results = resultsOf(
      report('/guest', ['one', 'failed'], ['two', 'pending', 'needs 6.4'], ['three', 'skipped']),
    );
    expect(results).toMatchObject([
      { status: 'failed', messages: ['it is not so'] },
      { status: 'skipped', reason: 'needs 6.4' },
      { status: 'skipped', reason: '' },
    ]);
  });

  it('of a file that could not be imported is a failure', () => {
    const file = { name: '/guest/test/a.test.js', message: 'no such module', assertionResults: [] };
    const results = resultsOf({ testResults: [file] });
    expect(results).toMatchObject([{ status: 'failed', messages: ['no such module'] }]);
    expect(totalsOf({ kernel: 'x', results, problem: null, seconds: 1 })).toEqual({
      passed: 0,
      failed: 1,
      skipped: 0,
    });
  });
});

describe('a test that an older kernel could run', () => {
  const older = run('6.1', ['one', 'passed'], ['two', 'passed'], ['three', 'skipped']);

  it('is lost if a newer one skips it, with the reason, or does not have it', () => {
    const newer = run('6.12', ['one', 'skipped', 'no such thing'], ['three', 'skipped']);
    expect(lostTests([older, newer])).toEqual([
      'test/kernel/some.test > one: passed on 6.1, not run on 6.12 (no such thing)',
      'test/kernel/some.test > two: passed on 6.1, not run on 6.12',
    ]);
  });

  it('is not lost if it fails there, which counts by itself', () => {
    expect(
      lostTests([older, run('6.12', ['one', 'failed'], ['two', 'passed'], ['three', 'passed'])]),
    ).toEqual([]);
  });

  it('is not looked for in a run that is not whole', () => {
    expect(lostTests([older, { ...run('6.12'), results: [], problem: 'it panicked' }])).toEqual([]);
  });

  it('is lost as well if an even newer kernel skips what one between has gained', () => {
    const between = run('6.12', ['one', 'passed'], ['two', 'passed'], ['three', 'passed']);
    const newest = run('6.18', ['one', 'passed'], ['two', 'passed'], ['three', 'skipped']);
    expect(lostTests([older, between, newest])).toEqual([
      'test/kernel/some.test > three: passed on 6.12, not run on 6.18',
    ]);
  });
});
