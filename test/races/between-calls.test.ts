/**
 * Two processes and one object, one of them between any two calls of the other: whatever it does there, the
 * other's load ends as it would have alone, or with an error that names the reason.
 */

import { expect, it } from 'vitest';
import { PinMismatchError } from '../../src/errors.ts';
import { withFaults } from '../../src/kernel/faults.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { type LoadedObject, load } from '../../src/loader/load.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import { fullPaths, pinStates, removePins } from '../faults/pin-state.ts';
import { openFixture } from '../support/fixtures.ts';
import { describeKernels, type Place } from '../support/kernels.ts';

/** What is loaded: maps, a map of maps, data sections, in directories that have to be made. */
function optionsOf({ directory }: Place): LoadOptions {
  return {
    pinDirectory: `${directory}/app/maps`,
    pinAll: true,
    maps: { '.rodata': { pin: `${directory}/app/rodata` } },
    programs: false,
  };
}

/** The kernel as another process has it. On Linux a descriptor more is as good as a process more. */
function otherProcess({ kernel }: Place): Kernel {
  return kernel instanceof MemoryKernel ? kernel.process() : kernel;
}

/** How many calls a load makes that finds what is there now. */
function countCalls(place: Place): number {
  const log = withFaults(place.kernel);
  const app = load(openFixture('demo'), { ...optionsOf(place), kernel: log.kernel });
  const { length } = log.calls;
  app.close();
  return length;
}

/**
 * Loads again and again, each time with `other` done before another call.
 *
 * @param prepare what there is before the load
 * @param check told what came of the load: an object, which it need not close, or an error
 */
function betweenCalls(
  place: Place,
  prepare: () => void,
  other: () => void,
  check: (outcome: LoadedObject | unknown, what: string) => void,
): void {
  prepare();
  const calls = countCalls(place);
  for (let n = 1; n <= calls; n += 1) {
    removePins(place);
    prepare();
    const mine = withFaults(place.kernel);
    let made = 0;
    mine.before = () => {
      made += 1;
      if (made === n) {
        other();
      }
    };
    const what = `before call ${n}`;
    let outcome: unknown;
    try {
      outcome = load(openFixture('demo'), { ...optionsOf(place), kernel: mine.kernel });
    } catch (error) {
      outcome = error;
    }
    expect(made, what).toBeGreaterThanOrEqual(n);
    check(outcome, what);
    if (outcome !== null && typeof outcome === 'object' && 'maps' in outcome) {
      (outcome as LoadedObject).close();
    }
  }
  removePins(place);
}

/** Every map of the object that is pinned is the one at its pin. */
function expectShared(app: unknown, place: Place, what: string): void {
  expect(app, what).toHaveProperty('maps');
  for (const [name, map] of (app as LoadedObject).maps) {
    if (map.pinPath !== null) {
      const fd = place.kernel.openPinnedMap(map.pinPath, 'read-write');
      const { id } = place.kernel.mapInfo(fd);
      place.kernel.close(fd);
      expect(map.info().id, `${what}: ${name}`).toBe(id);
    }
  }
}

describeKernels('between any two calls of a load', (place) => {
  it('another may load the same: both have the same maps', () => {
    betweenCalls(
      place,
      () => {},
      () => load(openFixture('demo'), { ...optionsOf(place), kernel: otherProcess(place) }).close(),
      (app, what) => expectShared(app, place, what),
    );
  }, 120_000);

  it('another may remove what there was: the load ends with maps of its own or those that were', () => {
    const remove = () => removePins(place);
    betweenCalls(
      place,
      () => load(openFixture('demo'), { ...optionsOf(place), kernel: place.kernel }).close(),
      remove,
      (app, what) => {
        expect(app, what).toHaveProperty('maps');
        const names = [...(app as LoadedObject).maps.keys()];
        expect(names, what).toEqual(expect.arrayContaining(['flows', 'tenants', '.rodata']));
      },
    );
  }, 120_000);

  it('another may load the same and remove its pins: nothing fails', () => {
    betweenCalls(
      place,
      () => {},
      () => {
        load(openFixture('demo'), { ...optionsOf(place), kernel: otherProcess(place) }).close();
        removePins(place);
      },
      (app, what) => expect(app, what).toHaveProperty('maps'),
    );
  }, 120_000);

  it('another may load other definitions: one of both fails, with the difference, and leaves nothing', () => {
    let theirs: unknown;
    let pinned: Map<string, unknown> = new Map();
    const descriptors = place.openDescriptors();
    const loadOther = () => {
      const options = optionsOf(place);
      const maps = { ...options.maps, tenants: { maxEntries: 7 } };
      try {
        load(openFixture('demo'), { ...options, maps, kernel: otherProcess(place) }).close();
        theirs = 'loaded';
      } catch (error) {
        theirs = error;
      }
      pinned = pinStates(place);
    };
    betweenCalls(
      place,
      () => {},
      loadOther,
      (outcome, what) => {
        const isMine = theirs !== 'loaded';
        const refusal = isMine ? theirs : outcome;
        if (!(refusal instanceof PinMismatchError)) {
          // Theirs was the second: it found every pin of mine but the last, which it made itself.
          throw new Error(`${what}: both succeeded, or one failed otherwise`, { cause: refusal });
        }
        expect([refusal.map, refusal.differences[0]!.field], what).toEqual([
          'tenants',
          'maxEntries',
        ]);
        if (isMine) {
          expectShared(outcome, place, what);
        } else {
          expect(pathsOf(pinned, fullPaths(place)), what).toEqual([]);
          expect(place.openDescriptors(), what).toEqual(descriptors);
        }
      },
    );
  }, 120_000);
});

/** Paths that there are now, and were not in a state. */
function pathsOf(state: Map<string, unknown>, now: readonly string[]): string[] {
  return now.filter((path) => !state.has(path));
}
