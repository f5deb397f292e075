/** Options of a load, checked at the border. */

import { z } from 'zod';
import type { Kernel } from '../kernel/kernel.ts';
import { DEFAULT_PIN_DIRECTORY } from '../maps/pin-path.ts';
import { RawMap } from '../maps/raw-map.ts';
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
  /** false: leave the map out. */
  readonly create?: boolean;
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
  /** Called after each step, in order. What it throws ends the load, and is undone like any failure. */
  readonly onStep?: (event: StepEvent) => void;
}

const u32 = z.int().min(0).max(0xffff_ffff);

const mapOptionsSchema = z.strictObject({
  maxEntries: u32.optional(),
  flags: u32.optional(),
  pin: z.union([z.string().min(1), z.literal(false)]).optional(),
  replace: z
    .custom<RawMap>((value) => value instanceof RawMap, { error: 'expected the handle of a map' })
    .optional(),
  create: z.boolean().optional(),
});

const loadOptionsSchema = z.strictObject({
  kernel: z
    .custom<Kernel>((value) => typeof (value as Kernel | null)?.createMap === 'function', {
      error: 'expected a Kernel',
    })
    .optional(),
  pinDirectory: z.string().min(1).optional(),
  pinAll: z.boolean().optional(),
  maps: z.record(z.string(), mapOptionsSchema).optional(),
  globals: z
    .custom<object>((value) => typeof value === 'object' && value !== null, {
      error: 'expected an object of values by name',
    })
    .optional(),
  onStep: z.custom<(event: StepEvent) => void>((value) => typeof value === 'function').optional(),
});

/** Options after checking: defaults filled in, maps by name. */
export interface CheckedOptions {
  readonly pinDirectory: string;
  readonly pinAll: boolean;
  readonly maps: ReadonlyMap<string, MapOptions>;
  readonly globals: Readonly<Record<string, unknown>>;
}

/**
 * Checks options against what they may be, and against the names of the object's maps.
 *
 * @throws TypeError for an option that does not exist or has the wrong type, and for a map that the
 *   object does not have
 */
export function checkOptions(
  options: LoadOptions<object>,
  names: ReadonlySet<string>,
): CheckedOptions {
  const parsed = loadOptionsSchema.safeParse(options);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path, message }) => `${path.length === 0 ? '' : `${path.join('.')}: `}${message}`,
    );
    throw new TypeError(`load options: ${problems.join('; ')}`);
  }
  // The original, not zod's copy: it would drop keys such as `__proto__`.
  const maps = new Map(Object.entries(options.maps ?? {}));
  for (const [name, map] of maps) {
    if (!names.has(name)) {
      throw new TypeError(
        `load options: the object has no map "${name}"; it has ${[...names].join(', ') || 'none'}`,
      );
    }
    checkCombination(name, map);
  }
  return {
    pinDirectory: (options.pinDirectory ?? DEFAULT_PIN_DIRECTORY).replace(/(?<=.)\/+$/, ''),
    pinAll: options.pinAll ?? false,
    maps,
    globals: { ...options.globals },
  };
}

function checkCombination(name: string, map: MapOptions): void {
  if (map.replace !== undefined && typeof map.pin === 'string') {
    throw new TypeError(
      `load options: map "${name}" cannot be replaced and pinned at once; pin the handle that replaces it`,
    );
  }
  if (map.create === false && (map.replace !== undefined || typeof map.pin === 'string')) {
    throw new TypeError(
      `load options: map "${name}" is not created, so it cannot be replaced or pinned`,
    );
  }
}
