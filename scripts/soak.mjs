/**
 * Does for minutes what programs do with skep (scripts/soak/jobs.mjs), and judges whether memory, file
 * descriptors, mappings, and maps and programs in the kernel stay as they are.
 *
 * Usage: npm run soak -- [--minutes 10] [--kernel linux|memory] [--every 10] [--job NAME ...]
 *
 * `--every` is the time between two lines, in seconds. Exit status 1 if something grew, or went wrong; 2 for
 * wrong usage.
 * Ctrl-C ends it after the current round, and what was measured by then is judged.
 */

import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { misused, readArguments, readNumber } from './arguments.mjs';
import { JOBS, readObjects } from './soak/jobs.mjs';
import { Census, describeSample, judge, takeSample } from './soak/sample.mjs';
import { runWorker } from './soak/workers.mjs';

/** Threads take longer than everything else in a round. */
const ROUNDS_PER_WORKER = 25;

const root = fileURLToPath(new URL('..', import.meta.url));

const USAGE = `Usage: npm run soak -- [--minutes N] [--kernel linux|memory] [--every SECONDS] [--job NAME ...]
Jobs: ${Object.keys(JOBS).join(', ')}, workers`;
const { values } = readArguments(
  {
    options: {
      minutes: { type: 'string', default: '10' },
      kernel: { type: 'string', default: 'linux' },
      every: { type: 'string', default: '10' },
      job: { type: 'string', multiple: true, default: [] },
      // What it starts itself with.
      inside: { type: 'boolean', default: false },
    },
  },
  USAGE,
);
const positive = { least: 0, isAbove: true };
const seconds = readNumber('minutes', values.minutes, positive, USAGE) * 60;
const every = readNumber('every', values.every, positive, USAGE);
const names = values.job.length > 0 ? values.job : [...Object.keys(JOBS), 'workers'];
const stranger = names.find((name) => name !== 'workers' && !Object.hasOwn(JOBS, name));
if (stranger !== undefined) {
  misused(`there is no job "${stranger}"`, USAGE);
}
if (!['linux', 'memory'].includes(values.kernel)) {
  misused(`--kernel is linux or memory, not "${values.kernel}"`, USAGE);
}

if (values.inside) {
  process.exitCode = await soak();
} else {
  process.exitCode = await startInside();
}

/** Starts itself with a collector to call, and on Linux with a BPF file system of its own. */
async function startInside() {
  const build = spawnSync('npm', ['run', '--silent', 'build:ts'], { cwd: root, stdio: 'inherit' });
  if (build.status !== 0) {
    return 1;
  }
  const script = fileURLToPath(import.meta.url);
  const again = [process.execPath, '--expose-gc', script, ...process.argv.slice(2), '--inside'];
  const mount = ['sh', '-c', 'mount -t bpf bpf /sys/fs/bpf && exec "$@"', 'sh'];
  const [command = '', ...args] =
    values.kernel === 'linux' ? ['unshare', '--mount', ...mount, ...again] : again;
  const child = spawn(command, args, { cwd: root, stdio: 'inherit' });
  // Ctrl-C is for the child, which tells how it ends; a signal to this process alone is passed on.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGINT'));
  return new Promise((resolve) => {
    child.on('error', (error) => {
      console.error(`${command}: ${error.message}`);
      resolve(1);
    });
    child.on('exit', (status) => resolve(status ?? 1));
  });
}

/** @returns {Promise<import('./soak/jobs.mjs').Place & { census: Census }>} */
async function openPlace() {
  /** @type {typeof import('../src/index.ts')} */
  const skep = await import(new URL('../dist/index.js', import.meta.url).href);
  /** @type {typeof import('../src/testing.ts')} */
  const testing = await import(new URL('../dist/testing.js', import.meta.url).href);
  const isLinux = values.kernel === 'linux';
  const census = new Census(isLinux ? skep.linuxKernel() : new testing.MemoryKernel());
  const kernel = census.watched();
  const directory = '/sys/fs/bpf/soak';
  kernel.makeDirectory(directory);
  return { skep, testing, kernel, isLinux, directory, objects: readObjects(skep), census };
}

/** Runs until the time is over, or somebody has had enough; the exit status. */
async function soak() {
  const place = await openPlace();
  /** @type {import('./soak/sample.mjs').Sample[]} */
  const samples = [];
  let isStopped = false;
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      isStopped = true;
    });
  }
  const start = process.uptime();
  let next = start + every;
  for (let round = 1; !isStopped && process.uptime() < start + seconds; round += 1) {
    await runRound(place, round);
    if (process.uptime() >= next) {
      next = process.uptime() + every;
      const sample = await takeSample(place.census, round);
      samples.push(sample);
      console.log(describeSample(sample));
    }
  }
  place.kernel.removeDirectory(place.directory);
  return report(samples, isStopped);
}

/**
 * @param {import('./soak/jobs.mjs').Place} place
 * @param {number} round
 */
async function runRound(place, round) {
  for (const name of names) {
    try {
      if (name !== 'workers') {
        await JOBS[name]?.(place, round);
      } else if (place.isLinux && round % ROUNDS_PER_WORKER === 0) {
        await runWorker(round % (2 * ROUNDS_PER_WORKER) === 0);
      }
    } catch (error) {
      throw new Error(`job "${name}", round ${round}`, { cause: error });
    }
  }
}

/**
 * @param {readonly import('./soak/sample.mjs').Sample[]} samples
 * @param {boolean} isStopped
 */
function report(samples, isStopped) {
  const verdict = judge(samples);
  if (verdict === null) {
    console.log(`${samples.length} samples are too few to tell whether anything grows`);
    return isStopped ? 0 : 1;
  }
  console.log('\nMedians of the second and of the last quarter:');
  for (const line of verdict.lines) console.log(`  ${line}`);
  console.log(verdict.isFlat ? 'Nothing grows.' : 'SOMETHING GROWS.');
  return verdict.isFlat ? 0 : 1;
}
