/** What suites report: tables for people, verdicts on targets, and rows and samples for machines. */

import { pairedRatios } from './measure.mjs';

/** @import { Spread, Statistics } from './measure.mjs' */
/** @import { Outcome } from './processes.mjs' */

/**
 * @typedef {object} Table
 * @property {string} title
 * @property {readonly string[]} columns
 * @property {readonly (readonly string[])[]} rows
 * @property {readonly string[]} [footnotes] what cells refer to as `[1]`, `[2]`, ...
 */

/**
 * @typedef {object} Verdict A target, and what was measured.
 * @property {string} name
 * @property {number | null} value null: not measured, since a peer is missing
 * @property {number} atMost
 * @property {string} of what the value is, e.g. `skep / libbpf`
 * @property {string} [reason] why the target may be missed, printed when it is
 */

/**
 * @typedef {object} Ratio How many times a peer's time skep takes: the median over pairs of samples, and
 *   the quartiles around it.
 * @property {string} against the peer
 * @property {number} median
 * @property {number} low
 * @property {number} high
 * @property {number | null} atMost the target
 * @property {string | null} reason why skep may take longer
 */

/**
 * @typedef {object} ResultRow One operation, as the JSON file and the chart have it. Times in ns.
 * @property {string} suite
 * @property {string} name
 * @property {string} ours the subject that is compared
 * @property {Readonly<Record<string, Statistics & { cold: number }>>} subjects
 * @property {readonly Ratio[]} ratios
 */

/**
 * @typedef {object} Report What a suite returns.
 * @property {readonly Table[]} tables
 * @property {readonly Verdict[]} verdicts
 * @property {readonly string[]} notes what the reader must know to read the tables
 * @property {readonly ResultRow[]} [rows] what was compared with peers
 * @property {unknown} data the samples and everything else, for the JSON file
 * @property {ReadonlyMap<string, number>} [medians] what other suites quote, in nanoseconds
 */

/**
 * @typedef {object} Target What is wanted against one peer.
 * @property {string} against
 * @property {number | null} atMost ours at most this many times the peer's time; null: only to be known
 * @property {string} [reason] why ours may take longer than the peer; printed beside the figure when it
 *   does
 */

/**
 * @typedef {object} Comparison One operation, done by skep and by peers.
 * @property {string} name
 * @property {ReadonlyMap<string, Outcome>} outcomes by subject
 * @property {string} ours the subject that is compared
 * @property {string} against the peer that it is compared with
 * @property {number | null} atMost the target: see {@link Target}
 * @property {string} [reason]
 * @property {readonly Target[]} [others] further peers to compare it with
 * @property {number} [atMostNs] a target in nanoseconds, whatever others take
 */

/** @typedef {'µs' | 'ns'} Unit */

/** @param {Verdict} verdict */
export function isMet({ value, atMost }) {
  return value !== null && value <= atMost;
}

/**
 * Puts comparisons into a table, a line for each subject of each, and judges them.
 * @param {string} title
 * @param {readonly Comparison[]} comparisons
 * @param {Unit} [unit]
 * @returns {{ table: Table, verdicts: Verdict[], rows: ResultRow[] }}
 */
export function compare(title, comparisons, unit = 'µs') {
  const rows = comparisons.map((comparison) => resultRow(title, comparison));
  /** @type {string[]} */
  const footnotes = [];
  /** @type {Verdict[]} */
  const verdicts = [];
  const lines = comparisons.flatMap((comparison, index) => {
    const row = rows[index];
    verdicts.push(...judge(title, comparison, row?.ratios ?? []));
    return [...comparison.outcomes].map(([subject, { warm, cold }], line) => [
      line === 0 ? comparison.name : '',
      subject,
      withRange(warm, unit),
      inUnit(cold.median, unit),
      ...cellsOf(comparison, subject, row?.ratios ?? [], footnotes),
    ]);
  });
  const columns = [unit, 'subject', 'median (range)', 'cold', 'skep takes (quartiles)', 'target'];
  return { table: { title, columns, rows: lines, footnotes }, verdicts, rows };
}

/**
 * @param {Comparison} comparison
 * @returns {Target[]}
 */
function targetsOf({ against, atMost, reason, others = [] }) {
  return [{ against, atMost, ...(reason === undefined ? {} : { reason }) }, ...others];
}

/**
 * @param {string} suite
 * @param {Comparison} comparison
 * @returns {ResultRow}
 */
function resultRow(suite, comparison) {
  const { name, outcomes, ours } = comparison;
  const our = outcomes.get(ours);
  const ratios = targetsOf(comparison).flatMap(({ against, atMost, reason = null }) => {
    const their = outcomes.get(against);
    return our === undefined || their === undefined
      ? []
      : [{ against, ...pairedRatios(our.samplesNs, their.samplesNs), atMost, reason }];
  });
  const subjects = Object.fromEntries(
    [...outcomes].map(([subject, { warm, cold }]) => [subject, { ...warm, cold: cold.median }]),
  );
  return { suite, name, ours, subjects, ratios };
}

