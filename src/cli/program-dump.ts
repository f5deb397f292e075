/** `skep program dump`: the code of an object's programs as text. Needs the pure layer only. */

import { nearest } from '../bytes/nearest.ts';
import { ObjectFile } from '../loader/object-file.ts';
import { type ListedInstruction, linkProgram, listProgram } from '../obj/index.ts';
import { naming } from './object-errors.ts';
import { print, printJson } from './terminal.ts';
import { UsageError } from './usage.ts';

/** Options of `skep program dump`. */
export interface ProgramDumpOptions {
  readonly json?: true;
  readonly source: boolean;
}

/** A program with its instructions. */
interface Dump {
  readonly name: string;
  readonly section: string;
  readonly instructions: readonly ListedInstruction[];
}

/**
 * Prints programs with all functions that they reach, as they are before a kernel fills in what only
 * it knows.
 *
 * @throws SkepError `ERR_SKEP_FILE`, and whatever reading or linking the object throws
 * @throws UsageError if the object has no such program
 */
export async function programDumpCommand(
  file: string,
  name: string | undefined,
  options: ProgramDumpOptions,
): Promise<void> {
  const object = naming(file, () => ObjectFile.open(file));
  const dumps = namesOf(object, file, name).map((one) => naming(file, () => dumpOf(object, one)));
  if (options.json) {
    printJson({ format: 1, file, programs: dumps });
    return;
  }
  print(dumps.map((dump) => describeDump(dump, options.source)).join('\n'));
}

function namesOf(object: ObjectFile, file: string, name: string | undefined): string[] {
  const names = [...object.programs.keys()];
  if (name === undefined) {
    return names;
  }
  if (!object.programs.has(name)) {
    const near = nearest(name, names);
    const known = names.join(', ') || 'none';
    const hint = near === undefined ? `it has ${known}` : `did you mean ${near}?`;
    throw new UsageError(`${file} has no program "${name}"; ${hint}`);
  }
  return [name];
}

function dumpOf(object: ObjectFile, name: string): Dump {
  const linked = linkProgram(object, name);
  return { name, section: linked.definition.section, instructions: listProgram(linked) };
}

function describeDump({ name, section, instructions }: Dump, withSource: boolean): string {
  const lines = [`${name} (${section}):`];
  for (const { slot, text, function: starts, source } of instructions) {
    if (starts !== undefined && starts.name !== name) {
      lines.push(`${starts.name}:`);
    }
    const words = source?.text.trim() ?? '';
    if (withSource && words !== '') {
      lines.push(`; ${words} (${source!.file}:${source!.line})`);
    }
    lines.push(`${`${slot}`.padStart(5)}: ${text}`);
  }
  return `${lines.join('\n')}\n`;
}
