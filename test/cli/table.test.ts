/** Tables of the command as such; what stands in them is tested with each command. */

import { describe, expect, it } from 'vitest';
import { type Column, type Row, renderTable } from '../../src/cli/table.ts';

const COLUMNS: readonly Column[] = [
  { title: 'NAME', kind: 'name' },
  { title: 'ID', kind: 'number' },
  { title: 'TYPE', kind: 'text' },
];

function linesOf(rows: readonly Row[], width = Number.POSITIVE_INFINITY): string[] {
  const lines = renderTable(COLUMNS, rows, { width, bold: (text) => text }).split('\n');
  expect(lines.pop()).toBe('');
  return lines;
}

describe('a table without a terminal', () => {
  it('has columns as wide as what is in them, up to 100 characters', () => {
    const name = 'x'.repeat(100);
    const [head, first, second] = linesOf([
      [name, '1', 'xdp'],
      ['short', '22', 'tc'],
    ]);
    expect(head).toBe(`${'NAME'.padEnd(100)}  ID  TYPE`);
    expect(first).toBe(`${name}   1  xdp`);
    expect(second).toBe(`${'short'.padEnd(100)}  22  tc`);
  });

  it('prints a longer cell whole, which moves its own row only', () => {
    const name = 'x'.repeat(60_000);
    expect(
      linesOf([
        ['short', '22', 'tc'],
        [name, '1', 'xdp'],
        ['other one', '3', 'a b'],
      ]),
    ).toEqual([
      'NAME       ID  TYPE',
      'short      22  tc',
      `${name}   1  xdp`,
      'other one   3  a b',
    ]);
  });

  it('counts characters, not the units of strings', () => {
    const name = '🐝'.repeat(100);
    expect(linesOf([[name, '1', 'xdp']])[0]).toBe(`${'NAME'.padEnd(100)}  ID  TYPE`);
  });

  it('is what a width beyond that of all terminals gives as well', () => {
    const rows = [
      ['x'.repeat(5000), '1', 'xdp'],
      ['short', '22', 'tc'],
    ];
    expect(linesOf(rows, 1_000_000)).toEqual(linesOf(rows));
  });

  it('has lines across that are wrapped at its own width, or at 80 columns', () => {
    const items = ['one', 'y'.repeat(300), ...Array.from({ length: 40 }, () => 'another')];
    const across = linesOf([['x'.repeat(9000), '1', 'xdp'], { lead: '└─ ', items }]).slice(2);
    expect(across.slice(0, 2)).toEqual(['└─ one,', `   ${'y'.repeat(300)},`]);
    expect(Math.max(...across.slice(2).map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

describe('a table on a terminal', () => {
  it('fits it, whatever is in it: a long name goes on below itself', () => {
    const name = 'x'.repeat(1000);
    const lines = linesOf(
      [
        [name, '1', 'xdp'],
        ['short', '22', 'tc'],
      ],
      80,
    );
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    expect(lines.map((line) => /x*/.exec(line)![0]).join('')).toBe(name);
    expect(lines.at(-1)).toMatch(/^short {2,}22 {2}tc$/);
  });

  it('cuts what is longer than 1,000 characters', () => {
    const lines = linesOf([['x'.repeat(60_000), '1', 'xdp']], 80);
    expect(lines.map((line) => /x*/.exec(line)![0]).join('')).toBe('x'.repeat(1000));
    expect(lines.join('')).toContain('x…');
    const across = linesOf([['a', '1', 'xdp'], { lead: '└─ ', items: ['y'.repeat(2000)] }], 80);
    expect(across.at(-1)).toBe(`└─ ${'y'.repeat(1000)}…`);
  });
});
