/** dist/bundle/, which is what the package exports: scripts/bundle.mjs makes it of the modules of src/. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
// Builds it, if it is out of date.
import { ROOT } from '../cli/skep.ts';

const BUNDLE = join(ROOT, 'dist/bundle');

function imported<T>(file: string): Promise<T> {
  return import(/* @vite-ignore */ pathToFileURL(join(BUNDLE, file)).href);
}

const skep = await imported<typeof import('../../src/index.ts')>('index.js');
const pure = await imported<typeof import('../../src/obj/index.ts')>('obj.js');

/** What a file imports, and what that imports: files by name, other modules as they are written. */
function importsOf(file: string, found = new Set<string>()): ReadonlySet<string> {
  const text = readFileSync(join(BUNDLE, file), 'utf8');
  for (const [, specifier] of text.matchAll(/^(?:import|export) [^;]*?["']([^"']+)["'];$/gm)) {
    const isFile = specifier!.startsWith('./');
    const name = isFile ? specifier!.slice(2) : specifier!;
    if (!found.has(name)) {
      found.add(name);
      if (isFile) {
        importsOf(name, found);
      }
    }
  }
  return found;
}

describe('the bundle', () => {
  it('has `skep/obj` without anything of Node.js or of another package', () => {
    const modules = [...importsOf('obj.js')];
    expect(modules.length).toBeGreaterThan(1);
    expect(modules.filter((name) => !name.endsWith('.js'))).toEqual([]);
    // As a check of the check: the library does import some.
    expect(importsOf('index.js')).toContain('node:fs');
  });

  it('loads the library from a handful of files', () => {
    const files = [...importsOf('index.js')].filter((name) => name.endsWith('.js'));
    expect(files.length).toBeLessThanOrEqual(8);
  });

  it('has one copy of each class, whatever it is imported by', () => {
    expect(Object.getPrototypeOf(skep.ObjectFile)).toBe(pure.ObjectFile);
    expect(skep.ObjectError).toBe(pure.ObjectError);
    expect(skep.Btf).toBe(pure.Btf);
  });

  it.each([
    ['skep', skep],
    ['skep/obj', pure],
  ])('has classes that are called as %s exports them', (_, exports) => {
    const classes = Object.entries<unknown>(exports).filter(([name]) => /^[A-Z][a-z]/.test(name));
    expect(classes.length).toBeGreaterThan(5);
    for (const [name, value] of classes) {
      expect((value as { readonly name: string }).name).toBe(name);
    }
  });

  it('has a schema that fits into those of an application, which has a zod of its own', () => {
    const object = skep.ObjectFile.open(join(ROOT, 'fixtures/objects/demo.bpf.o'));
    const schema = z.object({ inspection: skep.inspectionSchema });
    const inspection = skep.inspect(object);
    expect(schema.parse({ inspection })).toEqual({ inspection });
    expect(schema.safeParse({ inspection: { ...inspection, format: 2 } }).success).toBe(false);
  });

  it('keeps the license of every package that is a part of it', () => {
    const licenses = readFileSync(join(BUNDLE, 'licenses.txt'), 'utf8');
    const sources = readdirSync(BUNDLE)
      .filter((file) => file.endsWith('.map'))
      .flatMap((file) => JSON.parse(readFileSync(join(BUNDLE, file), 'utf8')).sources as string[]);
    const packages = sources.flatMap((source) => {
      const [, folder] = /(node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(source) ?? [];
      return folder === undefined ? [] : [join(ROOT, folder, 'package.json')];
    });
    expect(packages.map(dirname)).toContain(join(ROOT, 'node_modules/zod'));
    for (const path of new Set(packages)) {
      const { name, version } = JSON.parse(readFileSync(path, 'utf8'));
      expect(licenses).toContain(`${name} ${version}\n`);
    }
  });
});
