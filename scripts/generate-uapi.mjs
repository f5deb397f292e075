// Writes src/uapi/*.ts: the constants of bpf(2), BTF and instructions as tables, read from the
// kernel's headers.
//
//   node scripts/generate-uapi.mjs PATH/TO/bpf.h [ASM_GENERIC]
//
// PATH/TO/bpf.h is include/uapi/linux/bpf.h inside a copy of libbpf (the crate `libbpf-sys` ships
// one as libbpf/include/uapi/linux/bpf.h). btf.h and bpf_common.h are read from beside it, the version
// from that copy's src/libbpf_version.h. ASM_GENERIC is the folder with errno.h and errno-base.h
// (default /usr/include/asm-generic), which x86-64 and arm64 share.
//
// Only what these headers use is understood: enumerators and object-like #defines whose value is a
// number, a shift of numbers, an earlier name or a union of bits. Everything else is an error, not a guess.

import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @typedef {{ name: string, value: number, note?: string }} Constant */
/** @typedef {{ uapi: (about: string) => string, errno: (about: string) => string }} Banner */

const OUTPUT = join(dirname(fileURLToPath(import.meta.url)), '..', 'src', 'uapi');

// What the kernel has and the newest published copy of the header has not yet. An entry that a
// later header brings along must agree with it, and can then be deleted here.
const NOT_YET_IN_HEADER = 'not yet in the header this file was generated from';
/** @type {{ map: Constant[], attach: Constant[] }} */
const ADDITIONS = {
  map: [{ name: 'BPF_MAP_TYPE_RHASH', value: 35, note: NOT_YET_IN_HEADER }],
  attach: [
    { name: 'BPF_TRACE_FENTRY_MULTI', value: 59, note: NOT_YET_IN_HEADER },
    { name: 'BPF_TRACE_FEXIT_MULTI', value: 60, note: NOT_YET_IN_HEADER },
    { name: 'BPF_TRACE_FSESSION_MULTI', value: 61, note: NOT_YET_IN_HEADER },
  ],
};

// include/linux/errno.h of the kernel, not part of its uapi; bpf(2) returns it all the same.
/** @type {Constant} */
const ENOTSUPP = {
  name: 'ENOTSUPP',
  value: 524,
  note: 'internal to the kernel, but bpf(2) leaks it',
};

