/** Which tests run in the guest: those whose outcome depends on the kernel. The reasons are in docs/kernels.md. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Folders of tests, and what of them the guest leaves out.
 *
 * @type {Readonly<Record<string, readonly string[]>>}
 */
const FOLDERS = {
  // They compare with the kernel in the process, which is of Linux 6.18.
  'test/conformance': ['differential', 'objects'],
  'test/faults': [
    // Its faults are made up.
    'each-errno',
    // It kills a process before each call of eight loads; each of those takes 4 to 8 s here.
    'killed',
  ],
  'test/kernel': [
    // Of the kernel in the process, of text from files, of numbers: the same under every Linux.
    'faults',
    'linux-parts',
    'memory-kernel',
    'programs-memory',
    'reentrance',
    'unknown-types',
    // What instructions there are, and what the verifier says to others, is that of Linux 6.18.
    'instruction-form',
    // Of several handles and processes of skep among themselves, for minutes here.
    'ring-handles',
    'user-ring-handles',
    // What it compares with was recorded under one kernel, whose numbers others differ from.
    'libbpf',
  ],
  'test/privileges': [
    // Of sentences that are made up, and of the kernel in the process.
    'hints',
    // Linux 6.1 wants more for a devmap than the types say: its rules for maps are not told apart yet.
    'types',
  ],
  // Two processes that load at once, which two emulated CPUs hardly run.
  'test/races': ['races'],
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

const NO_KERNEL = 'nothing of it asks a kernel';
const SAME_CALLS = 'its calls of the kernel are those of test/kernel';

/**
 * Folders of tests that the guest does not run, with the reason.
 *
 * @type {Readonly<Record<string, string>>}
 */
export const LEFT_OUT = {
  'test/bytes': NO_KERNEL,
  'test/cli': `${SAME_CALLS}; what it prints has numbers and names of one kernel`,
  'test/codec': NO_KERNEL,
  'test/docs': NO_KERNEL,
  'test/fuzz': NO_KERNEL,
  'test/load': 'about amounts: a hundred thousand entries take minutes on an emulated CPU',
  'test/loader': `${SAME_CALLS}; its faults are made up`,
  'test/maps': `of its files two ask the kernel: leaks is about the garbage collector, ring-hostile about what skep itself reads from a page that somebody overwrote`,
  'test/obj': NO_KERNEL,
  'test/package': 'about the packed package and npm, which the guest has not',
  'test/real': 'no tests; objects of other projects',
  'test/soak': 'about what npm run soak calls flat',
  'test/support': 'no tests',
  'test/uapi': NO_KERNEL,
  'test/vm': 'about these scripts',
};

/**
 * The files to run, by their paths in the guest.
 *
 * @param {string} root of the package
 * @throws {Error} a folder is neither run nor left out for a reason, or a file to leave out is not there
 */
export function testFiles(root) {
  const folders = readdirSync(join(root, 'test'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `test/${name}`);
  const unknown = folders.filter((folder) => !(folder in FOLDERS) && !(folder in LEFT_OUT));
  if (unknown.length > 0) {
    throw new Error(
      `scripts/vm/tests.mjs does not say whether guests run ${unknown.join(', ')}, or why not`,
    );
  }
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
