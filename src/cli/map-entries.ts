/** `skep map get`, `set` and `delete`: single entries, keys and values as JSON. */

import { Memory, ValueError } from '../codec/codec.ts';
import { fromJson, type Json } from '../codec/json.ts';
import type { PinAccess } from '../kernel/kernel.ts';
import type { ArrayOfMaps } from '../maps/array-of-maps.ts';
import { HashOfMaps } from '../maps/hash-of-maps.ts';
import type { MapHandle } from '../maps/map-handle.ts';
import { RawMap } from '../maps/raw-map.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import {
  type AnyCodec,
  type EntryMap,
  entriesOf,
  isOuter,
  type OpenedMap,
  type OuterEntryMap,
} from './entry-map.ts';
import { innerJson, innerLines, shown } from './entry-text.ts';
import { asUsage, jsonOf, parseJsonWord, parseValue } from './json-text.ts';
import type { KernelChoice } from './kernel-choice.ts';
import { checkRead, checkWritten, isKeyless } from './map-kinds.ts';
import { namingMap, openReference, titleOf } from './map-place.ts';
import type { EntryOptions, GetOptions, SetOptions } from './map-program.ts';
import { printPieces } from './print-pieces.ts';
import { print } from './terminal.ts';
import { ArgumentError, CommandError, takeMap, UsageError, wrongWords } from './usage.ts';

/** Prints the value of one key. @throws CommandError if it is not there */
export async function getEntry(
  kernel: KernelChoice,
  words: readonly string[],
  options: GetOptions,
): Promise<void> {
  await withMap(kernel, words, 'read-only', options, async ({ map, keyCodec }, rest) => {
    checkRead(map);
    if (isOuter(map)) {
      await getInner(map, keyCodec, oneOf(words, rest, 'MAP KEY'), options);
    } else if (map.info().type === BPF_MAP_TYPE.BLOOM_FILTER) {
      const value = parseValue(map.valueCodec, oneOf(words, rest, 'MAP VALUE'), 'VALUE');
      printJsonLine(asUsage('VALUE', () => map.hasValue(value)));
    } else if (isKeyless(map)) {
      checkWords(words, rest, 0, 'MAP');
      const value = map.get(new Uint8Array());
      printEntry({}, value, options, `${titleOf(map)} is empty`);
    } else {
      const text = oneOf(words, rest, 'MAP KEY');
      const key = parseValue(keyCodec, text, 'KEY');
      const value = asUsage('KEY', () => map.get(key));
      printEntry({ key: jsonOf(asRead(map, keyCodec, key)) }, value, options, missing(map, text));
    }
  });
}

/**
 * Sets the value of one key.
 *
 * @throws UsageError for a key or a value that does not fit, with the path inside
 * @throws SyscallError `EEXIST`, `ENOENT` if the mode forbids it
 */
export async function setEntry(
  kernel: KernelChoice,
  words: readonly string[],
  options: SetOptions,
): Promise<void> {
  await withMap(kernel, words, 'read-write', options, ({ map, keyCodec }, rest) => {
    checkWritten(map);
    if (isOuter(map)) {
      setInner(map, keyCodec, words, rest, options);
      return;
    }
    const keyless = isKeyless(map);
    checkWords(words, rest, keyless ? 1 : 2, keyless ? 'MAP VALUE' : 'MAP KEY VALUE');
    const key = keyless ? new Uint8Array() : parseKey(map, keyCodec, rest[0]!);
    const value = parseNewValue(map, rest[rest.length - 1]!, options);
    const mode = options.mode ?? 'any';
    asUsage('VALUE', () => map.set(key, value, { mode }));
  });
}

/** Removes entries. @throws CommandError after the others are removed, if some are not there */
export async function deleteEntries(
  kernel: KernelChoice,
  words: readonly string[],
  options: EntryOptions,
): Promise<void> {
  await withMap(kernel, words, 'read-write', options, ({ map, keyCodec }, rest) => {
    if (rest.length === 0) {
      throw wrongWords(words, 'MAP KEY...');
    }
    if (isKeyless(map)) {
      throw new CommandError(`${titleOf(map)} has no keys, so none can be deleted`);
    }
    // All are read before any is removed, so that a mistake in one leaves the map as it is.
    const keys = rest.map((text) => ({ text, key: parseKey(map, keyCodec, text) }));
    const gone = keys.filter(({ key }) => !map.delete(key));
    if (gone.length > 0) {
      throw new CommandError(missing(map, gone.map(({ text }) => text).join(', ')));
    }
  });
}

/** Opens the map in front of words, and closes it again. */
async function withMap(
  kernel: KernelChoice,
  words: readonly string[],
  access: PinAccess,
  options: EntryOptions,
  use: (opened: OpenedMap, rest: readonly string[]) => void | Promise<void>,
): Promise<void> {
  const { map: reference, rest } = takeMap(words, 'MAP');
  const opened = entriesOf(openReference(kernel.open(), reference, access), options);
  try {
    await namingMap(opened.map, '', () => use(opened, rest));
  } catch (error) {
    throw error instanceof ArgumentError ? withRemedy(error, opened) : error;
  } finally {
    opened.map.close();
  }
}

