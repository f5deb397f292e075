/**
 * `skep program dump`: code as text, of an object's programs or of a loaded one. Of objects it needs the
 * pure layer only.
 */

import { ObjectFile } from '../loader/object-file.ts';
import { linkProgram, listProgram } from '../obj/index.ts';
import type { KernelChoice } from './kernel-choice.ts';
import { naming } from './object-errors.ts';
import { printPieces } from './print-pieces.ts';
import { type Dump, dumpDocument, dumpLines } from './program-dump-text.ts';
import { isOfKernel, namesOf } from './program-source.ts';
import { CommandError, takeReference, UsageError, wrongWords } from './usage.ts';

/** Options of `skep program dump`. */
export interface ProgramDumpOptions {
  readonly json?: true;
  readonly source: boolean;
}

/**
 * Most instructions of all programs of an object, with the functions that they call: thousands of them
 * may call one long function, and each would list it. The kernel takes 2^20 - 1 of one program.
 */
const MOST_INSTRUCTIONS = 2 ** 20;
/** Most characters of those: thousands of them may name one map, or come from one line of source. */
const MOST_CHARACTERS = 2 ** 27;

/**
 * Prints programs with all functions that they reach: those of an object as they are before a kernel
 * fills in what only it knows, a loaded one as the verifier left it.
 *
 * @throws SkepError `ERR_SKEP_FILE`, and whatever reading or linking the object throws
 * @throws UsageError if the object has no such program
 * @throws CommandError if no program is named, and all of them are too many to be listed
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
    await dumpObject(reference.path, rest[0], options);
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
    const about = `${type}, id ${id}, tag ${tag}`;
    const members = { id, name, type, tag };
    await printDumps({}, [{ name, about, members, instructions: listLive(program) }], options);
  } finally {
    program.close();
  }
}

async function dumpObject(
  file: string,
  name: string | undefined,
  options: ProgramDumpOptions,
): Promise<void> {
  const object = naming(file, () => ObjectFile.open(file));
  const names = namesOf(object, file, name);
  const dumps = () => dumpsOf(object, file, names);
  if (name === undefined) {
    // Also finds what is wrong with any of them before one is printed.
    checkDumps(file, names.length, dumps());
  }
  await printDumps({ file }, dumps(), options);
}

/** @param head what a document says in front of the programs */
function printDumps(
  head: object,
  dumps: Iterable<Dump>,
  { json, source }: ProgramDumpOptions,
): Promise<void> {
  return printPieces(json ? dumpDocument(head, dumps) : dumpLines(dumps, source));
}

/**
 * Programs of an object, each linked and listed when it is asked for, so that one at a time is in
 * memory. Going through them throws what linking does, with the name of the file in front.
 */
export function* dumpsOf(
  object: ObjectFile,
  file: string,
  names: Iterable<string>,
): Generator<Dump> {
  for (const name of names) {
    yield naming(file, () => {
      const linked = linkProgram(object, name);
      const { section } = linked.definition;
      const instructions = listProgram(linked);
      return { name, about: section, members: { name, section }, instructions };
    });
  }
}

/** @throws CommandError if the programs of an object are too long to be listed all at once */
function checkDumps(file: string, count: number, dumps: Iterable<Dump>): void {
  let instructions = 0;
  let characters = 0;
  for (const dump of dumps) {
    instructions += dump.instructions.length;
    characters += charactersOf(dump);
    if (instructions > MOST_INSTRUCTIONS || characters > MOST_CHARACTERS) {
      const most =
        instructions > MOST_INSTRUCTIONS
          ? `${MOST_INSTRUCTIONS} instructions`
          : `${MOST_CHARACTERS} characters`;
      const all = count === 1 ? 'its program has' : `its ${count} programs together have`;
      throw new CommandError(
        `${file}: ${all} more than ${most}, with the functions that are called; to dump one, give its name as well: skep program dump FILE NAME`,
      );
    }
  }
}

/** The texts of a program that may be long, whether or not all of them are printed. */
function charactersOf({ name, about, instructions }: Dump): number {
  let characters = name.length + about.length;
  for (const { text, function: starts, source } of instructions) {
    characters += text.length + (starts?.name.length ?? 0);
    characters += source === undefined ? 0 : source.text.length + source.file.length;
  }
  return characters;
}