/**
 * A subject's cells to the right of its times: how skep compares with it, and the target.
 * @param {Comparison} comparison
 * @param {string} subject
 * @param {readonly Ratio[]} ratios
 * @param {string[]} footnotes gets the reasons
 */
function cellsOf(comparison, subject, ratios, footnotes) {
  const { ours, atMostNs, outcomes } = comparison;
  if (subject === ours) {
    const value = outcomes.get(ours)?.warm.median ?? Number.NaN;
    return atMostNs === undefined
      ? ['', '']
      : ['', `<= ${atMostNs} ns ${value <= atMostNs ? 'ok' : 'MISSED'}`];
  }
  const ratio = ratios.find(({ against }) => against === subject);
  if (ratio === undefined) {
    return ['', ''];
  }
  const { atMost, reason } = ratio;
  const mark = reason !== null && ratio.median > 1 ? ` [${footnoteOf(reason, footnotes)}]` : '';
  const word = atMost === null ? '' : `<= ${atMost}x ${ratio.median <= atMost ? 'ok' : 'MISSED'}`;
  return [`${ratioText(ratio)}${mark}`, word];
}

/**
 * @param {string} reason
 * @param {string[]} footnotes
 * @returns {number} its number, from 1 on
 */
function footnoteOf(reason, footnotes) {
  if (!footnotes.includes(reason)) footnotes.push(reason);
  return footnotes.indexOf(reason) + 1;
}

/** @param {Spread} ratio */
function ratioText({ median, low, high }) {
  return `${digits(median)}x (${digits(low)} - ${digits(high)})`;
}

/**
 * @param {string} title
 * @param {Comparison} comparison
 * @param {readonly Ratio[]} ratios
 * @returns {Verdict[]}
 */
function judge(title, comparison, ratios) {
  const { ours, outcomes, atMostNs } = comparison;
  const name = `${title}: ${comparison.name}`;
  const verdicts = targetsOf(comparison).flatMap(({ against, atMost }) => {
    const value = ratios.find((ratio) => ratio.against === against)?.median ?? null;
    return atMost === null ? [] : [{ name, value, atMost, of: `${ours} / ${against}` }];
  });
  const limit = { name, value: outcomes.get(ours)?.warm.median ?? null, of: `${ours} in ns` };
  return atMostNs === undefined ? verdicts : [...verdicts, { ...limit, atMost: atMostNs }];
}

/** @param {Verdict} verdict */
function wordFor(verdict) {
  return verdict.value === null ? '-' : isMet(verdict) ? 'ok' : 'MISSED';
}

/**
 * A verdict in a line: the target, what was measured, and the reason if it is missed.
 * @param {Verdict} verdict
 * @returns {string}
 */
export function renderVerdict(verdict) {
  const { name, value, atMost, of, reason } = verdict;
  const found = value === null ? 'not measured' : digits(value);
  const why = reason === undefined || value === null || isMet(verdict) ? '' : `: ${reason}`;
  return `${wordFor(verdict).padEnd(6)}  ${name}: ${of} ${found}, target at most ${atMost}${why}`;
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
export function renderTable({ title, columns, rows, footnotes = [] }) {
  const lines = [columns, ...rows];
  const widths = columns.map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  );
  const render = (/** @type {readonly string[]} */ line) =>
    line
      // Names to the left, figures to the right.
      .map((cell, column) =>
        column === 0 || columns[column] === 'subject'
          ? cell.padEnd(widths[column] ?? 0)
          : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  const reasons = footnotes.map((text, index) => `[${index + 1}] ${text}`);
  return [title, rule, render(columns), rule, ...rows.map(render), rule, ...reasons].join('\n');
}

/**
 * @param {readonly Verdict[]} verdicts
 * @returns {string} a line for each target, and how many are met
 */
export function renderSummary(verdicts) {
  const lines = verdicts.map(renderVerdict);
  const unknown = verdicts.filter(({ value }) => value === null).length;
  const met = `target met: ${verdicts.filter(isMet).length} of ${verdicts.length}`;
  return [...lines, unknown === 0 ? met : `${met} (${unknown} not measured)`].join('\n');
}

/**
 * Every figure where a peer is faster, with the reason.
 * @param {readonly ResultRow[]} rows
 * @returns {string}
 */
export function renderSlower(rows) {
  /** @type {string[]} */
  const reasons = [];
  const slower = rows.flatMap(({ suite, name, ratios }) =>
    ratios
      .filter(({ median }) => median > 1)
      .map((ratio) => {
        const { against, low, reason } = ratio;
        const why = reason === null ? '' : ` [${footnoteOf(reason, reasons)}]`;
        const unexplained = low <= 1 ? ' (noise)' : ' NO REASON KNOWN';
        return `  ${suite}: ${name}: ${ratioText(ratio)} of ${against}${reason === null ? unexplained : why}`;
      }),
  );
  return slower.length === 0
    ? 'Nothing is slower than a peer.'
    : [
        'Slower than a peer (times its time; quartiles):',
        ...slower,
        ...reasons.map((text, index) => `[${index + 1}] ${text}`),
      ].join('\n');
}
