/**
 * A short run of the fuzzer: what it found before, the inputs that reach most, and some new ones, which
 * are others each time. `npm run fuzz` runs it for longer; see docs/fuzzing.md.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Search } from './engine.ts';
import { judge } from './judge.ts';
import { Random } from './random.ts';
import type { Recipe } from './recipe.ts';
import { TARGETS } from './targets.ts';

/** `SKEP_FUZZ_SEED` does a run again, `SKEP_FUZZ_RUNS` makes it longer. */
const SEED = Number(process.env.SKEP_FUZZ_SEED ?? Date.now() % 1_000_000);
const RUNS = Number(process.env.SKEP_FUZZ_RUNS ?? 100);

const HERE = fileURLToPath(new URL('.', import.meta.url));

function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(HERE + name, 'utf8')) as T;
}

function filesOf(folder: string): string[] {
  return readdirSync(HERE + folder).filter((name) => name.endsWith('.json'));
}

describe('what the fuzzer found', () => {
  for (const file of filesOf('findings')) {
    const { problem, recipe } = readJson<{ problem: string; recipe: Recipe }>(`findings/${file}`);

    it(`does not happen again: ${problem.split('\n')[0]}`, () => {
      expect(judge(recipe).finding).toBeNull();
    });
  }
});

describe.each(Object.keys(TARGETS))('%s', (target) => {
  const corpus = readFileSync(`${HERE}corpus/${target}.ndjson`, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Recipe);

  it('reads or refuses the corpus', { timeout: 120_000 }, () => {
    for (const recipe of corpus) {
      expect(judge(recipe).finding, JSON.stringify(recipe)).toBeNull();
    }
  });

  it('reads or refuses what was never seen', { timeout: 120_000 }, () => {
    const search = new Search(new Random(SEED), [target]);
    search.corpus.push(...corpus);
    for (let run = 0; run < RUNS; run += 1) {
      const recipe = search.next();
      const { finding } = search.run(recipe);
      expect(finding, `seed ${SEED}, input ${JSON.stringify(recipe)}`).toBeNull();
    }
  });
});

it('gives the same inputs for the same seed', () => {
  const inputs = () => {
    const search = new Search(new Random(1));
    return Array.from({ length: 50 }, () => search.next());
  };
  expect(inputs()).toEqual(inputs());
});

it('finds a mistake when there is one', () => {
  const recipe = { target: 'obj', parts: [{ base: 'objects/demo.bpf.o', edits: [] }], seed: 1 };
  const { run } = TARGETS.obj!;
  try {
    (TARGETS.obj as { run: typeof run }).run = () => {
      throw new TypeError('undefined is no function');
    };
    expect(judge(recipe).finding?.message).toContain('undefined is no function');
    (TARGETS.obj as { run: typeof run }).run = () => {
      (Object.prototype as { polluted?: true }).polluted = true;
    };
    expect(judge(recipe).finding?.signature).toBe('pollution');
    (TARGETS.obj as { run: typeof run }).run = () => {
      const start = process.cpuUsage();
      let spins = 0;
      while (process.cpuUsage(start).user < 400_000) {
        for (let index = 0; index < 1_000_000; index += 1) {
          spins += index;
        }
      }
      expect(spins).toBeGreaterThan(0);
    };
    expect(judge(recipe).finding?.signature).toBe('slow obj');
  } finally {
    (TARGETS.obj as { run: typeof run }).run = run;
  }
  expect(judge(recipe).finding).toBeNull();
  expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain('polluted');
});
