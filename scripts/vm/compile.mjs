/**
 * The tests as JavaScript. Vitest compiles each file when it is imported, which takes most of the time on an
 * emulated CPU; here they are compiled once, and the guest runs them by Node.js's own `import`.
 */

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GUEST_ROOT } from './contents.mjs';

/** What vitest is told in the guest. Types are checked elsewhere, and mistakes in them are no concern here. */
const CONFIG = `import { GuestReporter } from './guest-reporter.mjs';

export default {
  test: {
    reporters: [new GuestReporter(), ['json', { outputFile: '/tmp/report.json' }]],
    include: ['test/**/*.test.js'],
    // Fails tests that leave descriptors or mapped memory behind, as on the host.
    setupFiles: ['test/support/leak-check.js'],
    pool: 'forks',
    // Starting a process takes seconds; all files share one, as none leaves anything behind.
    isolate: false,
    // What is never called is not compiled: importing takes half the time.
    execArgv: ['--max-lazy'],
    fileParallelism: false,
    maxWorkers: 1,
    // Tests that wait for a while measure time, which an emulated CPU does not keep. The report names them.
    retry: 1,
    testTimeout: 240_000,
    hookTimeout: 120_000,
    teardownTimeout: 60_000,
    experimental: { viteModuleRunner: false, nodeLoader: false },
  },
};
`;

/**
 * Compiles sources and tests into a directory, with the configuration of vitest for it.
 *
 * @param {string} root of the package
 * @param {string} directory
 */
export function compileTests(root, directory) {
  const project = join(directory, 'tsconfig.json');
  const compilerOptions = {
    ...{ noEmit: false, noCheck: true, allowJs: false, checkJs: false, sourceMap: true },
    ...{ rootDir: root, outDir: directory, typeRoots: [join(root, 'node_modules/@types')] },
  };
  writeFileSync(
    project,
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions,
      include: [join(root, 'src'), join(root, 'test')],
    }),
  );
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const { status, stdout } = spawnSync(process.execPath, [compiler, '-p', project], {
    encoding: 'utf8',
  });
  if (status !== 0) {
    throw new Error(`the tests do not compile:\n${stdout}`);
  }
  writeFileSync(join(directory, 'vitest.config.mjs'), CONFIG);
  const reporter = 'guest-reporter.mjs';
  copyFileSync(fileURLToPath(new URL(reporter, import.meta.url)), join(directory, reporter));
}

/**
 * A function that turns places in compiled files, in text from the guest, into those of the sources.
 *
 * @param {string} directory of the compiled files
 * @returns {(text: string) => string}
 */
export function sourcePlaces(directory) {
  /** @type {Map<string, SourceMap | null>} */
  const maps = new Map();
  const mapOf = (/** @type {string} */ file) => {
    if (!maps.has(file)) {
      const path = join(directory, `${file}.map`);
      maps.set(
        file,
        existsSync(path) ? new SourceMap(JSON.parse(readFileSync(path, 'utf8'))) : null,
      );
    }
    return maps.get(file) ?? null;
  };
  const place = new RegExp(
    `(?:file://)?${GUEST_ROOT}/((?:src|test)/[^\\s:()?]+\\.js)(?:\\?[^\\s:]*)?:(\\d+):(\\d+)`,
    'g',
  );
  return (text) =>
    text.replace(place, (whole, /** @type {string} */ file, line, column) => {
      const entry = mapOf(file)?.findEntry(Number(line) - 1, Number(column) - 1);
      if (entry === undefined || !('originalLine' in entry)) {
        return whole;
      }
      const source = posix.normalize(file.replace(/\.js$/, '.ts'));
      return `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
    });
}
