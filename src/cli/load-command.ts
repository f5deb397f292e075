/** `skep load`: creates the maps of an object, loads its programs, pins both; or prints how it would. */

import { endianness } from 'node:os';
import { KernelUnavailableError, SkepError, VerifierError } from '../errors.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { type LoadedObject, load } from '../loader/load.ts';
import { ObjectFile } from '../loader/object-file.ts';
import type { LoadOptions } from '../loader/options.ts';
import { type Omission, type Plan, planLoad } from '../loader/plan.ts';
import type { Machine } from '../loader/shapes.ts';
import { describeStep, type StepEvent } from '../loader/steps.ts';
import { type KernelChoice, machineCpus } from './kernel-choice.ts';
import type { LoadCommandOptions } from './load-arguments.ts';
import { loadDocument, planDocument, reusedMaps } from './load-document.ts';
import { asUsage, inOurOptions, printLog, toLoadOptions } from './load-options.ts';
import { naming } from './object-errors.ts';
import { describeError, warn } from './report-error.ts';
import { type Column, renderTable } from './table.ts';
import { print, printable, printJson, standardOutput } from './terminal.ts';

/**
 * Loads an object, or plans to.
 *
 * @throws UsageError for maps and programs that the object does not have, and options that do not go
 *   together
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
  if (!plan.steps.some(({ step }) => step === 'pin' || step === 'pin-program')) {
    warn('nothing would be pinned, so nothing of this load would remain; use --pin-dir');
  }
}

/**
 * Loads. If logs are printed, the one of a program that is refused is printed whole, too.
 *
 * @throws SkepError as `load` does, less the log where that was printed
 */
function loadNow(object: ObjectFile, options: LoadOptions): LoadedObject {
  try {
    return asUsage(() => load(object, options));
  } catch (error) {
    if (error instanceof VerifierError && options.onVerifierLog !== undefined) {
      printLog(error.program, error.text);
      throw new SkepError(error.code, describeError(error), { cause: error });
    }
    throw error;
  }
}

/** Loads, and prints one document at the end: of a load that fails nothing is printed. */
function loadQuietly(object: ObjectFile, options: LoadOptions, kernel: KernelChoice): void {
  const events: StepEvent[] = [];
  const onStep = (event: StepEvent) => {
    events.push(event);
  };
  const loaded = loadNow(object, { ...options, kernel: openKernel(kernel), onStep });
  try {
    printJson(loadDocument(object.file, events, loaded));
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
    loaded = loadNow(object, { ...options, kernel: openKernel(kernel), onStep });
  } catch (error) {
    // What was printed is no longer so.
    if (events.some(({ outcome }) => outcome === 'done')) {
      print(`${'undone'.padEnd(OUTCOME_WIDTH)}  every step above\n`);
    }
    throw error;
  }
  try {
    print(omissionLines(loaded.omitted).join(''));
    print(summary(loaded, reusedMaps(events), kernel));
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
  return omitted.map((left) => {
    const what = 'map' in left ? `"${left.map}"` : `program "${left.program}"`;
    return `${'omitted'.padEnd(OUTCOME_WIDTH)}  ${printable(`${what}: ${inOurOptions(left.reason)}`)}\n`;
  });
}

const MAP_COLUMNS: readonly Column[] = [
  { title: 'MAP', kind: 'name' },
  { title: 'ID', kind: 'number' },
  { title: 'TYPE', kind: 'name' },
  { title: 'PINNED AT', kind: 'text' },
  { title: 'REUSED', kind: 'name' },
];

const PROGRAM_COLUMNS: readonly Column[] = [
  { title: 'PROGRAM', kind: 'name' },
  { title: 'ID', kind: 'number' },
  { title: 'TYPE', kind: 'name' },
  { title: 'TAG', kind: 'name' },
  { title: 'PINNED AT', kind: 'text' },
];

/** Tables of the maps and of the programs, below the steps. */
function summary(
  { maps, programs }: LoadedObject,
  reused: ReadonlySet<string>,
  kernel: KernelChoice,
): string {
  const mapRows = Array.from(maps, ([name, map]) => {
    const { id, typeName } = map.info();
    const pinPath = printable(map.pinPath ?? '');
    return [printable(name), `${id}`, typeName, pinPath, reused.has(name) ? 'reused' : ''];
  });
  const programRows = Array.from(programs, ([name, program]) => {
    const { id, typeName, tag } = program.info();
    return [printable(name), `${id}`, typeName, tag, printable(program.pinPath ?? '')];
  });
  const tables = [
    maps.size === 0
      ? 'the object has no maps\n'
      : `\n${renderTable(MAP_COLUMNS, mapRows, standardOutput())}`,
    programs.size === 0
      ? ''
      : `\n${renderTable(PROGRAM_COLUMNS, programRows, standardOutput())}${loadedOnly(programs, kernel)}`,
  ];
  return tables.join('');
}

/** Says of which programs nothing remains. */
function loadedOnly(programs: LoadedObject['programs'], kernel: KernelChoice): string {
  const names = unpinned(programs);
  // The kernel in this process looks at the form of programs alone.
  const what = kernel.open().name === 'memory' ? 'accepted' : 'verified';
  return names.length === 0
    ? ''
    : `${what}, and unloaded with the end of this command (--pin-programs keeps them): ${names.map(printable).join(', ')}\n`;
}

function unpinned(programs: LoadedObject['programs']): string[] {
  return Array.from(programs).flatMap(([name, { pinPath }]) => (pinPath === null ? [name] : []));
}

/** No failure: whoever tries an object out may want just that. */
function warnIfNothingRemains({ maps, programs }: LoadedObject, kernel: KernelChoice): void {
  const handles = [...maps.values(), ...programs.values()];
  if (kernel.endsWithCommand) {
    warn('the kernel was in this process, so nothing of this load remains (--kernel memory)');
  } else if (!handles.some(({ pinPath }) => pinPath !== null)) {
    const remedy = programs.size === 0 ? '--pin-dir' : '--pin-dir and --pin-programs';
    warn(`nothing is pinned, so nothing of this load remains; use ${remedy}`);
  }
}
