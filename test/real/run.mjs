/**
 * Loads compiled objects of other projects with libbpf and with skep and compares: what loads with
 * libbpf on this kernel must load with skep, as a whole object and each program by itself. Whether the
 * kernel got the same instructions is told, too: it makes a hash of them, the program's tag.
 *
 * Needs root, Linux, the tools of fixtures/oracle/build.sh, and those of the registries: go, cargo,
 * apt-get, dpkg-deb; for sources of the kernel also clang, bpftool, tar and xz. What cannot be
 * fetched is said and left out. Nothing is pinned or attached.
 *
 * Usage: npm run test:real [-- [--cache FOLDER] [--oracle FOLDER] [--all] [PROJECT...]]
 *   --cache   where objects are kept between runs; skep-real in the folder for temporary files
 *   --oracle  what fixtures/oracle/build.sh made; made in the cache otherwise
 *   --all     print every object, not only those that libbpf or skep refuses alone
 *
 * Exit status: 1 if libbpf loads anything that skep does not, or makes more or less of it.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { objectsOf, run } from './fetch.mjs';

/** @typedef {import('./fetch.mjs').Source} Source */
/** @typedef {{ maps: number, programs: number }} Made */
/** @typedef {{ error: number | string, message?: string, made?: Made, tags?: Record<string, string>, milliseconds?: number }} Attempt */
/** @typedef {{ error: number, tag?: string }} Reference */
/** @typedef {{ file: string, crashed?: number, skipped?: string, open?: number, load?: number, log?: string | null, made?: Made, programs?: Record<string, Reference>, skep?: { whole: Attempt, programs: Record<string, Attempt> } }} Line */

const here = fileURLToPath(new URL('.', import.meta.url));
const root = fileURLToPath(new URL('../..', import.meta.url));
/** Maps that would take more memory get fewer entries, in both loaders. */
const MAX_MEGABYTES = '64';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cache: { type: 'string', default: join(tmpdir(), 'skep-real') },
    oracle: { type: 'string' },
    all: { type: 'boolean', default: false },
  },
});

/** libbpf's loader; and where the headers of its version are. */
function buildOracle() {
  const folder = values.oracle ?? join(values.cache, 'oracle');
  if (!existsSync(join(folder, 'libbpf/lib/libbpf.a'))) {
    run('sh', [join(root, 'fixtures/oracle/build.sh'), folder], root);
  }
  const headers = join(folder, 'libbpf/include');
  const program = join(values.cache, 'libbpf-each');
  const library = join(folder, 'libbpf/lib/libbpf.a');
  const source = join(here, 'libbpf-each.c');
  run('cc', ['-O2', '-o', program, source, `-I${headers}`, library, '-lelf', '-lz'], root);
  return { program, headers };
}

/**
 * Gives lines to a program and takes the lines it prints, each of them JSON.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {readonly string[]} lines
 */
function filter(command, args, lines) {
  const input = lines.map((line) => `${line}\n`).join('');
  const options = { input, maxBuffer: 1 << 30 };
  const { status, signal, stdout, stderr } = spawnSync(command, args, options);
  if (status !== 0) {
    throw new Error(`${command} ended with ${signal ?? status}: ${stderr}`);
  }
  return `${stdout}`.trim().split('\n');
}

/** @param {number | string} error */
const word = (error) =>
  error === 0 ? 'loads' : typeof error === 'number' ? `errno ${error}` : error;

/** Counts of one project. */
class Totals {
  objects = 0;
  left = 0;
  libbpf = 0;
  skep = 0;
  programs = 0;
  programsOfLibbpf = 0;
  programsOfSkep = 0;
  /** Programs loaded by both. */
  compared = 0;
  sameTag = 0;
  /** Bugs. */
  failures = 0;
}

/**
 * One program by itself.
 *
 * @param {Totals} totals
 * @param {string} label
 * @param {string} name
 * @param {Reference} reference
 * @param {Attempt} attempt
 */
function compareProgram(totals, label, name, reference, attempt) {
  totals.programs += 1;
  totals.programsOfLibbpf += Number(reference.error === 0);
  totals.programsOfSkep += Number(attempt.error === 0);
  if (reference.error !== 0) {
    return;
  }
  if (attempt.error !== 0) {
    totals.failures += 1;
    console.log(`  FAILS ${label}, program ${name}: ${attempt.message}`);
    return;
  }
  const tag = attempt.tags?.[name];
  totals.compared += 1;
  totals.sameTag += Number(tag === reference.tag);
  if (tag !== reference.tag) {
    console.log(
      `  other code in ${label}, program ${name}: tag ${tag}, of libbpf ${reference.tag}`,
    );
  }
}

