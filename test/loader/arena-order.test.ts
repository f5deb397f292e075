/** When an arena gets its globals: before others can see it. */

import { describe, expect, it } from 'vitest';
import { plan } from '../../src/loader/load.ts';
import { ObjectFile } from '../../src/loader/object-file.ts';
import type { LoadOptions } from '../../src/loader/options.ts';
import { MemoryKernel } from '../../src/testing.ts';
import { fixturePath } from '../support/fixtures.ts';

function stepsOf(options: LoadOptions): string[] {
  const object = ObjectFile.open(fixturePath('run/arena.bpf.o'));
  return plan(object, { kernel: new MemoryKernel(), ...options }).steps.map(({ step }) => step);
}

describe('the plan of an arena with globals', () => {
  it('places them before the arena is pinned, as whoever finds it there takes it as it is', () => {
    expect(stepsOf({ pinAll: true })).toEqual([
      ...['load-btf', 'open-pin', 'create', 'place', 'pin', 'load-program'],
    ]);
  });

  it('places them without programs too if it is pinned, and only then', () => {
    expect(stepsOf({ pinAll: true, programs: false })).toContain('place');
    expect(stepsOf({ programs: false })).toEqual(['create']);
  });
});
