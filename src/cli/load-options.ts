/** What the arguments of `skep load` are as options of the library, and the way back in messages. */

import { nearest } from '../bytes/nearest.ts';
import { ValueError } from '../codec/codec.ts';
import { SkepError } from '../errors.ts';
import type { ObjectFile } from '../loader/object-file.ts';
import type { LoadOptions, MapOptions } from '../loader/options.ts';
import type { ProgramOptions } from '../programs/program-shape.ts';
import { BPF_MAP_TYPE } from '../uapi/map-types.ts';
import type { LoadCommandOptions } from './load-arguments.ts';
import { printable, printError } from './terminal.ts';
import { type Slots, UsageError } from './usage.ts';

/**
 * The options of the library. Names are checked here, before any kernel is asked, so that a name which
 * is nearly right gets a suggestion.
 *
 * @throws UsageError for maps and programs that the object does not have
 */
export function toLoadOptions(object: ObjectFile, options: LoadCommandOptions): LoadOptions {
  const maps = new Map<string, MapOptions>();
  for (const [name, pin] of options.pin ?? []) {
    maps.set(name, { pin });
  }
  for (const [name, maxEntries] of options.maxEntries ?? []) {
    maps.set(name, { ...maps.get(name), maxEntries });
  }
  const programs = options.mapsOnly ? false : toProgramOptions(object, options);
  for (const [name, slots] of programs === false ? [] : toSlots(object, options.slot, programs)) {
    maps.set(name, { ...maps.get(name), slots });
  }
  checkNames('map', maps.keys(), [...object.maps.keys(), ...object.data.keys()]);
  return {
    // From entries, as a map may be called `__proto__`.
    maps: Object.fromEntries(maps),
    ...(options.pinDir === undefined ? {} : { pinDirectory: options.pinDir, pinAll: true }),
    ...(options.pinPrograms === undefined ? {} : { pinPrograms: options.pinPrograms }),
    replacePrograms: options.replacePrograms ?? false,
    programs,
    ...(options.kernelBtf === undefined ? {} : { kernelBtf: options.kernelBtf }),
    kernelConfig: Object.fromEntries(options.kernelConfig ?? []),
    ...(options.verifierLog === undefined
      ? {}
      : {
          logLevel: options.verifierLog,
          onVerifierLog: (program, { text }) => printLog(program, text),
        }),
  };
}

/** What `--program`, `--omit`, `--type` and `--attach-to` say, by program. */
function toProgramOptions(
  object: ObjectFile,
  { program: only, omit = [], type = new Map(), attachTo = new Map() }: LoadCommandOptions,
): Readonly<Record<string, ProgramOptions>> {
  const names = [...object.programs.keys()];
  const given = [...(only ?? []), ...omit, ...type.keys(), ...attachTo.keys()];
  checkNames('program', given, names);
  const programs = new Map<string, ProgramOptions>();
  for (const name of names) {
    const kind = type.get(name);
    const target = attachTo.get(name);
    programs.set(name, {
      ...(only === undefined ? {} : { autoload: only.includes(name) }),
      ...(omit.includes(name) ? { autoload: false } : {}),
      ...(kind === undefined ? {} : { type: kind }),
      ...(target === undefined ? {} : { attachTo: target }),
    });
  }
  return Object.fromEntries(programs);
}

/** `--slot NAME:INDEX=none`: a slot that is left as it is. A program of this name goes before it. */
const NO_PROGRAM = 'none';

/**
 * What `--slot` says, by map; and the declared slots of programs that are left out, which stay as they
 * are: whoever wants one program need not empty every slot for it. A plan lists them.
 */
function toSlots(
  { maps, programs: known }: ObjectFile,
  given: Slots = new Map(),
  programs: Readonly<Record<string, ProgramOptions>>,
): Map<string, Readonly<Record<number, string | null>>> {
  const all = new Map<string, Record<number, string | null>>();
  for (const { name, typeNumber, slots } of maps.values()) {
    const left = slots.filter((slot) => programs[slot.name]?.autoload === false);
    if (typeNumber === BPF_MAP_TYPE.PROG_ARRAY && left.length > 0) {
      all.set(name, Object.fromEntries(left.map(({ index }) => [index, null])));
    }
  }
  for (const [name, slots] of given) {
    checkNames(
      'program',
      [...slots.values()].filter((program) => program !== NO_PROGRAM),
      [...known.keys()],
    );
    const own = Array.from(slots, ([index, program]) => {
      const isNone = program === NO_PROGRAM && !known.has(program);
      return [index, isNone ? null : program];
    });
    all.set(name, { ...all.get(name), ...Object.fromEntries(own) });
  }
  return all;
}

function checkNames(
  what: 'map' | 'program',
  given: Iterable<string>,
  names: readonly string[],
): void {
  for (const name of given) {
    if (!names.includes(name)) {
      const suggestion = nearest(name, names);
      const help =
        suggestion === undefined
          ? `it has ${names.join(', ') || 'none'}`
          : `did you mean "${suggestion}"?`;
      throw new UsageError(`the object has no ${what} "${name}"; ${help}`);
    }
  }
}

/** Prints a whole log; to standard error, as it is about the work and not what comes of it. */
export function printLog(program: string, text: string): void {
  const lines = text.trimEnd().split('\n').map(printable);
  printError(`skep: the verifier's log of program "${printable(program)}":\n${lines.join('\n')}\n`);
}

/**
 * What the library calls wrong options is wrong usage here; other TypeErrors are defects.
 *
 * @throws UsageError, or SkepError with the options of the command in its message
 */
export function asUsage<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    const prefix = 'load options: ';
    if (error instanceof TypeError && error.message.startsWith(prefix)) {
      throw new UsageError(inOurOptions(error.message.slice(prefix.length)), { cause: error });
    }
    if (error instanceof ValueError && error.path[0] === 'kernelConfig') {
      throw new UsageError(inOurOptions(error.message), { cause: error });
    }
    if (!(error instanceof SkepError && ADVISING.includes(error.code))) {
      throw error;
    }
    const message = inOurOptions(error.message);
    throw message === error.message ? error : new SkepError(error.code, message, { cause: error });
  }
}

/** Codes of errors whose messages may advise an option. */
const ADVISING = ['ERR_SKEP_LOAD', 'ERR_SKEP_SYSCALL'];

/** Options of the library that messages advise, and what they are called here. */
const OPTIONS: readonly (readonly [RegExp, string])[] = [
  [/the option programs\.(\w+)\.type\b/, '--type $1=TYPE'],
  [/programs\.(\w+)\.autoload: false/, '--omit $1'],
  [/the option programs\.(\w+)\.attachTo\b/, '--attach-to $1=TARGET'],
  [/the option kernelBtf\b/, '--kernel-btf FILE'],
  [/the option replacePrograms\b/, '--replace-programs'],
  [/its option autoload is true/, '--program names it'],
  [/the option maps\.(\S+)\.slots: \{ (\d+): null \}/, `--slot $1:$2=${NO_PROGRAM}`],
  [/in the load option kernelConfig\b/, 'by --kernel-config NAME=VALUE'],
  [/^kernelConfig\./, '--kernel-config '],
  [/^kernelConfig: /, '--kernel-config: '],
  [/^programs\.(\w+)\.type: /, '--type $1: '],
  [/^programs\.(\w+)\.attachTo: /, '--attach-to $1: '],
];

/** A message of the library with the options of the command in it. */
export function inOurOptions(message: string): string {
  return OPTIONS.reduce((text, [theirs, ours]) => text.replace(theirs, ours), message);
}