/** @param {string} text */
function withoutComments(text) {
  return text.replace(/\/\*[\s\S]*?\*\//g, ' ').replace(/\/\/.*$/gm, ' ');
}

/**
 * The value of a constant expression as these headers write them.
 * @param {string} expression
 * @param {readonly Constant[]} known
 * @returns {number}
 */
function evaluate(expression, known) {
  const text = expression.trim().replace(/^\((.*)\)$/, '$1');
  const bits = text.split('|');
  if (bits.length > 1) return bits.reduce((sum, bit) => sum | evaluate(bit, known), 0);
  const shift = /^(\d+)U?\s*<<\s*(\d+)$/.exec(text);
  if (shift !== null) return Number(shift[1]) * 2 ** Number(shift[2]);
  if (/^(0x[0-9a-f]+|\d+)$/i.test(text)) return Number(text);
  const named = known.find(({ name }) => name === text);
  if (named === undefined) throw new Error(`cannot evaluate "${expression}"`);
  return named.value;
}

/**
 * The enumerators of the enum whose first one is `first`, without the end markers.
 * @param {string} header
 * @param {string} first
 */
function enumerators(header, first) {
  const body = new RegExp(`enum\\s*\\w*\\s*\\{\\s*(${first}\\b[^}]*)\\}`).exec(header)?.[1];
  if (body === undefined) throw new Error(`no enum starts with ${first}`);
  /** @type {Constant[]} */
  const constants = [];
  let next = 0;
  for (const item of body.split(',').filter((text) => text.trim() !== '')) {
    const [name = '', expression] = item.split('=').map((text) => text.trim());
    const value = expression === undefined ? next : evaluate(expression, constants);
    next = value + 1;
    if (/^(__MAX_|NR_)|_MAX$/.test(name)) break; // The markers close every one of these enums.
    constants.push({ name, value });
  }
  return constants;
}

/**
 * The object-like macros whose name matches, in order.
 * @param {string} header
 * @param {RegExp} wanted
 */
function defines(header, wanted) {
  /** @type {Constant[]} */
  const constants = [];
  for (const [, name = '', expression = ''] of header.matchAll(
    /^#define[ \t]+(\w+)[ \t]+(.+)$/gm,
  )) {
    if (wanted.test(name)) constants.push({ name, value: evaluate(expression, constants) });
  }
  if (constants.length === 0) throw new Error(`no #define matches ${wanted}`);
  return constants;
}

/**
 * The object-like macros with these names, in this order; all must be there.
 * @param {string} header
 * @param {string} prefix of every name
 * @param {string} names separated by spaces
 */
function listed(header, prefix, names) {
  const wanted = names.split(' ').map((name) => prefix + name);
  const found = defines(header, new RegExp(`^(${wanted.join('|')})$`));
  return wanted.map((name) => {
    const constant = found.find((one) => one.name === name);
    if (constant === undefined) throw new Error(`no #define of ${name}`);
    return constant;
  });
}

/**
 * Appends what the header lacks; refuses a header that says otherwise.
 * @param {readonly Constant[]} constants
 * @param {readonly Constant[]} additions
 */
function complete(constants, additions) {
  const result = [...constants];
  for (const addition of additions) {
    const same = constants.find(({ name }) => name === addition.name);
    if (same === undefined) result.push(addition);
    else if (same.value !== addition.value) {
      throw new Error(`${addition.name} is ${same.value} in the header, ${addition.value} here`);
    }
  }
  return result;
}

/**
 * `export const NAME = Object.freeze({ ... } as const);`
 * @param {string} name
 * @param {string} prefix dropped from every key
 * @param {readonly Constant[]} constants
 * @param {(value: number) => string} [print]
 */
function objectTable(name, prefix, constants, print = String) {
  const rows = constants.map(({ name: constant, value, note }) => {
    if (!constant.startsWith(prefix)) throw new Error(`${constant} lacks ${prefix}`);
    const comment = note === undefined ? '' : ` // ${note}`;
    return `  ${constant.slice(prefix.length)}: ${print(value)},${comment}\n`;
  });
  return `export const ${name} = Object.freeze({\n${rows.join('')}} as const);\n`;
}

/**
 * The rows of an array of names, indexed by number. Of two names for one number the one not marked
 * deprecated wins, else the first.
 * @param {readonly Constant[]} constants
 * @param {(name: string) => string} spell
 */
function nameRows(constants, spell) {
  /** @type {string[]} */
  const names = [];
  for (const { name, value } of constants) {
    const taken = names[value];
    if (taken === undefined || taken.endsWith('_DEPRECATED')) names[value] = name;
  }
  for (let value = 0; value < names.length; value += 1) {
    if (names[value] === undefined) throw new Error(`no name for ${value}`);
  }
  return names.map((name) => `  '${spell(name)}',\n`).join('');
}

/**
 * A function that spells a constant as the tools do: without the prefix, in lower case.
 * @param {string} prefix
 */
function lowerCase(prefix) {
  return (/** @type {string} */ name) => name.slice(prefix.length).toLowerCase();
}

/**
 * @param {Banner} banner
 * @param {string} header
 */
function mapTypes(banner, header) {
  const prefix = 'BPF_MAP_TYPE_';
  const constants = complete(enumerators(header, 'BPF_MAP_TYPE_UNSPEC'), ADDITIONS.map);
  return `${banner.uapi('The map types of bpf(2): enum bpf_map_type of include/uapi/linux/bpf.h.')}
/** The map types by the kernel's names, without \`${prefix}\`. */
${objectTable('BPF_MAP_TYPE', prefix, constants)}
const NAMES: readonly string[] = [
${nameRows(constants, lowerCase(prefix))}];

const NUMBERS: ReadonlyMap<string, number> = new Map(NAMES.map((name, type) => [name, type]));

/**
 * The name of a map type as bpftool and \`libbpf_bpf_map_type_str\` spell it: \`hash_of_maps\`.
 * The deprecated types go by their old names: \`cgroup_storage\`, \`percpu_cgroup_storage\`. A number
 * newer than this table gives \`type_99\`; never throws.
 */
export function mapTypeName(type: number): string {
  return NAMES[type] ?? \`type_\${type}\`;
}

/** The inverse of {@link mapTypeName}: the number of a map type, undefined for any other text. */
export function mapTypeNumber(name: string): number | undefined {
  return NUMBERS.get(name);
}
`;
}

/**
 * @param {Banner} banner
 * @param {string} header
 */
function programTypes(banner, header) {
  const prefix = 'BPF_PROG_TYPE_';
  const constants = enumerators(header, 'BPF_PROG_TYPE_UNSPEC');
  return `${banner.uapi('The program types of bpf(2): enum bpf_prog_type of include/uapi/linux/bpf.h.')}
/** The program types by the kernel's names, without \`${prefix}\`. */
${objectTable('BPF_PROG_TYPE', prefix, constants)}
const NAMES: readonly string[] = [
${nameRows(constants, lowerCase(prefix))}];

/**
 * The name of a program type as bpftool and \`libbpf_bpf_prog_type_str\` spell it: \`sched_cls\`;
 * \`unspec\` for 0. A number newer than this table gives \`type_99\`; never throws.
 */
export function programTypeName(type: number): string {
  return NAMES[type] ?? \`type_\${type}\`;
}
`;
}

/**
 * @param {Banner} banner
 * @param {string} header
 */
function attachTypes(banner, header) {
  const prefix = 'BPF_';
  const constants = complete(enumerators(header, 'BPF_CGROUP_INET_INGRESS'), ADDITIONS.attach);
  return `${banner.uapi('The attach types of bpf(2): enum bpf_attach_type of include/uapi/linux/bpf.h.')}
/**
 * The attach types by the kernel's names, without \`${prefix}\`. 0 is CGROUP_INET_INGRESS, not "none":
 * whether a program has an expected attach type at all depends on its program type.
 */
${objectTable('BPF_ATTACH_TYPE', prefix, constants)}
const NAMES: readonly string[] = [
${nameRows(constants, lowerCase(prefix))}];

/**
 * The name of an attach type as \`libbpf_bpf_attach_type_str\` spells it: \`trace_fentry\`. A number
 * newer than this table gives \`type_99\`, where libbpf gives NULL; never throws.
 */
export function attachTypeName(type: number): string {
  return NAMES[type] ?? \`type_\${type}\`;
}
`;
}

/**
 * @param {Banner} banner
 * @param {string} header
 */
function commands(banner, header) {
  const constants = enumerators(header, 'BPF_MAP_CREATE');
  return `${banner.uapi('The commands of bpf(2): enum bpf_cmd of include/uapi/linux/bpf.h.')}
/** The first argument of bpf(2) by the kernel's names, without \`BPF_\`. */
${objectTable('BPF_CMD', 'BPF_', constants)}
const NAMES: readonly string[] = [
${nameRows(constants, (name) => name)}];

/**
 * The kernel's full name of a command, as the manual and strace print it: \`BPF_MAP_CREATE\`. Command
 * 10 is BPF_PROG_TEST_RUN, which the kernel also calls BPF_PROG_RUN. A number newer than this table
 * gives \`command_99\`; never throws.
 */
export function commandName(command: number): string {
  return NAMES[command] ?? \`command_\${command}\`;
}
`;
}

/**
 * @param {Banner} banner
 * @param {string} header
 */
function mapFlags(banner, header) {
  const create = enumerators(header, 'BPF_F_NO_PREALLOC');
  // BPF_ANY and its like carry no F, BPF_F_LOCK does: one table without either prefix.
  const update = enumerators(header, 'BPF_ANY').map(({ name, value }) => ({
    name: name.replace(/^BPF_(F_)?/, ''),
    value,
  }));
  const hex = (/** @type {number} */ value) => `0x${value.toString(16)}`;
  return `${banner.uapi('The flags of maps: two anonymous enums of include/uapi/linux/bpf.h.')}
/** The bits of \`map_flags\` (BPF_MAP_CREATE) by the kernel's names, without \`BPF_F_\`. */
${objectTable('BPF_F', 'BPF_F_', create, hex)}
/**
 * The flags of BPF_MAP_UPDATE_ELEM, without \`BPF_\` or \`BPF_F_\`. LOCK is also taken by lookups. ANY,
 * NOEXIST and EXIST exclude each other; the others are bits. With CPU the upper 32 bits of the
 * 64-bit flags are the number of the CPU.
 */
${objectTable('BPF_UPDATE', '', update)}
const BITS: readonly (readonly [name: string, bit: number])[] = Object.entries(BPF_F);

/**
 * The names of the bits set in \`map_flags\` (a u32), lowest bit first, as in {@link BPF_F}; bits newer
 * than this table come last as one hexadecimal number: \`['NO_PREALLOC', '0x80000000']\`.
 */
export function mapFlagNames(flags: number): string[] {
  const names: string[] = [];
  let rest = flags >>> 0;
  for (const [name, bit] of BITS) {
    if ((rest & bit) === 0) continue;
    names.push(name);
    rest = (rest & ~bit) >>> 0;
  }
  if (rest !== 0) names.push(\`0x\${rest.toString(16)}\`);
  return names;
}
`;
}

/**
 * @param {Banner} banner
 * @param {string} folder
 */
function errors(banner, folder) {
  const text = ['errno-base.h', 'errno.h'].map((file) => readFileSync(join(folder, file), 'utf8'));
  const constants = defines(withoutComments(text.join('\n')), /^E[A-Z0-9]+$/);
  return `${banner.errno('The error numbers of Linux on x86-64 and arm64: asm-generic/errno-base.h and errno.h.')}
/**
 * The errno values by name. EWOULDBLOCK and EDEADLOCK are second names of EAGAIN and EDEADLK.
 * ENOTSUPP (524) is not the ENOTSUP of C, which is EOPNOTSUPP (95).
 */
${objectTable('ERRNO', '', [...constants, ENOTSUPP])}
// Entered backwards, so that of two names for one number the first one stays.
const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(ERRNO)
    .reverse()
    .map(([name, number]) => [number, name]),
);

/**
 * The name of an error number: 2 and -2 (as a system call returns it inside the kernel) both give
 * \`ENOENT\`. A number without a name gives \`errno_4001\`; never throws.
 */
export function errnoName(number: number): string {
  const positive = Math.abs(number);
  return NAMES.get(positive) ?? \`errno_\${positive}\`;
}
`;
}

/**
 * @param {Banner} banner
 * @param {string} header
 */
function btfKinds(banner, header) {
  const prefix = 'BTF_KIND_';
  const kinds = enumerators(header, 'BTF_KIND_UNKN');
  // Kind 0 is never written: it is the type with id 0, which every tool but the header calls void.
  const spell = (/** @type {string} */ name) =>
    name === 'BTF_KIND_UNKN' ? 'void' : lowerCase(prefix)(name);
  const encodings = defines(header, /^BTF_INT_(SIGNED|CHAR|BOOL)$/);
  return `${banner.uapi('The kinds of BTF types: include/uapi/linux/btf.h.')}
/** The kinds of BTF types by the kernel's names, without \`${prefix}\`. UNKN is never written. */
${objectTable('BTF_KIND', prefix, kinds)}
/** The bits of the encoding of a BTF_KIND_INT, without \`BTF_INT_\`; no bit set means unsigned. */
${objectTable('BTF_INT', 'BTF_INT_', encodings)}
/**
 * The names of the kinds, indexed by kind, as \`bpftool btf dump\` prints them but in lower case;
 * \`void\` for 0, the kind of type id 0.
 */
export const BTF_KIND_NAMES = Object.freeze([
${nameRows(kinds, spell)}] as const);

/** The name of a kind that this table knows. */
export type BtfKindName = (typeof BTF_KIND_NAMES)[number];

/** The name of a kind; a number newer than this table gives \`kind_99\`. Never throws. */
export function btfKindName(kind: number): string {
  return BTF_KIND_NAMES[kind] ?? \`kind_\${kind}\`;
}
`;
}

/**
 * @param {Banner} banner
 * @param {string} header bpf_common.h and bpf.h
 */
function opcodes(banner, header) {
  const hex = (/** @type {number} */ value) => `0x${value.toString(16)}`;
  /** @param {string} name @param {string} names @param {string} [prefix] */
  const table = (name, names, prefix = 'BPF_') =>
    objectTable(name, prefix, listed(header, prefix, names), hex);
  return `${banner.uapi('The parts of instructions: bpf_common.h and bpf.h of include/uapi/linux.')}
/** The class of an instruction: the lowest 3 bits of its opcode. */
${table('BPF_CLASS', 'LD LDX ST STX ALU JMP JMP32 ALU64')}
/** The size of a load or store: bits 3 and 4 of its opcode. */
${table('BPF_SIZE', 'W H B DW')}
/** The mode of a load or store: the highest 3 bits of its opcode. */
${table('BPF_MODE', 'IMM ABS IND MEM MEMSX ATOMIC')}
/** Where the second operand of arithmetic or a jump comes from, bit 3: a number (K), a register (X). */
${table('BPF_SRC', 'K X')}
/** The operation of arithmetic: the highest 4 bits of its opcode. */
${table('BPF_ALU_OP', 'ADD SUB MUL DIV OR AND LSH RSH NEG MOD XOR MOV ARSH END')}
/** The operation of a jump: the highest 4 bits of its opcode. */
${table('BPF_JMP_OP', 'JA JEQ JGT JGE JSET JNE JSGT JSGE CALL EXIT JLT JLE JSLT JSLE JCOND')}
/** The operation of an atomic access: its immediate. FETCH is a bit that goes with the first four. */
${table('BPF_ATOMIC_OP', 'ADD OR AND XOR FETCH XCHG CMPXCHG LOAD_ACQ STORE_REL')}
/** What the source register of a 64-bit load of a number says about the number. */
${table('BPF_PSEUDO', 'MAP_FD MAP_VALUE BTF_ID FUNC MAP_IDX MAP_IDX_VALUE', 'BPF_PSEUDO_')}
/** What the source register of a call says about its target; 0 is a helper. */
${table('BPF_PSEUDO_CALLS', 'CALL KFUNC_CALL', 'BPF_PSEUDO_')}`;
}

/**
 * @param {Banner} banner
 * @param {string} header
 */
function helpers(banner, header) {
  /** @type {Constant[]} */
  const constants = [];
  for (const [, name = '', value] of header.matchAll(/\bFN\((\w+), (\d+), ##ctx\)/g)) {
    constants.push({ name, value: Number(value) });
  }
  if (constants.length === 0) throw new Error('no list of helpers');
  return `${banner.uapi('The helper functions: ___BPF_FUNC_MAPPER of include/uapi/linux/bpf.h.')}
/** The number of each helper by its name, without \`bpf_\`. */
${objectTable('BPF_FUNC', '', constants)}
const NAMES: readonly string[] = [
${nameRows(constants, (name) => name)}];

/**
 * The name of a helper as the kernel's log and bpftool print it: \`bpf_map_lookup_elem\`; undefined for
 * a number that this table does not have. Helper 0 is \`bpf_unspec\`, which no program may call.
 */
export function helperName(number: number): string | undefined {
  const name = NAMES[number];
  return name === undefined ? undefined : \`bpf_\${name}\`;
}
`;
}

/**
 * @param {Banner} banner
 * @param {string} header
 */
function coreKinds(banner, header) {
  const prefix = 'BPF_CORE_';
  const constants = enumerators(header, 'BPF_CORE_FIELD_BYTE_OFFSET');
  return `${banner.uapi('What CO-RE relocations ask for: enum bpf_core_relo_kind of include/uapi/linux/bpf.h.')}
/** The kinds of CO-RE relocations by the kernel's names, without \`${prefix}\`. */
${objectTable('BPF_CORE', prefix, constants)}
const NAMES = Object.freeze([
${nameRows(constants, lowerCase(prefix))}] as const);

/** The name of a kind of CO-RE relocation. */
export type CoreKindName = (typeof NAMES)[number];

/** The name of a kind, \`field_byte_offset\`; undefined for a number that this table does not have. */
export function coreKindName(kind: number): CoreKindName | undefined {
  return NAMES[kind];
}
`;
}

/**
 * The first lines of every generated file.
 * @param {string} bpfHeader
 * @returns {Banner}
 */
function banners(bpfHeader) {
  const version = readFileSync(join(dirname(bpfHeader), '../../../src/libbpf_version.h'), 'utf8');
  const [major, minor] = defines(withoutComments(version), /^LIBBPF_M(AJOR|INOR)_VERSION$/);
  if (major === undefined || minor === undefined) throw new Error('no version of libbpf');
  const libbpf = `libbpf ${major.value}.${minor.value}`;
  const command = 'node scripts/generate-uapi.mjs PATH/TO/bpf.h';
  return {
    uapi: (about) => `// ${about}
// Generated from the copy in ${libbpf}, do not edit:
//   ${command}
`,
    errno: (about) => `// ${about}
// Generated from the system's headers (its neighbours from ${libbpf}), do not edit:
//   ${command}
`,
  };
}

function main() {
  const [bpfHeader, asmGeneric = '/usr/include/asm-generic'] = process.argv.slice(2);
  if (bpfHeader === undefined) {
    console.error('usage: node scripts/generate-uapi.mjs PATH/TO/bpf.h [ASM_GENERIC]');
    process.exitCode = 2;
    return;
  }
  const banner = banners(bpfHeader);
  const bpf = withoutComments(readFileSync(bpfHeader, 'utf8'));
  const beside = (/** @type {string} */ file) =>
    withoutComments(readFileSync(join(dirname(bpfHeader), file), 'utf8'));
  const files = {
    'map-types.ts': mapTypes(banner, bpf),
    'program-types.ts': programTypes(banner, bpf),
    'attach-types.ts': attachTypes(banner, bpf),
    'commands.ts': commands(banner, bpf),
    'map-flags.ts': mapFlags(banner, bpf),
    'errno.ts': errors(banner, asmGeneric),
    'btf-kinds.ts': btfKinds(banner, beside('btf.h')),
    'opcodes.ts': opcodes(banner, `${beside('bpf_common.h')}\n${bpf}`),
    'helpers.ts': helpers(banner, bpf),
    'core-kinds.ts': coreKinds(banner, bpf),
  };
  // Written only when all could be made, so that an unexpected header leaves no mixture behind.
  for (const [file, text] of Object.entries(files)) writeFileSync(join(OUTPUT, file), text);
}

main();
