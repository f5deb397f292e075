/** `skep map list`, `show`, `pin` and `unpin`: the maps of the running kernel. */

import type { KernelChoice } from './kernel-choice.ts';
import { type ListedMap, listedMap, type ShownMap, shownMap } from './kernel-map.ts';
import { eachMap, openRaw, titleOf } from './map-place.ts';
import type { JsonOption } from './map-program.ts';
import { entriesText, flagsText, mapExtraText } from './map-words.ts';
import { type Column, renderTable } from './table.ts';
import { print, printable, printJson, standardOutput, type Terminal } from './terminal.ts';
import { CommandError, parseMapReference } from './usage.ts';

/** Prints all maps of the kernel. @throws SyscallError `EPERM` without CAP_SYS_ADMIN */
export function listMaps(kernel: KernelChoice, options: JsonOption): void {
  const maps = Array.from(eachMap(kernel.open(), listedMap));
  if (options.json) {
    printJson({ format: 1, maps });
  } else if (maps.length === 0) {
    print('the kernel has no maps\n');
  } else {
    const rows = maps.map(listRow);
    print(renderTable(LIST_COLUMNS, rows, standardOutput()));
  }
}

/** Prints one map. @throws UsageError, SyscallError `ENOENT` if there is none */
export function showMap(kernel: KernelChoice, words: readonly string[], options: JsonOption): void {
  const { map: reference } = parseMapReference(words, 0);
  const map = openRaw(kernel.open(), reference);
  try {
    const shown = shownMap(map);
    if (options.json) {
      printJson({ format: 1, map: shown });
    } else {
      print(describeMap(shown, standardOutput()));
    }
  } finally {
    map.close();
  }
}

/** Pins a map at one more path. @throws UsageError, SkepError as `RawMap.pin` does */
export function pinMap(kernel: KernelChoice, words: readonly string[]): void {
  const { map: reference, rest } = parseMapReference(words, 1);
  const path = rest[0]!;
  const map = openRaw(kernel.open(), reference);
  try {
    map.pin(path);
    print(`pinned ${titleOf(map)} at ${printable(path)}\n`);
  } finally {
    map.close();
  }
}

/**
 * Removes the pin of a map. It is opened first: a pin of a program is none of our business.
 *
 * @throws SyscallError `ENOENT` if there is no pin, `EINVAL` if it is not a map's
 */
export function unpinMap(kernel: KernelChoice, path: string): void {
  const map = openRaw(kernel.open(), { by: 'path', path });
  try {
    if (!map.unpin()) {
      throw new CommandError(`${path}: the pin was removed by somebody else meanwhile`);
    }
    print(`unpinned ${titleOf(map)} from ${printable(path)}\n`);
  } finally {
    map.close();
  }
}

// Sizes and memory in bytes, as the help says.
const LIST_COLUMNS: readonly Column[] = [
  { title: 'ID', kind: 'number' },
  { title: 'TYPE', kind: 'name' },
  { title: 'NAME', kind: 'name' },
  { title: 'KEY', kind: 'number' },
  { title: 'VALUE', kind: 'number' },
  { title: 'ENTRIES', kind: 'number' },
  { title: 'MEMORY', kind: 'number' },
  { title: 'FLAGS', kind: 'text' },
  { title: 'FROZEN', kind: 'name' },
];

function listRow(map: ListedMap): string[] {
  return [
    `${map.id}`,
    map.type,
    printable(map.name),
    `${map.keySize}`,
    `${map.valueSize}`,
    entriesText(map.type, map.maxEntries),
    map.memoryBytes === null ? '' : `${map.memoryBytes}`,
    flagsText(map.flags),
    map.frozen ? 'frozen' : '',
  ];
}

/** One line for each property. */
function describeMap(map: ShownMap, terminal: Terminal): string {
  const frozen = map.frozen === null ? 'not known' : map.frozen ? 'yes' : 'no';
  const types = `key type ${map.keyTypeId}, value type ${map.valueTypeId}`;
  const properties: readonly (readonly [string, string])[] = [
    ['id', `${map.id}`],
    ['type', map.type],
    ['name', map.name === '' ? 'none' : printable(map.name)],
    ['key', `${map.keySize} bytes`],
    ['value', `${map.valueSize} bytes`],
    ['entries', entriesText(map.type, map.maxEntries)],
    ['flags', flagsText(map.flags) || 'none'],
    ['memory', map.memoryBytes === null ? 'not known' : `${map.memoryBytes} bytes`],
    ['frozen', frozen],
    ['BTF', map.btfId === 0 ? 'none' : `id ${map.btfId}, ${types}`],
    ['map_extra', mapExtraText(map.mapExtra) || 'none'],
    ['pin path', map.pinPath === null ? 'not known' : printable(map.pinPath)],
  ];
  return properties.map(([name, value]) => `${terminal.bold(name.padEnd(9))}  ${value}\n`).join('');
}
