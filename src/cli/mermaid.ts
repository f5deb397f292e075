/**
 * An object as a Mermaid flowchart: maps, the templates of inner maps, initial slots as edges, data
 * and programs. The syntax: https://mermaid.js.org/syntax/flowchart.html
 *
 * Names of an object never become part of the syntax: nodes have ids of our own, and labels are
 * quoted and escaped.
 */

import type {
  InspectedData,
  InspectedMap,
  InspectedProgram,
  Inspection,
} from '../obj/inspection.ts';

/** Draws an object. Ends with a line feed. */
export function drawDiagram(inspection: Inspection): string {
  const { maps, data, programs } = inspection;
  const edges: string[] = [];
  const ids: Ids = {
    map: new Map(maps.map(({ name }, at) => [name, `map${at}`])),
    program: new Map(programs.map(({ name }, at) => [name, `program${at}`])),
  };
  return [
    'flowchart LR',
    ...subgraph(
      'maps',
      'Maps',
      maps.flatMap((map) => drawMap(map, ids, edges)),
    ),
    ...subgraph('data', 'Data', data.map(drawData)),
    ...subgraph(
      'programs',
      'Programs',
      programs.map((program) => drawProgram(program, ids)),
    ),
    ...edges.map((edge) => `  ${edge}`),
    '',
  ].join('\n');
}

/** The nodes' ids by the names of what they show: names can be anything, `end` included. */
interface Ids {
  readonly map: ReadonlyMap<string, string>;
  readonly program: ReadonlyMap<string, string>;
}

/** A map and the templates in it; slots become edges. */
function drawMap(map: InspectedMap, ids: Ids, edges: string[]): string[] {
  const id = ids.map.get(map.name)!;
  const nodes = [`${id}[(${label([map.name, ...describeMap(map)])})]`];
  nodes.push(...drawInner(map, id, edges));
  for (const { index, kind, name } of map.slots) {
    edges.push(`${id} -->|"[${index}]"| ${ids[kind].get(name)!}`);
  }
  return nodes;
}

function drawData({ name, size, readOnly, variables }: InspectedData, at: number): string {
  const about = `${size} bytes${readOnly ? ', read-only' : ''}`;
  const lines = variables.map((each) =>
    each.type === null ? each.name : `${each.type} ${each.name}`,
  );
  return `data${at}[${label([name, about, ...lines])}]`;
}

function drawProgram({ name, section, type }: InspectedProgram, ids: Ids): string {
  return `${ids.program.get(name)!}([${label([name, type, `SEC(${section})`])}])`;
}

/** The template of a map of maps, dotted since no such map exists. */
function drawInner({ inner }: InspectedMap, outerId: string, edges: string[]): string[] {
  if (inner === null) {
    return [];
  }
  const id = `${outerId}inner`;
  edges.push(`${outerId} -.->|"inner"| ${id}`);
  return [
    `${id}[[${label(['inner map', ...describeMap(inner)])}]]`,
    ...drawInner(inner, id, edges),
  ];
}

function describeMap(map: InspectedMap): string[] {
  const types = [map.key, map.value].filter((type) => type !== null);
  return [
    `${map.type}, max_entries ${map.maxEntries}`,
    ...(types.length === 0 ? [] : [types.join(' → ')]),
    ...(map.pinning === 'by-name' ? ['pinned by name'] : []),
  ];
}

/** A titled group of nodes; nothing for no nodes. */
function subgraph(id: string, title: string, nodes: readonly string[]): string[] {
  if (nodes.length === 0) {
    return [];
  }
  return [`  subgraph ${id} ["${title}"]`, ...nodes.map((node) => `    ${node}`), '  end'];
}

/** A quoted label of several lines. */
function label(lines: readonly string[]): string {
  return `"${lines.map(escapeLabel).join('<br/>')}"`;
}

/**
 * Text as it can stand in a quoted label. Mermaid's own escapes are used, `#` and a code point: quotes
 * end a label, `<` begins HTML, `%%{` a directive, a backtick Markdown, `\n` a line, `$$` a formula,
 * and a colon before an escape makes it lose its semicolon (`encodeEntities` in Mermaid's utils.ts,
 * after the word "style"). Underscores are Markdown only where they can close emphasis: at the end of words.
 */
export function escapeLabel(text: string): string {
  return text
    .replace(/[^\p{L}\p{N}_ .,;/()[\]{}=+→-]/gu, entity)
    .replace(/_+(?![\p{L}\p{N}_])/gu, (run) => run.replaceAll('_', entity));
}

function entity(character: string): string {
  return `#${character.codePointAt(0)};`;
}
