/**
 * Tables for people: columns without lines between them, as wide as they need to be, narrower and
 * wrapped where the terminal is narrow. cli-table3 sets the text; what is ours is the fitting.
 */

import Table from 'cli-table3';
import type { Terminal } from './terminal.ts';

/** A column. It is left out if no row has anything in it. */
export interface Column {
  readonly title: string;
  /**
   * What it gives when the terminal is too narrow: text wraps; names (identifiers, which read badly
   * in pieces) do so only when the text beside them has; numbers never do, and stand to the right.
   * Repetition of what other columns say is left out.
   */
  readonly kind: 'text' | 'name' | 'number' | 'repetition';
}

/** A line across all columns: items behind a lead, as many in a line as fit. */
export interface Across {
  readonly lead: string;
  readonly items: readonly string[];
}

/** A row: a text for each column, or a line across them. */
export type Row = readonly string[] | Across;

/** A space that no line is broken at; printed as an ordinary one. */
export const NO_BREAK_SPACE = '\u00a0';

/** Between columns. */
const GAP = 2;
/** In this order columns are narrowed, and to this width at least. */
const NARROWING: readonly (readonly [kinds: readonly Column['kind'][], width: number])[] = [
  [['name'], 40],
  [['text'], 12],
  [['name', 'text'], 8],
];
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

/** So many rows are set at a time, as cli-table3 takes time in the square of their number. */
const PORTION = 50;

/** Sets a table; each line of it ends with a line feed. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly Row[],
  terminal: Terminal,
): string {
  const used = columnsToShow(columns, rows, terminal.width);
  const cells = cellsOf(used, rows);
  const widths = fitWidths(cells, used, terminal.width);
  const pageWidth = Number.isFinite(terminal.width)
    ? terminal.width
    : Math.max(totalWidth(widths), PAGE);
  const setCells = (row: readonly string[]) => row.map((text, at) => wrap(text, widths[at]!));

  const head = setCells(cells[0]!).map((text) => text.split('\n').map(terminal.bold).join('\n'));
  const lines: string[] = [];
  let pending: string[][] = [head];
  const flush = () => {
    if (pending.length > 0) {
      lines.push(setRows(pending, used, widths));
      pending = [];
    }
  };
  for (const row of rows) {
    if (isCells(row)) {
      pending.push(setCells(used.map(({ at }) => row[at]!)));
    } else {
      flush();
      lines.push(...pack(row, pageWidth));
    }
    if (pending.length === PORTION) {
      flush();
    }
  }
  flush();
  return `${lines.join('\n')}\n`;
}

/** Sets rows in columns of given widths; without a line feed at the end. */
function setRows(
  rows: readonly string[][],
  columns: readonly Column[],
  widths: readonly number[],
): string {
  const table = new Table({
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': GAP },
    colAligns: columns.map(({ kind }) => (kind === 'number' ? 'right' : 'left')),
    colWidths: widths.map((width) => width + GAP),
  });
  table.push(...rows);
  return table.toString().replaceAll(NO_BREAK_SPACE, ' ').replace(/ +$/gm, '');
}

function isCells(row: Row): row is readonly string[] {
  return Array.isArray(row);
}

/** A column and its place in a row. */
type PlacedColumn = Column & { readonly at: number };

/** The columns that have something in them, less repetition where there is no room for it. */
function columnsToShow(
  columns: readonly Column[],
  rows: readonly Row[],
  width: number,
): readonly PlacedColumn[] {
  const used = columns.flatMap((column, at) => (isUsed(rows, at) ? [{ ...column, at }] : []));
  const needed = totalWidth(naturalWidths(cellsOf(used, rows)));
  return needed > width ? used.filter(({ kind }) => kind !== 'repetition') : used;
}

/** The texts of the columns, their titles first. */
function cellsOf(columns: readonly PlacedColumn[], rows: readonly Row[]): string[][] {
  return [
    columns.map(({ title }) => title),
    ...rows.filter(isCells).map((row) => columns.map(({ at }) => row[at]!)),
  ];
}

function isUsed(rows: readonly Row[], at: number): boolean {
  return at === 0 || rows.some((row) => isCells(row) && row[at] !== '');
}

/** The widths of columns: what they need, or, where that is too much, the widest ones less. */
function fitWidths(
  cells: readonly (readonly string[])[],
  columns: readonly Column[],
  width: number,
): number[] {
  const widths = naturalWidths(cells);
  let over = totalWidth(widths) - width;
  for (const [kinds, narrowest] of NARROWING) {
    while (over > 0) {
      const candidates = widths.map((each, at) => (kinds.includes(columns[at]!.kind) ? each : 0));
      const widest = Math.max(...candidates);
      if (widest <= narrowest) {
        break;
      }
      widths[candidates.indexOf(widest)]! -= 1;
      over -= 1;
    }
  }
  // If it is too wide still, the terminal wraps what is left.
  return widths;
}

/**
 * Breaks text into lines: at spaces, though not before a bar; in words that are too long behind
 * punctuation; else anywhere.
 */
function wrap(text: string, width: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/ (?!\|)/)) {
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

/** Pieces of a word that fit; a piece ends behind punctuation where it can. */
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

/** In columns of the terminal, taking every character for one: names are ASCII in practice. */
function lengthOf(text: string): number {
  return [...text].length;
}

/** What columns need to show all of their texts in one line each. */
function naturalWidths(cells: readonly (readonly string[])[]): number[] {
  return cells[0]!.map((_, at) =>
    cells.reduce((most, row) => Math.max(most, lengthOf(row[at]!)), 0),
  );
}

function totalWidth(widths: readonly number[]): number {
  return widths.reduce((total, each) => total + each, GAP * (widths.length - 1));
}
