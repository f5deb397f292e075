/** `skep program list`, `show`, `pin` and `unpin`: the programs of the running kernel. */

import type { KernelChoice } from './kernel-choice.ts';
import {
  type ListedProgram,
  listedProgram,
  type ShownProgram,
  type ShownTarget,
  shownProgram,
  type UsedMap,
} from './kernel-program.ts';
import type { JsonOption } from './map-program.ts';
import { eachProgram, openProgram, titleOfProgram } from './program-place.ts';
import { type Column, renderTable } from './table.ts';
import { print, printable, printJson, standardOutput, type Terminal } from './terminal.ts';
import { CommandError, takeReference, wrongWords } from './usage.ts';

/** Prints all programs of the kernel. @throws SyscallError `EPERM` without CAP_SYS_ADMIN */
export function listPrograms(kernel: KernelChoice, options: JsonOption): void {
  const programs = Array.from(eachProgram(kernel.open(), listedProgram));
  if (options.json) {
    printJson({ format: 1, programs });
  } else if (programs.length === 0) {
    print('the kernel has no programs\n');
  } else {
    print(renderTable(LIST_COLUMNS, programs.map(listRow), standardOutput()));
  }
}

/** Prints one program. @throws UsageError, SyscallError `ENOENT` if there is none */
export function showProgram(
  kernel: KernelChoice,
  words: readonly string[],
  options: JsonOption,
): void {
  const { reference, rest } = takeReference(words, 'program', 'PROGRAM');
  if (rest.length > 0) {
    throw wrongWords(words, 'PROGRAM', 'program');
  }
  const program = openProgram(kernel.open(), reference);
  try {
    const shown = shownProgram(program);
    if (options.json) {
      printJson({ format: 1, program: shown });
    } else {
      print(describeProgram(shown, standardOutput()));
    }
  } finally {
    program.close();
  }
}

/** Pins a program at one more path. @throws UsageError, SkepError as `Program.pin` does */
export function pinProgram(kernel: KernelChoice, words: readonly string[]): void {
  const form = 'PROGRAM PATH';
  const { reference, rest } = takeReference(words, 'program', form);
  const [path] = rest;
  if (path === undefined || rest.length > 1) {
    throw wrongWords(words, form, 'program');
  }
  const program = openProgram(kernel.open(), reference);
  try {
    program.pin(path);
    print(`pinned ${printable(titleOfProgram(program))} at ${printable(path)}\n`);
  } finally {
    program.close();
  }
}

/**
 * Removes the pin of a program. It is opened first: a pin of a map is none of our business.
 *
 * @throws SyscallError `ENOENT` if there is no pin, `EINVAL` if it is not a program's
 */
export function unpinProgram(kernel: KernelChoice, path: string): void {
  const program = openProgram(kernel.open(), { by: 'path', path });
  try {
    if (!program.unpin()) {
      throw new CommandError(`${path}: the pin was removed by somebody else meanwhile`);
    }
    print(`unpinned ${printable(titleOfProgram(program))} from ${printable(path)}\n`);
  } finally {
    program.close();
  }
}

// Sizes in bytes, as the help says.
const LIST_COLUMNS: readonly Column[] = [
  { title: 'ID', kind: 'number' },
  { title: 'TYPE', kind: 'name' },
  { title: 'NAME', kind: 'name' },
  { title: 'TAG', kind: 'name' },
  { title: 'LOADED AT', kind: 'name' },
  { title: 'UID', kind: 'number' },
  { title: 'BPF', kind: 'number' },
  { title: 'MACHINE', kind: 'number' },
  { title: 'MAPS', kind: 'text' },
  { title: 'RUNS', kind: 'number' },
  { title: 'RUN TIME', kind: 'number' },
];

function listRow(program: ListedProgram): string[] {
  const hasRun = program.runCount !== '0';
  return [
    `${program.id}`,
    program.type,
    printable(program.name),
    program.tag,
    program.loadedAt,
    `${program.userId}`,
    program.translatedBytes === 0 ? '' : `${program.translatedBytes}`,
    program.jitedBytes === 0 ? '' : `${program.jitedBytes}`,
    program.mapIds.join(', '),
    hasRun ? program.runCount : '',
    hasRun ? `${program.runTimeNanoseconds} ns` : '',
  ];
}

/** Bytes of an instruction. */
const INSTRUCTION_BYTES = 8;

/** One line for each property; for each map one more. */
function describeProgram(program: ShownProgram, terminal: Terminal): string {
  const { translatedBytes, jitedBytes, verifiedInstructions, btfId, pinPath, target } = program;
  const instructions = translatedBytes / INSTRUCTION_BYTES;
  const verified = verifiedInstructions === 0 ? '' : `, ${verifiedInstructions} verified`;
  const properties: readonly (readonly [string, string])[] = [
    ['id', `${program.id}`],
    ['type', program.type],
    ['name', program.name === '' ? 'none' : printable(program.name)],
    ['tag', program.tag],
    ['license', program.gplCompatible ? 'GPL compatible' : 'not GPL compatible'],
    ['target', target === null ? 'none' : describeTarget(target)],
    ['loaded at', program.loadedAt],
    ['by user', `${program.userId}`],
    [
      'BPF',
      translatedBytes === 0
        ? 'not known'
        : `${instructions} instructions (${translatedBytes} bytes)${verified}`,
    ],
    ['machine', jitedBytes === 0 ? 'none, or not known' : `${jitedBytes} bytes`],
    ['BTF', btfId === 0 ? 'none' : `id ${btfId}`],
    ['ran', describeRuns(program)],
    ['pin path', pinPath === null ? 'not known' : printable(pinPath)],
    ['maps', program.maps.length === 0 ? 'none' : program.maps.map(describeMap).join(', ')],
  ];
  return properties.map(([name, value]) => `${terminal.bold(name.padEnd(9))}  ${value}\n`).join('');
}

function describeTarget({ of, name, btfId, typeId }: ShownTarget): string {
  if (name === null) {
    return `type ${typeId} of BTF ${btfId}`;
  }
  return of === 'vmlinux' ? printable(name) : printable(`${name} of ${of || `BTF ${btfId}`}`);
}

function describeRuns({ runCount, runTimeNanoseconds, recursionMisses }: ShownProgram): string {
  const misses = recursionMisses === '0' ? '' : `; ${recursionMisses} left out as it was running`;
  return runCount === '0'
    ? `not counted (sysctl kernel.bpf_stats_enabled)${misses}`
    : `${runCount} times, ${runTimeNanoseconds} ns${misses}`;
}

function describeMap({ id, type, name }: UsedMap): string {
  return type === null ? `id ${id}` : `${printable(name || 'map')} (${type}, id ${id})`;
}
