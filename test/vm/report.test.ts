/** How runs under several kernels are read, and which tests count as lost between them. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import {
  hostRun,
  lostTests,
  printRun,
  type Run,
  reportProblem,
  resultsOf,
  retriedTests,
  sentReport,
  summaryLines,
  totalsOf,
} from '../../scripts/vm/report.mjs';

const VITEST = fileURLToPath(new URL('../../node_modules/vitest/vitest.mjs', import.meta.url));

/** A report as vitest's JSON reporter writes it, as far as it is read. A `retried` test passed the second time. */
const report = (root: string, ...tests: readonly (readonly [string, string, string?])[]) => ({
  testResults: [
    {
      name: `${root}/test/kernel/some.test.js`,
      message: '',
      assertionResults: tests.map(([fullName, status, skipped]) => ({
        fullName,
        status: status === 'retried' ? 'passed' : status,
        failureMessages: ['failed', 'retried'].includes(status) ? ['it is not so'] : [],
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
      retried: 0,
      failed: 1,
      skipped: 0,
    });
  });
});

/** The report of vitest itself on a file of tests, with its exit status. */
function reportOf(source: string, ...more: string[]): ReturnType<typeof sentReport> {
  const directory = mkdtempSync(join(tmpdir(), 'skep-report-'));
  try {
    writeFileSync(join(directory, 'some.test.js'), source);
    const file = join(directory, 'report.json');
    const output = ['--reporter=json', `--outputFile=${file}`];
    const args = [VITEST, 'run', '--globals', '--root', directory, ...output, ...more];
    const { status } = spawnSync(process.execPath, args, { cwd: directory });
    return sentReport(`${readFileSync(file, 'utf8')}\nstatus ${status}\nend of report\n`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const PASSES = "it('passes', () => expect(1).toBe(1));";

describe('what vitest itself reports', { timeout: 120_000 }, () => {
  it('of tests that pass has no problem', () => {
    const good = reportOf(PASSES);
    expect(resultsOf(good)).toMatchObject([{ status: 'passed' }]);
    expect(reportProblem(good)).toBeNull();
  });

  it('of a test that passes only when it is retried says so, with what it said first', () => {
    const source = `${PASSES}
      let tries = 0;
      it('passes at last', () => expect(tries++).toBe(1));
      it.fails('is to fail', () => expect(1).toBe(2));
      it('fails', () => expect(1).toBe(2));`;
    const results = resultsOf(reportOf(source, '--retry=1'));
    const tried: Run = { kernel: '6.1', results, problem: null, seconds: 1 };
    expect(retriedTests(tried)).toMatchObject([
      { name: expect.stringMatching(/passes at last$/), messages: [expect.any(String)] },
    ]);
    expect(totalsOf(tried)).toEqual({ passed: 3, retried: 1, failed: 1, skipped: 0 });
  });

  it.each([
    ['of a file', `afterAll(() => { throw new Error('not closed'); }); ${PASSES}`, 'not closed'],
    [
      'of a group',
      `describe('group', () => { afterAll(() => { throw new Error('not closed'); }); ${PASSES} });`,
      'a hook of a group failed',
    ],
  ])('after a hook %s that fails has a failure, though all tests passed', (_, source, message) => {
    const failed = reportOf(source);
    expect(resultsOf(failed)).toMatchObject([
      { status: 'passed' },
      { status: 'failed', messages: [message] },
    ]);
    // It is a failure already, and named there.
    expect(reportProblem(failed)).toBeNull();
  });

  it('after an error that nobody handled is a problem, which only the status tells', () => {
    const uncaught = reportOf(
      `it('passes', async () => { Promise.reject(new Error('late')); await new Promise((done) => setTimeout(done, 50)); });`,
    );
    expect(resultsOf(uncaught)).toMatchObject([{ status: 'passed' }]);
    expect(uncaught.success).toBe(true);
    expect(reportProblem(uncaught)).toMatch(/^vitest ended with status 1 .*no test failed/);
  });

  it('without a file of tests is a problem', () => {
    expect(reportProblem({ testResults: [], success: false, status: 1 })).toMatch(/status 1/);
    expect(reportProblem({ testResults: [], success: false })).toMatch(/unknown status/);
  });
});

describe('a printed run', () => {
  const linesOf = (printed: Run) => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    try {
      printRun(printed, (text) => text);
      return log.mock.calls.map(([line]) => line);
    } finally {
      log.mockRestore();
    }
  };

  it('names the tests that failed, those that passed only when retried, and those that were skipped', () => {
    const tests = [
      ['one', 'retried'],
      ['two', 'failed'],
      ['three', 'skipped', 'needs 6.4'],
    ] as const;
    expect(linesOf(run('6.1', ['zero', 'passed'], ...tests))).toEqual([
      'FAIL test/kernel/some.test > two',
      '    it is not so',
      'retried: test/kernel/some.test > one',
      '    it is not so',
      'skipped: test/kernel/some.test > three (needs 6.4)',
      '2 passed (1 retried), 1 failed, 1 skipped',
    ]);
  });

  it('says nothing of tries if each test needed one', () => {
    expect(linesOf(run('6.1', ['one', 'passed']))).toEqual(['1 passed, 0 failed']);
  });
});

describe('what a guest sends', () => {
  it('is a report and the exit status', () => {
    expect(sentReport('{"success":true}\nstatus 3\nend of report\n')).toEqual({
      success: true,
      status: 3,
    });
  });

  it.each([
    '',
    '{"success":true}',
    '{"success":true}\nend of report\n',
    '{"success":true}\nstatus \nend of report\n',
    '{"success":true}\nstatus 0\nend of rep',
  ])('is not whole if something is missing: %j', (text) => {
    expect(sentReport(text)).toBeNull();
  });
});

describe('a test that an older kernel could run', () => {
  const textsOf = (...runs: Run[]) => lostTests(runs).map(({ text }) => text);
  const older = run('6.1', ['one', 'passed'], ['two', 'passed'], ['three', 'skipped']);

  it('is lost if a newer one skips it, with the reason, or does not have it', () => {
    const newer = run('6.12', ['one', 'skipped', 'no such thing'], ['three', 'skipped']);
    expect(textsOf(older, newer)).toEqual([
      'test/kernel/some.test > one: passed on 6.1, not run on 6.12 (no such thing)',
      'test/kernel/some.test > two: passed on 6.1, not run on 6.12',
    ]);
  });

  it('is not lost if it fails there, which counts by itself', () => {
    const newer = run('6.12', ['one', 'failed'], ['two', 'passed'], ['three', 'passed']);
    expect(textsOf(older, newer)).toEqual([]);
  });

  it('is not looked for in a run that gave no report', () => {
    const panicked = { ...run('6.12'), results: [], problem: 'it panicked' };
    expect(textsOf(older, panicked)).toEqual([]);
  });

  it('is lost as well if an even newer kernel skips what one between has gained', () => {
    const between = run('6.12', ['one', 'passed'], ['two', 'passed'], ['three', 'passed']);
    const newest = run('6.18', ['one', 'passed'], ['two', 'passed'], ['three', 'skipped']);
    expect(textsOf(older, between, newest)).toEqual([
      'test/kernel/some.test > three: passed on 6.12, not run on 6.18',
    ]);
  });

  it.each(['this kernel is locked down', 'this kernel has no kprobes'])(
    'is not lost on the host if that skips it because %s',
    (reason) => {
      const guest = run('6.1', ['one', 'passed']);
      const host = run('6.18', ['one', 'skipped', reason]);
      expect(textsOf(guest, host)).toHaveLength(1);
      expect(textsOf(guest, { ...host, isHost: true })).toEqual([]);
    },
  );

  it.each(['', 'this kernel may be locked down', 'this is not root'])(
    'is lost on the host for any other reason (%j)',
    (reason) => {
      const host = { ...run('6.18', ['one', 'skipped', reason]), isHost: true };
      expect(textsOf(run('6.1', ['one', 'passed']), host)).toHaveLength(1);
    },
  );
});

describe('the table', () => {
  it('has a row for each kernel, the host among them, with what was lost there', () => {
    const guest = run('6.1', ['one', 'passed'], ['two', 'retried'], ['three', 'failed']);
    const { testResults } = report('/home/me', ['one', 'passed'], ['two', 'skipped']);
    const host = hostRun('6.18', {
      testResults: testResults.map((file) => ({ ...file, endTime: 62_000 })),
      startTime: 1000,
      success: true,
      status: 0,
    });
    expect(summaryLines([guest, host], lostTests([guest, host]))).toEqual([
      'kernel            passed  retried  failed  skipped  lost  time',
      '6.1                    2        1       1        0     0   1 s',
      '6.18 (this host)       1        0       0        1     1  61 s',
    ]);
  });

  it('says what is wrong with a run that no test tells', () => {
    const host = hostRun('6.18', { testResults: [], startTime: 0, success: true, status: 1 });
    expect(summaryLines([host], [])[1]).toMatch(/ 0 s {2}vitest ended with status 1/);
  });
});
