/**
 * An object as a Mermaid flowchart: maps, the templates of inner maps, initial slots as edges, data
 * and programs. The syntax: https://mermaid.js.org/syntax/flowchart.html
 *
 * Names of an object never become part of the syntax: nodes have ids of our own, and labels are
 * quoted and escaped.
 */

import type { InspectedMap, Inspection } from '../obj/inspection.ts';

/** Draws an object. Ends with a line feed. */
export function drawDiagram(inspection: Inspection): string {
  const { maps, data, programs } = inspection;
  const mapIds = new Map(maps.map(({ name }, at) => [name, `map${at}`]));
  const programIds = new Map(programs.map(({ name }, at) => [name, `program${at}`]));
  const edges: string[] = [];
  const mapNodes = maps.flatMap((map) => {
    const id = mapIds.get(map.name)!;
    for (const slot of map.slots) {
      const target = (slot.kind === 'map' ? mapIds : programIds).get(slot.name);
      edges.push(`${id} -->|"[${slot.index}]"| ${target}`);
    }
    return [
      `${id}[(${label([map.name, ...describeMap(map)])})]`,
      ...drawInner(map, id, edges),
    ];
  });
  const dataNodes = data.map(({ name, size, readOnly, variables }, at) => {
    const about = `${size} bytes${readOnly ? ', read-only' : ''}`;
    const lines = variables.map((each) =>
      each.type === null ? each.name : `${each.name}: ${each.type}`,
    );
    return `data${at}[${label([name, about, ...lines])}]`;
  });
  const programNodes = programs.map(
    ({ name, section, type }) =>
      `${programIds.get(name)}([${label([name, type === section ? type : `${type}, ${section}`])}])`,
  );
  return [
    'flowchart LR',
    ...subgraph('maps', 'Maps', mapNodes),
    ...subgraph('data', 'Data', dataNodes),
    ...subgraph('programs', 'Programs', programNodes),
    ...edges.map((edge) => `  ${edge}`),
    '',
  ].join('\n');
}

function drawInner({ inner }: InspectedMap, outerId: string, edges: string[]): string[] {
  if (inner === null) {
    return [];
  }
  const id = `${outerId}inner`;
  edges.push(`${outerId} -.->|"inner"| ${id}`);
  return [`${id}[[${label(['inner map', ...describeMap(inner)])}]]`, ...drawInner(inner, id, edges)];
}

function describeMap(map: InspectedMap): string[] {
  const types = [map.key, map.value].filter((type) => type !== null);
  return [
    `${map.type}, ${map.maxEntries}`,
    ...(types.length === 0 ? [] : [types.join(' → ')]),
    ...(map.pinning === 'by-name' ? ['pinned by name'] : []),
  ];
}

function subgraph(id: string, title: string, nodes: readonly string[]): string[] {
  if (nodes.length === 0) {
    return [];
  }
  return [
    `  subgraph ${id} ["${title}"]`,
    ...nodes.map((node) => `    ${node}`),
    '  end',
  ];
}

/** A quoted label of several lines. */
function label(lines: readonly string[]): string {
  return `"${lines.map(escapeLabel).join('<br/>')}"`;
}

/**
 * Text as it can stand in a quoted label. Mermaid's own escapes are used, `#` and a code point: quotes
 * end a label, `<` begins HTML, `%%{` a directive, a backtick Markdown, `\n` a line, `$$` a formula,
 * and a colon with a later `#` on its line makes Mermaid swallow a semicolon (`encodeEntities` in
 * its utils.ts). Underscores are Markdown only where they can close emphasis: at the end of words.
 */
export function escapeLabel(text: string): string {
  return text
    .replace(/[^\p{L}\p{N}_ .,/()[\]{}=+→-]/gu, entity)
    .replace(/_+(?![\p{L}\p{N}_])/gu, (run) => run.replaceAll('_', entity));
}

function entity(character: string): string {
  return `#${character.codePointAt(0)};`;
}
