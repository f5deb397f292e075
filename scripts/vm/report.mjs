/** What the runs gave: printed as other runs of the tests are, and compared from kernel to kernel. */

/**
 * A test of one run, by the name that it has in every run.
 *
 * @typedef {object} Result
 * @property {string} name file and full name
 * @property {'passed' | 'failed' | 'skipped'} status
 * @property {string[]} messages of failures; if it passed, of the tries before
 * @property {string} reason of being skipped; '' if the test says none
 */

/**
 * The results of a kernel, or of the host.
 *
 * @typedef {object} Run
 * @property {string} kernel
 * @property {Result[]} results
 * @property {string | null} problem why the run is not whole; null if it is
 * @property {number} seconds
 * @property {boolean} [isHost] whether it is of the machine's own kernel, not of a guest
 */

/**
 * A test that passed under an older kernel, and was not run under a newer one.
 *
 * @typedef {object} Lost
 * @property {string} kernel the newer one
 * @property {string} text what there is to say
 */

/** What ends the last line of a whole report from a guest, after vitest's exit status. */
const SENT_END = /\nstatus (\d+)\nend of report\n$/;

/** Why tests may be skipped on the host though guests run them: what it refuses to everybody, or was built without. */
const ONLY_IN_GUESTS = new Set(['this kernel is locked down', 'this kernel has no kprobes']);

/**
 * The report of vitest in what a guest has sent, with its exit status as `status`; null if it is not whole.
 *
 * @param {string} text
 * @returns {any}
 */
export function sentReport(text) {
  const end = SENT_END.exec(text);
  return end === null ? null : { ...JSON.parse(text.slice(0, end.index)), status: Number(end[1]) };
}

/**
 * The tests of a report of vitest (its JSON reporter). A file that could not be run counts as a failure, and
 * so does one that failed outside of its tests, as in `afterAll`.
 *
 * @param {any} report
 * @returns {Result[]}
 */
