/** Every object of the fixtures is loaded by both kernels, step by step to the same maps. */

import { expect, it } from 'vitest';

import type { Kernel } from '../../src/kernel/kernel.ts';
import { linuxKernel } from '../../src/kernel/linux.ts';
import { hasMapType } from '../../src/kernel/memory/create-rules.ts';
import { MemoryKernel } from '../../src/kernel/memory/memory-kernel.ts';
import { load } from '../../src/loader/load.ts';
import type { ObjectFile } from '../../src/obj/object.ts';
import { fixtureNames, openFixture } from '../support/fixtures.ts';
import { describeKernel, pinDirectory } from '../support/kernel.ts';

const names = fixtureNames().filter((name) => !name.endsWith('.eb'));

describeKernel('loading an object in both kernels', () => {
  const directory = pinDirectory();

  it.each(names)('%s', (name) => {
    const object = openFixture(name);
    const linux = linuxKernel();
    const memory = new MemoryKernel({ cpus: linux.possibleCpus() });
    memory.makeDirectory(directory.path);
    const here = whatHappens(object, memory, directory.path);
    expect(memory.openDescriptors()).toEqual([]);
    if (here.some((text) => text.includes('the in-process kernel has no maps of type'))) {
      const types = [...object.maps.values()].flatMap(({ typeNumber, inner }) => [
        typeNumber,
        inner?.typeNumber ?? typeNumber,
      ]);
      expect(types.every(hasMapType)).toBe(false);
    } else {
      expect(here).toEqual(whatHappens(object, linux, directory.path));
    }
  });
});

/** The steps of a load of all maps, and the maps that came of it or the error. */
function whatHappens(object: ObjectFile, kernel: Kernel, pins: string): string[] {
  const told: string[] = [];
  try {
    const app = load(object, {
      kernel,
      pinDirectory: pins,
      pinAll: true,
      programs: false,
      onStep: ({ step, outcome, reason }) =>
        told.push(
          // The kernel's own words about BTF are not expected of the other one.
          `${step.step} ${'map' in step ? step.map : ''} ${outcome} ${reason?.replace(/ \(.*/, '')}`,
        ),
    });
    for (const map of app.maps.values()) {
      const { id, btfId, mapExtra, ...info } = map.info();
      const { frozen } = map.usage();
      const all = { mapExtra: `${mapExtra}`, typed: btfId > 0, frozen, ...info };
      told.push(JSON.stringify(Object.entries(all).sort()));
    }
    app.close();
  } catch (error) {
    told.push(error instanceof Error ? error.message : String(error));
  }
  return told;
}
