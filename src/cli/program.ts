/**
 * The commands, their arguments and their help. What a command does is loaded when it runs, so that
 * none waits for the modules of another.
 */

import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { print, printable, printError } from './terminal.ts';
import { collectNumber, collectPath } from './usage.ts';

/** Options of `skep inspect`. */
export interface InspectOptions {
  readonly json?: true;
  readonly diagram?: true;
}

/** Options of `skep load`. */
export interface LoadCommandOptions {
  readonly pinDir?: string;
  readonly pin?: ReadonlyMap<string, string>;
  readonly maxEntries?: ReadonlyMap<string, number>;
  readonly plan?: true;
  readonly json?: true;
}

/** Options of the commands on maps that print data. */
export interface JsonOption {
  readonly json?: true;
}

/** Options of `skep map dump`. */
export interface DumpOptions extends JsonOption {
  /** Bytes, even where the kernel knows the types. */
  readonly raw?: true;
}

const MAP_HELP = `
MAP is the path of a pin, or two words: id N, with N decimal or 0x hex.`;

const EXIT_HELP = `
Exit status: 0 done, 1 failed, 2 wrong usage. Data goes to stdout, all else to
stderr.`;

/** Builds the command line. Errors of parsing are printed, then thrown as `CommanderError`. */
export function createProgram(): Command {
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
  addLoad(program);
  addMap(program);
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

/** `skep load`. */
function addLoad(program: Command): void {
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

Examples:
  skep load demo.bpf.o --pin-dir /sys/fs/bpf/demo
  skep load demo.bpf.o --pin flows=/sys/fs/bpf/flows --max-entries flows=0x1000
  skep load demo.bpf.o --pin-dir /sys/fs/bpf/demo --plan`,
    )
    .action(async (file: string, options: LoadCommandOptions) => {
      const { loadCommand } = await import('./load-command.ts');
      loadCommand(file, options);
    });
}

/** `skep map` and the commands below it. */
function addMap(program: Command): void {
  const map = program
    .command('map')
    .summary('list, show, dump, pin and unpin maps of the kernel')
    .description('Works with the maps of the running kernel, whoever created them.')
    .addHelpText(
      'after',
      `${MAP_HELP}

Examples:
  skep map list
  skep map show id 12
  skep map dump /sys/fs/bpf/demo/flows --json
  skep map pin id 12 /sys/fs/bpf/demo/flows
  skep map unpin /sys/fs/bpf/demo/flows`,
    );
  addMapList(map);
  addMapShow(map);
  addMapDump(map);
  addMapPin(map);
}

function addMapList(map: Command): void {
  map
    .command('list')
    .summary('list all maps')
    .description('Lists all maps of the kernel (needs CAP_SYS_ADMIN). Sizes are in bytes.')
    .option('--json', 'print one JSON document: { format: 1, maps: [{ id, type, name, ... }] }')
    .addHelpText(
      'after',
      `
Examples:
  skep map list
  skep map list --json | jq '[.maps[].memoryBytes] | add'`,
    )
    .action(async (options: JsonOption) => {
      const { listMaps } = await import('./map-commands.ts');
      listMaps(options);
    });
}

function addMapShow(map: Command): void {
  map
    .command('show')
    .summary('show one map')
    .description('Shows what the kernel says of one map. Sizes are in bytes.')
    .usage('[options] MAP')
    .argument('<MAP...>', 'the path of a pin, or: id N')
    .option('--json', 'print one JSON document: { format: 1, map: { id, type, name, ... } }')
    .addHelpText(
      'after',
      `
Examples:
  skep map show /sys/fs/bpf/demo/flows
  skep map show id 12 --json`,
    )
    .action(async (words: string[], options: JsonOption) => {
      const { showMap } = await import('./map-commands.ts');
      showMap(words, options);
    });
}

function addMapDump(map: Command): void {
  map
    .command('dump')
    .summary('print the entries of a map')
    .description(
      'Prints the entries of a map: decoded where the kernel has its types, else as bytes.',
    )
    .usage('[options] MAP')
    .argument('<MAP...>', 'the path of a pin, or: id N')
    .option('--json', 'print one JSON object a line: { key, value }')
    .option('--raw', 'print bytes even where the types are known')
    .addHelpText(
      'after',
      `
The types are those that the map was created with; asking for them needs
CAP_SYS_ADMIN. Integers too large for a JSON number are decimal strings, bytes
are hexadecimal digits in the order of memory. Per-CPU maps have a value for
each possible CPU, in JSON an array. Maps of maps give the id of the inner map,
program arrays that of the program, as a number.

Examples:
  skep map dump /sys/fs/bpf/demo/flows
  skep map dump id 12 --raw --json | jq -r .key`,
    )
    .action(async (words: string[], options: DumpOptions) => {
      const { dumpMap } = await import('./map-dump.ts');
      await dumpMap(words, options);
    });
}

function addMapPin(map: Command): void {
  map
    .command('pin')
    .summary('pin a map')
    .description('Pins a map, so that it outlives who created it. Missing directories are made.')
    .usage('[options] MAP PATH')
    .argument('<MAP PATH...>', 'the path of a pin, or: id N; then the path of the new pin')
    .addHelpText(
      'after',
      `
Examples:
  skep map pin id 12 /sys/fs/bpf/demo/flows
  skep map pin /sys/fs/bpf/demo/flows /sys/fs/bpf/flows`,
    )
    .action(async (words: string[]) => {
      const { pinMap } = await import('./map-commands.ts');
      pinMap(words);
    });
  map
    .command('unpin')
    .summary('remove the pin of a map')
    .description('Removes a pin. The map itself goes when nothing else uses it.')
    .argument('<PATH>', 'the path of a pin of a map')
    .addHelpText(
      'after',
      `
Example:
  skep map unpin /sys/fs/bpf/demo/flows`,
    )
    .action(async (path: string) => {
      const { unpinMap } = await import('./map-commands.ts');
      unpinMap(path);
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
