/** The tables of all suites as a document: what the chart leaves out, and the reasons. */

import { renderSlower, renderVerdict } from './report.mjs';

/** @import { Latest, LatestSuite } from './results.mjs' */
/** @import { Table } from './report.mjs' */

/**
 * @param {Latest} latest
 * @param {readonly string[]} conditions sentences about the machine, the versions, and what is missing
 * @returns {string} a document in Markdown
 */
export function renderMarkdown({ suites }, conditions) {
  const rows = Object.values(suites).flatMap((suite) => suite.rows);
  return [
    '# Results of the benchmarks',
    "Written by `npm run bench`; [bench/README.md](../README.md) says how it is measured. Ratios are skep's time as a multiple of the peer's: below 1x skep is faster. Figures are warm, of one machine; `cold` is the first operation of a process. A number in brackets behind a ratio is that of the reason below its table.",
    list(conditions),
    ...Object.entries(suites).map(([name, suite]) => renderSuite(name, suite)),
    '## Where a peer is faster',
    ['```', renderSlower(rows), '```'].join('\n'),
    '',
  ].join('\n\n');
}

/**
 * @param {string} name
 * @param {LatestSuite} suite
 */
function renderSuite(name, { date, commit, load, loadAfter, tables, verdicts, notes }) {
  const when = `${date.slice(0, 16).replace('T', ' ')} UTC, commit ${commit ?? 'unknown'}, load ${load.toFixed(1)} before the run and ${loadAfter.toFixed(1)} after it.`;
  return [
    `## ${name}`,
    when,
    ...tables.map(renderTable),
    ...(verdicts.length === 0
      ? []
      : ['Targets:', list(verdicts.map((verdict) => renderVerdict(verdict).trim()))]),
    ...(notes.length === 0 ? [] : ['Notes:', list(notes)]),
  ].join('\n\n');
}

/** @param {Table} table */
function renderTable({ title, columns, rows, footnotes = [] }) {
  // Names to the left, figures to the right.
  const rule = columns.map((column, index) =>
    index === 0 || column === 'subject' ? '---' : '---:',
  );
  const lines = [columns, rule, ...rows].map((line) => `| ${line.map(cell).join(' | ')} |`);
  const reasons = footnotes.map((text, index) => `[${index + 1}] ${text}`);
  return [`### ${title}`, lines.join('\n'), ...(reasons.length === 0 ? [] : [list(reasons)])].join(
    '\n\n',
  );
}

/** @param {string} content */
function cell(content) {
  return content.replaceAll('|', '\\|');
}

/** @param {readonly string[]} items */
function list(items) {
  return items.map((item) => `- ${item}`).join('\n');
}
