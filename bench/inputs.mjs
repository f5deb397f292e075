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
  reasonOf,
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
 * One program, and a global variable whose type holds `count` structs of four members each: nothing but
 * BTF, two types for each of them.
 * @param {number} count
 * @returns {MaybeInput}
 */
export function manyTypes(count) {
  const structs = numbers(count).map(
    (number) => `
struct record_${number} {
  __u32 id_${number};
  char tag_${number}[${(Number(number) % 64) + 4}];
  struct { __u32 low, high; } part_${number};
};`,
  );
  const members = numbers(count).map((number) => `struct record_${number} of_${number};`);
  const all = `\nstruct all { ${members.join(' ')} } all;\n`;
  const program = 'SEC("socket") int first(void *context) { return all.of_00001.id_00001; }\n';
  return compiled(`types-${count}`, PRELUDE + structs.join('') + all + program);
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
  const source = readFileSync(join(ROOT, 'bench/inputs/real.bpf.c'), 'utf8');
  return compiledForKernel('real', source, { keepDwarf: true });
}

/** Members of structs that kernels have had for long, for programs to read. */
const MEMBERS = [
  ['task_struct', ['pid', 'tgid', 'flags', 'prio', 'static_prio', 'normal_prio', 'exit_code']],
  ['task_struct', ['exit_signal', 'start_time', 'utime', 'stime', 'nvcsw', 'nivcsw', 'min_flt']],
  ['mm_struct', ['start_code', 'end_code', 'start_data', 'end_data', 'start_brk', 'brk']],
];

/**
 * Programs that read 20 members of the kernel's structs each, all by CO-RE.
 * @param {number} count
 * @returns {MaybeInput}
 */
export function manyCoreReads(count) {
  const offsets = MEMBERS.flatMap(([struct, members]) =>
    [members].flat().map((member) => `OFFSET(struct ${struct}, ${member})`),
  );
  const programs = numbers(count).map(
    (number) => `
SEC("socket") int program_${number}(void *context)
{
  volatile __u64 sum = ${Number(number)};
  ${offsets.map((offset) => `sum += ${offset};`).join('\n  ')}
  return sum;
}`,
  );
  return compiledForKernel(`core-${count}`, `${CORE_PRELUDE}${programs.join('')}\n`);
}

/** Structs that kernels have had for long. */
const ROOT_TYPES = `task_struct mm_struct file inode dentry super_block vm_area_struct page cred
  signal_struct sighand_struct nsproxy files_struct fs_struct path qstr list_head hlist_node rb_node
  sk_buff net_device sock socket net module kobject device bus_type class request_queue bio gendisk
  block_device address_space pid timespec64 wait_queue_head work_struct timer_list mutex`.split(
  /\s+/,
);

/**
 * One program that asks for a type and its size of each of 40 types of the kernel.
 * @returns {MaybeInput}
 */
export function manyRootTypes() {
  const sums = ROOT_TYPES.map(
    (type) => `sum += __builtin_preserve_type_info(*(struct ${type} *)0, 1);`,
  );
  const program = `
SEC("socket") int program(void *context)
{
  volatile __u64 sum = 0;
  ${sums.join('\n  ')}
  return sum;
}
`;
  return compiledForKernel('root-types', CORE_PRELUDE + program);
}

/** BPF_FIELD_BYTE_OFFSET is 0. */
const CORE_PRELUDE = `
#include VMLINUX_H
#define SEC(name) __attribute__((section(name), used))
#define OFFSET(type, member) __builtin_preserve_field_info(((type *)0)->member, 0)
char LICENSE[] SEC("license") = "GPL";
`;

/**
 * Compiles C that includes VMLINUX_H, the types of the running kernel.
 * @param {string} name
 * @param {string} source
 * @param {{ keepDwarf?: boolean }} [how]
 * @returns {MaybeInput}
 */
function compiledForKernel(name, source, how = {}) {
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
    // The header's name contains its hash, so that the options stand for its contents too.
    const options = [
      `-DVMLINUX_H="${basename(header)}"`,
      `-D__TARGET_ARCH_${process.arch === 'x64' ? 'x86' : process.arch}`,
    ];
    return compiled(name, source, { options, ...how });
  } catch (cause) {
    return { missing: `it cannot be built here: ${reasonOf(cause)}` };
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
    const args = [...flags, `-I${BUILD}`, '-x', 'c', '-', '-c', '-o', output];
    runTool(clang, args, { input: source });
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
