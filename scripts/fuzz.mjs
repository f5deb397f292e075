/**
 * Fuzzes what reads files that others made. See docs/fuzzing.md.
 *
 * Usage: npm run fuzz -- [--minutes N] [--seed N] [--target NAME...] [--out DIRECTORY]
 *        [--save-corpus] [--replay FILE]
 *
 * One thread fuzzes, this one watches: an input that does not end, or takes all memory, ends that
 * thread, is saved, and another thread goes on. Exit status: 0, 1 for findings, 2 for wrong usage.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Command, InvalidArgumentError } from 'commander';
import { compile } from '../test/fuzz/instrument.mjs';

/** @import { Order, Progress, Report } from '../test/fuzz/order.ts' */
/** @import { Finding } from '../test/fuzz/judge.ts' */
/** @import { Recipe } from '../test/fuzz/recipe.ts' */

/**
 * @typedef {object} Options
 * @property {number} minutes
 * @property {number} seed
 * @property {string[]} [target]
 * @property {string} out
 * @property {boolean} [saveCorpus]
 * @property {string} [replay]
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CORPUS = join(ROOT, 'test/fuzz/corpus');
const TARGETS = ['obj', 'btf', 'ext', 'core', 'codec', 'load', 'kconfig', 'log'];
/** An input that takes longer is taken to run for ever. */
const HANG_MILLISECONDS = 10_000;
const LOOK_MILLISECONDS = 250;
/** Room for the text of an input. */
const TEXT_BYTES = 1 << 20;
/** Memory of the thread that fuzzes; inputs have some kilobytes. */
const HEAP_MEGABYTES = 512;

/** @param {string} text */
function number(text) {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0)) {
    throw new InvalidArgumentError('Expected a number.');
  }
  return value;
}

/** @type {Options} */
const options = new Command('fuzz')
  .option('--minutes <n>', 'how long', number, 1)
  .option('--seed <n>', 'what is chosen by', number, Date.now() % 1_000_000)
  .option('--target <name...>', `what is fuzzed: ${TARGETS.join(', ')}; all of them by default`)
  .option('--out <directory>', 'where findings go', join(ROOT, 'coverage/fuzz'))
  .option('--save-corpus', 'put the inputs that reach most into test/fuzz/corpus/')
  .option('--replay <file>', 'run one finding')
  .parse()
  .opts();

const targets = options.target ?? TARGETS;
for (const name of targets) {
  if (!TARGETS.includes(name)) {
    console.error(`there is no target "${name}"; there are ${TARGETS.join(', ')}`);
    process.exit(2);
  }
}

console.log(`seed ${options.seed}`);
// Inside the checkout, as what is compiled looks for packages.
const compiled = join(ROOT, `node_modules/.cache/skep-fuzz-${process.pid}`);
process.on('exit', () => rmSync(compiled, { recursive: true, force: true }));
const built = compile(ROOT, 'test/fuzz/worker.ts', compiled);
/** @type {typeof import('../test/fuzz/order.ts')} */
const { STATE, STATE_WORDS } = await import(pathToFileURL(join(built.entry, '../order.js')).href);

/** Everything found so far, by all threads. */
const findings = /** @type {Map<string, string>} */ (new Map());
const reached = /** @type {Set<number>} */ (new Set());
let inputsBefore = 0;
const start = performance.now();
const end = start + options.minutes * 60_000;

/** @param {Recipe} recipe */
function shortText(recipe) {
  return recipe.parts.map(({ base, edits }) => `${base} with ${edits.length} edits`).join(', ');
}

/**
 * Saves a finding and tells of it.
 *
 * @param {Finding} finding
 * @param {Recipe} recipe
 */
function save(finding, recipe) {
  if (findings.has(finding.signature)) {
    return;
  }
  mkdirSync(options.out, { recursive: true });
  const file = join(options.out, `finding-${options.seed}-${findings.size + 1}.json`);
  writeFileSync(file, `${JSON.stringify({ problem: finding.message, recipe }, null, 2)}\n`);
  findings.set(finding.signature, file);
  console.log(`\nFINDING ${finding.message}`);
  console.log(`  target ${recipe.target}: ${shortText(recipe)}`);
  console.log(`  npm run fuzz -- --replay ${relative(process.cwd(), file)}\n`);
}

/** @returns {Recipe[]} */
function readCorpus() {
  /** @type {Recipe[]} */
  const corpus = [];
  for (const name of readdirSync(CORPUS)) {
    const lines = readFileSync(join(CORPUS, name), 'utf8').split('\n');
    corpus.push(...lines.filter((line) => line !== '').map((line) => JSON.parse(line)));
  }
  return corpus.filter(({ target }) => targets.includes(target));
}

/** @param {readonly Recipe[]} corpus */
function writeCorpus(corpus) {
  for (const target of targets) {
    const own = corpus.filter((recipe) => recipe.target === target);
    const lines = own.map((recipe) => JSON.stringify(recipe)).sort();
    writeFileSync(join(CORPUS, `${target}.ndjson`), `${lines.join('\n')}\n`);
  }
}

