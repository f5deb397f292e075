/** What suites report: tables for people, verdicts on targets, and the samples for machines. */

import { pairedRatio } from './measure.mjs';

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
 * @property {readonly { against: string, atMost: number | null }[]} [others] further peers to compare
 *   it with
 * @property {number} [atMostNs] a target in nanoseconds, whatever others take
 */

/** @typedef {'µs' | 'ns'} Unit */

/** @param {Verdict} verdict */
export function isMet({ value, atMost }) {
  return value !== null && value <= atMost;
}

/**
 * Puts comparisons into a table, one column for each subject, and judges them.
 * @param {string} title
 * @param {readonly Comparison[]} comparisons
 * @param {Unit} [unit]
 * @returns {{ table: Table, verdicts: Verdict[] }}
 */
export function compare(title, comparisons, unit = 'µs') {
  const subjects = [...new Set(comparisons.flatMap(({ outcomes }) => [...outcomes.keys()]))];
  const peers = [...new Set(comparisons.flatMap(peersOf).map(({ against }) => against))];
  const limited = comparisons.some(({ atMostNs }) => atMostNs !== undefined);
  /** @type {Verdict[]} */
  const verdicts = [];
  const rows = comparisons.map((comparison) => {
    const { name, outcomes, ours, against } = comparison;
    const times = subjects.map((subject) => withRange(outcomes.get(subject)?.warm, unit));
    const cold = [ours, against].map((subject) => inUnit(outcomes.get(subject)?.cold.median, unit));
    const ratios = peers.flatMap((peer) => {
      const { cells, verdict } = judgeRatio(title, comparison, peer);
      verdicts.push(...(verdict === null ? [] : [verdict]));
      return cells;
    });
    const limit = judgeLimit(title, comparison);
    verdicts.push(...(limit === null ? [] : [limit]));
    const limits = limit === null ? ['', ''] : [`<= ${limit.atMost} ns`, wordFor(limit)];
    return [name, ...times, ...ratios, ...(limited ? limits : []), ...cold];
  });
  const [first] = comparisons;
  const ratioColumns =
    peers.length === 1
      ? ['ratio', 'target', '']
      : peers.flatMap((peer) => [`of ${peer}`, 'target', '']);
  return {
    table: {
      title,
      columns: [
        unit,
        ...subjects,
        ...ratioColumns,
        ...(limited ? ['limit', ''] : []),
        `cold ${first?.ours}`,
        `cold ${first?.against}`,
      ],
      rows,
    },
    verdicts,
  };
}

/** @param {Comparison} comparison */
function peersOf({ against, atMost, others = [] }) {
  return [{ against, atMost }, ...others];
}

/**
 * @param {string} title
 * @param {Comparison} comparison
 * @param {string} peer
 * @returns {{ cells: string[], verdict: Verdict | null }}
 */
function judgeRatio(title, comparison, peer) {
  const { name, outcomes, ours } = comparison;
  const wanted = peersOf(comparison).find(({ against }) => against === peer);
  if (wanted === undefined) {
    return { cells: ['', '', ''], verdict: null };
  }
  const [our, their] = [outcomes.get(ours), outcomes.get(peer)];
  const value = our && their ? pairedRatio(our.samplesNs, their.samplesNs) : null;
  const shown = value === null ? '-' : `${digits(value)}x`;
  const { atMost } = wanted;
  if (atMost === null) {
    return { cells: [shown, '', ''], verdict: null };
  }
  const verdict = { name: `${title}: ${name}`, value, atMost, of: `${ours} / ${peer}` };
  return { cells: [shown, `<= ${atMost}x`, wordFor(verdict)], verdict };
}

/**
 * @param {string} title
 * @param {Comparison} comparison
 * @returns {Verdict | null}
 */
function judgeLimit(title, { name, outcomes, ours, atMostNs }) {
  const value = outcomes.get(ours)?.warm.median ?? null;
  return atMostNs === undefined
    ? null
    : { name: `${title}: ${name}`, value, atMost: atMostNs, of: `${ours} in ns` };
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
 * @param {number | undefined} ns
 * @param {Unit} unit
 */
function inUnit(ns, unit) {
  return ns === undefined || unit === 'µs' ? micros(ns) : digits(ns);
}

/**
 * A median with the range around it.
 * @param {Statistics | undefined} statistics in nanoseconds
 * @param {Unit} [unit]
 */
export function withRange(statistics, unit = 'µs') {
  if (statistics === undefined) {
    return '-';
  }
  const [median, min, max] = [statistics.median, statistics.min, statistics.max].map((ns) =>
    inUnit(ns, unit),
  );
  return `${median} (${min} - ${max})`;
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