/**
 * @param {Totals} totals
 * @param {string} label
 * @param {Line} line
 */
function compare(totals, label, line) {
  const { skep, made, log } = line;
  totals.objects += 1;
  if (skep === undefined || line.crashed !== undefined) {
    totals.left += 1;
    const why =
      line.skipped === undefined ? `libbpf crashed (signal ${line.crashed})` : 'too large';
    console.log(`  left out ${label}: ${why}`);
    return;
  }
  const reference = line.open || line.load || 0;
  const { error, message } = skep.whole;
  totals.libbpf += Number(reference === 0);
  totals.skep += Number(error === 0);
  if (reference === 0 && error !== 0) {
    totals.failures += 1;
    console.log(`  FAILS ${label}: ${message}`);
  } else if (reference === 0 && JSON.stringify(made) !== JSON.stringify(skep.whole.made)) {
    const [ours, theirs] = [JSON.stringify(skep.whole.made), JSON.stringify(made)];
    totals.failures += 1;
    console.log(`  DIFFERS ${label}: made ${ours}, libbpf ${theirs}`);
  } else if (error === 0 && reference !== 0) {
    console.log(`  only skep loads ${label}: errno ${reference}, ${log ?? 'no message'}`);
  } else if (values.all) {
    console.log(`  ${label}: libbpf ${word(reference)}, skep ${word(error)}`);
  }
  for (const [name, program] of Object.entries(line.programs ?? {})) {
    const attempt = skep.programs[name] ?? { error: 'absent', message: 'skep does not see it' };
    compareProgram(totals, label, name, program, attempt);
  }
}

/**
 * Everything of one project; undefined if it cannot be had here.
 *
 * @param {Source} source
 * @param {{ program: string, headers: string }} oracle
 */
function compareProject(source, oracle) {
  console.log(`${source.project}: ${source.name} ${source.version}`);
  const totals = new Totals();
  /** @type {string[]} */
  let files = [];
  try {
    files = objectsOf(source, values.cache, oracle.headers);
  } catch (error) {
    console.log(`  cannot be fetched: ${error instanceof Error ? error.message : error}`);
    return totals;
  }
  if (files.length > 0) {
    const references = filter(oracle.program, [MAX_MEGABYTES], files);
    for (const text of filter(process.execPath, [join(here, 'skep-each.mjs')], references)) {
      const line = /** @type {Line} */ (JSON.parse(text));
      compare(totals, relative(join(values.cache, 'objects'), line.file), line);
    }
  }
  return totals;
}

const COLUMNS = /** @type {const} */ ([
  ['objects', 'objects'],
  ['left', 'left out'],
  ['libbpf', 'libbpf loads'],
  ['skep', 'skep loads'],
  ['programs', 'programs'],
  ['programsOfLibbpf', 'libbpf loads'],
  ['programsOfSkep', 'skep loads'],
  ['compared', 'both load'],
  ['sameTag', 'same code'],
]);

/** @param {readonly (string | number)[]} cells */
const row = (cells) => console.log(`| ${cells.join(' | ')} |`);

function main() {
  if (!existsSync(join(root, 'dist/index.js'))) {
    throw new Error('dist/ is missing; npm run build makes it');
  }
  mkdirSync(values.cache, { recursive: true });
  const oracle = buildOracle();
  const list = readFileSync(join(here, 'objects.json'), 'utf8');
  const sources = /** @type {Source[]} */ (JSON.parse(list));
  const wanted = sources.filter(
    ({ project }) => positionals.length === 0 || positionals.includes(project),
  );
  const results = wanted.map((source) => ({ source, totals: compareProject(source, oracle) }));
  console.log('');
  row(['project', ...COLUMNS.map(([, title]) => title)]);
  row(['---', ...COLUMNS.map(() => '--:')]);
  for (const { source, totals } of results) {
    row([source.project, ...COLUMNS.map(([field]) => totals[field])]);
  }
  const sum = (/** @type {keyof Totals} */ field) =>
    results.reduce((total, { totals }) => total + totals[field], 0);
  row(['all', ...COLUMNS.map(([field]) => sum(field))]);
  const failures = sum('failures');
  console.log(`\n${sum('objects')} objects, ${failures} differences`);
  return failures === 0 && sum('objects') > 0 ? 0 : 1;
}

process.exitCode = main();
