/**
 * Many processes load the same pinned object at once, while some remove pins: one map wins, all share it,
 * nobody fails, nothing is left. Needs Linux and root; mounts a BPF file system of its own.
 *
 * Usage: npm run races -- [--rounds 1000] [--processes 8] [--seed 1]
 *
 * What is built in `dist/` is what runs. The exit status is 1 if anything did not hold, and 2 for wrong
 * usage; the rounds can be repeated by their seed, as far as the scheduler allows.
 */

import { fork, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, rmdirSync, statfsSync, unlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { readArguments, readNumber } from './arguments.mjs';
import { SCENARIOS, violations } from './races/rounds.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const WORKER = fileURLToPath(new URL('races/worker.mjs', import.meta.url));
const BPF_FS_MAGIC = 0xcafe4a11;
const MOUNTED = 'SKEP_RACES_MOUNTED';
/** Maps are freed some time after the last descriptor is closed. */
const FREED_MS = 10_000;
/** No round takes that long, however slow the machine. */
const ROUND_MS = 120_000;

/** @typedef {import('./races/rounds.mjs').Outcome} Outcome */

const USAGE = 'Usage: npm run races -- [--rounds N] [--processes N] [--seed N]';
const { values } = readArguments(
  {
    options: {
      rounds: { type: 'string', default: '1000' },
      processes: { type: 'string', default: '8' },
      seed: { type: 'string', default: '1' },
    },
  },
  USAGE,
);

/** @param {'rounds' | 'processes' | 'seed'} name @param {number} least */
function count(name, least) {
  return readNumber(name, values[name], { least, isWhole: true }, USAGE);
}

const rounds = count('rounds', 1);
const processes = count('processes', 4);
const seed = count('seed', 0);

if (!existsSync(`${ROOT}/dist/index.js`)) {
  console.error('races: dist/ is not built; run npm run build');
  process.exit(1);
}
if (process.env[MOUNTED] !== '1') {
  process.exit(runWithMount());
}
if (statfsSync('/sys/fs/bpf').type !== BPF_FS_MAGIC) {
  console.error('races: no BPF file system could be mounted at /sys/fs/bpf');
  process.exit(1);
}
const { openMap } = await import('../dist/index.js');
process.chdir(ROOT);
process.exit(await main());

/** Starts this again where a BPF file system of its own is mounted. */
function runWithMount() {
  const script = 'mount -t bpf bpf /sys/fs/bpf && exec "$@"';
  const { status, error } = spawnSync(
    'unshare',
    ['--mount', 'sh', '-c', script, 'sh', process.execPath, ...process.argv.slice(1)],
    { stdio: 'inherit', env: { ...process.env, [MOUNTED]: '1' } },
  );
  if (error !== undefined) {
    console.error(`races: ${error.message}`);
  }
  return status ?? 1;
}

async function main() {
  const workers = await Promise.all(Array.from({ length: processes }, start));
  const totals = { loads: 0, refused: 0, won: 0, reused: 0, lost: 0, retried: 0, unpinned: 0 };
  /** @type {string[]} */
  const found = [];
  const began = performance.now();
  for (let round = 0; round < rounds && found.length === 0; round += 1) {
    const problems = await runRound(workers, round, totals);
    found.push(...problems.map((problem) => `round ${round}: ${problem}`));
    if ((round + 1) % 50 === 0) {
      console.log(`${round + 1} of ${rounds} rounds`);
    }
  }
  for (const worker of workers) {
    worker.disconnect();
  }
  const seconds = (performance.now() - began) / 1000;
  console.log(summary(totals, seconds));
  for (const problem of found) {
    console.error(problem);
  }
  return found.length === 0 ? 0 : 1;
}

/** @returns {Promise<import('node:child_process').ChildProcess>} a process that is ready for tasks */
function start() {
  const worker = fork(WORKER, { cwd: ROOT });
  return new Promise((resolve, reject) => {
    worker.once('message', () => resolve(worker));
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`a process ended at once (${code})`)));
  });
}

/**
 * @template T
 * @param {import('node:child_process').ChildProcess} worker
 * @param {unknown} message
 * @returns {Promise<T>}
 */
function ask(worker, message) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('a process does not answer')), ROUND_MS);
    worker.once('message', (answer) => {
      clearTimeout(timer);
      resolve(/** @type {T} */ (answer));
    });
    worker.send(/** @type {import('node:child_process').Serializable} */ (message));
  });
}

