/** How large the package is: to download, unpacked, and installed with what it depends on. */

import { spawnSync } from 'node:child_process';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digits } from '../report.mjs';
import { ROOT } from '../toolchain.mjs';

/** @import { Report } from '../report.mjs' */
/** @import { Context } from '../run.mjs' */

export const name = 'package-size';

/** The peer that is a package of npm too. It has an install script, which this does not run. */
const PEER = 'bpf@1.3.0';

/** @typedef {{ title: string, packed?: number, unpacked?: number, installed?: number, files?: number, packages?: number }} Size */

/**
 * @param {Context} context
 * @returns {Report}
 */
export function run(context) {
  /** @type {string[]} */
  const notes = [
    'package-size: installed is what "npm install --omit=dev --ignore-scripts" makes of node_modules; npm bpf brings its binary along in prebuilds/, and compiles libbpf and its addon only where none fits; what skep installs besides itself is zod, which has the larger part',
  ];
  const sizes = [ROOT, PEER].flatMap((subject) => {
    context.progress(`package-size: ${subject === ROOT ? 'skep' : subject}`);
    const size = sizeOf(subject);
    if ('missing' in size) {
      notes.push(size.missing);
      return [];
    }
    return [size];
  });
  const rows = sizes.map(({ title, packed, unpacked, files, installed, packages }) => [
    title,
    kb(packed),
    kb(unpacked),
    String(files ?? '-'),
    kb(installed),
    String(packages ?? '-'),
  ]);
  const columns = ['kB', 'packed', 'unpacked', 'files', 'installed', 'packages'];
  const tables = [{ title: 'package-size', columns, rows }, ...partsTable()];
  return { tables, verdicts: [], notes, data: sizes };
}

/**
 * Packs a package and installs it into a folder of its own.
 * @param {string} subject a folder, or what npm calls a package
 * @returns {Size | { missing: string }}
 */
function sizeOf(subject) {
  const folder = mkdtempSync(join(tmpdir(), 'skep-size-'));
  try {
    const packed = npm(folder, 'pack', '--json', '--pack-destination', folder, subject);
    if (packed.status !== 0) {
      return { missing: `package-size: npm pack ${subject} failed: ${lastLine(packed.stderr)}` };
    }
    const [{ id, size, unpackedSize, entryCount, filename }] = JSON.parse(packed.stdout);
    const size1 = { title: id, packed: size, unpacked: unpackedSize, files: entryCount };
    const archive = join(folder, filename);
    const installed = npm(folder, 'install', '--omit=dev', '--no-audit', '--no-fund', archive);
    if (installed.status !== 0) {
      return { ...size1, title: `${id} (not installed: ${lastLine(installed.stderr)})` };
    }
    const modules = join(folder, 'node_modules');
    return { ...size1, installed: bytesIn(modules), packages: packagesIn(modules) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * @param {string} cwd
 * @param {readonly string[]} args
 */
function npm(cwd, ...args) {
  return spawnSync('npm', [...args, '--ignore-scripts', '--silent', '--prefix', cwd], {
    cwd,
    encoding: 'utf8',
  });
}

/**
 * The bytes of all files below a folder.
 * @param {string} folder
 */
function bytesIn(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((total, entry) => total + lstatSync(join(entry.parentPath, entry.name)).size, 0);
}

/**
 * How many packages are below a folder, at whatever depth.
 * @param {string} modules
 */
function packagesIn(modules) {
  const lock = readFileSync(join(modules, '.package-lock.json'), 'utf8');
  return Object.keys(JSON.parse(lock).packages).length;
}

/** What is loaded at run time, without types and source maps. */
function partsTable() {
  const folder = join(ROOT, 'dist/bundle');
  const shim = join(ROOT, `native/skep.linux-${process.arch}-gnu.node`);
  try {
    const scripts = readdirSync(folder).filter((file) => file.endsWith('.js'));
    const bytes = scripts.reduce((total, file) => total + statSync(join(folder, file)).size, 0);
    const rows = [
      [`all ${scripts.length} scripts`, kb(bytes)],
      ['the native shim', kb(statSync(shim).size)],
    ];
    return [{ title: 'of which run', columns: ['kB', ''], rows }];
  } catch {
    // Not built: the package was packed all the same.
    return [];
  }
}

/** @param {number | undefined} bytes */
function kb(bytes) {
  return bytes === undefined ? '-' : digits(bytes / 1000);
}

/** @param {string} text */
function lastLine(text) {
  return text.trim().split('\n').pop() ?? '';
}
