/**
 * The peer in C: libbpf, driven by the programs in peers/libbpf/. By default the system's own
 * (Debian: libbpf-dev); SKEP_BENCH_LIBBPF=PREFIX takes PREFIX/include and PREFIX/lib/libbpf.a.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildOnce, findCc, ROOT, runTool, versionOf } from '../toolchain.mjs';

const SOURCES = join(ROOT, 'bench/peers/libbpf');
const HEADERS = ['measure.h', 'entries.h'];

/** @typedef {'open' | 'kernel-btf' | 'map-ops' | 'memory' | 'ring' | 'load' | 'programs' | 'held'} Program */

/**
 * Builds one of the programs.
 * @param {Program} program
 * @returns {{ path: string, version: string } | { missing: string }} its path, or why there is none
 */
export function buildLibbpf(program) {
  const cc = findCc();
  if (cc === null) {
    return {
      missing: 'libbpf is not measured: there is no C compiler (Debian: apt-get install gcc)',
    };
  }
  const prefix = process.env.SKEP_BENCH_LIBBPF;
  const include = prefix === undefined ? [] : [`-I${join(prefix, 'include')}`];
  const library = prefix === undefined ? '-lbpf' : join(prefix, 'lib/libbpf.a');
  const header = versionHeader(cc, include);
  const source = join(SOURCES, `${program}.c`);
  const ingredients = [
    readFileSync(source),
    ...HEADERS.map((name) => readFileSync(join(SOURCES, name))),
    versionOf(cc),
    header,
    library,
  ];
  try {
    const path = buildOnce(`libbpf-${program}`, ingredients, (output) => {
      runTool(cc, [
        '-O2',
        '-D_GNU_SOURCE',
        ...include,
        source,
        '-o',
        output,
        library,
        '-lelf',
        '-lz',
      ]);
    });
    return { path, version: versionIn(header) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.trim() : String(cause);
    return {
      missing: `libbpf is not measured: it does not build (Debian: apt-get install libbpf-dev libelf-dev zlib1g-dev): ${reason}`,
    };
  }
}

/**
 * The installed version header as the compiler sees it: a new libbpf needs a new build.
 * @param {string} cc
 * @param {readonly string[]} include
 */
function versionHeader(cc, include) {
  const args = [
    '-E',
    '-dM',
    ...include,
    '-include',
    'bpf/libbpf_version.h',
    '-x',
    'c',
    '/dev/null',
  ];
  return spawnSync(cc, args, { encoding: 'utf8' }).stdout ?? '';
}

/**
 * @param {string} header
 * @returns {string} e.g. `1.7`
 */
function versionIn(header) {
  const [major, minor] = ['MAJOR', 'MINOR'].map(
    (part) => new RegExp(`LIBBPF_${part}_VERSION (\\d+)`).exec(header)?.[1],
  );
  return `${major ?? '?'}.${minor ?? '?'}`;
}
