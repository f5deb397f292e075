/**
 * What `skep program dump` prints, in pieces: a dump may have millions of instructions, and neither
 * they nor their text are in memory at once for more than one program.
 */

import type { ListedInstruction } from '../obj/index.ts';
import type { LiveInstruction } from './program-live.ts';
import { printable } from './terminal.ts';

/** A program with its instructions. */
export interface Dump {
  readonly name: string;
  /** What stands behind the name in parentheses: the section, or type and id. */
  readonly about: string;
  /** What a document says of it, less the instructions. */
  readonly members: object;
  readonly instructions: readonly (ListedInstruction | LiveInstruction)[];
}

/** Programs as text for people, with an empty line between them. */
export function* dumpLines(dumps: Iterable<Dump>, withSource: boolean): Generator<string> {
  let before = '';
  for (const { name, about, instructions } of dumps) {
    yield `${before}${printable(name)} (${printable(about)}):\n`;
    before = '\n';
    for (const instruction of instructions) {
      yield describeInstruction(instruction, withSource);
    }
  }
}

/** One line, with those of the function and of the source that start with it above. */
function describeInstruction(
  { slot, text, function: starts, source }: ListedInstruction | LiveInstruction,
  withSource: boolean,
): string {
  const isFunction = starts !== undefined && slot > 0 && starts.name !== '';
  const label = isFunction ? `${printable(starts.name)}:\n` : '';
  const words = source?.text.trim() ?? '';
  const isSource = withSource && words !== '';
  const line = isSource ? printable(`; ${words} (${source!.file}:${source!.line})`) : '';
  return `${label}${line}${isSource ? '\n' : ''}${`${slot}`.padStart(5)}: ${printable(text)}\n`;
}

/**
 * Programs as one document, which is written as `JSON.stringify` would write all of it.
 *
 * @param head the members in front of the programs
 */
export function* dumpDocument(head: object, dumps: Iterable<Dump>): Generator<string> {
  yield* withList({ format: 1, ...head }, 'programs', programDocuments(dumps));
  yield '\n';
}

function* programDocuments(dumps: Iterable<Dump>): Generator<Iterable<string>> {
  for (const { members, instructions } of dumps) {
    yield withList(members, 'instructions', instructionDocuments(instructions));
  }
}

function* instructionDocuments(instructions: Dump['instructions']): Generator<Iterable<string>> {
  for (const instruction of instructions) {
    yield [JSON.stringify(instruction, null, 2)];
  }
}

/** An object whose last member is a list that is made item by item, each in pieces. */
function* withList(
  members: object,
  list: string,
  items: Iterable<Iterable<string>>,
): Generator<string> {
  const empty = JSON.stringify({ ...members, [list]: [] }, null, 2);
  const end = empty.length - ']\n}'.length;
  yield empty.slice(0, end);
  let between = '';
  for (const item of items) {
    yield `${between}\n    `;
    between = ',';
    for (const piece of item) {
      // Strings of JSON have no line feeds of their own.
      yield piece.replaceAll('\n', '\n    ');
    }
  }
  yield between === '' ? empty.slice(end) : '\n  ]\n}';
}
