/**
 * Fuzzes what reads files that others made. See docs/fuzzing.md.
 *
 * Usage: npm run fuzz -- [--minutes N] [--seed N] [--target NAME...] [--out DIRECTORY]
 *        [--save-corpus] [--replay FILE]
 *
 * One thread fuzzes, this one watches: an input that does not end, or takes all memory, ends that
 * thread, is saved, and another thread goes on. Ctrl-C and SIGTERM end it early, with what was found so
 * far. Exit status: 0, 1 for findings or if the fuzzer itself fails, 2 for wrong usage.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Command, InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import { compile } from '../test/fuzz/instrument.mjs';

/** @import { Order, Progress, Report } from '../test/fuzz/order.ts' */
/** @import { Finding } from '../test/fuzz/judge.ts' */
/** @import { Recipe } from '../test/fuzz/recipe.ts' */

/**
 * @typedef {object} Options
 * @property {number} minutes
 * @property {number} [seed]
 * @property {string[]} [target]
 * @property {string} out
 * @property {boolean} [saveCorpus]
 * @property {string} [replay]
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CORPUS = join(ROOT, 'test/fuzz/corpus');
const TARGETS = ['obj', 'btf', 'ext', 'core', 'codec', 'load', 'kconfig', 'log'];
/** Files of an input, where it is not one. */
const FILES = /** @type {Readonly<Record<string, number>>} */ ({ btf: 2, core: 3, kconfig: 2 });
/** An input that takes longer is taken to run for ever. */
const HANG_MILLISECONDS = 10_000;
const LOOK_MILLISECONDS = 250;
/** When the time is over the thread gets so long to end; then it is ended. */
const GRACE_MILLISECONDS = 15_000;
/** The same if it makes the corpus small first. */
const SAVING_MILLISECONDS = 120_000;
/** A thread that does not even let itself be ended is left alone after so long. */
const TERMINATE_MILLISECONDS = 3000;
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

/** @param {string} text */
function wholeNumber(text) {
  if (!/^\d{1,15}$/.test(text)) {
    throw new InvalidArgumentError('Expected a whole number.');
  }
  return Number(text);
}

const command = new Command('fuzz')
  .description('Fuzzes what reads files that others made. See docs/fuzzing.md.')
  .option('--minutes <n>', 'how long', number, 1)
  .option('--seed <n>', 'what is chosen by; another one each time by default', wholeNumber)
  .addOption(
    new Option('--target <name...>', 'what is fuzzed; all of them by default').choices(TARGETS),
  )
  .addOption(
    new Option('--out <directory>', 'where findings go').default(
      join(ROOT, 'coverage/fuzz'),
      'coverage/fuzz',
    ),
  )
  .option('--save-corpus', 'put the inputs that reach most into test/fuzz/corpus/')
  .addOption(new Option('--replay <file>', 'run one finding').conflicts('saveCorpus'))
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .parse();
/** @type {Options} */
const options = command.opts();
const targets = options.target ?? TARGETS;
const seed = options.seed ?? Date.now() % 1_000_000;
const replayed = options.replay === undefined ? undefined : readFinding(options.replay);
// Here, and not with the first finding, which would be lost.
attemptOrRefuse(`findings cannot go to ${options.out}`, () => {
  mkdirSync(options.out, { recursive: true });
});

// Inside the checkout, as what is compiled looks for packages.
const compiled = join(ROOT, `node_modules/.cache/skep-fuzz-${process.pid}`);
process.on('exit', () => rmSync(compiled, { recursive: true, force: true }));
let end = Number.POSITIVE_INFINITY;
let grace = options.saveCorpus === true ? SAVING_MILLISECONDS : GRACE_MILLISECONDS;
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  // npm sends a signal on that the terminal has sent already: the second one says nothing new.
  process.on(signal, () => {
    end = Math.min(end, performance.now());
    grace = GRACE_MILLISECONDS;
  });
}
console.log(`seed ${seed}`);
/** SIGTERM to npm ends npm and its shell, and does not get here: then the parent is another one. */
const PARENT = process.ppid;
const wasNpm = process.env.npm_lifecycle_event !== undefined;
const built = compile(ROOT, 'test/fuzz/worker.ts', compiled);
/** @type {typeof import('../test/fuzz/order.ts')} */
const { STATE, STATE_WORDS } = await import(pathToFileURL(join(built.entry, '../order.js')).href);

if (replayed !== undefined) {
  await checkEdits(replayed);
}

/** Everything found so far, by all threads: the file and how many edits it needs. */
const findings = /** @type {Map<string, { file: string, edits: number }>} */ (new Map());
const reached = /** @type {Set<number>} */ (new Set());
let inputsBefore = 0;
const start = performance.now();
if (replayed === undefined) {
  end = Math.min(end, start + options.minutes * 60_000);
}

