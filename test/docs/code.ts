/**
 * The code of README.md and docs/. A block of TypeScript that begins with an import is complete: it can
 * be copied, and is compiled here. In README.md the blocks that follow it go on where it ends.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the checkout, with a slash at its end. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Complete code of a page. */
export interface Example {
  /** From the root of the checkout. */
  readonly page: string;
  /** Of the line with its fence, counted from 1. */
  readonly line: number;
  /** Its own file name, if its first line says one: `// app.ts`. */
  readonly file: string | undefined;
  readonly code: string;
}

/** Pages whose blocks continue each other. */
const STORIES: readonly string[] = ['README.md'];

/** All pages, from the root of the checkout. */
export const PAGES: readonly string[] = [
  'README.md',
  ...readdirSync(join(ROOT, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

/** The complete examples of a page. */
export function examplesOf(page: string): Example[] {
  const examples: Example[] = [];
  const text = readFileSync(join(ROOT, page), 'utf8');
  for (const { 1: code = '', index } of text.matchAll(/^```ts\n(.*?)^```$/gms)) {
    const [, file] = /^\/\/ (\S+\.ts)\n/.exec(code) ?? [];
    const line = text.slice(0, index).split('\n').length;
    if (/^(?:\/\/ \S+\.ts\n)?import /.test(code)) {
      examples.push({ page, line, file, code });
    } else if (STORIES.includes(page)) {
      const begun = examples.pop()!;
      examples.push({ ...begun, code: `${begun.code}\n${code}` });
    }
  }
  return examples;
}