/** Bytes were wanted only because the kernel keeps no types with this map, as with all queues. */
function withRemedy({ argument, problem }: ArgumentError, opened: OpenedMap): ArgumentError {
  const option = opened.missingTypes[argument];
  const remedy =
    option === undefined ? '' : `; no type is known of the map's, so give it by ${option} TYPE`;
  return new ArgumentError(argument, `${problem}${remedy}`);
}

async function getInner(
  map: OuterEntryMap,
  keyCodec: AnyCodec,
  text: string,
  options: GetOptions,
): Promise<void> {
  const key = parseKey(map, keyCodec, text);
  const inner = options.json ? innerJson(map, key) : innerLines(map, key);
  if (inner === undefined) {
    throw new CommandError(missing(map, text));
  }
  if (options.json) {
    print(`{"key":${JSON.stringify(jsonOf(asRead(map, keyCodec, key)))},"value":`);
  }
  await printPieces(inner);
  if (options.json) {
    print('}\n');
  }
}

/** The value of a map of maps is a map, named as all maps are. */
function setInner(
  map: OuterEntryMap,
  keyCodec: AnyCodec,
  words: readonly string[],
  rest: readonly string[],
  options: SetOptions,
): void {
  const form = 'MAP KEY INNER-MAP';
  const [keyText, ...innerWords] = rest;
  if (keyText === undefined || innerWords.length === 0) {
    throw wrongWords(words, form);
  }
  const { map: reference, rest: more } = takeMap(innerWords, form);
  if (more.length > 0) {
    throw wrongWords(words, form);
  }
  if (options.allCpus) {
    throw new UsageError(`${titleOf(map)} has no values for each CPU`);
  }
  const key = parseKey(map, keyCodec, keyText);
  const inner = RawMap.adopt(openReference(map.kernel, reference, 'read-write'));
  try {
    if (map instanceof HashOfMaps) {
      map.set(key, inner, { mode: options.mode ?? 'any' });
    } else if (options.mode === 'noexist') {
      throw new UsageError(`the slots of ${titleOf(map)} all exist, so --mode noexist sets none`);
    } else {
      (map as ArrayOfMaps<EntryMap>).set(key as number, inner);
    }
  } finally {
    inner.close();
  }
}

function parseNewValue(map: EntryMap, text: string, options: SetOptions): unknown {
  if (options.allCpus !== true) {
    return parseValue(map.valueCodec, text, 'VALUE');
  }
  const { cpus } = map;
  if (cpus === undefined) {
    throw new UsageError(`${titleOf(map)} has no values for each CPU`);
  }
  const json: Json = new Array<Json>(cpus).fill(parseJsonWord(text, 'VALUE'));
  const values = asUsage('VALUE', () => fromJson(map.valueCodec, json));
  try {
    asRead(map, map.valueCodec, values);
  } catch (error) {
    // The caller has given one value, so it is not the first one's fault.
    throw error instanceof ValueError
      ? new ArgumentError('VALUE', new ValueError(error.problem, error.path.slice(1)).message)
      : error;
  }
  return values;
}

/** A key as the map's codec takes it, which is tried. */
function parseKey(map: MapHandle, codec: AnyCodec, text: string): unknown {
  const key = parseValue(codec, text, 'KEY');
  asUsage('KEY', () => asRead(map, codec, key));
  return key;
}

/** A key as the map gives it: that of a trie, for example, without bits behind its prefix. */
function asRead(map: MapHandle, codec: AnyCodec, key: unknown): unknown {
  const memory = new Memory(new Uint8Array(codec.sizeBytes), map.kernel.littleEndian);
  codec.write(memory, 0, key);
  return codec.read(memory, 0);
}

function printEntry(head: object, value: unknown, options: GetOptions, absent: string): void {
  if (value === undefined) {
    throw new CommandError(absent);
  }
  const json = jsonOf(value);
  if (options.json) {
    printJsonLine({ ...head, value: json });
  } else {
    print(`${shown(json)}\n`);
  }
}

function printJsonLine(document: Json | object): void {
  print(`${JSON.stringify(document)}\n`);
}

function missing(map: MapHandle, text: string): string {
  return `${titleOf(map)} has no entry with the key ${text}`;
}

function oneOf(words: readonly string[], rest: readonly string[], form: string): string {
  checkWords(words, rest, 1, form);
  return rest[0]!;
}

function checkWords(
  words: readonly string[],
  rest: readonly string[],
  count: number,
  form: string,
): void {
  if (rest.length !== count) {
    throw wrongWords(words, form);
  }
}
