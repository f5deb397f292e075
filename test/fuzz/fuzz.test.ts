/**
 * A short run of the fuzzer: what it found before, the inputs that reach most, and some new ones,
 * others each time unless a seed is given. `npm run fuzz` runs it for longer; see docs/fuzzing.md.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SkepError } from '../../src/errors.ts';
import { ObjectFile } from '../../src/obj/object.ts';
import { BYTE_EDITS, type Edit } from './edits.ts';
import { Search } from './engine.ts';
import { type Finding, judge, memoryLimit } from './judge.ts';
import { collectGarbage, tellsPeaks } from './peak.ts';
import { Random } from './random.ts';
import type { Recipe } from './recipe.ts';
import { TARGETS, type Target } from './targets.ts';

/** `SKEP_FUZZ_SEED` does a run again (or `SKEP_SEED`, with all tests), `SKEP_FUZZ_RUNS` makes it longer. */
const { SKEP_FUZZ_SEED, SKEP_SEED } = process.env;
const SEED = Number(SKEP_FUZZ_SEED ?? SKEP_SEED ?? Date.now() % 1_000_000);
const RUNS = Number(process.env.SKEP_FUZZ_RUNS ?? 100);

const HERE = fileURLToPath(new URL('.', import.meta.url));

function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(HERE + name, 'utf8')) as T;
}

function filesOf(folder: string): string[] {
  return readdirSync(HERE + folder).filter((name) => name.endsWith('.json'));
}

const PLAIN: Recipe = {
  target: 'obj',
  parts: [{ base: 'objects/demo.bpf.o', edits: [] }],
  seed: 1,
};

/** What is said of a target that does this. */
function findingOf(run: () => void): Finding | null {
  const obj = TARGETS.obj as { run: Target['run'] };
  const before = obj.run;
  try {
    obj.run = run;
    return judge(PLAIN).finding;
  } finally {
    obj.run = before;
  }
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

it('reads or refuses objects with plain damage of any bytes', { timeout: 120_000 }, () => {
  const random = new Random(SEED);
  const [bases] = TARGETS.obj!.parts;
  const names = Object.keys(BYTE_EDITS);
  for (let run = 0; run < 4 * RUNS; run += 1) {
    const edits = Array.from({ length: 1 + random.below(4) }, (): Edit => {
      const [a, b, c] = [random.next(), random.next(), random.next()];
      return [random.pick(names), a, b, c];
    });
    const recipe = { target: 'obj', parts: [{ base: random.pick(bases!), edits }], seed: 1 };
    expect(judge(recipe).finding, `seed ${SEED}, input ${JSON.stringify(recipe)}`).toBeNull();
  }
});

it('refuses bytes that are no object', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(() => ObjectFile.parse(bytes)).toThrow(SkepError);
    }),
    { numRuns: 2 * RUNS },
  );
});

it('gives the same inputs for the same seed', () => {
  const inputs = () => {
    const search = new Search(new Random(1));
    return Array.from({ length: 50 }, () => search.next());
  };
  expect(inputs()).toEqual(inputs());
});

describe('a mistake is found:', () => {
  // What the one before has left is not in the way of what this one takes.
  beforeEach(collectGarbage);

  afterEach(() => {
    expect(judge(PLAIN).finding).toBeNull();
  });

  it('an error that is none of skep', () => {
    const finding = findingOf(() => {
      throw new TypeError('undefined is no function');
    });
    expect(finding?.message).toContain('undefined is no function');
  });

  it('a property that all objects get', () => {
    const finding = findingOf(() => {
      (Object.prototype as { polluted?: true }).polluted = true;
    });
    expect(finding?.signature).toBe('pollution');
    expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain('polluted');
  });

  it('too much time', () => {
    const finding = findingOf(() => {
      const start = process.cpuUsage();
      let spins = 0;
      while (process.cpuUsage(start).user < 400_000) {
        for (let index = 0; index < 1_000_000; index += 1) {
          spins += index;
        }
      }
      expect(spins).toBeGreaterThan(0);
    });
    expect(finding?.signature).toBe('slow obj');
  });

  // Only Linux tells of peaks.
  describe.skipIf(!tellsPeaks())('and on Linux, of what nothing is left of:', () => {
    it('500 MB for a moment', { timeout: 120_000 }, () => {
      let left = 0;
      const finding = findingOf(() => {
        const before = process.memoryUsage().rss;
        const buffer = growingBuffer(500e6);
        buffer.resize(500e6);
        new Uint8Array(buffer).fill(1);
        buffer.resize(0);
        left = process.memoryUsage().rss - before;
      });
      expect(left).toBeLessThan(memoryLimit(0) / 2);
      expect(finding?.signature).toBe('memory obj');
      const taken = Number(/^(\d+) bytes of memory for/.exec(finding!.message)?.[1]);
      expect(taken).toBeGreaterThan(400e6);
      expect(taken).toBeLessThan(700e6);
    });

    it('2 GiB that nothing is written to', () => {
      const finding = findingOf(() => void growingBuffer(2 ** 31));
      expect(finding?.message).toMatch(/^\d{10} bytes of addresses for/);
    });

    it('but not what took memory just before', () => {
      const buffer = growingBuffer(500e6);
      buffer.resize(500e6);
      new Uint8Array(buffer).fill(1);
      buffer.resize(0);
      expect(judge(PLAIN).memoryBytes).toBeLessThan(memoryLimit(0));
    });
  });

  it('too much memory of many objects', { timeout: 120_000 }, () => {
    const finding = findingOf(() => {
      const objects = Array.from({ length: 3e6 }, (_, index) => ({ index, next: [index] }));
      expect(objects).toHaveLength(3e6);
    });
    expect(finding?.signature).toBe('memory obj');
  });

  it('too much memory of many buffers', { timeout: 120_000 }, () => {
    const finding = findingOf(() => {
      const buffers = Array.from({ length: 300 }, () => new Uint8Array(1e6).fill(1));
      expect(buffers).toHaveLength(300);
    });
    expect(finding?.signature).toBe('memory obj');
  });
});

/** A buffer that gives its memory back at once when it is made smaller; ES2024 has it. */
function growingBuffer(maxByteLength: number) {
  const Growing = ArrayBuffer as unknown as new (
    length: number,
    options: { readonly maxByteLength: number },
  ) => ArrayBuffer & { resize(length: number): void };
  return new Growing(0, { maxByteLength });
}
