/** The commands below `skep map`, their arguments and their help; see `program.ts`. */

import { type Command, Option } from 'commander';
import type { UpdateMode } from '../maps/map-handle.ts';
import { announced, type KernelChoice, type KernelOption, kernelOption } from './kernel-choice.ts';
import type { Kernels } from './program.ts';
import { parseCount } from './usage.ts';

/** Options of the commands on maps that print data. */
export interface JsonOption {
  readonly json?: true;
}

/** Options of the commands on entries. */
export interface EntryOptions {
  /** Bytes, even where the kernel knows the types. */
  readonly raw?: true;
  /** Types that the kernel does not know, as words. */
  readonly keyType?: string;
  readonly valueType?: string;
}

/** Options of `skep map dump`. */
export interface DumpOptions extends JsonOption, EntryOptions {
  readonly ndjson?: true;
  /** Ids of inner maps, and not what is in them. */
  readonly shallow?: true;
}

/** Options of `skep map get`. */
export interface GetOptions extends JsonOption, EntryOptions {}

/** Options of `skep map set`. */
export interface SetOptions extends EntryOptions {
  readonly mode?: UpdateMode;
  readonly allCpus?: true;
}

/** Options of `skep map create`. */
export interface CreateCommandOptions extends JsonOption {
  readonly type?: string;
  readonly key?: string;
  readonly value?: string;
  readonly maxEntries?: number;
  readonly flags?: string;
  readonly name?: string;
  readonly inner?: string;
  readonly like?: string;
}

/** Options of `skep map watch`. */
export interface WatchOptions {
  readonly count?: number;
  readonly object?: string;
  readonly type?: string;
  readonly valueType?: string;
}

const MAP_HELP = `
MAP is the path of a pin, or id:N, or name:NAME if only one map has that name.
In two words, id N and name NAME do as well. N is decimal or 0x hex.`;

const TYPES_HELP = `
The types are those that the map was created with; asking for them needs
CAP_SYS_ADMIN. Without them keys and values are bytes, but indices of arrays and
addresses of tries stay what they are. Keys of maps of maps have none. Types can
be given instead: u8 to u128, i8 to i128, f32, f64, bool, bytes:N, text:N, and
lpm:N for keys of tries with N bytes of data.`;

const VALUE_HELP = `
Keys and values are JSON, in the form that "map dump" prints: integers too large
for a JSON number may be numbers or strings of digits, bytes are "0x" and two
digits each, per-CPU maps have an array. What is no JSON is text, so names,
addresses and 0x... need no quotes of their own.
${TYPES_HELP}`;

const MAP_ARGUMENT = 'the path of a pin, id:N or name:NAME';

/** The kernel of a command below `skep map`, whose own option `--kernel` is. */
type KernelOf = (command: Command) => Promise<KernelChoice>;

/** `skep map` and the commands below it. */
export function addMap(program: Command, kernels: Kernels): void {
  const kernelOf: KernelOf = async (command) =>
    announced(await kernels(command.optsWithGlobals<KernelOption>()));
  const map = program
    .command('map')
    .summary('list, show, dump, change, create and pin maps of the kernel')
    .description('Works with the maps of the running kernel, whoever created them.')
    .addOption(kernelOption())
    .addHelpText(
      'after',
      `${MAP_HELP}

Examples:
  skep map list
  skep map show id:12
  skep map dump /sys/fs/bpf/demo/flows --ndjson
  skep map get /sys/fs/bpf/demo/limits 3
  skep map set /sys/fs/bpf/demo/limits 3 100
  skep map create /sys/fs/bpf/new --type hash --key u32 --value u64 \\
    --max-entries 16
  skep map pin id:12 /sys/fs/bpf/demo/flows`,
    );
  addMapList(map, kernelOf);
  addMapShow(map, kernelOf);
  addMapDump(map, kernelOf);
  addMapGet(map, kernelOf);
  addMapSet(map, kernelOf);
  addMapDelete(map, kernelOf);
  addMapCreate(map, kernelOf);
  addMapWatch(map, kernelOf);
  addMapPin(map, kernelOf);
}

function addMapList(map: Command, kernelOf: KernelOf): void {
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
    .action(async (options: JsonOption, command: Command) => {
      const { listMaps } = await import('./map-commands.ts');
      listMaps(await kernelOf(command), options);
    });
}

function addMapShow(map: Command, kernelOf: KernelOf): void {
  map
    .command('show')
    .summary('show one map')
    .description('Shows what the kernel says of one map. Sizes are in bytes.')
    .usage('[options] MAP')
    .argument('<MAP...>', MAP_ARGUMENT)
    .option('--json', 'print one JSON document: { format: 1, map: { id, type, name, ... } }')
    .addHelpText(
      'after',
      `
Examples:
  skep map show /sys/fs/bpf/demo/flows
  skep map show id:12 --json`,
    )
    .action(async (words: string[], options: JsonOption, command: Command) => {
      const { showMap } = await import('./map-commands.ts');
      showMap(await kernelOf(command), words, options);
    });
}