/**
 * Ends the process over wrong usage.
 *
 * @param {string} problem
 * @returns {never}
 */
function refuse(problem) {
  console.error(`error: ${problem.replace(/\s+/g, ' ')}`);
  process.exit(2);
}

/**
 * Does something that fails if the user has asked for what cannot be.
 *
 * @template T
 * @param {string} problem
 * @param {() => T} run
 * @returns {T}
 */
function attemptOrRefuse(problem, run) {
  try {
    return run();
  } catch (error) {
    refuse(`${problem}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/**
 * The recipe of a file that the fuzzer has written. Ends the process if it is none.
 *
 * @param {string} file
 * @returns {Recipe}
 */
function readFinding(file) {
  const edit = z.tuple([z.string(), z.number(), z.number(), z.number()]);
  const base = z.string().refine((name) => existsSync(join(ROOT, 'fixtures', name)), {
    error: ({ input }) => `there is no fixture ${input}`,
  });
  const recipe = z
    .object({
      target: z.enum(TARGETS),
      parts: z.array(z.object({ base, edits: z.array(edit) })),
      seed: z.number(),
    })
    .refine(({ target, parts }) => parts.length === (FILES[target] ?? 1), {
      error: 'there are too many parts for the target, or too few',
    });
  const text = attemptOrRefuse('there is nothing to replay', () => readFileSync(file, 'utf8'));
  const problem = `${file} is no finding of the fuzzer`;
  const json = attemptOrRefuse(problem, () => JSON.parse(text));
  const found = z.object({ recipe }).safeParse(json);
  if (!found.success) {
    const issues = found.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    refuse(`${problem}: ${issues.join('; ')}`);
  }
  return found.data.recipe;
}

/**
 * Refuses a recipe with edits that there are no more: without them it would find nothing.
 *
 * @param {Recipe} recipe
 */
async function checkEdits({ parts }) {
  // What is compiled counts, in this thread too.
  Object.assign(globalThis, { skepCounts: new Uint32Array(built.blocks) });
  /** @type {typeof import('../test/fuzz/edits.ts')} */
  const known = await import(pathToFileURL(join(built.entry, '../edits.js')).href);
  for (const [name] of parts.flatMap(({ edits }) => edits)) {
    if (!Object.hasOwn(known.EDITS, name) && !Object.hasOwn(known.BYTE_EDITS, name)) {
      refuse(`${options.replay} cannot be replayed: there is no edit "${name}"`);
    }
  }
}

/** @param {Recipe} recipe */
function shortText(recipe) {
  return recipe.parts.map(({ base, edits }) => `${base} with ${edits.length} edits`).join(', ');
}

/**
 * Saves a finding and tells of it. One that comes again, made smaller, takes the place of what it was.
 *
 * @param {Finding} finding
 * @param {Recipe} recipe
 */
function save({ signature, message }, recipe) {
  const known = findings.get(signature);
  const edits = recipe.parts.reduce((sum, part) => sum + part.edits.length, 0);
  if (known !== undefined && known.edits <= edits) {
    return;
  }
  const file = known?.file ?? join(options.out, `finding-${seed}-${findings.size + 1}.json`);
  writeFileSync(file, `${JSON.stringify({ problem: message, recipe }, null, 2)}\n`);
  findings.set(signature, { file, edits });
  if (known !== undefined) {
    console.log(`  made smaller: ${shortText(recipe)}`);
    return;
  }
  console.log(`\nFINDING ${message}`);
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

/** A thread that fuzzes, watched. */
class Watched {
  #worker;
  #isReplay;
  #shared = new SharedArrayBuffer(STATE_WORDS * 4 + TEXT_BYTES);
  #state = new Int32Array(this.#shared, 0, STATE_WORDS);
  /** The number of inputs, and how often it was found to be the same. */
  #inputs = -1;
  #looks = 0;

  /**
   * @param {number} ownSeed
   * @param {readonly Recipe[]} corpus
   * @param {boolean} isReplay
   */
  constructor(ownSeed, corpus, isReplay) {
    this.#isReplay = isReplay;
    /** @type {Order} */
    const workerData = {
      ...{ shared: this.#shared, seed: ownSeed, targets, corpus, isReplay },
      isSaving: options.saveCorpus === true,
      blocks: built.blocks,
    };
    this.#worker = new Worker(built.entry, {
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES },
    });
  }

  /**
   * Runs until it is done, or the time is over, or an input ends it.
   *
   * @returns {Promise<readonly Recipe[] | undefined>} the corpus; undefined if it did not come to its end
   */
  async run() {
    /** @type {readonly Recipe[] | undefined} */
    const corpus = await new Promise((resolve, reject) => {
      const watch = setInterval(() => {
        const problem = this.#look();
        if (problem !== undefined) {
          done(problem);
        }
      }, LOOK_MILLISECONDS);
      /** @param {string | null} problem what the input that runs has done; null: nothing */
      const done = (problem) => {
        clearInterval(watch);
        this.#worker.removeAllListeners();
        if (problem !== null && this.#runs() === 0) {
          reject(new Error(`the thread that fuzzes ended before its first input: ${problem}`));
          return;
        }
        if (problem !== null) {
          this.#lose(problem);
        }
        resolve(undefined);
      };
      this.#worker.on('error', (error) => done(String(error)));
      this.#worker.on('exit', () => done('it ended the thread'));
      this.#worker.on('message', (/** @type {Report} */ report) => {
        if (report.kind === 'finding') {
          save(report.finding, report.recipe);
          return;
        }
        note(report);
        if (report.kind === 'end') {
          resolve(report.corpus);
          done(null);
        }
      });
    });
    const timeout = new Promise((resolve) => setTimeout(resolve, TERMINATE_MILLISECONDS).unref());
    await Promise.race([this.#worker.terminate(), timeout]);
    return corpus;
  }

  /** Inputs that were begun. */
  #runs() {
    return Atomics.load(this.#state, STATE.inputs);
  }

  /**
   * Whether the thread still does something.
   *
   * @returns {string | null | undefined} what is wrong; null: it is too late; undefined: all is well
   */
  #look() {
    const now = performance.now();
    if (wasNpm && process.ppid !== PARENT) {
      end = Math.min(end, now);
    }
    if (now > end) {
      Atomics.store(this.#state, STATE.end, 1);
    }
    const runs = this.#runs();
    this.#looks = runs === this.#inputs ? this.#looks + 1 : 0;
    this.#inputs = runs;
    // Looks are counted and not time: the whole machine may have stood still.
    if (this.#looks * LOOK_MILLISECONDS > HANG_MILLISECONDS && runs > 0) {
      return `it runs for more than ${HANG_MILLISECONDS / 1000} s`;
    }
    if (now > end + grace) {
      console.error('the thread that fuzzes did not end in time, and was ended');
      return null;
    }
    return undefined;
  }

  /** @param {string} problem */
  #lose(problem) {
    const text = new Uint8Array(
      this.#shared,
      STATE_WORDS * 4,
      Atomics.load(this.#state, STATE.length),
    );
    const recipe = /** @type {Recipe} */ (JSON.parse(Buffer.from(text).toString()));
    save({ signature: `${problem} ${recipe.target}`, message: problem }, recipe);
    if (!this.#isReplay) {
      inputsBefore += this.#runs();
      latest = undefined;
    }
  }
}

/** @type {Progress} */
const NOTHING = {
  ...{ inputs: 0, kept: 0, reached: new Uint32Array(), refused: {}, mostMemoryBytes: 0 },
  slowest: { milliseconds: 0, bytes: 0 },
};
let told = start;
/** What the thread that runs, or has ended well, told last. */
let latest = /** @type {Progress | undefined} */ (undefined);

/** @param {Progress} progress */
function note(progress) {
  latest = progress;
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

function summarize() {
  const last = latest ?? NOTHING;
  tell(last);
  for (const folder of ['src/obj/', 'src/obj/btf/', 'src/obj/core/', 'src/codec/']) {
    console.log(`  ${folder}: ${percentOf(folder)}`);
  }
  const { milliseconds, bytes } = last.slowest;
  console.log(`  refused: ${JSON.stringify(last.refused)}`);
  console.log(`  slowest input: ${milliseconds.toFixed(0)} ms for ${bytes} bytes`);
  console.log(`  most memory of one input: ${(last.mostMemoryBytes / 1e6).toFixed(0)} MB`);
}

async function fuzz() {
  const corpus = readCorpus();
  for (let thread = 0; performance.now() < end; thread += 1) {
    const kept = await new Watched(seed + thread, corpus, false).run();
    if (options.saveCorpus === true && kept !== undefined) {
      writeCorpus(kept);
    } else if (options.saveCorpus === true && performance.now() > end) {
      console.error('the corpus is as it was: there was no time to make it small');
    }
  }
  summarize();
}

try {
  await (replayed === undefined ? fuzz() : new Watched(seed, [replayed], true).run());
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
console.log(`findings: ${findings.size}`);
for (const { file } of findings.values()) {
  console.log(`  npm run fuzz -- --replay ${relative(process.cwd(), file)}`);
}
// Not just the status: a thread that does not end would keep the process.
process.exit(findings.size > 0 ? 1 : (process.exitCode ?? 0));
