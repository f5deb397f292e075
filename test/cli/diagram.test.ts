/**
 * `skep inspect --diagram`. The golden diagrams were read by Mermaid 11.17.2 itself (`mermaid.parse`,
 * then the vertices and edges of the diagram's data base, in jsdom): it found the nodes, labels and
 * edges that the objects have, and decoded the escapes below to the original text.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawDiagram, escapeLabel } from '../../src/cli/mermaid.ts';
import { inspect } from '../../src/obj/inspection.ts';
import { fixtureNames, openFixture } from '../support/fixtures.ts';
import { objectPath, stdoutOf } from './skep.ts';

describe('skep inspect --diagram', () => {
  it.each(['demo', 'nested/array-of-maps', 'nested/pinned', 'prog-array/slots', 'data/names'])(
    'of %s is as recorded',
    async (name) => {
      await expect(stdoutOf(['inspect', '--diagram', objectPath(name)])).toMatchFileSnapshot(
        `golden/diagram/${name.replace('/', '-')}.mmd`,
      );
    },
  );

  /** The lines that a diagram consists of; `\w+` are ids, which come from no name. */
  const LINES = [
    /^flowchart LR$/,
    /^ {2}subgraph \w+ \["\w+"\]$/,
    /^ {4}map\d+\[\("[^"]+"\)\]$/,
    /^ {4}map\d+(?:inner)+\[\["[^"]+"\]\]$/,
    /^ {4}data\d+\["[^"]+"\]$/,
    /^ {4}program\d+\(\["[^"]+"\]\)$/,
    /^ {2}end$/,
    /^ {2}map\d+ -->\|"\[\d+\]"\| (?:map|program)\d+$/,
    /^ {2}map\d+(?:inner)* -\.->\|"inner"\| map\d+(?:inner)+$/,
    /^$/,
  ];

  const objects = fixtureNames().map((name) => [name, openFixture(name)] as const);

  it('has no line, for any fixture, that a name could have broken', () => {
    for (const [name, object] of objects) {
      const lines = drawDiagram(inspect(object)).split('\n');
      expect(
        lines.filter((line) => !LINES.some((form) => form.test(line))),
        name,
      ).toEqual([]);
    }
  });

  it('has a node for each thing in an object, and an edge for each slot', () => {
    for (const [name, object] of objects) {
      const diagram = drawDiagram(inspect(object));
      const count = (pattern: RegExp) => diagram.match(pattern)?.length ?? 0;
      const maps = [...object.maps.values()];
      expect(count(/^ {4}map\d+\[/gm), name).toBe(maps.length);
      expect(count(/^ {4}data\d+\[/gm), name).toBe(object.data.size);
      expect(count(/^ {4}program\d+\(/gm), name).toBe(object.programs.size);
      expect(count(/ -->\|/g), name).toBe(maps.reduce((sum, { slots }) => sum + slots.length, 0));
      expect(count(/ -\.->\|/g), name).toBe(maps.filter(({ inner }) => inner !== null).length);
    }
  });
});

describe('labels', () => {
  it.each([
    ['end', 'end'],
    ['__proto__', '__proto#95;#95;'],
    ['a_b_', 'a_b#95;'],
    ['char[16]', 'char[16]'],
    ['struct { __u32 a; }', 'struct { __u32 a; }'],
    ['int (*)(void *)', 'int (#42;)(void #42;)'],
    ['"quoted"', '#34;quoted#34;'],
    ['<b>&amp;', '#60;b#62;#38;amp;'],
    ['#35;', '#35;35;'],
    ['%%{init: {}}%%', '#37;#37;{init#58; {}}#37;#37;'],
    ['`code`', '#96;code#96;'],
    ['a\\nb', 'a#92;nb'],
    ['line\nbreak', 'line#10;break'],
    ['$$x$$', '#36;#36;x#36;#36;'],
    ['style:#fff', 'style#58;#35;fff'],
    ['größe → 名', 'größe → 名'],
    ['\u{1f41d}', '#128029;'],
  ])('of %j are %s', (text, label) => {
    expect(escapeLabel(text)).toBe(label);
  });

  it('give the text back when Mermaid decodes them, and have nothing that it acts on', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const label = escapeLabel(text);
        expect(label).not.toMatch(/["<>&%`\\$*:\n\r]|#(?!\d+;)/);
        const decoded = label.replace(/#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)));
        expect(decoded).toBe(text);
      }),
    );
  });
});