function addMapDump(map: Command, kernelOf: KernelOf): void {
  map
    .command('dump')
    .summary('print the entries of a map')
    .description(
      'Prints the entries of a map: decoded where the kernel has its types, else as bytes.',
    )
    .usage('[options] MAP')
    .argument('<MAP...>', MAP_ARGUMENT)
    .option('--json', 'print one JSON document: { format: 1, map, entries: [{ key, value }] }')
    .addOption(
      new Option('--ndjson', 'print one JSON object a line: { key, value }').conflicts('json'),
    )
    .option('--raw', 'print bytes even where the types are known')
    .option('--key-type <TYPE>', 'the type of keys')
    .option('--value-type <TYPE>', 'the type of values; in per-CPU maps, of one value')
    .option('--shallow', 'of maps of maps, print the ids of inner maps only')
    .addHelpText(
      'after',
      `
Integers too large for a JSON number are decimal strings, bytes are hexadecimal
digits in the order of memory. Per-CPU maps have a value for each possible CPU,
in JSON an array. Maps of maps have inner maps with their entries, in JSON
{ id, type, name, entries }, with null for entries that cannot be gone through.
Program arrays have the ids of programs.
${TYPES_HELP}

Entries are printed as they are read, however many there are. Queues, stacks and
Bloom filters have none to go through; see "skep map get".

Examples:
  skep map dump /sys/fs/bpf/demo/flows
  skep map dump id:12 --raw --ndjson | jq -r .key
  skep map dump /sys/fs/bpf/demo/tenants --json | jq '.entries[].value.id'`,
    )
    .action(async (words: string[], options: DumpOptions, command: Command) => {
      const { dumpMap } = await import('./map-dump.ts');
      await dumpMap(await kernelOf(command), words, options);
    });
}

function addMapGet(map: Command, kernelOf: KernelOf): void {
  map
    .command('get')
    .summary('print the value of a key')
    .description(
      'Prints the value of one key as JSON; fails if it is not there. Of a map of maps, prints what is in the inner map. Tries give the value of the longest prefix. A queue or stack has no keys: its next value is printed, and stays. A Bloom filter is asked for a value: true or false.',
    )
    .usage('[options] MAP KEY')
    .argument('<MAP KEY...>', `${MAP_ARGUMENT}; then the key`)
    .option('--json', 'print one JSON object: { key, value }')
    .option('--raw', 'take and print bytes even where the types are known')
    .option('--key-type <TYPE>', 'the type of keys')
    .option('--value-type <TYPE>', 'the type of values; in per-CPU maps, of one value')
    .addHelpText(
      'after',
      `${VALUE_HELP}

Examples:
  skep map get /sys/fs/bpf/demo/limits 3
  skep map get name:routes 10.1.2.3
  skep map get id:12 '{"port":443,"protocol":"TCP"}' --json`,
    )
    .action(async (words: string[], options: GetOptions, command: Command) => {
      const { getEntry } = await import('./map-entries.ts');
      await getEntry(await kernelOf(command), words, options);
    });
}

function addMapSet(map: Command, kernelOf: KernelOf): void {
  map
    .command('set')
    .summary('set the value of a key')
    .description(
      'Sets the value of one key, and prints nothing. The value of a map of maps is an inner map, given as MAP is. A queue or stack has no keys, and takes a value more; so does a Bloom filter.',
    )
    .usage('[options] MAP KEY VALUE')
    .argument('<MAP KEY VALUE...>', `${MAP_ARGUMENT}; then the key and the value`)
    .addOption(
      new Option('--mode <MODE>', 'any, or only new keys, or only keys that are there')
        .choices(['any', 'noexist', 'exist'])
        .default('any'),
    )
    .option('--all-cpus', 'of per-CPU maps, set this one value for every CPU')
    .option('--raw', 'take bytes even where the types are known')
    .option('--key-type <TYPE>', 'the type of keys')
    .option('--value-type <TYPE>', 'the type of values; in per-CPU maps, of one value')
    .addHelpText(
      'after',
      `${VALUE_HELP}

Examples:
  skep map set /sys/fs/bpf/demo/limits 3 100
  skep map set name:routes 10.0.0.0/8 '{"gateway":"0x0a000001","metric":5}'
  skep map set /sys/fs/bpf/demo/tenants 7 /sys/fs/bpf/ports --key-type u32
  skep map set id:12 0 0 --all-cpus`,
    )
    .action(async (words: string[], options: SetOptions, command: Command) => {
      const { setEntry } = await import('./map-entries.ts');
      await setEntry(await kernelOf(command), words, options);
    });
}

function addMapDelete(map: Command, kernelOf: KernelOf): void {
  map
    .command('delete')
    .summary('remove keys')
    .description(
      'Removes keys with their values, and prints nothing. Keys that are not there are a failure, after the others have been removed.',
    )
    .usage('[options] MAP KEY...')
    .argument('<MAP KEY...>', `${MAP_ARGUMENT}; then the keys`)
    .option('--raw', 'take bytes even where the types are known')
    .option('--key-type <TYPE>', 'the type of keys')
    .addHelpText(
      'after',
      `${VALUE_HELP}

Examples:
  skep map delete /sys/fs/bpf/demo/counts 3 4 5
  skep map delete name:routes 10.0.0.0/8`,
    )
    .action(async (words: string[], options: EntryOptions, command: Command) => {
      const { deleteEntries } = await import('./map-entries.ts');
      await deleteEntries(await kernelOf(command), words, options);
    });
}