/**
 * @param {readonly import('node:child_process').ChildProcess[]} workers
 * @param {number} round
 * @param {Record<'loads' | 'refused' | 'won' | 'reused' | 'lost' | 'retried' | 'unpinned', number>} totals
 * @returns {Promise<string[]>} what did not hold
 */
async function runRound(workers, round, totals) {
  const scenario = SCENARIOS[round % SCENARIOS.length];
  if (scenario === undefined) {
    throw new Error('there are no scenarios');
  }
  const root = `/sys/fs/bpf/races-${round}`;
  const tasks = workers.map((_, worker) => ({
    ...scenario.task(root, worker, workers.length),
    seed: seed + round * 1009 + worker * 7,
  }));
  const outcomes = await Promise.all(
    workers.map((worker, at) => /** @type {Promise<Outcome>} */ (ask(worker, { task: tasks[at] }))),
  );
  const task = tasks[0];
  const after = lookAt(root, task?.paths ?? [], task?.directories ?? []);
  const pathOf = (/** @type {string} */ map) =>
    task?.paths.find((path) => path.endsWith(`/${map.replace('.', '')}`));
  const closed = await Promise.all(
    workers.map(
      (worker) => /** @type {Promise<{ leaked: number }>} */ (ask(worker, { close: true })),
    ),
  );
  const whole = outcomes.map((outcome, at) => ({ ...outcome, leaked: closed[at]?.leaked ?? 0 }));
  const found = violations(scenario, whole, { ...after, pathOf });
  removeAll(root);
  found.push(...(await left(whole)));
  add(totals, whole);
  return found.map((problem) => `${scenario.name} (seed ${seed}): ${problem}`);
}

/**
 * Ids of what is pinned, and what is there that nobody asked for.
 *
 * @param {string} root
 * @param {readonly string[]} paths
 * @param {readonly string[]} directories
 */
function lookAt(root, paths, directories) {
  /** @type {Record<string, number>} */
  const pins = {};
  const strays = [];
  for (const path of pathsBelow(root)) {
    if (!paths.includes(path) && !directories.includes(path)) {
      strays.push(path);
    } else if (paths.includes(path) && !path.endsWith('/count_packets')) {
      const map = openMap(path);
      pins[path] = map.info().id;
      map.close();
    }
  }
  return { pins, strays };
}

/** @param {string} root */
function pathsBelow(root) {
  try {
    return readdirSync(root, { recursive: true }).map((name) => `${root}/${name}`);
  } catch {
    // All of it was removed.
    return [];
  }
}

/** @param {string} root */
function removeAll(root) {
  for (const path of [root, ...pathsBelow(root)].sort().reverse()) {
    try {
      unlinkSync(path);
    } catch {
      try {
        rmdirSync(path);
      } catch {
        // It was never made.
      }
    }
  }
}

/**
 * Maps of a round that are still in the kernel, when all handles are closed and all pins removed.
 *
 * @param {readonly Outcome[]} outcomes
 */
async function left(outcomes) {
  const ids = new Set(outcomes.flatMap(({ maps }) => Object.values(maps)));
  for (const deadline = performance.now() + FREED_MS; ids.size > 0; ) {
    for (const id of ids) {
      if (!isThere(id)) ids.delete(id);
    }
    if (performance.now() > deadline) {
      return [`maps are left in the kernel: ${[...ids].join(', ')}`];
    }
    if (ids.size > 0) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  return [];
}

/** @param {number} id */
function isThere(id) {
  try {
    openMap({ id }).close();
    return true;
  } catch {
    return false;
  }
}

/**
 * @param {Record<string, number>} totals
 * @param {readonly Outcome[]} outcomes
 */
function add(totals, outcomes) {
  for (const { kind, error, removed, counts } of outcomes) {
    const more = {
      loads: kind === 'load' ? 1 : 0,
      refused: error === null ? 0 : 1,
      unpinned: removed.length,
      ...counts,
    };
    for (const [name, number] of Object.entries(more)) {
      totals[name] = (totals[name] ?? 0) + number;
    }
  }
}

/**
 * @param {Record<string, number>} totals
 * @param {number} seconds
 */
function summary({ loads, refused, won, reused, lost, retried, unpinned }, seconds) {
  return [
    `${rounds} rounds of ${processes} processes in ${seconds.toFixed(1)} s: ${loads} loads`,
    `pins made: ${won}; maps found at their pins: ${reused}; pins that another was faster to make: ${lost}`,
    `tried again as a directory was gone: ${retried}; pins removed by others: ${unpinned}`,
    `loads refused for another definition of a map: ${refused}`,
  ].join('\n');
}
