/**
 * A process that is killed in the middle of a load, before each of its calls. What it leaves is what it had
 * pinned by then, each pin whole; and the next load makes of it what a load makes that nothing disturbed.
 *
 * On Linux the process is a real one, and ends itself by SIGKILL.
 */

import { expect, it } from 'vitest';
import { type Call, withFaults } from '../../src/kernel/faults.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { load } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import { ROOT } from '../cli/skep.ts';
import { runChild } from '../support/child.ts';
import { describeKernels, type Place } from '../support/kernels.ts';
import { type Load, PINNED_LOADS } from './loads.ts';
import { comparableStates, fullPaths, removePins } from './pin-state.ts';

/**
 * Calls that change nothing which outlives their process: to be killed behind one is the same as before it.
 * On Linux, where each round takes a process, these are left out.
 */
const LEAVING_NOTHING: readonly Call['method'][] = [
  ...(['fileSystem', 'mapInfo', 'programInfo', 'valueBytes', 'lookup', 'nextKey'] as const),
  ...(['openPinnedMap', 'openPinnedProgram', 'openMapById', 'openProgramById'] as const),
  ...(['kernelBtf', 'loadBtf', 'close', 'unmapMemory'] as const),
];

/** Loads in another process, which is killed before its `n`-th call. */
async function killBefore(place: Place, given: Load, n: number): Promise<void> {
  if (place.kernel instanceof MemoryKernel) {
    killInMemory(place.kernel, given, place.directory, n);
    return;
  }
  const { signal, stderr } = await runChild(`
    import { withFaults } from ${JSON.stringify(`${ROOT}/dist/testing.js`)};
    const faulty = withFaults(skep.linuxKernel());
    let calls = 0;
    faulty.before = () => {
      calls += 1;
      if (calls === ${n}) process.kill(process.pid, 'SIGKILL');
    };
    const object = skep.ObjectFile.open(${JSON.stringify(given.path)});
    const options = ${JSON.stringify(given.options(place.directory))};
    skep.load(object, { ...options, kernel: faulty.kernel });
    throw new Error('the load ended after ' + calls + ' calls');
  `);
  expect([signal, stderr], `killed before call ${n}`).toEqual(['SIGKILL', '']);
}

function killInMemory(kernel: MemoryKernel, given: Load, directory: string, n: number): void {
  const victim = kernel.process();
  const faulty = withFaults(victim);
  let calls = 0;
  faulty.before = () => {
    calls += 1;
    if (calls === n) {
      victim.exit();
    }
  };
  // From then on it can do nothing, not even undo. Closing descriptors at the end is no error there.
  try {
    load(ObjectFile.open(given.path), { ...given.options(directory), kernel: faulty.kernel });
  } catch (error) {
    expect(String(error), `killed before call ${n}`).toContain('ESRCH');
  }
  expect(calls).toBeGreaterThanOrEqual(n);
}

/** The calls that a load makes when nothing disturbs it; what it pins stays. */
function undisturbed(given: Load, directory: string, kernel: Kernel): readonly Call[] {
  const log = withFaults(kernel);
  const options = { ...given.options(directory), kernel: log.kernel };
  const app = load(ObjectFile.open(given.path), options);
  const calls = [...log.calls];
  if (given.answer !== undefined) {
    const { program, returnValue } = given.answer;
    expect(app.program(program).run().returnValue, `what ${program} answers`).toBe(returnValue);
  }
  app.close();
  return calls;
}

/** The paths that there are after the first `n` calls of a load. */
function pathsAfter(calls: readonly Call[], n: number, before: readonly string[]): string[] {
  const paths = new Set(before);
  for (const { method, arguments: args, result, error } of calls.slice(0, n)) {
    if (error !== undefined) {
      continue;
    }
    if (method === 'pin') {
      paths.add(args[1] as string);
    } else if (method === 'makeDirectory' && result === true) {
      paths.add(args[0] as string);
    } else if (method === 'unpin' && result === true) {
      paths.delete(args[0] as string);
    }
  }
  return [...paths].sort();
}

/** Program arrays get their programs at the end, as these need them: until then they are empty. */
function isProgramArray(state: unknown): boolean {
  return JSON.stringify(state).includes('"type":3,');
}

/** @param hasPins whether an earlier load has pinned the same before */
async function killEverywhere(place: Place, given: Load, hasPins: boolean): Promise<number> {
  const first = () => undisturbed(given, place.directory, place.kernel);
  if (hasPins) {
    first();
  }
  const before = fullPaths(place);
  const calls = first();
  const wanted = comparableStates(place);
  for (let n = 1; n <= calls.length; n += 1) {
    const what = `killed before call ${n}, ${calls[n - 1]!.method}`;
    const last = calls[n - 2]?.method;
    if (place.runsOn === 'linux' && last !== undefined && LEAVING_NOTHING.includes(last)) {
      continue;
    }
    removePins(place);
    if (hasPins) {
      first();
    }
    await killBefore(place, given, n);
    expect(fullPaths(place), what).toEqual(pathsAfter(calls, n - 1, before));
    for (const [path, state] of comparableStates(place)) {
      // With pins from before, what is in the slots and at the pins of programs may be of either load.
      if (!hasPins && !isProgramArray(state)) {
        expect(state, `${what}: ${path}`).toEqual(wanted.get(path));
      }
    }
    first();
    expect(comparableStates(place), `${what}, and loaded again`).toEqual(wanted);
  }
  removePins(place);
  return calls.length;
}

describeKernels('a load that is killed', (place) => {
  const loads = PINNED_LOADS.filter(({ inMemory }) => inMemory || place.runsOn === 'linux');

  it.each(loads.map((each) => [each.title, each] as const))(
    'leaves whole pins, which the next one completes: %s',
    async (_, given) => {
      expect(await killEverywhere(place, given, false)).toBeGreaterThan(10);
    },
    300_000,
  );

  it.each(loads.filter((_, at) => at === 0 || at === 2).map((each) => [each.title, each] as const))(
    'leaves what the one before had pinned, or a part, which the next one completes: %s',
    async (_, given) => {
      expect(await killEverywhere(place, given, true)).toBeGreaterThan(10);
    },
    300_000,
  );
});
