/** What the guest has: programs with their libraries, modules of its kernel, and this package. */

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { findProgram, GUEST_PROGRAMS } from './needs.mjs';

/** @typedef {import('./cpio.mjs').Initramfs} Initramfs */
/** @typedef {import('./kernels.mjs').GuestKernel} GuestKernel */

/** Where the package is in the guest. */
export const GUEST_ROOT = '/skep';

/** What of the package goes into the guest beside its compiled tests; no more is needed there. */
const PACKAGE_PARTS = ['dist', 'fixtures', 'native', 'package.json'];

/** Packages that tests import or are run by; those they depend on are found. */
const PACKAGES = ['vitest', 'fast-check', 'zod', 'commander'];

/**
 * Modules that the guest loads when it boots, in this order, each after what it depends on: devices of tests
 * that route packets, what `ss` asks, and modules with types and functions for programs.
 */
const MODULES = [
  'veth',
  'inet_diag',
  'tcp_diag',
  'udp_diag',
  'unix_diag',
  'tcp_dctcp',
  'nf_conntrack',
];

/** Directories of Python's library that no test needs, for two thirds of its size. */
const NOT_OF_PYTHON =
  /^(config-.*|dist-packages|site-packages|ensurepip|idlelib|lib2to3|pydoc_data|test|tkinter|turtledemo|unittest|distutils|asyncio|xmlrpc|venv|wsgiref|curses|dbm|sqlite3|multiprocessing)$/;

/**
 * Copies a directory.
 *
 * @param {Initramfs} archive
 * @param {string} path in the guest
 * @param {string} source
 * @param {(name: string) => boolean} wanted of the names in each directory
 */
function copyTree(archive, path, source, wanted = () => true) {
  archive.directory(path);
  for (const name of readdirSync(source).filter(wanted)) {
    const from = join(source, name);
    // Links are followed; one that leads nowhere is left out.
    const status = statSync(from, { throwIfNoEntry: false });
    if (status?.isDirectory()) {
      copyTree(archive, join(path, name), from, wanted);
    } else if (status?.isFile()) {
      archive.copy(join(path, name), from, status.mode & 0o777);
      if (name.endsWith('.node')) {
        copyLibraries(archive, from);
      }
    }
  }
}

/**
 * Copies a program, at its path or another, and every library that the dynamic loader finds for it.
 *
 * @param {Initramfs} archive
 * @param {string} source
 * @param {string} [path]
 */
function copyProgram(archive, source, path = source) {
  archive.copy(path, realpathSync(source), 0o755);
  copyLibraries(archive, source);
}

/**
 * @param {Initramfs} archive
 * @param {string} source a program, or an addon of Node.js
 */
