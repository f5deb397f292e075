/** Entries of maps as text: JSON in pieces, lines, and tables of bytes. */

import type { Json } from '../codec/json.ts';
import { PerCpuValues } from '../codec/per-cpu-values.ts';
import { SyscallError } from '../errors.ts';
import { type EntryMap, isOuter, type OpenedMap, type OuterEntryMap } from './entry-map.ts';
import { jsonOf } from './json-text.ts';
import { canBeDumped } from './map-kinds.ts';
import { warn } from './report-error.ts';
import { printable, type Terminal } from './terminal.ts';

/** A map with or without inner maps. */
type AnyMap = OpenedMap['map'];

/** An inner map, open while it is looked at; only its id, if this user may not open it. */
interface SeenInner {
  readonly id: number;
  readonly map: EntryMap | null;
}

/** An entry: its key, and its value or inner map. */
type SeenEntry =
  | { readonly key: Json; readonly value: Json }
  | { readonly key: Json; readonly inner: SeenInner };

/**
 * Every entry as one JSON object on a line of its own, in pieces: the entries of inner maps are not
 * collected either.
 */
export function* jsonLines(map: AnyMap, shallow: boolean): Generator<string> {
  for (const entry of entries(map, shallow)) {
    yield* jsonEntry(entry);
    yield '\n';
  }
}

/** All entries as the elements of a JSON array, without its brackets. */
export function* jsonElements(map: AnyMap, shallow: boolean): Generator<string> {
  let separator = '\n';
  for (const entry of entries(map, shallow)) {
    yield separator;
    yield* jsonEntry(entry);
    separator = ',\n';
  }
}

/** An entry on a line, `key: value` in the notation of JSON; those of inner maps below theirs. */
export function* textLines(map: AnyMap, shallow: boolean, indent = ''): Generator<string> {
  for (const entry of entries(map, shallow)) {
    const key = `${indent}${shown(entry.key)}: `;
    if ('value' in entry) {
      yield `${key}${shown(entry.value)}\n`;
    } else {
      yield key;
      yield* innerText(entry.inner, `${indent}  `);
    }
  }
}

/** One entry of a map of maps as JSON; its value only. */
export function innerJson(outer: OuterEntryMap, key: unknown): Generator<string> | undefined {
  return withInner(outer, key, (inner) => innerPieces(inner));
}

/** One entry of a map of maps as lines. */
export function innerLines(outer: OuterEntryMap, key: unknown): Generator<string> | undefined {
  return withInner(outer, key, (inner) => innerText(inner, '  '));
}

/** Entries as bytes in two columns; keys of a map are all of one length. */
export function* byteTable(map: EntryMap, terminal: Terminal): Generator<string> {
  const keyWidth = Math.max('KEY'.length, map.info().keySize * 3 - 1);
  const room = terminal.width - keyWidth - 2;
  let head = `${terminal.bold('KEY')}${' '.repeat(keyWidth - 'KEY'.length + 2)}${terminal.bold('VALUE')}\n`;
  for (const [key, value] of map.entries()) {
    const lines = valueLines(value as Uint8Array | PerCpuValues<Uint8Array>, room);
    const keyText = spaced(key as Uint8Array).padEnd(keyWidth);
    const rows = lines.map((line, at) => `${at === 0 ? keyText : ' '.repeat(keyWidth)}  ${line}\n`);
    yield head + rows.join('');
    head = '';
  }
}

/** A value in the notation of JSON, fit for a terminal. */
export function shown(json: Json): string {
  return printable(JSON.stringify(json));
}

function* entries(map: AnyMap, shallow: boolean): Generator<SeenEntry> {
  if (!isOuter(map)) {
    for (const [key, value] of map.entries()) {
      yield { key: jsonOf(key), value: jsonOf(value) };
    }
    return;
  }
  for (const [key, id] of map.ids()) {
    if (shallow) {
      yield { key: jsonOf(key), value: id };
      continue;
    }
    const inner = openInner(map, key, id);
    // An inner map that was removed since its id was read is no entry any more.
    if (inner !== undefined) {
      try {
        yield { key: jsonOf(key), inner };
      } finally {
        inner.map?.close();
      }
    }
  }
}

