/** `skep load`: creates, fills and pins the maps of an object, or prints how it would. */

import { endianness } from 'node:os';
import { nearest } from '../bytes/nearest.ts';
import { KernelUnavailableError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { type LoadedObject, load } from '../loader/load.ts';
import { ObjectFile } from '../loader/object-file.ts';
import type { LoadOptions, MapOptions } from '../loader/options.ts';
import { type Omission, type Plan, planLoad } from '../loader/plan.ts';
import type { Machine } from '../loader/shapes.ts';
import { describeStep, type StepEvent } from '../loader/steps.ts';
import { type KernelChoice, machineCpus } from './kernel-choice.ts';
import { loadDocument, planDocument, reusedMaps } from './load-document.ts';
import { naming } from './object-errors.ts';
import type { LoadCommandOptions } from './program.ts';
import { warn } from './report-error.ts';
import { type Column, renderTable } from './table.ts';
import { print, printable, printJson, standardOutput } from './terminal.ts';
import { UsageError } from './usage.ts';

/**
 * Loads an object, or plans to.
 *
 * @throws UsageError for maps that the object does not have, and options that do not go together
 * @throws SkepError as reading and loading an object do
 */
export function loadCommand(file: string, options: LoadCommandOptions, kernel: KernelChoice): void {
  const object = naming(file, () => ObjectFile.open(file));
  const loadOptions = toLoadOptions(object, options);
  if (options.plan) {
    const plan = asUsage(() => planLoad(object, loadOptions, machine(kernel)));
    printPlan(file, plan, options.json === true);
  } else if (options.json) {
    loadQuietly(object, loadOptions, kernel);
  } else {
    loadAloud(object, loadOptions, kernel);
  }
}

/**
 * The options of the library. Names are checked here, before any kernel is asked, so that a name which
 * is nearly right gets a suggestion.
 */
function toLoadOptions(object: ObjectFile, options: LoadCommandOptions): LoadOptions {
  const maps = new Map<string, MapOptions>();
  for (const [name, pin] of options.pin ?? []) {
    maps.set(name, { pin });
  }
  for (const [name, maxEntries] of options.maxEntries ?? []) {
    maps.set(name, { ...maps.get(name), maxEntries });
  }
  const names = [...object.maps.keys(), ...object.data.keys()];
  for (const name of maps.keys()) {
    if (!names.includes(name)) {
      throw new UsageError(unknownMap(name, names));
    }
  }
  return {
    // From entries, as a map may be called `__proto__`.
    maps: Object.fromEntries(maps),
    ...(options.pinDir === undefined ? {} : { pinDirectory: options.pinDir, pinAll: true }),
  };
}

function unknownMap(name: string, names: readonly string[]): string {
  const suggestion = nearest(name, names);
  const help =
    suggestion === undefined
      ? `it has ${names.join(', ') || 'none'}`
      : `did you mean "${suggestion}"?`;
  return `the object has no map "${name}"; ${help}`;
}

/** What the library calls wrong options is wrong usage here; other TypeErrors are defects. */
function asUsage<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    const prefix = 'load options: ';
    if (error instanceof TypeError && error.message.startsWith(prefix)) {
      throw new UsageError(error.message.slice(prefix.length), { cause: error });
    }
    throw error;
  }
}

/** What a plan depends on besides the object: the kernel, or what comes near it. */
function machine(kernel: KernelChoice): Machine {
  try {
    return kernel.open();
  } catch (error) {
    if (!(error instanceof KernelUnavailableError)) {
      throw error;
    }
    const count = machineCpus();
    const pageSize = 4096;
    warn(`no kernel to ask, so this plan is for ${count} CPUs and pages of ${pageSize} bytes`);
    return { littleEndian: endianness() === 'LE', pageSize, possibleCpus: () => count };
  }
}

/** The kernel, or the error that there is none, with what works instead. */
function openKernel(kernel: KernelChoice): Kernel {
  try {
    return kernel.open();
  } catch (cause) {
    if (!(cause instanceof KernelUnavailableError)) {
      throw cause;
    }
    const message = `${cause.message}; --plan and --kernel memory do as well`;
    throw new KernelUnavailableError(message, { cause });
  }
}