function addMapCreate(map: Command, kernelOf: KernelOf): void {
  map
    .command('create')
    .summary('create a map, and pin it')
    .description(
      'Creates a map and pins it at PATH, on a BPF file system. Missing directories are made. The kernel is told the types of keys and values, so that they can be shown and set as JSON.',
    )
    .argument('<PATH>', 'the path of the new pin')
    .option('--type <TYPE>', 'type of map, as "map list" prints it: hash, array, lpm_trie, ...')
    .option('--key <TYPE>', 'type of keys')
    .option('--value <TYPE>', 'type of values; in per-CPU maps, of one value')
    .option('--max-entries <N>', 'number of entries; of ring buffers, bytes', parseCount)
    .option('--flags <FLAGS>', 'names without BPF_F_, with commas between them, or a number')
    .option('--name <NAME>', "the kernel's name for it, of which 15 characters count")
    .option('--inner <MAP>', 'of maps of maps: a map like those to come')
    .option('--like <MAP>', 'a map to be like, but for entries, flags and name')
    .option('--json', 'print one JSON document: { format: 1, map: { id, type, name, ... } }')
    .addHelpText(
      'after',
      `
Types are u8 to u128, i8 to i128, f32, f64, bool, bytes:N and text:N; keys of
tries are lpm:4 for IPv4, lpm:16 for IPv6. Indices of arrays are u32, and need
no --key. Queues, stacks and Bloom filters have no keys, and the kernel keeps no
types with queues and stacks: "map get" and "map set" need --value-type there.
The bytes of a ring buffer are rounded up to a power of two of whole pages.
${MAP_HELP}

Examples:
  skep map create /sys/fs/bpf/hits --type hash --key u32 --value u64 \\
    --max-entries 1024 --name hits
  skep map create /sys/fs/bpf/routes --type lpm_trie --key lpm:4 --value u32 \\
    --max-entries 256
  skep map create /sys/fs/bpf/tenants --type hash_of_maps --key u32 \\
    --max-entries 16 --inner /sys/fs/bpf/hits
  skep map create /sys/fs/bpf/more --like /sys/fs/bpf/hits`,
    )
    .action(async (path: string, options: CreateCommandOptions, command: Command) => {
      const { createCommand } = await import('./map-create.ts');
      createCommand(await kernelOf(command), path, options);
    });
}

function addMapWatch(map: Command, kernelOf: KernelOf): void {
  map
    .command('watch')
    .summary('print records as they come')
    .description(
      'Prints the records of a ring buffer or perf event array as they come, one JSON value a line, until it is interrupted. Each record goes to one reader: what this command prints is taken from other readers.',
    )
    .usage('[options] MAP')
    .argument('<MAP...>', MAP_ARGUMENT)
    .option('--count <N>', 'end after so many records', parseCount)
    .option('--object <FILE>', 'the compiled object whose types records have')
    .option('--type <NAME>', 'the type of records in it; else the one its map declares')
    .option('--value-type <TYPE>', 'the type of records, where it is a plain one')
    .addHelpText(
      'after',
      `
The kernel keeps no types with such maps: without any, records are bytes. A type
of an object is one that its maps, functions or global variables use: clang
leaves out the others. Of a record that is longer than its type, the front is
printed.
Of perf event arrays, what was sent before is lost, and what found no room is
counted at the end.

Examples:
  skep map watch /sys/fs/bpf/demo/events --object demo.bpf.o --type flow_key
  skep map watch name:events --count 10 | jq -r .
  skep map watch id:12 --value-type u64`,
    )
    .action(async (words: string[], options: WatchOptions, command: Command) => {
      const { watchMap } = await import('./map-watch.ts');
      await watchMap(await kernelOf(command), words, options);
    });
}

function addMapPin(map: Command, kernelOf: KernelOf): void {
  map
    .command('pin')
    .summary('pin a map')
    .description('Pins a map, so that it outlives who created it. Missing directories are made.')
    .usage('[options] MAP PATH')
    .argument('<MAP PATH...>', `${MAP_ARGUMENT}; then the path of the new pin`)
    .addHelpText(
      'after',
      `
Examples:
  skep map pin id:12 /sys/fs/bpf/demo/flows
  skep map pin /sys/fs/bpf/demo/flows /sys/fs/bpf/flows`,
    )
    .action(async (words: string[], _: object, command: Command) => {
      const { pinMap } = await import('./map-commands.ts');
      pinMap(await kernelOf(command), words);
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
    .action(async (path: string, _: object, command: Command) => {
      const { unpinMap } = await import('./map-commands.ts');
      unpinMap(await kernelOf(command), path);
    });
}
