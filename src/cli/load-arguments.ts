/** The arguments of `skep load` and its help; see `program.ts`. */

import { type Command, Option } from 'commander';
import { type KernelOption, kernelOption } from './kernel-choice.ts';
import type { Kernels } from './program.ts';
import {
  collectKernelOption,
  collectNumber,
  collectPath,
  collectSlot,
  collectTarget,
  collectType,
  collectWord,
  parseLogLevel,
  type Slots,
} from './usage.ts';

/** Options of `skep load`. */
export interface LoadCommandOptions extends KernelOption {
  readonly pinDir?: string;
  readonly pin?: ReadonlyMap<string, string>;
  readonly maxEntries?: ReadonlyMap<string, number>;
  readonly mapsOnly?: true;
  readonly pinPrograms?: string;
  readonly replacePrograms?: boolean;
  readonly program?: readonly string[];
  readonly omit?: readonly string[];
  readonly type?: ReadonlyMap<string, string>;
  readonly attachTo?: ReadonlyMap<string, string>;
  readonly slot?: Slots;
  readonly kernelBtf?: string;
  readonly kernelConfig?: ReadonlyMap<string, string>;
  readonly verifierLog?: number;
  readonly plan?: true;
  readonly json?: true;
}

const LOAD_HELP = `
Without --pin-dir and --pin, only maps declared as pinned by name are pinned, in
/sys/fs/bpf. Programs in sections that start with "?" are loaded if --program
names them. A slot of a program array whose program --program or --omit leaves
out stays as it is, which is said.

Each step is printed with what became of it: done; absent: there is no pin, so
the map is created; reused: a pinned map is used; refused: the kernel did not
take the types, and maps and programs go without them.

If the verifier refuses a program, the end of its log is printed behind the
reason; all of it with --verbose or --verifier-log.

JSON documents: { format: 1, file, steps: [{ step, map | program, ..., outcome
}], maps: [{ name, id, type, pinPath, reused }], programs: [{ name, id, type,
tag, pinPath }], omitted: [{ map | program, reason }] }, and with --plan
{ format: 1, file, plan: [{ step, map | program, ... }], omitted }. Numbers of
64 bits are decimal strings; of contents only the number of bytes is given.

With --kernel memory the object is loaded into a kernel that is part of this
command: it needs neither Linux nor privileges, answers as Linux does, and is
gone with all that is in it when the command ends. It does not verify programs,
and has no types for CO-RE but those of --kernel-btf.

Examples:
  skep load demo.bpf.o --pin-dir /sys/fs/bpf/demo
  skep load demo.bpf.o --pin-programs /sys/fs/bpf/demo/programs
  skep load demo.bpf.o --pin flows=/sys/fs/bpf/flows --max-entries flows=0x1000
  skep load demo.bpf.o --pin-dir /sys/fs/bpf/demo --maps-only --plan
  skep load demo.bpf.o --program count_packets --verifier-log 2
  skep load demo.bpf.o --slot stages:2=none --kernel-config CONFIG_HZ=250
  skep load demo.bpf.o --kernel memory              no Linux, no privileges`;

/** `skep load`. */
export function addLoad(program: Command, kernels: Kernels): void {
  const load = program
    .command('load')
    .summary('create the maps of an object, load its programs, pin both')
    .description(
      'Creates the maps of a compiled object, fills and pins them, or opens the ones that are pinned already; then loads its programs. Either all of it happens, or nothing is left. What is not pinned is gone when the command ends: such programs were verified, and no more. Programs are not attached.',
    )
    .argument('<FILE>', 'a compiled object, usually *.bpf.o')
    .option('--pin-dir <DIR>', 'pin every map of .maps in DIR, on a BPF file system')
    .option('--pin <NAME=PATH>', 'pin one map at PATH; may be repeated', collectPath)
    .option(
      '--max-entries <NAME=N>',
      'number of entries of one map, decimal or 0x hex; may be repeated',
      collectNumber,
    );
  addProgramOptions(load)
    .option('--plan', 'print the steps and run none of them')
    .option('--json', 'print one JSON document')
    .addOption(kernelOption())
    .addHelpText('after', LOAD_HELP)
    .action(async (file: string, options: LoadCommandOptions) => {
      const { loadCommand } = await import('./load-command.ts');
      loadCommand(file, options, await kernels(options));
    });
}

/** What is said of programs makes no sense without them. */
const OF_PROGRAMS: readonly (keyof LoadCommandOptions)[] = [
  'pinPrograms',
  'replacePrograms',
  'program',
  'omit',
  'type',
  'attachTo',
  'slot',
  'kernelBtf',
  'kernelConfig',
  'verifierLog',
];

function addProgramOptions(load: Command): Command {
  return load
    .option('--pin-programs <DIR>', 'pin every program in DIR, on a BPF file system')
    .option('--replace-programs', 'in the place of programs that are pinned there')
    .addOption(
      new Option('--maps-only', 'create maps, and load no programs').conflicts([...OF_PROGRAMS]),
    )
    .addOption(
      new Option('--program <NAME>', 'load this program, and no others; may be repeated')
        .argParser(collectWord)
        .conflicts('omit'),
    )
    .option('--omit <NAME>', 'leave one program out; may be repeated', collectWord)
    .option(
      '--type <NAME=TYPE>',
      'the type of a program, as "program list" prints it; may be repeated',
      collectType,
    )
    .option(
      '--attach-to <NAME=TARGET>',
      'the function or hook that a program is for; may be repeated',
      collectTarget,
    )
    .option(
      '--slot <MAP:INDEX=PROGRAM>',
      'what is in a slot of a program array, or none; may be repeated',
      collectSlot,
    )
    .option('--kernel-btf <FILE>', "types for CO-RE, instead of the running kernel's")
    .option(
      '--kernel-config <NAME=VALUE>',
      "an option of the kernel for .kconfig, instead of the running one's; may be repeated",
      collectKernelOption,
    )
    .option(
      '--verifier-log <LEVEL>',
      "print the verifier's log: 1, 2 for every instruction, 4 for numbers alone",
      parseLogLevel,
    );
}