/** Prints what a load would do, numbered in the order of doing. */
function printPlan(file: string, plan: Plan, json: boolean): void {
  if (json) {
    printJson(planDocument(file, plan));
  } else {
    const digits = `${plan.steps.length}`.length;
    const lines = plan.steps.map(
      (step, at) => `${`${at + 1}`.padStart(digits)}  ${printable(describeStep(step))}\n`,
    );
    print([...lines, ...omissionLines(plan.omitted)].join('') || 'nothing to do\n');
  }
  if (!plan.steps.some(({ step }) => step === 'pin')) {
    warn('nothing would be pinned, so nothing of this load would remain; use --pin-dir');
  }
}

/** Loads, and prints one document at the end: of a load that fails nothing is printed. */
function loadQuietly(object: ObjectFile, options: LoadOptions, kernel: KernelChoice): void {
  const events: StepEvent[] = [];
  const onStep = (event: StepEvent) => {
    events.push(event);
  };
  const loaded = asUsage(() => load(object, { ...options, kernel: openKernel(kernel), onStep }));
  try {
    printJson(loadDocument(object.file, events, loaded.maps, loaded.omitted));
    warnIfNothingRemains(loaded, kernel);
  } finally {
    loaded.close();
  }
}

/** Loads, and prints each step as it is done. */
function loadAloud(object: ObjectFile, options: LoadOptions, kernel: KernelChoice): void {
  const events: StepEvent[] = [];
  const onStep = (event: StepEvent) => {
    events.push(event);
    print(eventLine(event));
  };
  let loaded: LoadedObject;
  try {
    loaded = asUsage(() => load(object, { ...options, kernel: openKernel(kernel), onStep }));
  } catch (error) {
    // What was printed is no longer so.
    if (events.some(({ outcome }) => outcome === 'done')) {
      print(`${'undone'.padEnd(OUTCOME_WIDTH)}  every step above\n`);
    }
    throw error;
  }
  try {
    print(omissionLines(loaded.omitted).join(''));
    print(summary(loaded, reusedMaps(events)));
    warnIfNothingRemains(loaded, kernel);
  } finally {
    loaded.close();
  }
}

/** The longest outcome. */
const OUTCOME_WIDTH = 'refused'.length;

/** What became of a step, then the step. A refusal has its reason behind it. */
function eventLine({ step, outcome, reason }: StepEvent): string {
  // Of a plan, this says what the next steps depend on; here it is known.
  const text = describeStep(step).replace(/, or else:$/, '');
  const because = reason === undefined ? '' : `: ${reason.replace(/\s*\n\s*/g, ' ')}`;
  return `${outcome.padEnd(OUTCOME_WIDTH)}  ${printable(text + because)}\n`;
}

function omissionLines(omitted: readonly Omission[]): string[] {
  return omitted.map(
    ({ map, reason }) =>
      `${'omitted'.padEnd(OUTCOME_WIDTH)}  ${printable(`"${map}": ${reason}`)}\n`,
  );
}

const SUMMARY_COLUMNS: readonly Column[] = [
  { title: 'MAP', kind: 'name' },
  { title: 'ID', kind: 'number' },
  { title: 'TYPE', kind: 'name' },
  { title: 'PINNED AT', kind: 'text' },
  { title: 'REUSED', kind: 'name' },
];

/** A table of the maps, below the steps. */
function summary({ maps }: LoadedObject, reused: ReadonlySet<string>): string {
  if (maps.size === 0) {
    return 'the object has no maps\n';
  }
  const rows = Array.from(maps, ([name, map]) => {
    const { id, typeName } = map.info();
    const pinPath = printable(map.pinPath ?? '');
    return [printable(name), `${id}`, typeName, pinPath, reused.has(name) ? 'reused' : ''];
  });
  return `\n${renderTable(SUMMARY_COLUMNS, rows, standardOutput())}`;
}

/** No failure: whoever tries an object out may want just that. */
function warnIfNothingRemains({ maps }: LoadedObject, kernel: KernelChoice): void {
  if (kernel.endsWithCommand) {
    warn('the kernel was in this process, so nothing of this load remains (--kernel memory)');
  } else if (![...maps.values()].some(({ pinPath }) => pinPath !== null)) {
    warn('nothing is pinned, so nothing of this load remains; use --pin-dir');
  }
}
