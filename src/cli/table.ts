/**
 * Tables for people: columns without lines between them, as wide as they need to be, narrower and
 * wrapped where the terminal is narrow.
 */

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
  const setRow = (row: readonly string[], style?: Terminal['bold']) =>
    setCells(
      row.map((text, at) => wrap(text, widths[at]!)),
      used,
      widths,
      style,
    );

  const lines = setRow(cells[0]!, terminal.bold);
  for (const row of rows) {
    lines.push(...(isCells(row) ? setRow(used.map(({ at }) => row[at]!)) : pack(row, pageWidth)));
  }
  return `${lines.join('\n')}\n`;
}

/**
 * The lines of a row.
 *
 * @param cells the lines of each of its cells
 * @param style makes text stand out, which takes no room
 */
function setCells(
  cells: readonly (readonly string[])[],
  columns: readonly Column[],
  widths: readonly number[],
  style = (text: string) => text,
): string[] {
  const height = Math.max(...cells.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) => {
    const texts = cells.map((lines, at) => {
      const text = lines[line] ?? '';
      const room = ' '.repeat(Math.max(widths[at]! - lengthOf(text), 0));
      const styled = text === '' ? '' : style(text);
      return columns[at]!.kind === 'number' ? room + styled : styled + room;
    });
    return withoutPadding(texts.join(' '.repeat(GAP)).replaceAll(NO_BREAK_SPACE, ' '));
  });
}

/** The regular expression for it takes the square of the length where spaces are in the middle. */
function withoutPadding(line: string): string {
  let end = line.length;
  while (line[end - 1] === ' ') end -= 1;
  return line.slice(0, end);
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
function wrap(text: string, width: number): string[] {
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
  return [...lines, line];
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
    const characters = [...line];
    let at = 0;
    for (; characters.length - at > width; at += width) {
      lines.push(characters.slice(at, at + width).join(''));
    }
    line = characters.slice(at).join('');
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
