/** Options of a load, checked at the border. */

import { z } from 'zod';
import { nearest } from '../bytes/nearest.ts';
import type { VerifierLog } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { DEFAULT_PIN_DIRECTORY } from '../maps/pin-path.ts';
import { RawMap } from '../maps/raw-map.ts';
import { Btf } from '../obj/btf/btf.ts';
import type { ObjectFile } from '../obj/object.ts';
import type { OptionValue } from '../programs/kconfig-value.ts';
import { Program } from '../programs/program.ts';
import type { ProgramOptions } from '../programs/program-shape.ts';
import type { Globals } from './globals.ts';
import type { StepEvent } from './steps.ts';

/** What to do differently for one map. */
export interface MapOptions {
  /** Instead of the declared number of entries. */
  readonly maxEntries?: number;
  /** Instead of the declared creation flags (`BPF_F_*`). */
  readonly flags?: number;
  /** A path to pin the map at, instead of the declared pinning; false for not pinning it. */
  readonly pin?: string | false;
  /** Use this map instead of creating one. It must be compatible; the caller keeps its handle. */
  readonly replace?: RawMap;
  /** false: leave the map out. true: create a struct of functions whose section starts with `?`. */
  readonly create?: boolean;
  /**
   * Structs of functions (struct_ops): values of members instead of the declared ones. Of functions it is
   * the name of a program, or null for none.
   */
  readonly members?: Readonly<Record<string, unknown>>;
  /**
   * Program arrays: names of programs by slot, besides and instead of the declared ones; null for a slot
   * that is left as it is.
   */
  readonly slots?: Readonly<Record<number, string | null>>;
}

/**
 * Options of `load` and `plan`.
 *
 * @typeParam G the values of the object's globals, if their types are known
 */
export interface LoadOptions<G extends object = Globals> {
  /** The kernel to load into; the running one by default. */
  readonly kernel?: Kernel;
  /** Where maps go that are declared as pinned by name; `/sys/fs/bpf` by default. */
  readonly pinDirectory?: string;
  /** Pin every map of `.maps` in `pinDirectory` under its name. */
  readonly pinAll?: boolean;
  /** By map name; data sections go by their section's name. */
  readonly maps?: Readonly<Record<string, MapOptions>>;
  /**
   * Values that global variables start with, instead of those in the object; constants (`.rodata`)
   * too. Sections that are found at a pin keep what they have.
   */
  readonly globals?: Readonly<Partial<G>>;
  /** By program name; false loads maps alone. */
  readonly programs?: false | Readonly<Record<string, ProgramOptions>>;
  /** A directory on a BPF file system where every program is pinned under its name. */
  readonly pinPrograms?: string;
  /**
   * Programs that are pinned at the paths of this load, as by an earlier one, give way to its programs;
   * where they are attached they stay. Without it such a pin is an error.
   */
  readonly replacePrograms?: boolean;
  /**
   * Options of the kernel (`CONFIG_*`, `LINUX_*`) by name, instead of the running one's: what externs of
   * `.kconfig` are.
   */
  readonly kernelConfig?: Readonly<Record<string, OptionValue>>;
  /** Types that CO-RE looks at instead of the running kernel's: a file, its bytes, or read already. */
  readonly kernelBtf?: string | Uint8Array | Btf;
  /**
   * What the verifier tells of programs that it takes: 1: what it looks at, 2: every instruction, 4 added:
   * statistics (5.2). 0, for nothing, by default; 4 with `onVerifierLog`. Loading is slower with it.
   */
  readonly logLevel?: number;
  /** Told what the verifier wrote, after each program that it took. */
  readonly onVerifierLog?: (program: string, log: VerifierLog) => void;
  /** Called after each step, in order. What it throws ends the load, and is undone like any failure. */
  readonly onStep?: (event: StepEvent) => void;
}

/** `BPF_LOG_LEVEL1`, `BPF_LOG_LEVEL2` and `BPF_LOG_STATS` of include/linux/bpf_verifier.h. */
const MOST_LOG_LEVEL = 7;

function u32() {
  return z.int().min(0).max(0xffff_ffff);
}

function mapSchema() {
  return z.strictObject({
    maxEntries: u32().optional(),
    flags: u32().optional(),
    pin: z.union([z.string().min(1), z.literal(false)]).optional(),
    replace: z
      .custom<RawMap>((value) => value instanceof RawMap, { error: 'expected the handle of a map' })
      .optional(),
    create: z.boolean().optional(),
    members: valuesByName(),
    slots: z.record(z.string().regex(/^\d+$/), z.union([z.string(), z.null()])).optional(),
  });
}

function programSchema() {
  return z.strictObject({
    autoload: z.boolean().optional(),
    type: z.union([z.string(), u32()]).optional(),
    attachType: z.union([z.string(), u32()]).optional(),
    attachTo: z.string().min(1).optional(),
    attachProgram: z
      .custom<Program>((value) => value instanceof Program, { error: 'expected a Program' })
      .optional(),
    flags: u32().optional(),
    pin: z.union([z.string().min(1), z.literal(false)]).optional(),
  });
}

function valuesByName() {
  return z
    .custom<object>((value) => typeof value === 'object' && value !== null, {
      error: 'expected an object of values by name',
    })
    .optional();
}

function btfSchema() {
  const given = z.custom<Btf>((value) => value instanceof Btf, {
    error: 'expected a path, bytes or a Btf',
  });
  return z.union([z.string().min(1), z.instanceof(Uint8Array), given]);
}

/**
 * The schema of all options. Making one takes milliseconds, which is more than most objects take to
 * load: it is made when there are options to check.
 */