/** The inner map of a key: as it is now, whatever its id was. */
function openInner(outer: OuterEntryMap, key: unknown, id: number): SeenInner | undefined {
  try {
    const map = outer.get(key);
    return map === undefined ? undefined : { id: map.info().id, map };
  } catch (error) {
    if (error instanceof SyscallError && error.errnoName === 'EPERM') {
      warnOnce('only the ids of inner maps are shown, as opening them needs CAP_SYS_ADMIN');
      return { id, map: null };
    }
    throw error;
  }
}

function withInner(
  outer: OuterEntryMap,
  key: unknown,
  write: (inner: SeenInner) => Generator<string>,
): Generator<string> | undefined {
  const map = outer.get(key);
  if (map === undefined) {
    return undefined;
  }
  return (function* () {
    try {
      yield* write({ id: map.info().id, map });
    } finally {
      map.close();
    }
  })();
}

function* jsonEntry(entry: SeenEntry): Generator<string> {
  if ('value' in entry) {
    yield JSON.stringify({ key: entry.key, value: entry.value });
    return;
  }
  yield `{"key":${JSON.stringify(entry.key)},"value":`;
  yield* innerPieces(entry.inner);
  yield '}';
}

/** `{ id, type, name, entries }`; `entries` is null where they cannot be gone through. */
function* innerPieces({ id, map }: SeenInner): Generator<string> {
  if (map === null) {
    yield JSON.stringify({ id, type: null, name: null, entries: null });
    return;
  }
  const { typeName, name } = map.info();
  const head = JSON.stringify({ id, type: typeName, name }).slice(0, -1);
  if (!canBeDumped(map)) {
    yield `${head},"entries":null}`;
    return;
  }
  yield `${head},"entries":[`;
  let separator = '';
  for (const entry of entries(map, true)) {
    yield separator;
    yield* jsonEntry(entry);
    separator = ',';
  }
  yield ']}';
}

function* innerText({ id, map }: SeenInner, indent: string): Generator<string> {
  if (map === null) {
    yield `map ${id}\n`;
    return;
  }
  const { typeName, name } = map.info();
  yield `map ${id} (${typeName}${name === '' ? '' : ` "${printable(name)}"`})\n`;
  if (canBeDumped(map)) {
    yield* textLines(map, true, indent);
  }
}

const warned = new Set<string>();

function warnOnce(message: string): void {
  if (!warned.has(message)) {
    warned.add(message);
    warn(message);
  }
}

/** Lines of a value; of each CPU's value with its number in front. */
function valueLines(value: Uint8Array | PerCpuValues<Uint8Array>, room: number): string[] {
  if (!(value instanceof PerCpuValues)) {
    return bytesInLines(value, room);
  }
  const digits = `${value.length - 1}`.length;
  return [...value].flatMap((bytes, cpu) => {
    const label = `CPU ${`${cpu}`.padStart(digits)}: `;
    return bytesInLines(bytes, room - label.length).map((line, at) =>
      at === 0 ? label + line : ' '.repeat(label.length) + line,
    );
  });
}

/** Bytes with spaces between them, in lines of a multiple of 8, or of 4 where there is less room. */
function bytesInLines(bytes: Uint8Array, room: number): string[] {
  // A terminal without a width has room for all.
  const fitting = Math.min(Math.floor((room + 1) / 3), bytes.length);
  if (fitting === bytes.length) {
    return [spaced(bytes)];
  }
  const unit = fitting >= 8 ? 8 : 4;
  const perLine = Math.max(unit, fitting - (fitting % unit));
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += perLine) {
    lines.push(spaced(bytes.subarray(at, at + perLine)));
  }
  return lines;
}

function spaced(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('hex')
    .replace(/..(?=.)/g, '$& ');
}
