/**
 * `skep program dump`: code as text, of an object's programs or of a loaded one. Of objects it needs the
 * pure layer only.
 */

import { ObjectFile } from '../loader/object-file.ts';
import { type ListedInstruction, linkProgram, listProgram } from '../obj/index.ts';
import type { KernelChoice } from './kernel-choice.ts';
import { naming } from './object-errors.ts';
import type { LiveInstruction } from './program-live.ts';
import { isOfKernel, namesOf } from './program-source.ts';
import { print, printable, printJson } from './terminal.ts';
import { takeReference, UsageError, wrongWords } from './usage.ts';

/** Options of `skep program dump`. */
export interface ProgramDumpOptions {
  readonly json?: true;
  readonly source: boolean;
}

/** A program with its instructions. */
interface Dump {
  readonly name: string;
  /** What stands behind the name: the section, or type and id. */
  readonly about: string;
  readonly instructions: readonly (ListedInstruction | LiveInstruction)[];
}

/**
 * Prints programs with all functions that they reach: those of an object as they are before a kernel
 * fills in what only it knows, a loaded one as the verifier left it.
 *
 * @throws SkepError `ERR_SKEP_FILE`, and whatever reading or linking the object throws
 * @throws UsageError if the object has no such program
 * @throws SyscallError if there is no such loaded program
 */
export async function programDumpCommand(
  kernel: KernelChoice,
  words: readonly string[],
  options: ProgramDumpOptions,
): Promise<void> {
  const { reference, rest } = takeReference(words, 'program', 'PROGRAM');
  if (reference.by === 'path' && !isOfKernel(kernel, reference)) {
    if (rest.length > 1) {
      throw new UsageError(`expected FILE [NAME]; got "${words.join(' ')}"`);
    }
    dumpObject(reference.path, rest[0], options);
    return;
  }
  if (rest.length > 0) {
    throw wrongWords(words, 'PROGRAM', 'program');
  }
  const [{ openProgram }, { listLive }, { listedProgram }] = await Promise.all([
    import('./program-place.ts'),
    import('./program-live.ts'),
    import('./kernel-program.ts'),
  ]);
  const program = openProgram(kernel.open(), reference);
  try {
    const { id, name, type, tag } = listedProgram(program);
    const instructions = listLive(program);
    const about = `${type}, id ${id}, tag ${tag}`;
    printDumps([{ name, about, instructions }], options, () => ({
      programs: [{ id, name, type, tag, instructions }],
    }));
  } finally {
    program.close();
  }
}

function dumpObject(file: string, name: string | undefined, options: ProgramDumpOptions): void {
  const object = naming(file, () => ObjectFile.open(file));
  const dumps = namesOf(object, file, name).map((one) => naming(file, () => dumpOf(object, one)));
  printDumps(dumps, options, () => ({
    file,
    programs: dumps.map(({ name, about, instructions }) => ({
      name,
      section: about,
      instructions,
    })),
  }));
}

function printDumps(
  dumps: readonly Dump[],
  options: ProgramDumpOptions,
  toDocument: () => object,
): void {
  if (options.json) {
    printJson({ format: 1, ...toDocument() });
    return;
  }
  print(dumps.map((dump) => describeDump(dump, options.source)).join('\n'));
}

function dumpOf(object: ObjectFile, name: string): Dump {
  const linked = linkProgram(object, name);
  return { name, about: linked.definition.section, instructions: listProgram(linked) };
}

function describeDump({ name, about, instructions }: Dump, withSource: boolean): string {
  const lines = [`${printable(name)} (${printable(about)}):`];
  for (const { slot, text, function: starts, source } of instructions) {
    if (starts !== undefined && slot > 0 && starts.name !== '') {
      lines.push(`${printable(starts.name)}:`);
    }
    const words = source?.text.trim() ?? '';
    if (withSource && words !== '') {
      lines.push(printable(`; ${words} (${source!.file}:${source!.line})`));
    }
    lines.push(`${`${slot}`.padStart(5)}: ${printable(text)}`);
  }
  return `${lines.join('\n')}\n`;
}
