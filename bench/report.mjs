/** What suites report: tables for people, verdicts on targets, and the samples for machines. */

/** @import { Statistics } from './measure.mjs' */
/** @import { Outcome } from './processes.mjs' */

/**
 * @typedef {object} Table
 * @property {string} title
 * @property {readonly string[]} columns
 * @property {readonly (readonly string[])[]} rows
 */

/**
 * @typedef {object} Verdict A target, and what was measured.
 * @property {string} name
 * @property {number | null} value null: not measured, since a peer is missing
 * @property {number} atMost
 * @property {string} of what the value is, e.g. `skep / libbpf`
 */

/**
 * @typedef {object} Report What a suite returns.
 * @property {readonly Table[]} tables
 * @property {readonly Verdict[]} verdicts
 * @property {readonly string[]} notes what the reader must know to read the tables
 * @property {unknown} data the samples and everything else, for the JSON file
 */

/**
 * @typedef {object} Comparison One operation, done by skep and by peers.
 * @property {string} name
 * @property {ReadonlyMap<string, Outcome>} outcomes by subject
 * @property {string} ours the subject that is compared
 * @property {string} against the peer that it is compared with
 * @property {number | null} atMost the target: ours at most this many times the peer's time; null:
 *   only to be known
 */

/** @param {Verdict} verdict */
export function isMet({ value, atMost }) {
  return value !== null && value <= atMost;
}

/**
 * Puts comparisons into a table, one column for each subject, and judges them.
 * @param {string} title
 * @param {readonly Comparison[]} comparisons
 * @returns {{ table: Table, verdicts: Verdict[] }}
 */
export function compare(title, comparisons) {
  const subjects = [...new Set(comparisons.flatMap(({ outcomes }) => [...outcomes.keys()]))];
  /** @type {Verdict[]} */
  const verdicts = [];
  const rows = comparisons.map(({ name, outcomes, ours, against, atMost }) => {
    const [our, their] = [outcomes.get(ours), outcomes.get(against)];
    const times = subjects.map((subject) => withRange(outcomes.get(subject)?.warm));
    const cold = [micros(our?.cold.median), micros(their?.cold.median)];
    const value = our && their ? our.warm.median / their.warm.median : null;
    const shown = value === null ? '-' : `${digits(value)}x`;
    if (atMost === null) {
      return [name, ...times, shown, '', '', ...cold];
    }
    const verdict = { name: `${title}: ${name}`, value, atMost, of: `${ours} / ${against}` };
    verdicts.push(verdict);
    return [name, ...times, shown, `<= ${atMost}x`, wordFor(verdict), ...cold];
  });
  const [first] = comparisons;
  const cold = [`cold ${first?.ours}`, `cold ${first?.against}`];
  return {
    table: { title, columns: ['µs', ...subjects, 'ratio', 'target', '', ...cold], rows },
    verdicts,
  };
}

/** @param {Verdict} verdict */
function wordFor(verdict) {
  return verdict.value === null ? '-' : isMet(verdict) ? 'ok' : 'MISSED';
}

/**
 * Nanoseconds as microseconds.
 * @param {number | undefined} ns
 */
export function micros(ns) {
  return ns === undefined ? '-' : digits(ns / 1e3);
}

/**
 * A median with the range around it, in microseconds.
 * @param {Statistics | undefined} statistics in nanoseconds
 */
export function withRange(statistics) {
  return statistics === undefined
    ? '-'
    : `${micros(statistics.median)} (${micros(statistics.min)} - ${micros(statistics.max)})`;
}

/**
 * Three significant digits, and thousands set apart.
 * @param {number} value
 */
export function digits(value) {
  const magnitude = Math.abs(value);
  if (magnitude >= 100) {
    return Math.round(value).toLocaleString('en-US');
  }
  return value.toFixed(magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3);
}

/**
 * @param {Table} table
 * @returns {string}
 */
export function renderTable({ title, columns, rows }) {
  const lines = [columns, ...rows];
  const widths = columns.map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  const render = (/** @type {readonly string[]} */ line) =>
    line
      // Names to the left, figures to the right.
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return [title, rule, render(columns), rule, ...rows.map(render), rule].join('\n');
}

/**
 * @param {readonly Verdict[]} verdicts
 * @returns {string} a line for each target, and how many are met
 */
export function renderSummary(verdicts) {
  const lines = verdicts.map((verdict) => {
    const { name, value, atMost, of } = verdict;
    const found = value === null ? 'not measured' : digits(value);
    return `${wordFor(verdict).padEnd(6)}  ${name}: ${of} ${found}, target at most ${atMost}`;
  });
  const unknown = verdicts.filter(({ value }) => value === null).length;
  const met = `target met: ${verdicts.filter(isMet).length} of ${verdicts.length}`;
  return [...lines, unknown === 0 ? met : `${met} (${unknown} not measured)`].join('\n');
}
