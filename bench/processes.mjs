/**
 * Runs subjects side by side: each is a process of its own, and their samples alternate (ours, a
 * peer's, ours, ...), so that a machine that gets slower or faster meanwhile does so for all of them.
 */

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { statistics } from './measure.mjs';
import { findTool } from './toolchain.mjs';

/** @import { Measurement, Plan, Statistics } from './measure.mjs' */

/**
 * @typedef {object} Subject
 * @property {string} name `skep`, `libbpf`, ...: what its column is called
 * @property {readonly string[]} command the program and its arguments in front of the plan
 * @property {readonly string[]} args its own arguments, behind the plan
 */

/**
 * @typedef {object} Outcome All passes of one subject.
 * @property {number[]} samplesNs in the order in which they were taken
 * @property {number[]} firstNs one per pass
 * @property {number} iterations operations per sample in the last pass
 * @property {Record<string, unknown>} facts those of the last pass
 * @property {Statistics} warm of all samples
 * @property {Statistics} cold of the first operation of each process
 */

/**
 * Puts a command on one processor, the last one, where interrupts and other work are least likely.
 * Without taskset it runs wherever it is put.
 * @param {readonly string[]} command
 * @returns {{ command: readonly string[], cpu: string | null }}
 */
export function pinned(command) {
  const taskset = findTool(['taskset']);
  const cpu = lastProcessor();
  return taskset === null || cpu === null
    ? { command, cpu: null }
    : { command: [taskset, '-c', cpu, ...command], cpu };
}

/** The number of the last processor that this process may use; null if that cannot be told. */
function lastProcessor() {
  try {
    const status = readFileSync('/proc/self/status', 'utf8');
    return /^Cpus_allowed_list:.*?(\d+)$/m.exec(status)?.[1] ?? null;
  } catch {
    return null;
  }
}

/** A subject that is warm, or becomes so, and measures when it is told to. */
class Running {
  #subject;
  #child;
  #output = '';
  #errors = '';
  /** @type {(() => void) | undefined} */
  #wake;
  #over = false;

  /**
   * @param {Subject} subject
   * @param {Plan} plan
   */
  constructor(subject, plan) {
    const { samples, sampleMs, warmUpMs } = plan;
    const command = [...subject.command, samples, sampleMs, warmUpMs, ...subject.args].map(String);
    const [program = '', ...args] = pinned(command).command;
    this.#subject = subject;
    this.#child = spawn(program, args, { env: { ...process.env, SKEP_BENCH_TURNS: '1' } });
    this.#child.stdout.setEncoding('utf8').on('data', (text) => {
      this.#output += text;
      this.#wake?.();
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text) => {
      this.#errors += text;
    });
    this.#child.stdin.on('error', () => {});
    this.#child.on('error', (error) => {
      this.#errors += error.message;
    });
    this.#child.on('close', () => {
      this.#over = true;
      this.#wake?.();
    });
  }

  /** Waits until it is ready for its next sample, or has ended. */
  async pause() {
    while (!this.#over && !this.#output.startsWith('ready\n')) {
      await /** @type {Promise<void>} */ (
        new Promise((resolve) => {
          this.#wake = resolve;
        })
      );
    }
  }

  /** Has it take one sample. */
  async sample() {
    this.#output = this.#output.slice('ready\n'.length);
    this.#child.stdin.write('.');
    await this.pause();
  }

  /**
   * What it printed when it had ended.
   * @returns {Measurement}
   */
  result() {
    const { exitCode, signalCode } = this.#child;
    if (!this.#over || exitCode !== 0) {
      const why = `${signalCode ?? `status ${exitCode}`}: ${this.#errors.trim()}`;
      this.end();
      throw new Error(`${this.#subject.name} (${this.#child.spawnargs.join(' ')}) failed: ${why}`);
    }
    return JSON.parse(this.#output);
  }

  /** Ends it, if it has not ended by itself. */
  end() {
    this.#child.kill();
  }
}

/**
 * Runs subjects once, each in a process of its own, sample by sample in turns.
 * @param {readonly Subject[]} subjects
 * @param {Plan} plan
 * @returns {Promise<Measurement[]>} in the order of the subjects
 */
export async function runOnce(subjects, plan) {
  /** @type {Running[]} */
  const running = [];
  try {
    for (const subject of subjects) {
      const one = new Running(subject, plan);
      running.push(one);
      // It becomes warm alone: all run on one processor.
      await one.pause();
    }
    for (let sample = 0; sample < plan.samples; sample += 1) {
      for (const one of running) {
        await one.sample();
      }
    }
    return running.map((one) => one.result());
  } finally {
    for (const one of running) {
      one.end();
    }
  }
}

/**
 * Runs subjects side by side, `passes` times each.
 * @param {readonly Subject[]} subjects
 * @param {Plan} plan
 * @param {number} passes
 * @returns {Promise<Map<string, Outcome>>} by the subject's name
 */
export async function runPasses(subjects, plan, passes) {
  /** @type {Measurement[][]} */
  const runs = [];
  for (let pass = 0; pass < passes; pass += 1) {
    runs.push(await runOnce(subjects, plan));
  }
  return new Map(
    subjects.map(({ name }, index) => [
      name,
      combine(runs.flatMap((measurements) => measurements[index] ?? [])),
    ]),
  );
}

/**
 * @param {readonly Measurement[]} measurements
 * @returns {Outcome}
 */
function combine(measurements) {
  const last = measurements[measurements.length - 1];
  const samplesNs = measurements.flatMap((measurement) => measurement.samplesNs);
  const firstNs = measurements.map((measurement) => measurement.firstNs);
  return {
    samplesNs,
    firstNs,
    iterations: last?.iterations ?? 0,
    facts: last?.facts ?? {},
    warm: statistics(samplesNs),
    cold: statistics(firstNs),
  };
}
