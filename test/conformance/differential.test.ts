/**
 * The in-process kernel against the running one: random calls on both, and every answer compared.
 * SKEP_CASES sets the number of cases, SKEP_SEED repeats a run.
 */

import { mkdirSync, rmSync } from 'node:fs';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { encodeForKernel } from '../../src/obj/btf-for-kernel.ts';
import { openFixture } from '../support/fixtures.ts';
import { describeKernel } from '../support/kernel.ts';
import { operations, type Step, TYPES_OF } from './operations.ts';
import { Subject } from './subject.ts';

const CASES = Number(process.env.SKEP_CASES ?? 1000);
const SEED = Number(process.env.SKEP_SEED ?? Math.floor(Math.random() * 2 ** 31));

describeKernel('the same calls', () => {
  it(`give the same answers in both kernels (${CASES} cases, seed ${SEED})`, {
    timeout: 60_000 + CASES * 120,
  }, () => {
    const linux = linuxKernel();
    const object = openFixture(TYPES_OF);
    const types = encodeForKernel(object, object.btf!);
    let directories = 0;
    fc.assert(
      fc.property(operations, (calls) => {
        directories += 1;
        const directory = `/sys/fs/bpf/skep-differential-${process.pid}-${directories}`;
        mkdirSync(directory);
        const memory = new MemoryKernel({ cpus: linux.possibleCpus() });
        memory.makeDirectory(directory);
        const here = new Subject([memory, memory.process()], directory, types);
        const there = new Subject([linux, linux], directory, types);
        try {
          // What became of every object, and what is in the maps, is compared too.
          for (const [index, call] of [...calls.flatMap(withQuestion), ...AFTERWARDS].entries()) {
            const mine = here.do(call);
            compare(
              index,
              call,
              eventually(mine, () => there.do(call), call),
              mine,
            );
          }
        } finally {
          there.close();
          here.close();
          rmSync(directory, { recursive: true, force: true });
        }
        expect(memory.openDescriptors()).toEqual([]);
        expect(memory.mapIds()).toEqual([]);
        expect(memory.programIds()).toEqual([]);
        expect(memory.nextBtfId(0)).toBeNull();
        expect(memory.paths()).toEqual([directory]);
      }),
      { numRuns: CASES, seed: SEED },
    );
  });
});

/** Asks for each of the first objects that a case makes. */
const AFTERWARDS: readonly Step[] = [0, 1, 2, 3, 4, 5, 6, 7].flatMap((made) => [
  { call: 'contents', made, by: 0 },
  { call: 'lives', of: 'map', made, by: 0 },
  { call: 'lives', of: 'btf', made, by: 0 },
  { call: 'lives', of: 'program', made, by: 0 },
]);

/** What has an effect may be done once only: before, it is waited until there is nothing to open. */
function withQuestion(call: Step): readonly Step[] {
  return call.call === 'openById'
    ? [{ call: 'lives', of: 'map', made: call.made, by: call.by }, call]
    : [call];
}

function compare(index: number, call: Step, there: string, here: string): void {
  // A Bloom filter may take what was never added for a member; never the other way round.
  if (here === 'may have false' && there === 'may have true') {
    return;
  }
  expect(here, `call ${index}: ${JSON.stringify(call)}`).toBe(there);
}

const ASKS_FOR_OBJECTS: readonly string[] = ['lives', 'contents'];

/** Linux lets go of what a map held some time after the map itself is gone. */
function eventually(wanted: string, ask: () => string, call: Step): string {
  let answer = ask();
  for (
    let round = 0;
    ASKS_FOR_OBJECTS.includes(call.call) && answer !== wanted && round < 50;
    round += 1
  ) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    answer = ask();
  }
  return answer;
}
