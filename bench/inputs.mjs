/**
 * The objects that are measured: committed fixtures, and objects with many maps or programs, which
 * are generated and compiled into bench/build/ when first needed.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import {
  BUILD,
  buildOnce,
  findBpftool,
  findClang,
  findStrip,
  ROOT,
  runTool,
  versionOf,
} from './toolchain.mjs';

/**
 * @typedef {object} Input
 * @property {string} name what tables call it
 * @property {string} path
 */

/** @typedef {Input | { missing: string }} MaybeInput either an object, or why there is none */

// Named rather than left to the compiler, whose default changes from version to version.
const TARGET = ['-target', 'bpf', '-mcpu=v3', '-O2', '-g', '-fdebug-compilation-dir=.'];

const PRELUDE = `
typedef unsigned int __u32;
typedef unsigned long long __u64;
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int (*name)[value]
#define __type(name, type) typeof(type) *name
char LICENSE[] SEC("license") = "GPL";
`;

/**
 * An object of fixtures/objects.
 * @param {string} file path below that folder
 * @param {string} [name]
 * @returns {Input}
 */
export function fixture(file, name = file) {
  return { name, path: join(ROOT, 'fixtures/objects', file) };
}

/**
 * One program and `count` hash maps, each with a struct type of its own.
 * @param {number} count
 * @returns {MaybeInput}
 */
export function manyMaps(count) {
  const maps = numbers(count).map(
    (number) => `
struct {
  __uint(type, 1);
  __uint(max_entries, ${Number(number) + 100});
  __type(key, __u32);
  __type(value, __u64);
} map_${number} SEC(".maps");`,
  );
  const program = '\nSEC("socket") int nothing(void *context) { return 0; }\n';
  return compiled(`maps-${count}`, PRELUDE + maps.join('') + program);
}

/**
 * Two maps and `count` programs that use both.
 * @param {number} count
 * @param {{ oneSection: boolean }} layout all programs in one section, or each in its own
 * @returns {MaybeInput}
 */
export function manyPrograms(count, { oneSection }) {
  const maps = ['counts', 'seen'].map(
    (name, index) => `
struct {
  __uint(type, ${index + 1});
  __uint(max_entries, 1024);
  __type(key, __u32);
  __type(value, __u64);
} ${name} SEC(".maps");`,
  );
  const lookup = '\nstatic void *(*lookup)(void *map, const void *key) = (void *)1;';
  const programs = numbers(count).map(
    (number) => `
SEC("tracepoint/syscalls/sys_enter_${oneSection ? 'openat' : number}")
int program_${number}(void *context)
{
  __u32 key = ${Number(number)};
  __u64 *value = lookup(&seen, &key);
  if (value) { *value += 1; key = *value; }
  value = lookup(&counts, &key);
  return value ? *value : 0;
}`,
  );
  return compiled(
    `programs-${count}${oneSection ? '-one-section' : ''}`,
    `${PRELUDE}${maps.join('')}${lookup}${programs.join('')}\n`,
  );
}

/**
 * An array of maps with a map declared for each of its slots.
 * @param {number} count
 * @returns {MaybeInput}
 */
export function manySlots(count) {
  const names = numbers(count).map((number) => `inner_${number}`);
  const source = `
struct inner {
  __uint(type, 2);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
};
struct inner ${names.map((name) => `${name} SEC(".maps")`).join(', ')};
struct {
  __uint(type, 12);
  __uint(max_entries, ${count});
  __type(key, __u32);
  struct inner *values[];
} outer SEC(".maps") = { .values = { ${names.map((name) => `&${name}`).join(', ')} } };
`;
  return compiled(`slots-${count}`, PRELUDE + source);
}

/**
 * A small tracing tool as people write them: vmlinux.h, CO-RE, half a dozen maps, and DWARF beside
 * BTF, since nobody strips it during development. Its size depends on the kernel it is built on.
 * @returns {MaybeInput}
 */
export function realObject() {
  const clang = findClang();
  const bpftool = findBpftool();
  if (clang === null || bpftool === null) {
    return { missing: missingTool(clang === null ? 'clang' : 'bpftool') };
  }
  try {
    const types = execFileSync(
      bpftool,
      ['btf', 'dump', 'file', '/sys/kernel/btf/vmlinux', 'format', 'c'],
      { maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const header = buildOnce('vmlinux.h', [types], (output) => writeFileSync(output, types));
    const source = readFileSync(join(ROOT, 'bench/inputs/real.bpf.c'), 'utf8');
    // The header's name contains its hash, so that the options stand for its contents too.
    const options = [
      `-DVMLINUX_H="${basename(header)}"`,
      `-D__TARGET_ARCH_${process.arch === 'x64' ? 'x86' : process.arch}`,
    ];
    return compiled('real', source, { options, keepDwarf: true });
  } catch (cause) {
    return { missing: `it cannot be built here: ${firstLine(cause)}` };
  }
}

/**
 * Compiles C to an object with BTF; DWARF is stripped, as for shipping, unless it is to be kept.
 * @param {string} name
 * @param {string} source
 * @param {{ options?: readonly string[], keepDwarf?: boolean }} [how]
 * @returns {MaybeInput}
 */
function compiled(name, source, { options = [], keepDwarf = false } = {}) {
  const clang = findClang();
  const strip = findStrip();
  if (clang === null || strip === null) {
    return { missing: missingTool(clang === null ? 'clang' : 'llvm-strip') };
  }
  const flags = [...TARGET, ...options];
  const ingredients = [source, ...flags, String(keepDwarf), versionOf(clang), versionOf(strip)];
  const path = buildOnce(`${name}.bpf.o`, ingredients, (output) => {
    runTool(clang, [...flags, `-I${BUILD}`, '-x', 'c', '-', '-c', '-o', output], source);
    if (!keepDwarf) {
      runTool(strip, ['-g', output]);
    }
  });
  return { name, path };
}

/**
 * `1` to `count`, written with leading zeros so that names sort as the numbers do.
 * @param {number} count
 */
function numbers(count) {
  return Array.from({ length: count }, (_, index) => String(index + 1).padStart(5, '0'));
}

/** @param {'clang' | 'llvm-strip' | 'bpftool'} tool */
function missingTool(tool) {
  const packages = { clang: 'clang-19', 'llvm-strip': 'llvm-19', bpftool: 'bpftool' };
  return `${tool} is missing (Debian: apt-get install ${packages[tool]})`;
}

/** @param {unknown} cause */
function firstLine(cause) {
  return (cause instanceof Error ? cause.message : String(cause)).split('\n').slice(0, 2).join(' ');
}
