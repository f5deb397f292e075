/** The commands below `skep program`, their arguments and their help; see `program.ts`. */

import type { Command } from 'commander';
import { announced, type KernelChoice, type KernelOption, kernelOption } from './kernel-choice.ts';
import type { JsonOption } from './map-program.ts';
import type { Kernels } from './program.ts';
import type { ProgramDumpOptions } from './program-dump.ts';
import type { RunOptions } from './program-run.ts';
import { collectKernelOption, parseCount } from './usage.ts';

const PROGRAM_HELP = `
PROGRAM is the path of a pin, or id:N, or name:NAME if only one program has that
name. In two words, id N and name NAME do as well. N is decimal or 0x hex.`;

const PROGRAM_ARGUMENT = 'the path of a pin, id:N or name:NAME';

/** The kernel of a command below `skep program`, whose own option `--kernel` is. */
type KernelOf = (command: Command) => Promise<KernelChoice>;

/** `skep program` and the commands below it. */
export function addPrograms(program: Command, kernels: Kernels): void {
  const kernelOf: KernelOf = async (command) =>
    announced(await kernels(command.optsWithGlobals<KernelOption>()), 'programs');
  const group = program
    .command('program')
    .summary('list, show, dump, run and pin programs')
    .description(
      'Works with the programs of the running kernel, whoever loaded them, and of compiled objects.',
    )
    .addOption(kernelOption())
    .addHelpText(
      'after',
      `${PROGRAM_HELP}

Examples:
  skep program list
  skep program show id:12
  skep program dump demo.bpf.o
  skep program run demo.bpf.o count_packets --data @packet --repeat 1000
  skep program pin id:12 /sys/fs/bpf/demo/entry`,
    );
  addProgramList(group, kernelOf);
  addProgramShow(group, kernelOf);
  addProgramDump(group, kernelOf);
  addProgramRun(group, kernelOf);
  addProgramPin(group, kernelOf);
}

function addProgramList(group: Command, kernelOf: KernelOf): void {
  group
    .command('list')
    .summary('list all programs')
    .description(
      'Lists all programs of the kernel (needs CAP_SYS_ADMIN). Sizes are in bytes: of instructions as the verifier left them (BPF), and of machine code. How often they ran is told while the sysctl kernel.bpf_stats_enabled is on.',
    )
    .option('--json', 'print one JSON document: { format: 1, programs: [{ id, type, ... }] }')
    .addHelpText(
      'after',
      `
Examples:
  skep program list
  skep program list --json | jq '.programs[] | select(.type == "xdp") | .id'`,
    )
    .action(async (options: JsonOption, command: Command) => {
      const { listPrograms } = await import('./program-commands.ts');
      listPrograms(await kernelOf(command), options);
    });
}

function addProgramShow(group: Command, kernelOf: KernelOf): void {
  group
    .command('show')
    .summary('show one program')
    .description('Shows what the kernel says of one program, its maps and its target by name.')
    .usage('[options] PROGRAM')
    .argument('<PROGRAM...>', PROGRAM_ARGUMENT)
    .option('--json', 'print one JSON document: { format: 1, program: { id, type, ... } }')
    .addHelpText(
      'after',
      `
Examples:
  skep program show /sys/fs/bpf/demo/entry
  skep program show id:12 --json`,
    )
    .action(async (words: string[], options: JsonOption, command: Command) => {
      const { showProgram } = await import('./program-commands.ts');
      showProgram(await kernelOf(command), words, options);
    });
}

