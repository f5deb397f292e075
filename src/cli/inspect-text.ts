/** What is in an object, as text for people. */

import type {
  InspectedData,
  InspectedMap,
  InspectedProgram,
  Inspection,
} from '../obj/inspection.ts';
import { suggestSection } from '../obj/sections.ts';
import { mapFlagNames } from '../uapi/map-flags.ts';
import { entriesText, flagsText, mapExtraText } from './map-words.ts';
import { type Column, NO_BREAK_SPACE, type Row, renderTable } from './table.ts';
import { printable, type Terminal } from './terminal.ts';

/**
 * Describes an object: a line about it, then a table each for its maps, data and programs.
 *
 * @param hasBtf whether the object has BTF, which the inspection does not say
 */
export function describeObject(
  inspection: Inspection,
  hasBtf: boolean,
  terminal: Terminal,
): string {
  const { maps, data, programs } = inspection;
  const parts = [heading(inspection, hasBtf, terminal)];
  if (maps.length > 0) {
    parts.push(renderTable(MAP_COLUMNS, mapRows(maps), terminal));
  }
  if (data.length > 0) {
    parts.push(renderTable(DATA_COLUMNS, data.flatMap(dataRows), terminal));
  }
  if (programs.length > 0) {
    parts.push(renderTable(PROGRAM_COLUMNS, programs.flatMap(programRows), terminal));
  }
  if (parts.length === 1) {
    parts.push('no maps, no data, no programs\n');
  }
  return parts.join('\n');
}

/** `demo.bpf.o: little-endian, license "GPL", with BTF`. */
function heading(inspection: Inspection, hasBtf: boolean, terminal: Terminal): string {
  const { file, byteOrder, license } = inspection;
  const about = [
    `${byteOrder}-endian`,
    license === '' ? 'without license' : `license "${printable(license)}"`,
    hasBtf ? 'with BTF' : 'without BTF',
  ];
  return `${terminal.bold(printable(file))}: ${about.join(', ')}\n`;
}

// Most objects use few of these; a column that has nothing to say is left out.
const MAP_COLUMNS: readonly Column[] = [
  { title: 'MAP', kind: 'name' },
  { title: 'TYPE', kind: 'name' },
  { title: 'KEY', kind: 'text' },
  { title: 'VALUE', kind: 'text' },
  { title: 'ENTRIES', kind: 'number' },
  { title: 'FLAGS', kind: 'text' },
  { title: 'MAP_EXTRA', kind: 'number' },
  { title: 'NUMA NODE', kind: 'number' },
  { title: 'PINNED', kind: 'name' },
  { title: 'SECTION', kind: 'text' },
];

function mapRows(maps: readonly InspectedMap[]): Row[] {
  // `.maps` goes without saying unless there are others.
  const withSection = maps.some(({ section }) => section !== '.maps');
  return maps.flatMap((map) => mapTree(map, printable(map.name), '', withSection));
}

/** A map, with what belongs to it below: the template of its inner maps, then its slots. */
function mapTree(map: InspectedMap, label: string, indent: string, withSection: boolean): Row[] {
  const rows: Row[] = [mapRow(map, label, withSection)];
  if (map.inner !== null) {
    const branch = map.slots.length > 0 ? '├─ ' : '└─ ';
    rows.push(...mapTree(map.inner, `${indent}${branch}inner`, `${indent}   `, false));
  }
  if (map.slots.length > 0) {
    rows.push({
      lead: `${indent}└─ `,
      items: map.slots.map(({ index, name }) => `[${index}] = ${printable(name)}`),
    });
  }
  return rows;
}

function mapRow(map: InspectedMap, label: string, withSection: boolean): string[] {
  const isNumaNode = mapFlagNames(map.flags).includes('NUMA_NODE');
  return [
    label,
    map.type,
    typeText(map.key, map.keySize),
    typeText(map.value, map.valueSize),
    entriesText(map.type, map.maxEntries),
    flagsText(map.flags),
    mapExtraText(map.mapExtra),
    // Without the flag the kernel does not look at the number.
    isNumaNode ? `${map.numaNode}` : '',
    map.pinning === 'by-name' ? 'by name' : '',
    withSection ? printable(map.section) : '',
  ];
}

/** `struct flow_key, 16 B`; the size alone where that is all there is. */
function typeText(spelling: string | null, size: number): string {
  const bytes = `${size}${NO_BREAK_SPACE}B`;
  if (spelling !== null) {
    return `${printable(spelling)}, ${bytes}`;
  }
  return size === 0 ? '' : bytes;
}

const DATA_COLUMNS: readonly Column[] = [
  { title: 'DATA', kind: 'name' },
  { title: 'OFFSET', kind: 'number' },
  { title: 'SIZE', kind: 'number' },
  { title: 'TYPE', kind: 'text' },
];

/** A section, then its variables below it. */
function dataRows(section: InspectedData): Row[] {
  const { name, size, readOnly, variables } = section;
  return [
    [printable(name), '', `${size}`, readOnly ? 'read-only' : ''],
    ...variables.map((variable, at) => [
      `${at === variables.length - 1 ? '└─' : '├─'} ${printable(variable.name)}`,
      `${variable.offset}`,
      `${variable.size}`,
      variable.type === null ? '' : printable(variable.type),
    ]),
  ];
}

// What a program is attached to is in the name of its section, too.
const PROGRAM_COLUMNS: readonly Column[] = [
  { title: 'PROGRAM', kind: 'name' },
  { title: 'SECTION', kind: 'text' },
  { title: 'TYPE', kind: 'name' },
  { title: 'ATTACH TYPE', kind: 'text' },
  { title: 'ATTACH TO', kind: 'repetition' },
  { title: 'INSNS', kind: 'number' },
  { title: 'NOTES', kind: 'name' },
];

/** A program, and below it what its section may have been meant to be, if that is not known. */
function programRows(program: InspectedProgram): Row[] {
  const notes = [
    ...(program.sleepable ? ['sleepable'] : []),
    ...(program.autoload ? [] : ['not autoloaded']),
  ];
  const row = [
    printable(program.name),
    printable(program.section),
    program.type,
    program.attachType ?? '',
    printable(program.attachTo ?? ''),
    `${program.instructions}`,
    notes.join(', '),
  ];
  const suggestion = program.typeNumber === 0 ? suggestSection(program.section) : null;
  if (suggestion === null) {
    return [row];
  }
  return [row, { lead: '└─ ', items: [`did you mean SEC("${suggestion}")?`] }];
}
