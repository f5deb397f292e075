/** Imports point down only: the layers of docs/architecture.md, held against the real imports. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SOURCE = fileURLToPath(new URL('../src/', import.meta.url));

/** What each layer may import besides itself. `errors.ts` is for all but `bytes`. */
const BELOW: Readonly<Record<string, readonly string[]>> = {
  'errors.ts': [],
  bytes: [],
  uapi: [],
  obj: ['errors.ts', 'bytes', 'uapi'],
  codec: ['errors.ts', 'bytes', 'uapi', 'obj'],
  kernel: ['errors.ts', 'bytes', 'uapi', 'obj'],
  maps: ['errors.ts', 'bytes', 'uapi', 'obj', 'codec', 'kernel'],
  programs: ['errors.ts', 'bytes', 'uapi', 'obj', 'codec', 'kernel', 'maps'],
  probes: ['errors.ts', 'bytes', 'uapi', 'obj', 'codec', 'kernel', 'maps', 'programs'],
  loader: ['errors.ts', 'bytes', 'uapi', 'obj', 'codec', 'kernel', 'maps', 'programs', 'probes'],
  cli: [
    'errors.ts',
    'bytes',
    'uapi',
    'obj',
    'codec',
    'kernel',
    'maps',
    'programs',
    'probes',
    'loader',
    'index.ts',
    'testing.ts',
  ],
  'testing.ts': ['kernel'],
  'index.ts': ['errors.ts', 'obj', 'codec', 'kernel', 'maps', 'programs', 'probes', 'loader'],
};

/** Layers that run without Node.js. */
const PURE = ['errors.ts', 'bytes', 'uapi', 'obj', 'codec'];

const files = readdirSync(SOURCE, { recursive: true })
  .map(String)
  .filter((file) => file.endsWith('.ts'));

function layerOf(path: string): string {
  return path.split('/')[0]!;
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(SOURCE, file), 'utf8');
  const found = text.matchAll(/\b(?:from|import)\s*\(?\s*'([^']+)'/g);
  return Array.from(found, (match) => match[1]!);
}

describe('imports', () => {
  it('are looked at in every layer', () => {
    expect(new Set(files.map(layerOf))).toEqual(new Set(Object.keys(BELOW)));
  });

  it.each(files)('of src/%s point down', (file) => {
    const layer = layerOf(file);
    for (const name of importsOf(file)) {
      if (!name.startsWith('.')) {
        expect(PURE.includes(layer), `src/${file} imports ${name}`).toBe(false);
        continue;
      }
      const target = layerOf(relative(SOURCE, join(SOURCE, dirname(file), name)));
      expect([layer, ...BELOW[layer]!], `src/${file} imports ${name}`).toContain(target);
    }
  });
});
