/**
 * Tables for people: columns without lines between them, as wide as they need to be, narrower and
 * wrapped where the terminal is narrow. cli-table3 sets the text; what is ours is the fitting.
 */

import Table from 'cli-table3';
import type { Terminal } from './terminal.ts';

/** A column. It is left out if no row has anything in it. */
export interface Column {
  readonly title: string;
  /** Numbers: aligned to the right, never wrapped. */
  readonly numeric?: boolean;
}

/** A line across all columns: items behind a lead, as many in a line as fit. */
export interface Across {
  readonly lead: string;
  readonly items: readonly string[];
}

/** A row: a text for each column, or a line across them. */
export type Row = readonly string[] | Across;

/** Between columns. */
const GAP = 2;
/** No column of text is made narrower than this. */
const NARROWEST = 8;
/** Lines across wrap at this width if the terminal has none. */
const PAGE = 80;

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

/** Sets a table; each line of it ends with a line feed. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly Row[],
  terminal: Terminal,
): string {
  const used = columns.flatMap((column, at) => (isUsed(rows, at) ? [{ ...column, at }] : []));
  const cells = [
    used.map(({ title }) => title),
    ...rows.filter(isCells).map((row) => used.map(({ at }) => row[at]!)),
  ];
  const numeric = used.map((column) => column.numeric === true);
  const widths = fit(cells, numeric, terminal.width);
  const total = sum(widths) + GAP * (widths.length - 1);
  const pageWidth = Number.isFinite(terminal.width) ? terminal.width : Math.max(total, PAGE);
  const across = rows.filter(isAcross).map((row) => pack(row, pageWidth));
  // A line across may be longer than the columns together: an empty one takes what is over.
  const filler = Math.max(0, ...across.flat().map(lengthOf)) - total;
  const colWidths = filler > 0 ? [...widths, filler] : widths;

  const table = new Table({
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': GAP },
    colAligns: numeric.map((is) => (is ? 'right' : 'left')),
    colWidths: colWidths.map((width) => width + GAP),
  });
  const setCells = (row: readonly string[]) =>
    colWidths.map((width, at) => wrap(row[at] ?? '', width));
  table.push(setCells(cells[0]!).map((text) => text.split('\n').map(terminal.bold).join('\n')));
  let nextAcross = 0;
  for (const row of rows) {
    if (isCells(row)) {
      table.push(setCells(used.map(({ at }) => row[at]!)));
    } else {
      table.push([{ content: across[nextAcross]!.join('\n'), colSpan: colWidths.length }]);
      nextAcross += 1;
    }
  }
  return `${table.toString().replace(/ +$/gm, '')}\n`;
}

function isCells(row: Row): row is readonly string[] {
  return Array.isArray(row);
}

function isAcross(row: Row): row is Across {
  return !Array.isArray(row);
}

function isUsed(rows: readonly Row[], at: number): boolean {
  return at === 0 || rows.some((row) => isCells(row) && row[at] !== '');
}

/** The widths of columns: what they need, or, where that is too much, the widest ones less. */
function fit(
  cells: readonly (readonly string[])[],
  numeric: readonly boolean[],
  width: number,
): number[] {
  const widths = numeric.map((_, at) => Math.max(...cells.map((row) => lengthOf(row[at]!)), 1));
  let over = sum(widths) + GAP * (widths.length - 1) - width;
  while (over > 0) {
    const shrinkable = widths.filter((each, at) => !numeric[at] && each > NARROWEST);
    const widest = Math.max(...shrinkable);
    if (shrinkable.length === 0) {
      // The terminal wraps what is left.
      break;
    }
    widths[widths.findIndex((each, at) => each === widest && !numeric[at])]! -= 1;
    over -= 1;
  }
  return widths;
}

/** Breaks text into lines: at spaces; inside words behind punctuation; else anywhere. */
function wrap(text: string, width: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const joined = line === '' ? word : `${line} ${word}`;
    if (lengthOf(joined) <= width) {
      line = joined;
      continue;
    }
    if (line !== '') {
      lines.push(line);
    }
    const parts = breakWord(word, width);
    line = parts.pop()!;
    lines.push(...parts);
  }
  return [...lines, line].join('\n');
}

function breakWord(word: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const piece of word.match(/[^/_.|-]*[/_.|-]+|[^/_.|-]+/g) ?? ['']) {
    if (line !== '' && lengthOf(line + piece) > width) {
      lines.push(line);
      line = '';
    }
    line += piece;
    while (lengthOf(line) > width) {
      const characters = [...line];
      lines.push(characters.slice(0, width).join(''));
      line = characters.slice(width).join('');
    }
  }
  return [...lines, line];
}

/** Lines of a line across. */
function pack({ lead, items }: Across, width: number): string[] {
  const lines: string[] = [];
  let line = lead;
  items.forEach((item, at) => {
    const text = at === items.length - 1 ? item : `${item},`;
    const isFirst = line.trim() === lead.trim();
    if (!isFirst && lengthOf(line) + 1 + lengthOf(text) > width) {
      lines.push(line);
      line = ' '.repeat(lengthOf(lead)) + text;
    } else {
      line += isFirst ? text : ` ${text}`;
    }
  });
  return [...lines, line];
}

function lengthOf(text: string): number {
  return [...text].length;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
