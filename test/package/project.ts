/**
 * An empty project that uses the package as users get it. `npm run test:package` makes one by
 * `npm install` and says where it is; other runs of the tests need no registry: they unpack the tarball
 * themselves, and link what it depends on.
 */

import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** A module to run in the project, or what ran there. */
export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A project that has the package installed; `remove` it at the end. */
export class Project {
  readonly folder: string;
  /** Where the package is. */
  readonly installed: string;
  readonly #isOurs: boolean;

  /** @param folder one that npm has made, which is left alone; null for one that is made now */
  constructor(folder: string | null) {
    this.#isOurs = folder === null;
    this.folder = folder ?? mkdtempSync(join(tmpdir(), 'skep-project-'));
    this.installed = join(this.folder, 'node_modules/skep');
    if (this.#isOurs) {
      this.#unpack();
    }
  }

  #unpack(): void {
    // `dist` is built by the test command; packing must not build it again under running tests.
    const options = ['--ignore-scripts', '--silent', '--pack-destination', this.folder];
    const packed = spawnSync('npm', ['pack', ...options], { cwd: ROOT, encoding: 'utf8' });
    expect(packed.status, packed.stderr).toBe(0);
    mkdirSync(this.installed, { recursive: true });
    const name = readdirSync(this.folder).find((file) => file.endsWith('.tgz'))!;
    const unpacked = spawnSync('tar', [
      ...['xzf', join(this.folder, name), '--strip-components=1', '-C', this.installed],
    ]);
    expect(unpacked.status).toBe(0);
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    this.#link([...Object.keys(dependencies), '@types/node']);
    const bin = join(this.folder, 'node_modules/.bin');
    mkdirSync(bin);
    symlinkSync(`../skep/${this.manifest().bin.skep}`, join(bin, 'skep'));
  }

  #link(names: readonly string[]): void {
    mkdirSync(join(this.folder, 'node_modules/@types'), { recursive: true });
    for (const name of names) {
      symlinkSync(join(ROOT, 'node_modules', name), join(this.folder, 'node_modules', name));
    }
  }

  /** The `package.json` of the package as published. */
  manifest() {
    return JSON.parse(readFileSync(join(this.installed, 'package.json'), 'utf8'));
  }

  /** Writes a file of the project. */
  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  /** Runs a module in the project. */
  run(code: string, ...args: readonly string[]): Outcome {
    return this.node(['--input-type=module', '-e', code, ...args]);
  }

  /** Runs Node.js in the project. */
  node(args: readonly string[]): Outcome {
    return spawnSync(process.execPath, args, { cwd: this.folder, encoding: 'utf8' });
  }

  /** Runs the command as npm has put it into the project. */
  skep(...args: readonly string[]): Outcome {
    return this.node([join(this.folder, 'node_modules/.bin/skep'), ...args]);
  }

  /** A project like this one, in which the package has no shim. */
  withoutShim(): Project {
    const other = mkdtempSync(join(tmpdir(), 'skep-project-'));
    cpSync(join(this.folder, 'node_modules'), join(other, 'node_modules'), {
      recursive: true,
      verbatimSymlinks: true,
    });
    rmSync(join(other, 'node_modules/skep/native'), { recursive: true });
    return new Project(other);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Removes the project unless npm made it for somebody else. */
  release(): void {
    if (this.#isOurs) {
      this.remove();
    }
  }
}
