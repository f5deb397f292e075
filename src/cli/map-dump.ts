/** `skep map dump`: the entries of a map, as the kernel's BTF describes them, or as bytes. */

import { entriesOf, isOuter, type OpenedMap } from './entry-map.ts';
import { byteTable, jsonElements, jsonLines, textLines } from './entry-text.ts';
import type { KernelChoice } from './kernel-choice.ts';
import { checkDumped } from './map-kinds.ts';
import { namingMap, openReference } from './map-place.ts';
import type { DumpOptions } from './map-program.ts';
import { printPieces } from './print-pieces.ts';
import { standardOutput } from './terminal.ts';
import { parseMapReference } from './usage.ts';

/**
 * Prints the entries of a map as they are read, however many there are.
 *
 * @throws CommandError for a type of map that has no entries to go through
 * @throws UsageError, SyscallError
 */
export async function dumpMap(
  kernel: KernelChoice,
  words: readonly string[],
  options: DumpOptions,
): Promise<void> {
  const reference = parseMapReference(words, 0).map;
  const opened = entriesOf(openReference(kernel.open(), reference), options);
  try {
    checkDumped(opened.map);
    await namingMap(opened.map, 'the entries of', () => printPieces(pieces(opened, options)));
  } finally {
    opened.map.close();
  }
}

function* pieces(opened: OpenedMap, options: DumpOptions): Generator<string> {
  const shallow = options.shallow === true;
  if (options.ndjson) {
    yield* jsonLines(opened.map, shallow);
    return;
  }
  if (options.json) {
    const { id, typeName, name } = opened.map.info();
    const map = JSON.stringify({ id, type: typeName, name });
    yield `{ "format": 1, "map": ${map}, "entries": [`;
    yield* jsonElements(opened.map, shallow);
    yield '\n] }\n';
    return;
  }
  const { map, isTyped } = opened;
  const isTable = !isTyped && !isOuter(map);
  let isEmpty = true;
  for (const text of isTable ? byteTable(map, standardOutput()) : textLines(map, shallow)) {
    isEmpty = false;
    yield text;
  }
  if (isEmpty) {
    yield 'no entries\n';
  }
}
