/**
 * Puts the modules of src/ together in few files, dist/bundle/: what the package exports, and the
 * command. Node.js takes about a millisecond for each module that it loads; `skep` has more than 200
 * and zod a hundred. What they use of other packages becomes a part of the files.
 *
 * `tsc` writes the types, and the same modules one by one for tests that look inside.
 *
 * Usage: node scripts/bundle.mjs
 */

import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

/** @import { RolldownOutput } from 'rolldown' */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
// Two levels below the root of the package, as all modules of src/ are that look for its files.
const OUTPUT = join(ROOT, 'dist/bundle');

/** The files by the names that package.json gives them. */
const ENTRIES = {
  index: 'src/index.ts',
  obj: 'src/obj/index.ts',
  testing: 'src/testing.ts',
  command: 'src/cli/main.ts',
};

/**
 * What goes into one file with all that it imports, unless that is in one of those before. What is left
 * is split by who needs it, as is the command, by its dynamic imports.
 */
const GROUPS = [
  { name: 'errors', test: /\/src\/errors\.ts$/ },
  // All that `skep inspect` needs of an object. It and the next have to stay free of Node.js.
  { name: 'object', test: /\/src\/obj\/(?:object|inspection)\.ts$/ },
  { name: 'code', test: /\/src\/(?:uapi|obj)\// },
  { name: 'object-file', test: /\/src\/loader\/object-file\.ts$/ },
  { name: 'maps', test: /\/src\/(?:codec|maps|kernel\/(?!memory\/))/ },
  { name: 'loader', test: /\/src\/(?:programs|probes|loader)\// },
  // What commands print with; and the plainest of them, so that it is not a file more.
  {
    name: 'text',
    test: /\/src\/cli\/(?:inspect-command|inspect-text|object-errors|table|terminal)\.ts$/,
  },
].map((group, place, { length }) => ({ ...group, priority: length - place }));

/** Bundles, and writes the files. */
async function bundle() {
  const build = await rolldown({
    cwd: ROOT,
    input: ENTRIES,
    platform: 'node',
    tsconfig: 'tsconfig.build.json',
  });
  const output = await build.write({
    dir: OUTPUT,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    codeSplitting: { groups: GROUPS },
    comments: { legal: true, annotation: true, jsdoc: false },
    sourcemap: true,
    // They are in the package, as src/.
    sourcemapExcludeSources: true,
  });
  await build.close();
  // As npm does when it installs; a checkout is used without.
  chmodSync(join(OUTPUT, 'command.js'), 0o755);
  writeFileSync(join(OUTPUT, 'licenses.txt'), licensesOf(output));
  removeOld(output);
}

/**
 * Removes the files of earlier builds, whose names have other hashes. Last, as something may run.
 *
 * @param {RolldownOutput} output
 */
function removeOld({ output }) {
  const made = new Set(['licenses.txt', ...output.map(({ fileName }) => fileName)]);
  for (const name of readdirSync(OUTPUT)) {
    if (!made.has(name)) {
      rmSync(join(OUTPUT, name));
    }
  }
}

/**
 * The licenses of the packages that have become part of the bundle, which all ask to be kept with it.
 *
 * @param {RolldownOutput} output
 */
function licensesOf({ output }) {
  const modules = output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []));
  const folders = new Set(modules.flatMap((id) => packageOf(id) ?? []));
  const texts = [...folders].sort().map((folder) => {
    const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = ['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'LICENSE-MIT.txt', 'license']
      .map((each) => join(folder, each))
      .find((each) => existsSync(each));
    if (file === undefined) {
      throw new Error(`${folder} has no license file that could be kept with its code`);
    }
    return `${name} ${version}\n\n${readFileSync(file, 'utf8').trim()}\n`;
  });
  return texts.join(`\n${'-'.repeat(72)}\n\n`);
}

/**
 * The folder of the package that a module belongs to; undefined for one of ours.
 *
 * @param {string} id the path of the module
 */
function packageOf(id) {
  const [, folder] = /^(.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+)[\\/]/.exec(id) ?? [];
  return folder;
}

await bundle();