export function resultsOf(report) {
  return report.testResults.flatMap((/** @type {any} */ file) => {
    const [, path = file.name] = /((?:^|\/)test\/.*)\.[jt]s$/.exec(file.name) ?? [];
    const name = path.replace(/^\//, '');
    const tests = file.assertionResults.map((/** @type {any} */ test) => ({
      name: `${name} > ${test.fullName}`,
      status: statusOf(test.status),
      messages: test.failureMessages,
      reason: test.meta?.skipped ?? '',
    }));
    const hasFailed = tests.some((/** @type {Result} */ { status }) => status === 'failed');
    if (tests.length === 0 || (file.status === 'failed' && !hasFailed)) {
      // Vitest keeps the message of an error of the file itself, but not of a group in it.
      const otherwise = tests.length === 0 ? 'it has no tests' : 'a hook of a group failed';
      tests.push({ name, status: 'failed', messages: [file.message || otherwise], reason: '' });
    }
    return tests;
  });
}

/**
 * What is wrong with a run whose tests do not tell: an error outside of them, such as a rejection that nobody
 * handled. Null if nothing is.
 *
 * @param {any} report with vitest's exit status as `status`, if it is known
 * @returns {string | null}
 */
export function reportProblem(report) {
  const isGood = report.success === true && (report.status ?? 0) === 0;
  if (isGood || resultsOf(report).some(({ status }) => status === 'failed')) {
    return null;
  }
  const status = report.status === undefined ? 'an unknown status' : `status ${report.status}`;
  return `vitest ended with ${status} (success: ${report.success}), though no test failed: an error outside of tests`;
}

/**
 * The run on the machine's own kernel, from the report that `SKEP_REPORT=FILE npm test` keeps.
 *
 * @param {string} kernel
 * @param {any} report
 * @returns {Run}
 */
export function hostRun(kernel, report) {
  const end = Math.max(
    report.startTime,
    ...report.testResults.map((/** @type {any} */ file) => file.endTime),
  );
  return {
    kernel: `${kernel} (this host)`,
    results: resultsOf(report),
    problem: reportProblem(report),
    seconds: (end - report.startTime) / 1000,
    isHost: true,
  };
}

/**
 * @param {string} status as vitest calls it
 * @returns {Result['status']}
 */
function statusOf(status) {
  return status === 'passed' || status === 'failed' ? status : 'skipped';
}

/**
 * Tests that failed and then passed. Vitest's JSON does not count tries, but keeps what the failed ones said.
 *
 * @param {Run} run
 */
export function retriedTests({ results }) {
  return results.filter(({ status, messages }) => status === 'passed' && messages.length > 0);
}

/**
 * How many of a run's tests came to what. Those that were retried are among those that passed.
 *
 * @param {Run} run
 */
export function totalsOf(run) {
  const count = (/** @type {Result['status']} */ wanted) =>
    run.results.filter(({ status }) => status === wanted).length;
  return {
    passed: count('passed'),
    retried: retriedTests(run).length,
    failed: count('failed'),
    skipped: count('skipped'),
  };
}

/**
 * Prints failures with their messages, tests that passed only when they were retried with those of the first
 * try, skipped tests with their reasons, and the totals as the last line.
 *
 * @param {Run} run
 * @param {(text: string) => string} toSource turns places in compiled files into those of the sources
 */
export function printRun(run, toSource) {
  for (const { name, messages } of run.results.filter(({ status }) => status === 'failed')) {
    console.log(`FAIL ${name}`);
    console.log(indented(toSource(messages.join('\n'))));
  }
  for (const { name, messages } of retriedTests(run)) {
    console.log(`retried: ${name}`);
    console.log(indented(toSource(messages.join('\n'))));
  }
  for (const { name, reason } of run.results.filter(({ status }) => status === 'skipped')) {
    console.log(`skipped: ${name}${reason === '' ? '' : ` (${reason})`}`);
  }
  if (run.problem !== null) {
    console.log(run.problem);
  }
  const { passed, retried, failed, skipped } = totalsOf(run);
  const again = retried > 0 ? ` (${retried} retried)` : '';
  const left = skipped > 0 ? `, ${skipped} skipped` : '';
  console.log(`${passed} passed${again}, ${failed} failed${left}`);
}

/** @param {string} text */
function indented(text) {
  return text.replace(/^(?=.)/gm, '    ');
}

/**
 * Tests that an older kernel could run and a newer one could not: skipped there, or not there at all. On the
 * host, what only guests can run is not lost.
 *
 * @param {Run[]} runs from the oldest kernel to the newest
 * @returns {Lost[]}
 */
export function lostTests(runs) {
  /** @type {Map<string, string>} */
  const passedOn = new Map();
  /** @type {Lost[]} */
  const lost = [];
  for (const run of runs) {
    const { kernel, results } = run;
    const byName = new Map(results.map((result) => [result.name, result]));
    for (const [name, older] of passedOn) {
      const result = byName.get(name);
      if (isLost(run, result)) {
        const why = result?.reason ? ` (${result.reason})` : '';
        lost.push({ kernel, text: `${name}: passed on ${older}, not run on ${kernel}${why}` });
      }
    }
    for (const { name, status } of results) {
      if (status === 'passed' && !passedOn.has(name)) {
        passedOn.set(name, kernel);
      }
    }
  }
  return lost;
}

/**
 * @param {Run} run
 * @param {Result | undefined} result in it, of a test that passed before
 */
function isLost({ results, isHost }, result) {
  // A run that gave no report says nothing of any test.
  if (results.length === 0) {
    return false;
  }
  const isExpected = isHost === true && ONLY_IN_GUESTS.has(result?.reason ?? '');
  return result === undefined || (result.status === 'skipped' && !isExpected);
}

/**
 * A table of all runs, a line for each.
 *
 * @param {Run[]} runs
 * @param {Lost[]} lost
 */
export function summaryLines(runs, lost) {
  const rows = runs.map((run) => {
    const { passed, retried, failed, skipped } = totalsOf(run);
    const missing = lost.filter(({ kernel }) => kernel === run.kernel).length;
    const numbers = [passed, retried, failed, skipped, missing].map(String);
    return [run.kernel, ...numbers, `${Math.round(run.seconds)} s`, run.problem ?? ''];
  });
  const head = ['kernel', 'passed', 'retried', 'failed', 'skipped', 'lost', 'time', ''];
  const table = [head, ...rows];
  const widths = head
    .slice(0, -1)
    .map((_, at) => Math.max(...table.map((row) => row[at]?.length ?? 0)));
  return table.map(([kernel = '', ...rest]) => {
    const cells = rest.map((cell, at) => cell.padStart(widths[at + 1] ?? 0));
    return [kernel.padEnd(widths[0] ?? 0), ...cells].join('  ').trimEnd();
  });
}
