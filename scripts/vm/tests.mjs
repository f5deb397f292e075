/** Which tests run in the guest: those whose outcome depends on the kernel. The reasons are in docs/kernels.md. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Folders of tests, and what of them the guest leaves out.
 *
 * @type {Readonly<Record<string, readonly string[]>>}
 */
const FOLDERS = {
  'test/kernel': [
    // Of the kernel in the process, of text from files, of numbers: the same under every Linux.
    'faults',
    'linux-parts',
    'memory-kernel',
    'programs-memory',
    'reentrance',
    'unknown-types',
    // Of several handles and processes of skep among themselves, for minutes here.
    'ring-handles',
    'user-ring-handles',
    // What it compares with was recorded under one kernel, whose numbers others differ from.
    'libbpf',
  ],
  // Of the shim itself and of Node.js; they start dozens of processes, each of which takes seconds here.
  'test/native': ['binary', 'bounds', 'endings', 'environments', 'leak-check', 'loader', 'misuse'],
  'test/probes': [],
  // Of types and kernels that the tests make up.
  'test/programs': [
    'kconfig',
    'load-programs',
    'kernel-types',
    'poison',
    'program',
    'program-shape',
    'struct-ops',
    'verifier-log',
    'verify',
  ],
};

/**
 * The files to run, by their paths in the guest.
 *
 * @param {string} root of the package
 */
export function testFiles(root) {
  return Object.entries(FOLDERS).flatMap(([folder, leftOut]) => {
    const names = readdirSync(join(root, folder))
      .filter((name) => name.endsWith('.test.ts'))
      .map((name) => name.slice(0, -'.test.ts'.length));
    const unknown = leftOut.filter((name) => !names.includes(name));
    if (unknown.length > 0) {
      throw new Error(`${folder} has no ${unknown.join(', ')} to leave out`);
    }
    return names
      .filter((name) => !leftOut.includes(name))
      .map((name) => `${folder}/${name}.test.js`);
  });
}
