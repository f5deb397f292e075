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
/**
 * Without a terminal, whose width bounds them, columns are no wider than this: thousands of rows would
 * be padded for one long name. Cells that are longer stand whole, and move the rest of their own row.
 */
const WIDEST_COLUMN = 100;
/**
 * On a terminal, cells that are longer are cut: many rows with one long name would fill thousands of lines,
 * padded by the other columns. Where there is no terminal all is printed.
 */
const MOST_ON_TERMINAL = 1000;
/** No terminal is wider; what `COLUMNS` says beyond this means that lines may be as long as they like. */
const WIDEST_TERMINAL = 1000;

/** Sets a table; each line of it ends with a line feed. */
export function renderTable(
  columns: readonly Column[],
  given: readonly Row[],
  terminal: Terminal,
): string {
  const width = terminal.width > WIDEST_TERMINAL ? Number.POSITIVE_INFINITY : terminal.width;
  const rows = Number.isFinite(width) ? given.map(cutRow) : given;
  const used = columnsToShow(columns, rows, width);
  const cells = cellsOf(used, rows);
  const widths = Number.isFinite(width)
    ? fitWidths(cells, used, width)
    : columnWidths(cells, WIDEST_COLUMN);
  const pageWidth = Number.isFinite(width) ? width : Math.max(totalWidth(widths), PAGE);
  const setRow = (row: readonly string[], style?: Terminal['bold']) =>
    setCells(
      row.map((text, at) => (Number.isFinite(width) ? wrap(text, widths[at]!) : [text])),
      used,
      widths,
      style,
    );

  const sets = [setRow(cells[0]!, terminal.bold)];
  for (const row of rows) {
    sets.push(isCells(row) ? setRow(used.map(({ at }) => row[at]!)) : pack(row, pageWidth));
  }
  // Not by spreading: a row may have more lines than a function takes arguments.
  return `${sets.flat().join('\n')}\n`;
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

function cutRow(row: Row): Row {
  return isCells(row) ? row.map(cut) : { lead: row.lead, items: row.items.map(cut) };
}

function cut(text: string): string {
  return text.length > MOST_ON_TERMINAL ? `${text.slice(0, MOST_ON_TERMINAL)}…` : text;
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
  const needed = totalWidth(columnWidths(cellsOf(used, rows)));
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
  // What is narrowed ends below the width of the terminal, and need not start far above it.
  const widths = columnWidths(cells).map((each, at) =>
    columns[at]!.kind === 'number' ? each : Math.min(each, width),
  );
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
    for (const part of parts) {
      lines.push(part);
    }
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
  return text.length - (text.match(PAIRS)?.length ?? 0);
}

/** Characters that take two units of a string. */
const PAIRS = /[\ud800-\udbff][\udc00-\udfff]/g;

/** What columns need to show their texts in one line each, those that are longer than `most` aside. */
function columnWidths(
  cells: readonly (readonly string[])[],
  most = Number.POSITIVE_INFINITY,
): number[] {
  const widths = cells[0]!.map(() => 0);
  for (const row of cells) {
    for (const [at, text] of row.entries()) {
      const length = lengthOf(text);
      if (length > widths[at]! && length <= most) {
        widths[at] = length;
      }
    }
  }
  return widths;
}

function totalWidth(widths: readonly number[]): number {
  return widths.reduce((total, each) => total + each, GAP * (widths.length - 1));
}
