/**
 * The commands, their arguments and their help. What a command does is loaded when it runs, so that
 * none waits for the modules of another.
 */

import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import type { Kernel } from '../kernel/kernel.ts';
import {
  chooseKernel,
  type KernelChoice,
  type KernelOption,
  kernelOption,
} from './kernel-choice.ts';
import { addMap } from './map-program.ts';
import type { ProgramDumpOptions } from './program-dump.ts';
import { print, printable, printError } from './terminal.ts';
import { collectNumber, collectPath } from './usage.ts';

/** Options of `skep inspect`. */
export interface InspectOptions {
  readonly json?: true;
  readonly diagram?: true;
}

/** Options of `skep load`. */
export interface LoadCommandOptions extends KernelOption {
  readonly pinDir?: string;
  readonly pin?: ReadonlyMap<string, string>;
  readonly maxEntries?: ReadonlyMap<string, number>;
  readonly plan?: true;
  readonly json?: true;
}

const EXIT_HELP = `
Exit status: 0 done, 1 failed, 2 wrong usage. Data goes to stdout, all else to
stderr.`;

/** Finds the kernel that options ask for. */
export type Kernels = (options: KernelOption) => Promise<KernelChoice>;

/**
 * Builds the command line. Errors of parsing are printed, then thrown as `CommanderError`.
 *
 * @param kernel what commands work with, whatever they are told
 */
export function createProgram(kernel?: Kernel): Command {
  const kernels: Kernels = async (options) =>
    kernel === undefined
      ? chooseKernel(options.kernel)
      : { open: () => kernel, endsWithCommand: false };
  const program = new Command('skep')
    .description('Reads compiled eBPF objects, and creates, pins and shows the maps of the kernel.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .option('--verbose', 'print stack traces and causes of errors')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help on a command')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: print,
      writeErr: printError,
      outputError: (text) => printError(asOurs(text)),
    })
    .exitOverride();
  // Inherited by the commands added from here on.
  addInspect(program);
  addLoad(program, kernels);
  addMap(program, kernels);
  addCode(program);
  program.addHelpText(
    'after',
    `
Examples:
  skep inspect demo.bpf.o                          what is in an object
  skep load demo.bpf.o --pin-dir /sys/fs/bpf/demo  create its maps and keep them
  skep map dump /sys/fs/bpf/demo/flows             the entries of a map
${EXIT_HELP}`,
  );
  return program;
}

/** `skep inspect`. The plainest use of it does not get here: see `run.ts`. */
function addInspect(program: Command): void {
  program
    .command('inspect')
    .summary('show what is in a compiled object')
    .description(
      'Shows the maps, data and programs of a compiled object. Works on every system, and needs neither privileges nor a kernel.',
    )
    .argument('<FILE>', 'a compiled object, usually *.bpf.o')
    .option('--json', 'print one JSON document (inspectionSchema of the package describes it)')
    .addOption(new Option('--diagram', 'print a Mermaid flowchart').conflicts('json'))
    .addHelpText(
      'after',
      `
Examples:
  skep inspect demo.bpf.o
  skep inspect demo.bpf.o --json | jq -r '.maps[].name'
  skep inspect demo.bpf.o --diagram > demo.mmd`,
    )
    .action(async (file: string, options: InspectOptions) => {
      const { inspectCommand } = await import('./inspect-command.ts');
      await inspectCommand(file, options);
    });
}

/** `skep program`: what can be said of programs without a kernel. */
function addCode(program: Command): void {
  const group = program
    .command('program')
    .summary('show the programs of an object')
    .description('Shows the programs of compiled objects.');
  group
    .command('dump')
    .summary('print the instructions of programs')
    .description(
      'Prints the instructions of a program, or of all, with the functions that they call and the lines of source. Works on every system, and needs neither privileges nor a kernel: maps and data go by name, and what CO-RE changes is as the compiler wrote it.',
    )
    .argument('<FILE>', 'a compiled object, usually *.bpf.o')
    .argument('[NAME]', 'one program; all by default')
    .option('--json', 'print one JSON document')
    .option('--no-source', 'leave the lines of source out')
    .addHelpText(
      'after',
      `
JSON: { format: 1, file, programs: [{ name, section, instructions: [{ slot,
opcode, text, function, source }] }] }. A slot is 8 bytes; 64-bit loads take two.

Examples:
  skep program dump demo.bpf.o
  skep program dump demo.bpf.o entry --no-source`,
    )
    .action(async (file: string, name: string | undefined, options: ProgramDumpOptions) => {
      const { programDumpCommand } = await import('./program-dump.ts');
      await programDumpCommand(file, name, options);
    });
}

/** `skep load`. */
function addLoad(program: Command, kernels: Kernels): void {
  program
    .command('load')
    .summary('create the maps of an object, and pin them')
    .description(
      'Creates the maps of a compiled object, fills and pins them, or opens the ones that are pinned already. Either all of it happens, or nothing is left. What is not pinned is gone when the command ends. Programs are not loaded.',
    )
    .argument('<FILE>', 'a compiled object, usually *.bpf.o')
    .option('--pin-dir <DIR>', 'pin every map of .maps in DIR, on a BPF file system')
    .option('--pin <NAME=PATH>', 'pin one map at PATH; may be repeated', collectPath)
    .option(
      '--max-entries <NAME=N>',
      'number of entries of one map, decimal or 0x hex; may be repeated',
      collectNumber,
    )
    .option('--plan', 'print the steps and run none of them')
    .option('--json', 'print one JSON document')
    .addOption(kernelOption())
    .addHelpText(
      'after',
      `
Without --pin-dir and --pin, only maps declared as pinned by name are pinned, in
/sys/fs/bpf.

Each step is printed with what became of it: done; absent: there is no pin, so
the map is created; reused: a pinned map is used; refused: the kernel did not
take the types, and maps go without them.

JSON documents: { format: 1, file, steps: [{ step, map, ..., outcome }],
maps: [{ name, id, type, pinPath, reused }], omitted: [{ map, reason }] }, and
with --plan { format: 1, file, plan: [{ step, map, ... }], omitted }. Numbers of
64 bits are decimal strings; of contents only the number of bytes is given.

With --kernel memory the object is loaded into a kernel that is part of this
command: it needs neither Linux nor privileges, answers as Linux does, and is
gone with all that is in it when the command ends.

Examples:
  skep load demo.bpf.o --pin-dir /sys/fs/bpf/demo
  skep load demo.bpf.o --pin flows=/sys/fs/bpf/flows --max-entries flows=0x1000
  skep load demo.bpf.o --pin-dir /sys/fs/bpf/demo --plan
  skep load demo.bpf.o --kernel memory              no Linux, no privileges`,
    )
    .action(async (file: string, options: LoadCommandOptions) => {
      const { loadCommand } = await import('./load-command.ts');
      loadCommand(file, options, await kernels(options));
    });
}

/** A message of commander in the form of ours: one line, `skep: ` in front. */
function asOurs(text: string): string {
  const message = text.replace(/^error: /, '').trim();
  return `skep: ${printable(message.replace(/\s*\n\s*/g, ' '))}\n`;
}

/** The version in package.json. */
function packageVersion(): string {
  // Two levels below the root of the package, for src/cli/ and dist/cli/ alike.
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