function optionsSchema() {
  const optionValue = z.union([z.string(), z.number(), z.bigint(), z.boolean()]);
  return z.strictObject({
    kernel: z
      .custom<Kernel>((value) => typeof (value as Kernel | null)?.createMap === 'function', {
        error: 'expected a Kernel',
      })
      .optional(),
    pinDirectory: z.string().min(1).optional(),
    pinAll: z.boolean().optional(),
    maps: z.record(z.string(), mapSchema()).optional(),
    globals: valuesByName(),
    programs: z.record(z.string(), programSchema()).optional(),
    pinPrograms: z.string().min(1).optional(),
    replacePrograms: z.boolean().optional(),
    kernelConfig: z.record(z.string(), optionValue).optional(),
    kernelBtf: btfSchema().optional(),
    logLevel: z.int().min(0).max(MOST_LOG_LEVEL).optional(),
    onVerifierLog: z
      .custom<(program: string, log: VerifierLog) => void>((value) => typeof value === 'function')
      .optional(),
    onStep: z.custom<(event: StepEvent) => void>((value) => typeof value === 'function').optional(),
  });
}

let schema: ReturnType<typeof optionsSchema> | undefined;

function problemsOf(options: LoadOptions<object>): string[] {
  if (isEmpty(options)) {
    return [];
  }
  schema ??= optionsSchema();
  // Not in the schema: of a union it says only that nothing fits.
  const parsed = schema.safeParse(
    options.programs === false ? { ...options, programs: undefined } : options,
  );
  return (parsed.error?.issues ?? []).map(
    ({ path, message }) => `${path.length === 0 ? '' : `${path.join('.')}: `}${message}`,
  );
}

/** Whether there is no option at all, not even one that is inherited. */
function isEmpty(options: object): boolean {
  return (
    Object.getPrototypeOf(options) === Object.prototype && Reflect.ownKeys(options).length === 0
  );
}

/** Options after checking: defaults filled in, maps by name. */
export interface CheckedOptions {
  readonly pinDirectory: string;
  readonly pinAll: boolean;
  readonly maps: ReadonlyMap<string, MapOptions>;
  readonly globals: Readonly<Record<string, unknown>>;
  /** null: maps alone. */
  readonly programs: ReadonlyMap<string, ProgramOptions> | null;
  /** null: programs are pinned only where their own options say so. */
  readonly pinPrograms: string | null;
  readonly replacePrograms: boolean;
  readonly kernelConfig: Readonly<Record<string, OptionValue>>;
  readonly kernelBtf: string | Uint8Array | Btf | undefined;
  readonly logLevel: number;
  readonly onVerifierLog: LoadOptions['onVerifierLog'];
}

/** The level that asks for statistics alone. */
const STATISTICS = 4;

/**
 * Checks options against what they may be, and against the names of what the object has.
 *
 * @throws TypeError for an option that does not exist or has the wrong type, and for a map or program
 *   that the object does not have
 */
export function checkOptions(options: LoadOptions<object>, object: ObjectFile): CheckedOptions {
  const { programs } = options;
  const problems = problemsOf(options);
  if (problems.length > 0) {
    throw new TypeError(`load options: ${problems.join('; ')}`);
  }
  // The originals, not zod's copies: those would drop keys such as `__proto__`.
  const maps = new Map(Object.entries(options.maps ?? {}));
  const mapNames = [...object.maps.keys(), ...object.data.keys()];
  for (const [name, map] of maps) {
    checkName('map', name, mapNames);
    checkCombination(name, map);
  }
  const { pinPrograms, onVerifierLog } = options;
  const byProgram = new Map(Object.entries(programs || {}));
  for (const name of byProgram.keys()) {
    checkName('program', name, [...object.programs.keys()]);
  }
  if (programs === false && pinPrograms !== undefined) {
    throw new TypeError('load options: programs are not loaded, so they cannot be pinned');
  }
  return {
    pinDirectory: withoutSlash(options.pinDirectory ?? DEFAULT_PIN_DIRECTORY),
    pinAll: options.pinAll ?? false,
    maps,
    globals: { ...options.globals },
    programs: programs === false ? null : byProgram,
    pinPrograms: pinPrograms === undefined ? null : withoutSlash(pinPrograms),
    replacePrograms: options.replacePrograms ?? false,
    kernelConfig: { ...options.kernelConfig },
    kernelBtf: options.kernelBtf,
    logLevel: options.logLevel ?? (onVerifierLog === undefined ? 0 : STATISTICS),
    onVerifierLog,
  };
}

function checkName(what: 'map' | 'program', name: string, names: readonly string[]): void {
  if (!names.includes(name)) {
    const near = nearest(name, names);
    const suggestion = near === undefined ? '' : ` (did you mean "${near}"?)`;
    throw new TypeError(
      `load options: the object has no ${what} "${name}"${suggestion}; it has ${names.join(', ') || 'none'}`,
    );
  }
}

function withoutSlash(directory: string): string {
  return directory.replace(/(?<=.)\/+$/, '');
}

function checkCombination(name: string, map: MapOptions): void {
  if (map.replace !== undefined && typeof map.pin === 'string') {
    throw new TypeError(
      `load options: map "${name}" cannot be replaced and pinned at once; pin the handle that replaces it`,
    );
  }
  if (map.create === false && map.slots !== undefined) {
    throw new TypeError(
      `load options: map "${name}" is not created, so its slots cannot be filled`,
    );
  }
  if (map.create === false && map.members !== undefined) {
    throw new TypeError(`load options: map "${name}" is not created, so its members cannot be set`);
  }
  if (map.create === false && (map.replace !== undefined || typeof map.pin === 'string')) {
    throw new TypeError(
      `load options: map "${name}" is not created, so it cannot be replaced or pinned`,
    );
  }
}