/**
 * One thread, until the time is over or an input ends it.
 *
 * @param {number} seed
 * @param {readonly Recipe[]} corpus
 * @param {boolean} isReplay
 * @returns {Promise<Extract<Report, { kind: 'end' }> | undefined>} undefined if an input ended it
 */
function runThread(seed, corpus, isReplay) {
  const shared = new SharedArrayBuffer(STATE_WORDS * 4 + TEXT_BYTES);
  const state = new Int32Array(shared, 0, STATE_WORDS);
  /** @type {Order} */
  const workerData = {
    ...{ shared, seed, targets, corpus, isReplay },
    isSaving: options.saveCorpus === true,
    blocks: built.blocks,
  };
  const worker = new Worker(built.entry, {
    workerData,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES },
  });
  const current = () => {
    const text = new Uint8Array(shared, STATE_WORDS * 4, Atomics.load(state, STATE.length));
    return /** @type {Recipe} */ (JSON.parse(Buffer.from(text).toString()));
  };
  return new Promise((resolve) => {
    let inputs = -1;
    let looks = 0;
    const watch = setInterval(() => {
      if (performance.now() > end && !isReplay) {
        Atomics.store(state, STATE.end, 1);
      }
      if (inputs !== Atomics.load(state, STATE.inputs) || Atomics.load(state, STATE.known) === 1) {
        inputs = Atomics.load(state, STATE.inputs);
        looks = 0;
        return;
      }
      // Looks are counted and not time: the whole machine may have stood still.
      looks += 1;
      if (looks * LOOK_MILLISECONDS > HANG_MILLISECONDS && inputs > 0) {
        lose(`it runs for more than ${HANG_MILLISECONDS / 1000} s`);
      }
    }, LOOK_MILLISECONDS);
    /** @param {string} problem */
    const lose = (problem) => {
      clearInterval(watch);
      const recipe = current();
      save({ signature: `${problem} ${recipe.target}`, message: problem }, recipe);
      inputsBefore += inputs;
      worker.removeAllListeners();
      worker.terminate().then(() => resolve(undefined));
    };
    worker.on('error', (error) => lose(String(error)));
    worker.on('message', (/** @type {Report} */ report) => {
      if (report.kind === 'finding') {
        save(report.finding, report.recipe);
        return;
      }
      note(report);
      if (report.kind === 'end') {
        clearInterval(watch);
        worker.removeAllListeners();
        worker.terminate().then(() => resolve(report));
      }
    });
  });
}

let told = start;

/** @param {Progress} progress */
function note(progress) {
  for (const block of progress.reached) {
    reached.add(block);
  }
  if (performance.now() - told > 60_000) {
    told = performance.now();
    tell(progress);
  }
}

/** @param {Progress} progress */
function tell(progress) {
  const seconds = (performance.now() - start) / 1000;
  const inputs = inputsBefore + progress.inputs;
  const rate = Math.round(inputs / seconds);
  console.log(
    `${(seconds / 60).toFixed(1)} min: ${inputs} inputs, ${rate}/s, corpus ${progress.kept}, src/obj ${percentOf('src/obj/')}, findings ${findings.size}`,
  );
}

/** @param {string} folder */
function percentOf(folder) {
  let all = 0;
  let seen = 0;
  for (const { file, from, to } of built.ranges) {
    if (file.startsWith(folder)) {
      for (let block = from; block < to; block += 1) {
        all += 1;
        seen += reached.has(block) ? 1 : 0;
      }
    }
  }
  return `${((seen / all) * 100).toFixed(1)} % of ${all} blocks`;
}

/** @param {Extract<Report, { kind: 'end' }>} last */
function summarize(last) {
  tell(last);
  for (const folder of ['src/obj/', 'src/obj/btf/', 'src/obj/core/', 'src/codec/']) {
    console.log(`  ${folder}: ${percentOf(folder)}`);
  }
  const { milliseconds, bytes } = last.slowest;
  console.log(`  refused: ${JSON.stringify(last.refused)}`);
  console.log(`  slowest input: ${milliseconds.toFixed(0)} ms for ${bytes} bytes`);
  console.log(`  most memory of one input: ${(last.mostHeapBytes / 1e6).toFixed(0)} MB`);
}

if (options.replay !== undefined) {
  const { recipe } = JSON.parse(readFileSync(options.replay, 'utf8'));
  await runThread(options.seed, [recipe], true);
} else {
  const corpus = readCorpus();
  for (let thread = 0; performance.now() < end; thread += 1) {
    const last = await runThread(options.seed + thread, corpus, false);
    if (last !== undefined) {
      summarize(last);
      if (options.saveCorpus === true) {
        writeCorpus(last.corpus);
      }
    }
  }
}
console.log(`findings: ${findings.size}`);
for (const file of findings.values()) {
  console.log(`  npm run fuzz -- --replay ${relative(process.cwd(), file)}`);
}
process.exitCode = findings.size > 0 ? 1 : 0;
