/** The programs the benchmarks are built with, and building things once. What is missing is said. */

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
} from 'node:fs';
import { delimiter, isAbsolute, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the checkout. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Where everything that is generated goes; not committed. */
export const BUILD = join(ROOT, 'bench/build');

/** @type {Map<string, string | null>} */
const found = new Map();

/**
 * The path of the first of these programs that is installed, null if none is.
 * @param {readonly string[]} names in order of preference; paths stand for themselves
 */
export function findTool(names) {
  const key = names.join(' ');
  const known = found.get(key);
  if (known !== undefined) {
    return known;
  }
  // bpftool is in sbin, which is not in everybody's PATH.
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  const candidates = names.flatMap((name) =>
    isAbsolute(name) ? [name] : folders.map((folder) => join(folder, name)),
  );
  const path = candidates.find(isExecutable) ?? null;
  found.set(key, path);
  return path;
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export const findClang = () => findTool(['clang-19', 'clang']);
export const findStrip = () => findTool(['llvm-strip-19', 'llvm-strip']);
export const findCc = () => findTool(['cc', 'gcc', 'clang-19', 'clang']);
export const findBpftool = () => findTool(['bpftool']);

/**
 * The first line of what `--version` prints.
 * @param {string} tool
 */
export function versionOf(tool) {
  const { stdout } = spawnSync(tool, ['--version'], { encoding: 'utf8' });
  return (stdout ?? '').split('\n')[0]?.trim() ?? '';
}

/**
 * Builds a file unless it was built from the same ingredients before.
 * @param {string} name of the file, its extension included
 * @param {readonly (string | Uint8Array)[]} ingredients everything that the result depends on:
 *   sources, options, versions of tools
 * @param {(output: string) => void} build writes the file at the path it is given
 * @returns {string} the file's path
 */
export function buildOnce(name, ingredients, build) {
  const hash = createHash('sha256');
  for (const ingredient of ingredients) {
    hash.update(ingredient).update('\0');
  }
  const path = join(BUILD, `${hash.digest('hex').slice(0, 12)}-${name}`);
  if (!existsSync(path)) {
    mkdirSync(BUILD, { recursive: true });
    const unfinished = `${path}.${process.pid}.tmp`;
    build(unfinished);
    renameSync(unfinished, path);
  }
  return path;
}

/**
 * The files of a folder and the folders in it: what a program is built from.
 * @param {string} folder
 * @returns {{ name: string, text: string }[]} by name
 */
export function filesOf(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name))
    .sort()
    .map((path) => ({ name: relative(folder, path), text: readFileSync(path, 'utf8') }));
}

/** A download that does not come must not hold the benchmarks up. */
const PATIENCE_MS = 300_000;

/**
 * Runs a program for its effect; what it says on stderr becomes part of the error if it fails.
 * @param {string} tool
 * @param {readonly string[]} args
 * @param {object} [how]
 * @param {string} [how.input] for its stdin
 * @param {string} [how.cwd] where it runs
 * @param {Readonly<Record<string, string>>} [how.environment] variables beside those of this process
 */
export function runTool(tool, args, { input, cwd, environment } = {}) {
  execFileSync(tool, args, {
    input,
    cwd,
    env: { ...process.env, ...environment },
    stdio: ['pipe', 'ignore', 'pipe'],
    timeout: PATIENCE_MS,
  });
}

/**
 * Why something did not work, in a line.
 * @param {unknown} cause
 */
export function reasonOf(cause) {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text.trim().split('\n').slice(0, 3).join(' ').slice(0, 300);
}
