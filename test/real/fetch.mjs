/**
 * Compiled objects of other projects, got by the clients of package registries: `go`, `cargo`,
 * `apt-get`. None of them is part of this repository. An object that is embedded in a program or a
 * library (a skeleton of libbpf) is cut out of it; sources of the kernel are compiled.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';

/**
 * @typedef {object} Source
 * @property {string} project
 * @property {'go' | 'crate' | 'debian' | 'debian-source'} from
 * @property {string} name of the module or package
 * @property {string} version
 * @property {string} files a regular expression for paths inside
 */

/** Folders of the kernel's sources that objects are made from, and what they include. */
const KERNEL_FOLDERS = [
  'tools/testing/selftests/bpf',
  'tools/include',
  'tools/sched_ext',
  'tools/perf/util/bpf_skel',
  'tools/bpf',
  'samples/bpf',
  'drivers/hid/bpf',
  'kernel/bpf/preload',
];

const EM_BPF = 247;
const ELF_64_LITTLE = Buffer.from('7f454c46020101', 'hex');

/**
 * Runs a command and gives what it prints.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {string} cwd
 */
export function run(command, args, cwd) {
  const options = { cwd, maxBuffer: 1 << 28 };
  const { status, error, stdout, stderr } = spawnSync(command, args, options);
  if (error !== undefined || status !== 0) {
    // go says it on standard output: that is JSON.
    const lines = `${stdout ?? ''}\n${stderr ?? ''}`.trim().split('\n');
    const said = lines.find((line) => /error|^E:/i.test(line)) ?? lines.at(-1);
    throw new Error(`${command} ${args[0]}: ${error?.message ?? said?.trim()}`);
  }
  return `${stdout}`;
}

/**
 * All files below a folder, as paths relative to it.
 *
 * @param {string} folder
 * @returns {string[]}
 */
function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

/**
 * The objects for BPF in a file: the file itself, or those embedded in it.
 *
 * @param {Buffer} bytes
 */
function* objectsIn(bytes) {
  let at = bytes.indexOf(ELF_64_LITTLE);
  while (at >= 0) {
    const end = at + 64 <= bytes.length ? objectEnd(bytes, at) : 0;
    if (end > at) {
      yield bytes.subarray(at, end);
    }
    at = bytes.indexOf(ELF_64_LITTLE, Math.max(end, at + 1));
  }
}

/**
 * Where the object that starts at an offset ends; 0 if none does. Compilers put the table of sections
 * last.
 *
 * @param {Buffer} bytes
 * @param {number} at
 */
function objectEnd(bytes, at) {
  const isRelocatable = bytes.readUInt16LE(at + 16) === 1;
  if (!isRelocatable || bytes.readUInt16LE(at + 18) !== EM_BPF) {
    return 0;
  }
  const sections = Number(bytes.readBigUInt64LE(at + 40));
  const end = at + sections + 64 * bytes.readUInt16LE(at + 60);
  return end <= bytes.length ? end : 0;
}

/**
 * Writes the objects found in a folder's files; how many there are.
 *
 * @param {string} folder
 * @param {Source} source
 * @param {string} out
 */
function collect(folder, source, out) {
  const wanted = new RegExp(source.files);
  for (const file of filesBelow(folder).filter(
    (path) => wanted.test(`/${path}`) || wanted.test(path),
  )) {
    const objects = [...objectsIn(readFileSync(join(folder, file)))];
    objects.forEach((bytes, index) => {
      const suffix = objects.length > 1 ? `-${index + 1}` : '';
      const stem = file.replace(/\.(o|elf)$/, '').replaceAll('/', '_');
      writeFileSync(join(out, `${stem}${suffix}.o`), bytes);
    });
  }
}

/**
 * @param {Source} source
 * @param {string} work
 */
function fetchGo({ name, version }, work) {
  const told = run('go', ['mod', 'download', '-json', `${name}@${version}`], work);
  return /** @type {{ Dir: string }} */ (JSON.parse(told)).Dir;
}

/**
 * @param {Source} source
 * @param {string} work
 */
function fetchCrate({ name, version }, work) {
  mkdirSync(join(work, 'src'), { recursive: true });
  writeFileSync(join(work, 'src/lib.rs'), '');
  const head = '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n';
  writeFileSync(join(work, 'Cargo.toml'), `${head}\n[dependencies]\n${name} = "${version}"\n`);
  run('cargo', ['vendor', '--quiet', 'vendor'], work);
  return join(work, 'vendor', name);
}

