/** Every complete example of the documentation compiles against the package as it is published. */

import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
// Builds `dist/`, which is what examples import, if it is out of date.
import { ROOT } from '../cli/skep.ts';
import { examplesOf, PAGES } from './code.ts';

/** Where the examples are said to be: inside of the package, which may import itself by its name. */
const PLACE = join(ROOT, 'examples-of-the-documentation');

/** What examples may take for granted: an object that was loaded further up on the page. */
const CONTEXT = "declare const app: import('skep').LoadedObject;";

/** Files that exist only here, by path; and where each comes from. */
const files = new Map([[join(PLACE, 'context.d.ts'), CONTEXT]]);
const origins = new Map<string, string>();
for (const { page, line, file, code } of PAGES.flatMap(examplesOf)) {
  const path = join(PLACE, page, file ?? `line-${line}.ts`);
  files.set(path, code);
  origins.set(path, `${page}, line ${line}`);
}

const { config } = ts.readConfigFile(join(ROOT, 'tsconfig.json'), ts.sys.readFile);
const options: ts.CompilerOptions = {
  ...ts.parseJsonConfigFileContent(config, ts.sys, ROOT).options,
  // What the package itself is held to is none of an example's business.
  skipLibCheck: true,
  noUnusedLocals: false,
};

/** A host for the compiler that knows those files, and others as they are. */
function hostWith(known: ReadonlyMap<string, string>): ts.CompilerHost {
  const host = ts.createCompilerHost(options);
  return {
    ...host,
    fileExists: (path) => known.has(path) || host.fileExists(path),
    readFile: (path) => known.get(path) ?? host.readFile(path),
    directoryExists: (path) => path.startsWith(PLACE) || ts.sys.directoryExists(path),
    getSourceFile(path, version, ...rest) {
      const text = known.get(path);
      return text === undefined
        ? host.getSourceFile(path, version, ...rest)
        : ts.createSourceFile(path, text, version);
    },
  };
}

/** What the compiler has to say, with the place in the documentation. */
function problemsOf(known: ReadonlyMap<string, string>): string[] {
  const program = ts.createProgram([...known.keys()], options, hostWith(known));
  return ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
    const origin = origins.get(file?.fileName ?? '') ?? file?.fileName;
    const line = file?.getLineAndCharacterOfPosition(start).line ?? 0;
    return `${origin} + ${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}

describe('the code of the documentation', () => {
  it('is found', () => {
    expect(new Set(PAGES.filter((page) => examplesOf(page).length > 0))).toEqual(
      new Set([
        'README.md',
        'docs/core.md',
        'docs/doctor.md',
        'docs/externs.md',
        'docs/globals.md',
        'docs/loading.md',
        'docs/maps.md',
        'docs/programs.md',
        'docs/testing.md',
        'docs/privileges.md',
      ]),
    );
  });

  it('compiles', { timeout: 60_000 }, () => {
    expect(problemsOf(files)).toEqual([]);
  });

  it('would not compile with a method that does not exist', { timeout: 60_000 }, () => {
    const [path] = origins.keys();
    const code = `${files.get(path!)}\napp.noSuchMethod();`;
    expect(problemsOf(new Map([[path!, code]]))).toEqual([
      expect.stringMatching(/^README\.md, line \d+ \+ \d+: Property 'noSuchMethod' does not exist/),
    ]);
  });
});