function copyLibraries(archive, source) {
  const { stdout } = spawnSync('ldd', [source], { encoding: 'utf8' });
  for (const [, library] of (stdout ?? '').matchAll(/(?:=> )?(\/\S+) \(0x/g)) {
    // Libraries are found by the name that was asked for, wherever the file itself is.
    archive.copy(String(library), realpathSync(String(library)), 0o755);
  }
}

/**
 * Node.js, busybox for the shell, and what tests compare with.
 *
 * @param {Initramfs} archive
 */
export function addPrograms(archive) {
  copyProgram(archive, process.execPath, '/usr/bin/node');
  copyProgram(archive, findProgram('busybox') ?? '', '/bin/busybox');
  for (const name of GUEST_PROGRAMS) {
    copyProgram(archive, findProgram(name) ?? '', `/usr/bin/${name}`);
  }
  const python = basename(realpathSync(findProgram('python3') ?? ''));
  const library = `/usr/lib/${python}`;
  if (existsSync(library)) {
    copyTree(archive, library, library, (name) => !NOT_OF_PYTHON.test(name));
    for (const name of readdirSync(`${library}/lib-dynload`).filter((at) =>
      at.includes('_ctypes.'),
    )) {
      copyProgram(archive, `${library}/lib-dynload/${name}`);
    }
  }
}

/**
 * Names of packages that `names` depend on, themselves among them.
 *
 * @param {string} root
 * @param {string[]} names
 */
function withDependencies(root, names) {
  const found = new Set();
  const visit = (/** @type {string} */ name) => {
    const manifest = join(root, 'node_modules', name, 'package.json');
    if (found.has(name) || !existsSync(manifest)) {
      return;
    }
    found.add(name);
    const { dependencies, optionalDependencies } = JSON.parse(readFileSync(manifest, 'utf8'));
    Object.keys({ ...dependencies, ...optionalDependencies }).forEach(visit);
  };
  names.forEach(visit);
  return [...found];
}

/**
 * The package as it is in the working directory, built; its tests, compiled; and what those import.
 *
 * @param {Initramfs} archive
 * @param {string} root
 * @param {string} compiled directory of the compiled tests
 */
export function addPackage(archive, root, compiled) {
  const wanted = (/** @type {string} */ name) => name !== 'target' && !/\.(map|md)$/.test(name);
  for (const part of PACKAGE_PARTS) {
    const source = join(root, part);
    if (statSync(source).isDirectory()) {
      copyTree(archive, join(GUEST_ROOT, part), source, wanted);
    } else {
      archive.copy(join(GUEST_ROOT, part), source);
    }
  }
  copyTree(archive, GUEST_ROOT, compiled, (name) => name !== 'tsconfig.json' && wanted(name));
  for (const name of withDependencies(root, PACKAGES)) {
    const at = join('node_modules', name);
    copyTree(archive, join(GUEST_ROOT, at), join(root, at), wanted);
  }
}

/**
 * Modules of the kernel that the guest loads, each after those it depends on, as plain files.
 *
 * @param {Initramfs} archive
 * @param {GuestKernel} kernel
 * @returns {string[]} their paths in the guest, in the order to load them
 */
export function addModules(archive, kernel) {
  /** @type {Map<string, string>} */
  const files = new Map();
  for (const name of readdirSync(kernel.modules, { recursive: true }).map(String)) {
    const [, module] = /([^/]+)\.ko(?:\.xz)?$/.exec(name) ?? [];
    if (module !== undefined) {
      files.set(module.replaceAll('-', '_'), join(kernel.modules, name));
    }
  }
  /** @type {string[]} */
  const order = [];
  const visit = (/** @type {string} */ module) => {
    const file = files.get(module);
    const path = `/lib/modules/${module}.ko`;
    // What is built in has no file.
    if (file === undefined || archive.has(path)) {
      return;
    }
    const content = moduleBytes(file);
    // The package has no modules.dep, which is made where it is installed; modules themselves say it.
    const [, depends = ''] = /\0depends=([^\0]*)\0/.exec(content.toString('latin1')) ?? [];
    depends.split(',').filter(Boolean).forEach(visit);
    archive.file(path, content);
    order.push(path);
  };
  MODULES.forEach(visit);
  return order;
}

/** @param {string} file of a module, compressed or not */
function moduleBytes(file) {
  if (!file.endsWith('.xz')) {
    return readFileSync(file);
  }
  const { status, stdout, stderr } = spawnSync('xz', ['-dc', file], { maxBuffer: 1 << 28 });
  if (status !== 0) {
    throw new Error(`xz -dc ${file}: ${stderr}`);
  }
  return stdout;
}

/**
 * What is neither of the package nor a program: configuration of the kernel, names of users and hosts.
 *
 * @param {Initramfs} archive
 * @param {GuestKernel} kernel
 */
export function addSystem(archive, kernel) {
  archive.device('/dev/console', 5, 1);
  archive.copy(`/boot/config-${kernel.release}`, kernel.config);
  archive.file('/etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n');
  archive.file('/etc/group', 'root:x:0:\nnogroup:x:65534:\n');
  archive.file('/etc/hosts', '127.0.0.1 localhost\n::1 localhost\n');
  for (const path of ['/proc', '/sys', '/tmp', '/root', '/run', dirname(GUEST_ROOT)]) {
    archive.directory(path);
  }
}
