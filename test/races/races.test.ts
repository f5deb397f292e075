/** Races of real processes: a short run of `npm run races`, and what it would find. */

import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { SCENARIOS, violations } from '../../scripts/races/rounds.mjs';
import { ROOT } from '../cli/skep.ts';
import { describeKernel } from '../support/kernel.ts';

type Outcomes = Parameters<typeof violations>[1];
type Outcome = Outcomes[number];

const [ALL, REMOVING, , , DIFFERING] = SCENARIOS;

/** What a process says of a load of one map. */
function loaded(id: number, more: Partial<Outcome> = {}): Outcome {
  const counts = { won: 0, reused: 0, lost: 0, retried: 0 };
  const maps = Object.fromEntries(ALL!.shared.map((name) => [name, id]));
  return { kind: 'load', maps, programs: {}, error: null, removed: [], counts, leaked: 0, ...more };
}

/** What does not hold of loads that ended so, with the map of this id at all pins. */
function found(scenario: typeof ALL, outcomes: Outcomes, pinned: number, strays: string[] = []) {
  const pins = Object.fromEntries(ALL!.shared.map((name) => [`/pins/${name}`, pinned]));
  return violations(scenario!, outcomes, { pins, strays, pathOf: (map) => `/pins/${map}` });
}

const mismatch = { code: 'ERR_SKEP_PIN_MISMATCH', map: 'flows', message: 'maxEntries' };

describe('a round of races', () => {
  it('is fine if all have the map that is pinned', () => {
    expect(found(ALL, [loaded(1), loaded(1)], 1)).toEqual([]);
  });

  it.each<[string, Outcomes, number, RegExp]>([
    ['two have maps of their own', [loaded(1), loaded(2)], 1, /is 2 maps/],
    ['the pin is of neither', [loaded(1), loaded(1)], 3, /nobody's/],
    ['one has failed', [loaded(1), loaded(1, { error: mismatch })], 1, /1 failed: maxEntries/],
    ['a descriptor is left', [loaded(1), loaded(1, { leaked: 1 })], 1, /1 descriptors more/],
    ['none has loaded', [loaded(1, { kind: 'unpin' })], 1, /no load succeeded/],
  ])('is not if %s', (_, outcomes, pinned, problem) => {
    expect(found(ALL, outcomes, pinned).join()).toMatch(problem);
  });

  it('is not if something has a name that nobody asked for', () => {
    expect(found(ALL, [loaded(1)], 1, ['/pins/flows_temporary'])).toEqual([
      'nobody asked for /pins/flows_temporary',
    ]);
  });

  it('may have as many maps as pins were removed, and one', () => {
    const removed = ALL!.shared.map((name) => `/pins/${name}`);
    const unpin = loaded(0, { kind: 'unpin', maps: {}, removed });
    expect(found(REMOVING, [loaded(1), loaded(2), unpin], 2)).toEqual([]);
    expect(found(REMOVING, [loaded(1), loaded(2), loaded(3), unpin], 2)[0]).toMatch(/is 3 maps/);
  });

  it('may have loads that are refused, where definitions differ', () => {
    expect(found(DIFFERING, [loaded(1), loaded(2, { error: mismatch })], 1)).toEqual([]);
    const other = { ...mismatch, code: 'ERR_SKEP_SYSCALL' };
    expect(found(DIFFERING, [loaded(1), loaded(2, { error: other })], 1)).toHaveLength(1);
  });
});

describeKernel('processes that load the same pinned object at once', () => {
  it('share its maps, none fails, and nothing is left: each kind of round five times', () => {
    const rounds = 5 * SCENARIOS.length;
    const script = ['scripts/races.mjs', '--rounds', String(rounds), '--processes', '6'];
    const { status, stdout, stderr } = spawnSync(process.execPath, script, {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, '']);
    const [, loads] = /^\d+ rounds of 6 processes in .*: (\d+) loads$/m.exec(stdout)!;
    expect(Number(loads)).toBeGreaterThan(rounds * 4);
    // Without a pin that somebody else was faster to make there was no race.
    const [, lost] = /pins that another was faster to make: (\d+)/.exec(stdout)!;
    expect(Number(lost)).toBeGreaterThan(0);
  }, 300_000);
});
