/** What the runs gave: printed as other runs of the tests are, and compared from kernel to kernel. */

/**
 * A test of one run, by the name that it has in every run.
 *
 * @typedef {object} Result
 * @property {string} name file and full name
 * @property {'passed' | 'failed' | 'skipped'} status
 * @property {string[]} messages of a failure
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
 */

/**
 * The tests of a report of vitest (its JSON reporter). A file that could not be run counts as a failure.
 *
 * @param {any} report
 * @returns {Result[]}
 */
export function resultsOf(report) {
  return report.testResults.flatMap((/** @type {any} */ file) => {
    const [, path = file.name] = /((?:^|\/)test\/.*)\.[jt]s$/.exec(file.name) ?? [];
    const name = path.replace(/^\//, '');
    if (file.assertionResults.length === 0) {
      return [
        { name, status: 'failed', messages: [file.message || 'it has no tests'], reason: '' },
      ];
    }
    return file.assertionResults.map((/** @type {any} */ test) => ({
      name: `${name} > ${test.fullName}`,
      status: statusOf(test.status),
      messages: test.failureMessages,
      reason: test.meta?.skipped ?? '',
    }));
  });
}

/**
 * @param {string} status as vitest calls it
 * @returns {Result['status']}
 */
function statusOf(status) {
  return status === 'passed' || status === 'failed' ? status : 'skipped';
}

/**
 * How many of a run's tests came to what.
 *
 * @param {Run} run
 */
export function totalsOf({ results }) {
  const count = (/** @type {Result['status']} */ wanted) =>
    results.filter(({ status }) => status === wanted).length;
  return { passed: count('passed'), failed: count('failed'), skipped: count('skipped') };
}

/**
 * Prints failures with their messages, skipped tests with their reasons, and the totals as the last line.
 *
 * @param {Run} run
 * @param {(text: string) => string} toSource turns places in compiled files into those of the sources
 */
export function printRun(run, toSource) {
  for (const { name, messages } of run.results.filter(({ status }) => status === 'failed')) {
    console.log(`FAIL ${name}`);
    console.log(indented(toSource(messages.join('\n'))));
  }
  for (const { name, reason } of run.results.filter(({ status }) => status === 'skipped')) {
    console.log(`skipped: ${name}${reason === '' ? '' : ` (${reason})`}`);
  }
  if (run.problem !== null) {
    console.log(run.problem);
  }
  const { passed, failed, skipped } = totalsOf(run);
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
}

/** @param {string} text */
function indented(text) {
  return text.replace(/^(?=.)/gm, '    ');
}

/**
 * Tests that an older kernel could run and a newer one could not: skipped there, or not there at all.
 *
 * @param {Run[]} runs from the oldest kernel to the newest
 * @returns {string[]} a line for each
 */
export function lostTests(runs) {
  /** @type {Map<string, string>} */
  const passedOn = new Map();
  /** @type {string[]} */
  const lost = [];
  for (const { kernel, results, problem } of runs) {
    const byName = new Map(results.map((result) => [result.name, result]));
    for (const [name, older] of passedOn) {
      const result = byName.get(name);
      if (problem === null && (result === undefined || result.status === 'skipped')) {
        const why = result?.reason ? ` (${result.reason})` : '';
        lost.push(`${name}: passed on ${older}, not run on ${kernel}${why}`);
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
 * A table of all runs, a line for each.
 *
 * @param {Run[]} runs
 */
export function printSummary(runs) {
  const rows = runs.map((run) => {
    const { passed, failed, skipped } = totalsOf(run);
    const time = run.seconds === 0 ? '' : `${Math.round(run.seconds)} s`;
    return [run.kernel, `${passed}`, `${failed}`, `${skipped}`, time, run.problem ?? ''];
  });
  const table = [['kernel', 'passed', 'failed', 'skipped', 'time', ''], ...rows];
  const widths = [0, 1, 2, 3, 4].map((at) => Math.max(...table.map((row) => row[at]?.length ?? 0)));
  for (const [kernel = '', ...rest] of table) {
    const cells = rest.map((cell, at) => cell.padStart(widths[at + 1] ?? 0));
    console.log([kernel.padEnd(widths[0] ?? 0), ...cells].join('  ').trimEnd());
  }
}