/**
 * A package of Debian, unpacked; in another version than the one asked for if that is gone.
 *
 * @param {Source} source
 * @param {string} work
 */
function fetchDebian({ name, version }, work) {
  try {
    run('apt-get', ['download', `${name}=${version}`], work);
  } catch {
    run('apt-get', ['download', name], work);
  }
  const file = readdirSync(work).find((found) => found.endsWith('.deb')) ?? '';
  if (!file.includes(version.replaceAll(':', '%3a'))) {
    console.log(`${name}: ${version} is gone, this is ${file}`);
  }
  return join(work, file);
}

/**
 * @param {Source} source
 * @param {string} work
 */
function unpackDebian(source, work) {
  const folder = join(work, 'files');
  run('dpkg-deb', ['-x', fetchDebian(source, work), folder], work);
  return folder;
}

/**
 * What of the kernel's sources is needed, from the archive inside the package.
 *
 * @param {Source} source
 * @param {string} work
 */
function unpackKernel(source, work) {
  const tree = join(work, source.name);
  if (!existsSync(tree)) {
    const patterns = KERNEL_FOLDERS.map((folder) => `'*/${folder}/*'`).join(' ');
    const archive = `dpkg-deb --fsys-tarfile "$0" | tar -xO --wildcards '*/linux-source-*.tar.xz'`;
    const script = `${archive} | xz -dc | tar -x --wildcards ${patterns}`;
    run('sh', ['-c', script, fetchDebian(source, work)], work);
  }
  return tree;
}

/**
 * Compiles sources of the kernel against the running kernel's types. Those that do not compile are
 * counted and left out: they are for another kernel.
 *
 * @param {string} tree
 * @param {Source} source
 * @param {string} out
 * @param {string} headers of libbpf
 */
function compile(tree, source, out, headers) {
  const types = join(dirname(tree), 'types');
  mkdirSync(types, { recursive: true });
  const dump = ['btf', 'dump', 'file', '/sys/kernel/btf/vmlinux', 'format', 'c'];
  writeFileSync(join(types, 'vmlinux.h'), run('bpftool', dump, tree));
  const clang = process.env.CLANG ?? 'clang-19';
  const wanted = new RegExp(source.files);
  let failed = 0;
  for (const file of filesBelow(tree).filter((path) => wanted.test(path))) {
    const name = basename(file).replace(/(\.bpf)?\.c$/, '');
    const folders = [types, headers, 'tools/testing/selftests/bpf', dirname(file)];
    folders.push('tools/include/uapi', 'tools/sched_ext/include');
    const options = ['-g', '-O2', '-w', '--target=bpf', '-mcpu=v3', '-D__TARGET_ARCH_x86'];
    const system = ['-idirafter', '/usr/include', '-idirafter', '/usr/include/x86_64-linux-gnu'];
    const inputs = ['-c', file, '-o', join(out, `${name}.bpf.o`)];
    try {
      run(
        clang,
        [...options, ...folders.map((folder) => `-I${folder}`), ...system, ...inputs],
        tree,
      );
    } catch {
      failed += 1;
    }
  }
  console.log(`${source.project}: ${failed} sources do not compile for this kernel`);
}

/**
 * The objects of a source, fetched unless they are in the cache: their paths.
 *
 * @param {Source} source
 * @param {string} cache a folder
 * @param {string} headers of libbpf, for sources that are compiled
 * @throws Error if its registry does not have it, or a tool is missing
 */
export function objectsOf(source, cache, headers) {
  const out = join(cache, 'objects', source.project);
  const done = join(out, '.complete');
  if (!existsSync(done)) {
    const work = join(cache, 'fetched', source.from, source.name.replaceAll('/', '_'));
    mkdirSync(work, { recursive: true });
    mkdirSync(out, { recursive: true });
    if (source.from === 'debian-source') {
      compile(unpackKernel(source, work), source, out, headers);
    } else {
      const fetch = { go: fetchGo, crate: fetchCrate, debian: unpackDebian }[source.from];
      collect(fetch(source, work), source, out);
    }
    writeFileSync(done, '');
  }
  const names = readdirSync(out).filter((name) => name.endsWith('.o'));
  return names.sort().map((name) => join(out, name));
}