function addProgramDump(group: Command, kernelOf: KernelOf): void {
  group
    .command('dump')
    .summary('print the instructions of programs')
    .description(
      'Prints the instructions of a program with the functions that it calls and the lines of source: of a loaded one as the verifier left them, or of one or all programs of a compiled object. The latter works on every system, and needs neither privileges nor a kernel: maps and data go by name, and what CO-RE changes is as the compiler wrote it.',
    )
    .usage('[options] PROGRAM | FILE [NAME]')
    .argument('<PROGRAM...>', `${PROGRAM_ARGUMENT}; or a compiled object and a name`)
    .option('--json', 'print one JSON document')
    .option('--no-source', 'leave the lines of source out')
    .addHelpText(
      'after',
      `
JSON: { format: 1, file, programs: [{ name, section, instructions: [{ slot,
opcode, text, function, source }] }] }; of loaded ones without file, with id,
type and tag for section. A slot is 8 bytes; 64-bit loads take two.

Examples:
  skep program dump demo.bpf.o
  skep program dump demo.bpf.o entry --no-source
  skep program dump id:12`,
    )
    .action(async (words: string[], options: ProgramDumpOptions, command: Command) => {
      const { programDumpCommand } = await import('./program-dump.ts');
      await programDumpCommand(await kernelOf(command), words, options);
    });
}

function addProgramRun(group: Command, kernelOf: KernelOf): void {
  group
    .command('run')
    .summary('run a program on a packet or context')
    .description(
      'Runs a program without attaching it (BPF_PROG_TEST_RUN), and prints what it returns and what it leaves of its packet and context. A program of a compiled object is loaded for the run with maps of its own, and unloaded afterwards; nothing of it is pinned.',
    )
    .usage('[options] PROGRAM | FILE [NAME]')
    .argument('<PROGRAM...>', `${PROGRAM_ARGUMENT}; or a compiled object and a name`)
    .option('--data <BYTES>', 'the packet')
    .option('--context <BYTES>', 'the context: struct __sk_buff, struct xdp_md, ...')
    .option('--repeat <N>', 'run it so often, and tell the mean time', parseCount)
    .option('--cpu <N>', 'the CPU that runs it; raw tracepoints only', parseCount)
    .option('--flags <N>', 'BPF_F_TEST_* as a number', parseCount)
    .option(
      '--kernel-config <NAME=VALUE>',
      "of an object: an option of the kernel for .kconfig, instead of the running one's; may be repeated",
      collectKernelOption,
    )
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
BYTES are pairs of hexadecimal digits, or @FILE for what is in a file, where @-
is standard input. Packets have an Ethernet header: 14 bytes at least.

JSON: { format: 1, program: { id, name, type }, returnValue,
durationNanoseconds, data, context }, with bytes as "0x" and digits, or null.
Return values have 32 bits without sign there.

Examples:
  skep program run demo.bpf.o count_packets --data @packet
  skep program run id:12 --data ffffffffffff0000000000000800 --repeat 1000`,
    )
    .action(async (words: string[], options: RunOptions, command: Command) => {
      const { runCommand } = await import('./program-run.ts');
      runCommand(await kernelOf(command), words, options);
    });
}

function addProgramPin(group: Command, kernelOf: KernelOf): void {
  group
    .command('pin')
    .summary('pin a program')
    .description('Pins a program, so that it outlives who loaded it. Missing directories are made.')
    .usage('[options] PROGRAM PATH')
    .argument('<PROGRAM PATH...>', `${PROGRAM_ARGUMENT}; then the path of the new pin`)
    .addHelpText(
      'after',
      `
Examples:
  skep program pin id:12 /sys/fs/bpf/demo/entry
  skep program pin /sys/fs/bpf/demo/entry /sys/fs/bpf/entry`,
    )
    .action(async (words: string[], _: object, command: Command) => {
      const { pinProgram } = await import('./program-commands.ts');
      pinProgram(await kernelOf(command), words);
    });
  group
    .command('unpin')
    .summary('remove the pin of a program')
    .description('Removes a pin. The program itself goes when nothing else uses it.')
    .argument('<PATH>', 'the path of a pin of a program')
    .addHelpText(
      'after',
      `
Example:
  skep program unpin /sys/fs/bpf/demo/entry`,
    )
    .action(async (path: string, _: object, command: Command) => {
      const { unpinProgram } = await import('./program-commands.ts');
      unpinProgram(await kernelOf(command), path);
    });
}
