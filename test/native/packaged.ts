/**
 * A package as npm would install it, with nothing in it but the loader of the native shim, and
 * child processes that import that: a crash, a missing file or another platform stays in there.
 */

import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type TypeScript from 'typescript';

/** The file that `npm run build:native` makes for this machine. */
export const shimName = `skep.linux-${process.arch}-gnu.node`;
export const shimPath = fileURLToPath(new URL(`../../native/${shimName}`, import.meta.url));

/** How a child process ended, and what it said. */
export interface Outcome {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What it printed, parsed as JSON; undefined if it printed nothing. */
  readonly printed: unknown;
  readonly errors: string;
}

/** A temporary package; `remove` it at the end. */
export class Package {
  readonly directory = mkdtempSync(join(tmpdir(), 'skep-native-'));
  readonly shim = join(this.directory, 'native', shimName);

  constructor() {
    mkdirSync(join(this.directory, 'native'));
    mkdirSync(join(this.directory, 'dist', 'kernel'), { recursive: true });
    writeFileSync(join(this.directory, 'package.json'), '{ "type": "module" }');
    this.#compile('errors');
    this.#compile('kernel/native');
    cpSync(shimPath, this.shim);
  }

  #compile(module: string): void {
    const source = fileURLToPath(new URL(`../../src/${module}.ts`, import.meta.url));
    const target = join(this.directory, 'dist', `${module}.js`);
    const compiled = source.replace(/\.ts$/, '.js');
    if (existsSync(compiled)) {
      // Where tests were compiled for another machine (scripts/vm).
      cpSync(compiled, target);
      return;
    }
    const ts = createRequire(import.meta.url)('typescript') as typeof TypeScript;
    const { outputText } = ts.transpileModule(readFileSync(source, 'utf8'), {
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ES2022,
        rewriteRelativeImportExtensions: true,
      },
    });
    writeFileSync(target, outputText);
  }

  /** Runs a module in which `loadNative` and, per line of /proc/self/maps, `mappings` exist. */
  run(script: string, ...flags: readonly string[]): Outcome {
    const child = spawnSync(
      process.execPath,
      [...flags, '--input-type=module', '--eval', `${this.prelude}\n${script}`],
      { encoding: 'utf8', timeout: 60_000 },
    );
    const text = child.stdout.trim();
    return {
      status: child.status,
      signal: child.signal,
      printed: text === '' ? undefined : JSON.parse(text),
      errors: child.stderr,
    };
  }

  /** The first lines of every script; also those of a worker, which does not inherit them. */
  get prelude(): string {
    const loader = pathToFileURL(join(this.directory, 'dist', 'kernel', 'native.js'));
    return `
      import { loadNative } from ${JSON.stringify(loader.href)};
      import fs from 'node:fs';
      import { Worker } from 'node:worker_threads';
      const mappings = (name) =>
        fs.readFileSync('/proc/self/maps', 'utf8').split('\\n').filter((line) => line.includes(name)).length;
      const btf = '/sys/kernel/btf/vmlinux';
      const turn = () => new Promise((resolve) => setTimeout(resolve, 5));`;
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }
}
