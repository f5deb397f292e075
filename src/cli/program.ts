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
import { addLoad } from './load-arguments.ts';
import { addMap } from './map-program.ts';
import { addPrograms } from './program-group.ts';
import { print, printable, printError } from './terminal.ts';

/** Options of `skep inspect`. */
export interface InspectOptions {
  readonly json?: true;
  readonly diagram?: true;
}

/** Options of `skep doctor`. */
export interface DoctorCommandOptions extends KernelOption {
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
    .description(
      'Reads compiled eBPF objects; creates, loads, pins and shows maps and programs of the kernel.',
    )
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
  addPrograms(program, kernels);
  addDoctor(program, kernels);
  program.addHelpText(
    'after',
    `
Examples:
  skep inspect demo.bpf.o                          what is in an object
  skep load demo.bpf.o --pin-dir /sys/fs/bpf/demo  create its maps and keep them
  skep map dump /sys/fs/bpf/demo/flows             the entries of a map
  skep program run demo.bpf.o --data @packet       what it does to a packet
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

/** `skep doctor`. */
function addDoctor(program: Command, kernels: Kernels): void {
  program
    .command('doctor')
    .summary('show what the kernel can do, and what an object asks of it that it cannot')
    .description(
      'Shows the state of this system as far as eBPF goes, which types of maps and programs and which other features the kernel has, and, given an object, what of it the kernel cannot do and why. The kernel is asked by trying on a small scale; nothing stays behind. What this user may not ask or read is said.',
    )
    .argument('[FILE]', 'a compiled object, usually *.bpf.o')
    .option('--json', 'print one JSON document')
    .addOption(kernelOption())
    .addHelpText(
      'after',
      `
The exit status is 1 if the kernel or this user cannot do all that the object
needs. What cannot be found out does not count.

JSON: { format: 1, system: [{ name, value, note }], kernel: { mapTypes,
programTypes: [{ name, answer, reason }], features: [{ name, title, since,
answer, reason }] }, object: { file, fits, findings: [{ subject, needs, answer,
reason, required }] } }. An answer is yes, no, not permitted or unknown.

Examples:
  skep doctor
  skep doctor demo.bpf.o
  skep doctor demo.bpf.o --json | jq .object.fits`,
    )
    .action(async (file: string | undefined, options: DoctorCommandOptions) => {
      const { doctorCommand } = await import('./doctor.ts');
      doctorCommand(file, options, await kernels(options));
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
